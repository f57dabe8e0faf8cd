/**
 * What is promised, and how a run would show that it does not hold. Each is a line of the table. What is found is
 * counted, and the first of them are kept for whoever looks further.
 */

export const PROMISES = {
  lostCreate: ['Nothing is forgotten', 'chapters acknowledged but lost'],
  lostResult: ['Nothing is forgotten', 'results acknowledged but lost'],
  lostAct: ['Nothing is forgotten', 'cancels, retries and regenerations acknowledged but lost'],
  doubledCreate: ['Nothing is doubled', 'creates that made a chapter twice'],
  doubledResult: ['Nothing is doubled', 'results that counted twice'],
  hole: ['Order', 'holes in a log'],
  disorder: ['Order', 'events heard out of order or after a gap'],
  repeated: ['Order', 'events heard twice on one connection, or with a cursor'],
  missed: ['Order', 'events that a watcher missed'],
  unheard: ['Order', 'events that a node had to read from the log although no message was lost'],
  wrongEvent: ['Order', 'events heard that are not in the log'],
  ends: ['One end', 'runs with a wrong number of ends'],
  hanging: ['Nothing hangs', 'chapters left hanging'],
  unwhole: ['Nothing hangs', 'chapters that say completed and are not whole'],
  otherWork: ['Delivery to workers', 'callbacks for other work that changed something'],
  twoWorkers: ['Delivery to workers', 'jobs sent again while a worker was at them, without a cause'],
  badResult: ['One judge', 'useless results that were taken'],
  busy: ['Busy is not broken', 'attempts lost to a busy model'],
  window: ['A window bounds the load', 'times that more jobs were out than the window has'],
  course: ['A course', 'chapters whose last status a course did not hear'],
  notice: ['Notices', 'runs whose end was not announced'],
  partial: ['Text so far', 'pieces of text that do not follow what was heard'],
  lateWithoutRedis: [
    'Outages',
    'events more than 5 s late while Redis was away, beyond those without a fault',
  ],
  retryAfter: ['Outages', '503 without Retry-After'],
  odd5xx: ['Outages', '5xx that are not 503'],
  connection: ['Outages', 'connections lost while their node was well'],
  unwell: ['Outages', 'nodes that were not well again by themselves'],
  stayedAway: [
    'Clients come back by themselves',
    'clients that were told to stay away, or did not come back',
  ],
  died: ['No process ends by itself', 'processes that ended by themselves'],
} as const satisfies Record<string, readonly [promise: string, breach: string]>
export type Promised = keyof typeof PROMISES

const KEPT = 20

export interface Findings {
  /** Something is not as promised; what, with what is needed to look further. */
  found(promise: Promised, what: string): void
  readonly counts: Record<Promised, number>
  readonly samples: ReadonlyMap<Promised, readonly string[]>
}

export function createFindings(): Findings {
  const names = Object.keys(PROMISES) as Promised[]
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<Promised, number>
  const samples = new Map<Promised, string[]>()
  return {
    counts,
    samples,
    found(promise, what) {
      counts[promise] += 1
      const kept = samples.get(promise) ?? []
      samples.set(promise, kept)
      if (kept.length < KEPT) kept.push(`${new Date().toISOString()} ${what}`)
    },
  }
}
