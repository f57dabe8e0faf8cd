/** How late events were heard, and which fault they are put down to. */
import type { FaultKind } from './schedule.js'

export interface HappenedFault {
  kind: FaultKind
  /** By `Date.now()`. */
  from: number
  to: number
}

export interface Delivery {
  storedAt: number
  heardAt: number
}

export type Row = FaultKind | 'no fault' | 'two at once'
export interface Lateness {
  during: number[]
  after: number[]
}

/** What was stored this long after a fault counts as after it. */
const AFTER_MS = 5000

/**
 * An event belongs to the fault that lasted at some time between its commit and its arrival. If there were two, it belongs
 * to neither.
 */
export function latenessByFault(
  faults: readonly HappenedFault[],
  deliveries: Iterable<Delivery>,
): Map<Row, Lateness> {
  const rows = new Map<Row, Lateness>()
  const rowOf = (row: Row) => {
    const known = rows.get(row) ?? { during: [], after: [] }
    rows.set(row, known)
    return known
  }
  for (const { storedAt, heardAt } of deliveries) {
    const lateMs = Math.max(0, heardAt - storedAt)
    const lasting = faults.filter(({ from, to }) => from <= heardAt && storedAt <= to)
    const before = faults.filter(({ to }) => to < storedAt && storedAt <= to + AFTER_MS)
    const [fault] = lasting
    if (lasting.length > 1) rowOf('two at once').during.push(lateMs)
    else if (fault !== undefined) rowOf(fault.kind).during.push(lateMs)
    else if (before.length > 0) rowOf((before.at(-1) as HappenedFault).kind).after.push(lateMs)
    else rowOf('no fault').during.push(lateMs)
  }
  return rows
}

/** p50, p99 and the greatest, ms. */
export function quantiles(times: readonly number[]): readonly [number, number, number] | undefined {
  if (times.length === 0) return undefined
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)
  return [at(0.5), at(0.99), at(1)]
}
