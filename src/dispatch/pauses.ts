/**
 * Kinds that operators have paused, as this node knows them: read from the database a few times a second, so that every
 * node stops within about a second, and one that was started later knows it before it sends anything. The way of a job
 * pays nothing for it.
 *
 * Nothing of a paused kind is sent. What is with workers goes on, and everything that comes back is taken. A job that was
 * not sent has no deadline, so none runs out.
 */
import { repeat } from '../async/repeat.js'
import type { JobKind } from '../contract/job.js'
import type { KindPause, PauseStore } from '../store/pauses.js'

export interface Pauses {
  /** Reads them first if this node has not yet. @throws when it never could */
  known(): Promise<ReadonlySet<JobKind>>
  /** As they were read last. */
  has(kind: JobKind): boolean
  /** Reads them now: an operator changed them on this node. */
  refresh(): Promise<readonly KindPause[]>
  close(): Promise<void>
}

export interface PausesOptions {
  store: Pick<PauseStore, 'read'>
  pollMs: number
  /** After each read, as long as something is paused. */
  onPaused: (kinds: ReadonlySet<JobKind>) => void
  /** Kinds are no longer paused. */
  onResumed: () => void
  onError: (error: unknown) => void
}

export function createPauses({ store, pollMs, onPaused, onResumed, onError }: PausesOptions): Pauses {
  let paused: ReadonlySet<JobKind> | undefined
  /** Of two reads that overlap the later one counts. */
  let reads = 0

  async function refresh(): Promise<readonly KindPause[]> {
    reads += 1
    const own = reads
    const rows = await store.read()
    if (own !== reads && paused !== undefined) return rows
    const before = paused
    paused = new Set(rows.map(({ kind }) => kind))
    if (paused.size > 0) onPaused(paused)
    if (before !== undefined && [...before].some((kind) => paused?.has(kind) === false)) onResumed()
    return rows
  }

  const polls = repeat(
    async () => {
      await refresh()
      return false
    },
    pollMs,
    onError,
  )

  return {
    async known() {
      if (paused === undefined) await refresh()
      return paused ?? new Set()
    },
    has: (kind) => paused?.has(kind) ?? false,
    refresh,
    close: () => polls.stop(),
  }
}
