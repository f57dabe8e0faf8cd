/**
 * Carries redrives on: every node looks for one whose next batch is due, and does that batch under a lease.
 *
 * 1. Claim a redrive. If a batch is written down, its node is gone: that one comes first.
 * 2. Otherwise take the next failed jobs, the oldest first, of those that failed before the redrive was asked for: a job
 *    that fails again is not tried again. Write them down as the batch, and move the cursor on.
 * 3. Write an entry of the audit log for each chapter, then retry its jobs by name. A retry that was done already changes
 *    nothing, so doing a batch twice starts no job twice.
 * 4. Count the batch, and set when the next one is due: that bounds the rate over all nodes.
 *
 * A batch that is done again counts each of its jobs that no longer stands failed as redriven, whoever started it again.
 */
import type { FastifyBaseLogger } from 'fastify'
import { repeat } from '../async/repeat.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import type { RedriveFilter } from '../contract/admin.js'
import { ChapterNotFoundError, WrongStateError } from '../errors.js'
import type { AuditStore } from '../store/audit.js'
import { SCAN_ROWS } from '../store/bounded-page.js'
import type { FailedJobFilter, FailedJobStore } from '../store/failed-jobs.js'
import type { RedriveRow, RedriveStore } from '../store/redrives.js'
import type { FailedJobRef, RedriveCursor } from '../store/schema.js'

/** Longer than a commit group’s own patience with a database that is away. */
export const REDRIVE_LEASE_MS = 30_000
/** So many batches a second, and so many jobs in one at most. */
const BATCHES_PER_S = 2
const MAX_BATCH = 500
const PAUSE_AFTER_ERROR_MS = 5000
const ERROR_MAX = 300

export interface RedriverOptions {
  redrives: Pick<RedriveStore, 'claim' | 'begin' | 'settle' | 'postpone'>
  failed: Pick<FailedJobStore, 'refs' | 'named'>
  audit: Pick<AuditStore, 'begin' | 'settle'>
  submit: CommitGroups['submit']
  now: () => number
  pollMs: number
  log: FastifyBaseLogger
}

export interface Redriver {
  /** One was just asked for. */
  look(): void
  close(): Promise<void>
}

export function createRedriver(options: RedriverOptions): Redriver {
  const { redrives, failed, audit, submit, now, log } = options
  const turns = repeat(turn, options.pollMs, (error) =>
    log.warn({ err: error }, 'redrives could not be looked for; it is tried again'),
  )

  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  async function turn(): Promise<boolean> {
    const leasedUntil = now() + REDRIVE_LEASE_MS
    const redrive = await redrives.claim(now(), leasedUntil)
    if (redrive === undefined) return false
    const lease = { id: redrive.id, leasedUntil }
    try {
      await advance(redrive, lease)
    } catch (error) {
      const problem = (error instanceof Error ? error.message : String(error)).slice(0, ERROR_MAX)
      log.warn({ err: error, redrive_id: redrive.id }, 'a redrive failed for now; it is tried again')
      await redrives.postpone(lease, now() + PAUSE_AFTER_ERROR_MS, problem)
    }
    return true
  }

  async function advance(redrive: RedriveRow, lease: { id: number; leasedUntil: number }): Promise<void> {
    const startedAt = now()
    const next = redrive.batch === null ? await nextBatch(redrive) : undefined
    if (next !== undefined && !(await redrives.begin(lease, next))) return
    const batch = next?.batch ?? redrive.batch ?? []
    const isOver = redrive.endedAt !== null || next?.isLast === true
    const counts =
      redrive.endedAt === null ? await act(redrive, batch, next === undefined) : await countOf(batch)
    const dueAt = startedAt + Math.ceil((1000 * batch.length) / redrive.ratePerS)
    const isFull = redrive.maxJobs !== null && redrive.redriven + counts.redriven >= redrive.maxJobs
    await redrives.settle(lease, { ...counts, dueAt, isOver: isOver || isFull, now: now() })
    // Not only when the next look happens to come: the rate that was asked for is kept as well as it can be.
    clearTimeout(timer)
    if (!isClosed) timer = setTimeout(turns.soon, Math.max(0, dueAt - now()))
  }

  async function nextBatch(redrive: RedriveRow): Promise<{
    batch: FailedJobRef[]
    cursor: RedriveCursor | null
    skipped: number
    isLast: boolean
  }> {
    const { ids, ratePerS, maxJobs, redriven, cursor, createdAt } = redrive
    const left = maxJobs === null ? MAX_BATCH : maxJobs - redriven
    const limit = Math.max(1, Math.min(MAX_BATCH, left, Math.ceil(ratePerS / BATCHES_PER_S)))
    if (ids !== null) {
      const taken = cursor !== null && 'taken' in cursor ? cursor.taken : 0
      const named = ids.slice(taken, taken + limit)
      const batch = named.length === 0 ? [] : await failed.named(named)
      const isLast = taken + named.length >= ids.length
      return { batch, cursor: { taken: taken + named.length }, skipped: named.length - batch.length, isLast }
    }
    const filter = filterOf(redrive.filter ?? {})
    const to = Math.min(filter.to ?? Number.POSITIVE_INFINITY, createdAt + 1)
    const after = cursor !== null && 'at' in cursor ? cursor : undefined
    const { items, scanned, last } = await failed.refs({ ...filter, to, after, limit })
    const batch = items.map(({ chapterId, kind, jobId }) => ({ chapterId, kind, jobId }))
    const lastItem = items.at(-1)
    const isWhole = items.length < limit
    const key = isWhole
      ? last
      : lastItem && { at: lastItem.at, chapterId: lastItem.chapterId, kind: lastItem.kind }
    return { batch, cursor: key ?? cursor, skipped: 0, isLast: isWhole && scanned < SCAN_ROWS }
  }

  async function act(
    { id, actor, requestId }: RedriveRow,
    batch: readonly FailedJobRef[],
    isAgain: boolean,
  ): Promise<{ redriven: number; skipped: number }> {
    const byChapter = grouped(batch)
    if (byChapter.size === 0) return { redriven: 0, skipped: 0 }
    const entries = await audit.begin(
      [...byChapter].map(([chapterId, refs]) => ({
        at: now(),
        actor,
        action: 'retry' as const,
        chapterId,
        kind: refs.length === 1 ? (refs[0]?.kind ?? null) : null,
        details: { redrive_id: id, kinds: refs.map(({ kind }) => kind) },
        requestId,
      })),
    )
    const outcomes = await Promise.allSettled(
      [...byChapter].map(async ([chapterId, refs]) => {
        try {
          const jobIds = refs.map(({ jobId }) => jobId)
          const { restarted } = await submit({ type: 'retry', chapterId, jobIds })
          return { chapterId, count: isAgain ? refs.length : restarted.length, problem: null }
        } catch (error) {
          if (!(error instanceof WrongStateError || error instanceof ChapterNotFoundError)) throw error
          const isDone = isAgain && error instanceof WrongStateError
          return { chapterId, count: isDone ? refs.length : 0, problem: isDone ? null : error.message }
        }
      }),
    )
    const settled = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    const idsOf = (isDone: boolean) => {
      const chapters = new Set(
        settled.filter(({ problem }) => (problem === null) === isDone).map(({ chapterId }) => chapterId),
      )
      return entries.flatMap((entry) =>
        entry.chapterId !== null && chapters.has(entry.chapterId) ? [entry.id] : [],
      )
    }
    await audit.settle(idsOf(true), 'done', null)
    await audit.settle(idsOf(false), 'refused', 'it no longer stood failed')
    const rejected = outcomes.find((outcome) => outcome.status === 'rejected')
    // The batch stays written down, and is done again.
    if (rejected !== undefined) throw rejected.reason
    const redriven = settled.reduce((sum, { count }) => sum + count, 0)
    return { redriven, skipped: batch.length - redriven }
  }

  /** Of a batch that was under way when its redrive was cancelled and its node died: nothing more is started. */
  async function countOf(batch: readonly FailedJobRef[]): Promise<{ redriven: number; skipped: number }> {
    const still = await failed.named(batch.map(({ jobId }) => jobId))
    return { redriven: batch.length - still.length, skipped: 0 }
  }

  return {
    look: turns.soon,
    async close() {
      isClosed = true
      clearTimeout(timer)
      await turns.stop()
    },
  }
}

function grouped(batch: readonly FailedJobRef[]): Map<number, FailedJobRef[]> {
  const groups = new Map<number, FailedJobRef[]>()
  for (const ref of batch) groups.set(ref.chapterId, [...(groups.get(ref.chapterId) ?? []), ref])
  return groups
}

/** As the wire has it. */
export function filterOf(filter: RedriveFilter): FailedJobFilter {
  const { owner_id: ownerId, course_id: courseId, kind, reason, from, to } = filter
  return {
    ownerId,
    courseId,
    kind,
    reason,
    from: from === undefined ? undefined : Date.parse(from),
    to: to === undefined ? undefined : Date.parse(to),
  }
}
