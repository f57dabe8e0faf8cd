/**
 * Jobs that do not go on, a page at a time: it looks through jobs that have not ended, the oldest chapter first, until
 * the page is full or enough was looked at.
 */
import type { StuckList, StuckQuery } from '../contract/admin.js'
import type { JobKind } from '../contract/job.js'
import type { PauseStore } from '../store/pauses.js'
import type { JobPlace, RunningJob, RunningJobStore } from '../store/running-jobs.js'
import { fromCursor, toCursor } from './cursors.js'
import { type Stuck, type StuckRules, stuckOf } from './stuck.js'
import { stuckView } from './views.js'

/** Chapters that one statement looks at, and statements for one page. */
const CHAPTERS = 500
const MAX_READS = 10
/** Behind every kind. */
const AFTER_ALL = '~'

const SECOND_MS = 1000
const DEFAULTS = { unsentMs: 15 * SECOND_MS, unstartedMs: 60 * SECOND_MS }

export interface StuckParts {
  running: Pick<RunningJobStore, 'list'>
  pauses: Pick<PauseStore, 'read'>
  /** undefined without a window. */
  waitingBefore: ((chapterId: number) => Promise<Partial<Record<JobKind, number>>>) | undefined
  policy: { queueTimeoutMs: number; heartbeatMs: number }
  now: () => number
}

export async function stuckRules(
  { pauses, waitingBefore, policy, now }: StuckParts,
  asked: Pick<StuckQuery, 'unsent_s' | 'unstarted_s' | 'silent_s'> = {},
): Promise<StuckRules> {
  const ms = (seconds: number | undefined, otherwise: number) =>
    seconds === undefined ? otherwise : seconds * SECOND_MS
  const paused = await pauses.read()
  return {
    now: now(),
    isWindowed: waitingBefore !== undefined,
    pausedAt: Object.fromEntries(paused.map(({ kind, pausedAt }) => [kind, pausedAt])),
    queueTimeoutMs: policy.queueTimeoutMs,
    unsentMs: ms(asked.unsent_s, DEFAULTS.unsentMs),
    unstartedMs: ms(asked.unstarted_s, DEFAULTS.unstartedMs),
    silentMs: ms(asked.silent_s, policy.heartbeatMs),
  }
}

export async function listStuck(query: StuckQuery, limit: number, parts: StuckParts): Promise<StuckList> {
  const [chapterId = 0, kind = ''] = fromCursor('stuck', query.cursor, ['number', 'string']) ?? []
  let after: JobPlace | null = { chapterId: Number(chapterId), kind: String(kind) }
  const rules = await stuckRules(parts, query)
  const found: { job: RunningJob; stuck: Stuck }[] = []
  for (let reads = 0; after !== null && reads < MAX_READS && found.length < limit; reads++) {
    const page: Awaited<ReturnType<RunningJobStore['list']>> = await parts.running.list({
      ownerId: query.owner_id,
      courseId: query.course_id,
      kind: query.kind,
      after,
      chapters: CHAPTERS,
    })
    after =
      page.scanned < CHAPTERS || page.lastChapterId === null
        ? null
        : { chapterId: page.lastChapterId, kind: AFTER_ALL }
    for (const [index, job] of page.jobs.entries()) {
      const stuck = stuckOf(job, rules)
      if (stuck === undefined || (query.why !== undefined && stuck.why !== query.why)) continue
      found.push({ job, stuck })
      if (found.length < limit) continue
      if (index < page.jobs.length - 1) after = { chapterId: job.chapterId, kind: job.kind }
      break
    }
  }
  const waiting = await placesBefore(found, parts)
  return {
    items: found.map(({ job, stuck }) =>
      stuckView(
        job,
        stuck,
        stuck.why === 'window_full' ? (waiting.get(job.chapterId)?.[job.kind] ?? null) : null,
      ),
    ),
    next_cursor: after === null ? null : toCursor('stuck', [after.chapterId, after.kind]),
  }
}

/** One chapter after the other: a page of waiting jobs must not take every connection. */
async function placesBefore(
  found: readonly { job: RunningJob; stuck: Stuck }[],
  { waitingBefore }: StuckParts,
): Promise<Map<number, Partial<Record<JobKind, number>>>> {
  const waiting = new Map<number, Partial<Record<JobKind, number>>>()
  if (waitingBefore === undefined) return waiting
  for (const { job, stuck } of found)
    if (stuck.why === 'window_full' && !waiting.has(job.chapterId))
      waiting.set(job.chapterId, await waitingBefore(job.chapterId))
  return waiting
}
