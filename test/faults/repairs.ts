/**
 * Events that came to a node from the log alone, while nothing was wrong: somebody did not tell it, or it did not listen.
 * Nodes count them (`chaptercast_feed_repairs_total`).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FaultyNode } from './nodes.js'

export interface Repairs {
  /** Without a fault. */
  readonly quiet: number
  stop(): Promise<void>
}

const EVERY_MS = 1000

export function countRepairs(nodes: readonly FaultyNode[], isTroubled: () => boolean): Repairs {
  let isOver = false
  let quiet = 0
  const before = new Map<FaultyNode, number>()

  async function turn(): Promise<void> {
    for (const node of nodes) {
      const count = await repairsOf(node).catch(() => undefined)
      const last = before.get(node)
      if (count === undefined) before.delete(node)
      else before.set(node, count)
      if (!isTroubled() && count !== undefined && last !== undefined && count > last) quiet += count - last
    }
  }

  const turns = (async () => {
    while (!isOver) {
      await turn()
      await delay(EVERY_MS)
    }
  })()
  return {
    get quiet() {
      return quiet
    },
    async stop() {
      isOver = true
      await turns
    },
  }
}

async function repairsOf({ url }: FaultyNode): Promise<number> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2000) })
  return Number(/^chaptercast_feed_repairs_total (\S+)$/m.exec(await response.text())?.[1])
}
