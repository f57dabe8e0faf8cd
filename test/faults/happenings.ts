/** Lets the planned faults happen, in their order, and notes when each began and ended and when the nodes were well again. */
import { setTimeout as delay } from 'node:timers/promises'
import { BEGIN, obstacleOf, type Scene } from './faults.js'
import type { HappenedFault } from './lateness.js'
import type { FaultyNode } from './nodes.js'
import type { Findings } from './promises.js'
import { FAULTS, type FaultKind, type PlannedFault } from './schedule.js'

export interface Happenings {
  happened: (HappenedFault & { node: number; wellAfterMs?: number })[]
  /** Kinds that cannot be made here, and why. */
  skipped: ReadonlyMap<FaultKind, string>
  /** A fault in which messages between nodes may get lost lasts now, or ended less than that many ms ago. */
  losesMessages(withinMs: number): boolean
  /** Resolves when all that began have ended and the nodes are well. */
  done: Promise<void>
}

/** Faults in which no message between nodes is lost. */
const HARMLESS: readonly FaultKind[] = ['slow-redis', 'cut-kafka', 'kafka-frozen', 'kafka-killed']
/** How long nodes may take until they are well. */
const WELL_MS = 30_000

export function runSchedule(
  planned: readonly PlannedFault[],
  scene: Scene,
  findings: Findings,
  { isTimeUp, say }: { isTimeUp: () => boolean; say(text: string): void },
): Happenings {
  const startedAt = Date.now()
  const happened: Happenings['happened'] = []
  const skipped = new Map<FaultKind, string>()
  const active = new Map<PlannedFault, Promise<void>>()
  const recoveries: Promise<void>[] = []
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1).padStart(6)} s`

  async function happen({ kind, lastsMs, node }: PlannedFault): Promise<void> {
    const target = scene.nodes[node] as FaultyNode
    const fault: Happenings['happened'][number] = {
      kind,
      node,
      from: Date.now(),
      to: Number.POSITIVE_INFINITY,
    }
    happened.push(fault)
    const end = await BEGIN[kind](scene, target, lastsMs)
    await delay(Math.max(0, fault.from + lastsMs - Date.now()))
    await end()
    fault.to = Date.now()
    const where = FAULTS[kind] === 'node' && kind !== 'rolling-update' ? ` of node ${node}` : ''
    say(`${seconds(fault.from - startedAt)}  ${kind}${where}, ${seconds(fault.to - fault.from).trim()}`)
    recoveries.push(recover(fault))
  }

  async function recover(fault: Happenings['happened'][number]): Promise<void> {
    const begun = happened.length
    let wellBy = Date.now() + WELL_MS
    let last = 'nothing'
    while (Date.now() < wellBy) {
      if (active.size > 0) wellBy = Date.now() + WELL_MS
      try {
        const states = await Promise.all(scene.nodes.map((node) => node.dependencies()))
        last = JSON.stringify(states)
        if (states.every((state) => Object.values(state).every((word) => word === 'ok'))) {
          // Not when another fault came first.
          if (happened.length === begun && active.size === 0) fault.wellAfterMs = Date.now() - fault.to
          return
        }
      } catch (error) {
        last = String(error)
      }
      await delay(200)
    }
    findings.found('unwell', `${WELL_MS} ms after ${fault.kind}: ${last}`)
  }

  async function all(): Promise<void> {
    let earlier: PlannedFault | undefined
    for (const fault of planned) {
      const isOverlap = earlier !== undefined && earlier.atMs + earlier.lastsMs > fault.atMs
      earlier = fault
      const obstacle = obstacleOf(fault.kind, scene)
      if (obstacle !== undefined) {
        skipped.set(fault.kind, obstacle)
        continue
      }
      await delay(Math.max(0, startedAt + fault.atMs - Date.now()))
      const isOfSamePart = (other: PlannedFault) => FAULTS[other.kind] === FAULTS[fault.kind]
      const inTheWay = [...active].filter(([other]) => !isOverlap || active.size > 1 || isOfSamePart(other))
      await Promise.all(inTheWay.map(([, ended]) => ended))
      if (FAULTS[fault.kind] === 'postgres') await scene.postgres.isWhole()
      if (isTimeUp()) break
      const ended = happen(fault)
      active.set(fault, ended)
      ended.then(
        () => active.delete(fault),
        () => active.delete(fault),
      )
      ended.catch(() => {})
      failures.push(ended)
    }
    await Promise.all(failures)
    await Promise.all(recoveries)
  }

  const failures: Promise<void>[] = []
  return {
    happened,
    skipped,
    losesMessages: (withinMs) =>
      happened.some(({ kind, to }) => !HARMLESS.includes(kind) && to + withinMs > Date.now()),
    done: all(),
  }
}
