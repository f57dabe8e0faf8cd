/**
 * Which fault begins when, and how long it lasts: from the seed alone. Every kind comes once before one comes again.
 * At most two faults last at once, and never two of the same part: each promise speaks of one thing that is away.
 */
import { type Random, seeded } from '../support/random.js'

/** The part of the system that each happens to. */
export const FAULTS = {
  'node-killed': 'node',
  'node-stopped': 'node',
  'node-restarted': 'node',
  'node-clocks': 'node',
  'rolling-update': 'node',
  'cut-postgres': 'node',
  'cut-redis': 'node',
  'cut-kafka': 'node',
  'slow-redis': 'node',
  'redis-frozen': 'redis',
  'redis-killed': 'redis',
  'redis-out-of-memory': 'redis',
  'postgres-crashed': 'postgres',
  'postgres-restarted': 'postgres',
  'postgres-half-open': 'postgres',
  'postgres-slow': 'postgres',
  'postgres-out-of-disk': 'postgres',
  'postgres-failover': 'postgres',
  'kafka-frozen': 'kafka',
  'kafka-killed': 'kafka',
} as const
export type FaultKind = keyof typeof FAULTS
export type Part = (typeof FAULTS)[FaultKind]
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[]

export interface PlannedFault {
  kind: FaultKind
  /** After the first request, ms. */
  atMs: number
  lastsMs: number
  /** The index of a node, for faults of one node. */
  node: number
}

/** Time without a fault first: what the machine does by itself. */
const FIRST_MS = 5000
const OVERLAP = 0.25

export interface SchedulePlan {
  seed: number
  durationMs: number
  nodes: number
  kinds: readonly FaultKind[]
  /** Comes before all others. */
  first?: FaultKind | undefined
}

export function scheduleOf({ seed, durationMs, nodes, kinds, first }: SchedulePlan): PlannedFault[] {
  const random = seeded(seed)
  const planned: PlannedFault[] = []
  if (kinds.length === 0) return planned
  let deck: FaultKind[] = first === undefined ? [] : [first]
  // The one before still lasts when this one begins.
  let isSecond = false
  for (let atMs = FIRST_MS; atMs < durationMs; ) {
    if (deck.length === 0) deck = shuffled(kinds, random)
    const kind = deck.shift() as FaultKind
    const lastsMs = 2000 + random.below(4000)
    planned.push({ kind, atMs, lastsMs, node: random.below(nodes) })
    const next = deck[0]
    const overlaps: boolean =
      random.chance(OVERLAP) && !isSecond && next !== undefined && FAULTS[next] !== FAULTS[kind]
    const endMs = Math.max(...planned.slice(-2).map((fault) => fault.atMs + fault.lastsMs))
    atMs = overlaps ? atMs + random.below(lastsMs) : endMs + 1500 + random.below(1500)
    isSecond = overlaps
  }
  return planned
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(random.below(rest.length), 1)[0] as T)
}
