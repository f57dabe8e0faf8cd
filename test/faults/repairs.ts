/**
 * Events that a node had to read from the log although no message was lost: somebody did not tell it, or it did not
 * listen yet. Nodes count what they had to read (`chaptercast_feed_repairs_total`).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FaultyNode } from './nodes.js'
import type { Findings } from './promises.js'

const EVERY_MS = 1000

/** @param mayLose whether messages may have been lost that nodes count now */
export function watchRepairs(nodes: readonly FaultyNode[], mayLose: () => boolean, findings: Findings) {
  let isOver = false
  const before = new Map<FaultyNode, number>()

  async function look(): Promise<void> {
    for (const node of nodes) {
      const count = await repairsOf(node).catch(() => undefined)
      const last = before.get(node)
      if (count === undefined) before.delete(node)
      else before.set(node, count)
      if (count === undefined || last === undefined || mayLose()) continue
      for (let more = count - last; more > 0; more -= 1) findings.found('unheard', `node ${node.index}`)
    }
  }

  const looks = (async () => {
    while (!isOver) {
      await look()
      await delay(EVERY_MS)
    }
  })()
  return {
    async stop() {
      isOver = true
      await looks
    },
  }
}

async function repairsOf({ url }: FaultyNode): Promise<number | undefined> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2000) })
  const counted = /^chaptercast_feed_repairs_total\{feed="chapter"\} (\d+)$/m.exec(await response.text())
  return counted === null ? undefined : Number(counted[1])
}
