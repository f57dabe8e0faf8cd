/**
 * What is known of one chapter, as one immutable value. It is put together from events, from the answers to
 * joins and from views, which overtake each other: `last_seq` says how far the log’s effect is in it, and
 * what is older than that changes nothing. Rules only: no network, no clock.
 */
import {
  type ChapterEvent,
  type ChapterStatus,
  type ChapterView,
  type FailureReason,
  JOB_KINDS,
  type JobKind,
  type JobStatus,
  type JoinedChapter,
  type PartialQuestion,
  type PartialUpdate,
  type ProgressUpdate,
} from './contract.js'
import type { ChaptercastError } from './errors.js'

/**
 * `connecting` until the chapter was joined; `live` while it is; `reconnecting` when the connection was lost,
 * which mends itself; `closed` when nobody watches it or the server refused.
 */
export type ChapterConnection = 'connecting' | 'live' | 'reconnecting' | 'closed'

/** One job as far as events tell. Names and meanings are those of `JobView`. */
export interface JobSnapshot {
  readonly kind: JobKind
  /** null until something is known. */
  readonly status: JobStatus | null
  readonly attempt: number
  readonly max_attempts: number | null
  /** 0 to 100. */
  readonly progress: number
  /** Whether a worker said that it began this attempt. */
  readonly started: boolean
  /** When the next attempt begins, while one is awaited. */
  readonly retry_at: string | null
  /** Why the last attempt that failed did. */
  readonly error: { readonly reason: FailureReason; readonly message: string | null } | null
  /** Which one is being written, or was last. */
  readonly revision: number
  /** The revision that can be read; null before the first result. */
  readonly content_revision: number | null
}

/** What has been written of each kind so far, by an attempt that goes on. */
export interface PartialSnapshot {
  readonly concept: { readonly attempt: number; readonly text: string } | null
  readonly exercise: { readonly attempt: number; readonly text: string } | null
  /** Whole questions, without their answers. */
  readonly quiz: { readonly attempt: number; readonly quizzes: readonly PartialQuestion[] } | null
}

export interface ChapterSnapshot {
  readonly chapter_id: number
  readonly connection: ChapterConnection
  /** null until the server answered; false while a chapter that does not exist yet is awaited. */
  readonly exists: boolean | null
  readonly title: string | null
  readonly status: ChapterStatus | null
  /** 0 to 100. */
  readonly progress: number
  /** The latest, for people, in the chapter’s language. */
  readonly message: string
  /** The events up to this one are in here. */
  readonly last_seq: number
  readonly jobs: Readonly<Record<JobKind, JobSnapshot>>
  /** Text so far of what is being written; null before it begins, and again when its result is stored. */
  readonly partial: PartialSnapshot
  /** Which results can be read with `learning()`. */
  readonly results: Readonly<Record<JobKind, boolean>>
  /** The log was deleted after its retention: it is not complete from the first event on. */
  readonly expired: boolean
  /** Why it cannot be watched. */
  readonly error: ChaptercastError | null
}

export function newSnapshot(chapterId: number): ChapterSnapshot {
  return {
    chapter_id: chapterId,
    connection: 'connecting',
    exists: null,
    title: null,
    status: null,
    progress: 0,
    message: '',
    last_seq: 0,
    jobs: byKind(newJob),
    partial: NOTHING,
    results: byKind(() => false),
    expired: false,
    error: null,
  }
}

const NOTHING: PartialSnapshot = { concept: null, exercise: null, quiz: null }

/** @param isCaughtUp whether every event that the answer counts was taken: only then is its status the latest */
export function takeJoined(
  snapshot: ChapterSnapshot,
  joined: JoinedChapter,
  isCaughtUp: boolean,
): ChapterSnapshot {
  const { status, progress = 0, last_seq = 0, expired = false } = joined
  if (status === undefined) return { ...snapshot, exists: snapshot.exists ?? false }
  const known = { ...snapshot, exists: true, expired: snapshot.expired || expired }
  if (!isCaughtUp || last_seq < snapshot.last_seq) return known
  return { ...known, status, progress: Math.max(snapshot.progress, progress), last_seq }
}

/** The next event of the log. */
export function takeEvent(snapshot: ChapterSnapshot, { name, payload }: ChapterEvent): ChapterSnapshot {
  if (payload.seq <= snapshot.last_seq) return snapshot
  const next = {
    ...snapshot,
    exists: true,
    message: payload.message,
    last_seq: payload.seq,
    partial: withoutEnded(snapshot.partial, name),
  }
  switch (name) {
    case 'chapter_processing_started':
      return { ...next, status: 'processing', title: payload.title }
    case 'all_completed':
      return { ...next, status: 'completed', progress: 100 }
    case 'chapter_failed':
      return { ...next, status: 'failed' }
    case 'chapter_cancelled':
      return withJobs({ ...next, status: 'cancelled' }, (job) =>
        isOpen(job)
          ? { ...job, status: 'cancelled', retry_at: null, revision: job.content_revision ?? job.revision }
          : job,
      )
    case 'chapter_retrying': {
      const again = withJobs({ ...next, status: 'processing' }, (job) =>
        job.status === 'failed'
          ? {
              ...newJob(job.kind),
              ...{ status: 'queued', max_attempts: job.max_attempts, revision: job.revision },
            }
          : job,
      )
      // A new run begins where its jobs stand; a retry within a run does not move the bar back.
      return snapshot.status === 'failed' ? { ...again, progress: meanProgress(again.jobs) } : again
    }
  }
  const kind = JOB_KINDS.find((each) => name.startsWith(`${each}_`))
  // An event of a newer server: it counts, and says nothing here.
  if (kind === undefined) return next
  name satisfies KindEvent['name']
  const job = advance(snapshot.jobs[kind], { name, payload } as KindEvent)
  const jobs = { ...snapshot.jobs, [kind]: job }
  const results = { ...snapshot.results, [kind]: job.content_revision !== null }
  // A new run, which begins where its jobs stand.
  if (name === `${kind}_regenerating`)
    return { ...next, status: 'processing', jobs, results, progress: meanProgress(jobs) }
  return { ...next, jobs, results, progress: Math.max(snapshot.progress, meanProgress(jobs)) }
}

/** The latest progress; it is not logged, so it is sent again at every join. */
export function takeProgress(snapshot: ChapterSnapshot, update: ProgressUpdate): ChapterSnapshot {
  const { progress, message, kind, kind_progress: kindProgress } = update
  const isOver = snapshot.status !== null && snapshot.status !== 'processing'
  if (isOver) return snapshot
  const next = { ...snapshot, exists: true, message, progress: Math.max(snapshot.progress, progress) }
  if (kind === undefined || kindProgress === undefined) return next
  const job = snapshot.jobs[kind]
  if (job.status !== null && !isOpen(job)) return next
  return { ...next, jobs: { ...snapshot.jobs, [kind]: { ...job, progress: kindProgress } } }
}

/** The next piece of the text so far; `offset` says where it belongs. */
export function takePartial(snapshot: ChapterSnapshot, { name, payload }: PartialUpdate): ChapterSnapshot {
  const kind = JOB_KINDS.find((each) => name === `${each}_partial`)
  if (kind === undefined) return snapshot
  const { status } = snapshot.jobs[kind]
  if (status !== null && !isOpen(snapshot.jobs[kind])) return snapshot
  const { attempt, offset } = payload
  const known = snapshot.partial[kind]
  const before = known?.attempt === attempt ? known : null
  // Without what lies before it, it would be text that was never written.
  const length = before === null ? 0 : 'text' in before ? before.text.length : before.quizzes.length
  if (offset > length) return snapshot
  const next =
    'text' in payload
      ? { attempt, text: (before && 'text' in before ? before.text.slice(0, offset) : '') + payload.text }
      : {
          attempt,
          quizzes: [
            ...(before && 'quizzes' in before ? before.quizzes.slice(0, offset) : []),
            ...payload.quizzes,
          ],
        }
  return { ...snapshot, exists: true, partial: { ...snapshot.partial, [kind]: next } }
}

/** With its attempt a text is gone. */
function withoutEnded(partial: PartialSnapshot, name: string): PartialSnapshot {
  if (name === 'chapter_cancelled') return NOTHING
  const kind = JOB_KINDS.find((each) => name.startsWith(`${each}_`))
  const isOver = kind !== undefined && /_(completed|timeout|retrying|failed|regenerating)$/.test(name)
  return isOver && partial[kind] !== null ? { ...partial, [kind]: null } : partial
}

/** What events before a cursor would have told, when they were not asked for or are gone. */
export function takeView(snapshot: ChapterSnapshot, view: ChapterView): ChapterSnapshot {
  if (view.last_seq < snapshot.last_seq) return snapshot
  // Progress is no event: of two reports of the same place the higher one is the later.
  const isSamePlace = view.last_seq === snapshot.last_seq
  const next = {
    ...snapshot,
    exists: true,
    title: view.title,
    status: view.status,
    progress: isSamePlace ? Math.max(view.progress, snapshot.progress) : view.progress,
    last_seq: view.last_seq,
    partial: Object.fromEntries(
      JOB_KINDS.map((kind) => {
        const isWritten = view.jobs.some((job) => job.kind === kind && job.status === 'published')
        return [kind, isWritten ? snapshot.partial[kind] : null]
      }),
    ) as unknown as PartialSnapshot,
  }
  return withJobs(next, (job) => {
    const seen = view.jobs.find(({ kind }) => kind === job.kind)
    if (seen === undefined) return job
    const { status, attempt, max_attempts, progress, error } = seen
    const isSame = job.attempt === attempt
    return {
      ...job,
      ...{ status, attempt, max_attempts, progress, error },
      revision: seen.revision ?? 1,
      // A server of before tells it by the status.
      content_revision: seen.content_revision ?? (status === 'completed' ? 1 : null),
      started: isSame && job.started,
      retry_at: isSame ? job.retry_at : null,
    }
  })
}

export function isEnded({ status, results }: ChapterSnapshot): boolean {
  // With the last late result a failed chapter is complete after all: the next event says so.
  if (status === 'failed') return Object.values(results).includes(false)
  return status === 'completed' || status === 'cancelled'
}

function newJob(kind: JobKind): JobSnapshot {
  return {
    kind,
    status: null,
    attempt: 1,
    max_attempts: null,
    progress: 0,
    started: false,
    retry_at: null,
    error: null,
    revision: 1,
    content_revision: null,
  }
}

function isOpen({ status }: JobSnapshot): boolean {
  return status === 'queued' || status === 'published'
}

function withJobs(snapshot: ChapterSnapshot, change: (job: JobSnapshot) => JobSnapshot): ChapterSnapshot {
  const jobs = byKind((kind) => change(snapshot.jobs[kind]))
  const results = byKind((kind) => jobs[kind].content_revision !== null)
  return { ...snapshot, jobs, results }
}

function byKind<T>(cell: (kind: JobKind) => T): Record<JobKind, T> {
  return Object.fromEntries(JOB_KINDS.map((kind) => [kind, cell(kind)])) as Record<JobKind, T>
}

function meanProgress(jobs: Readonly<Record<JobKind, JobSnapshot>>): number {
  return Math.floor(JOB_KINDS.reduce((sum, kind) => sum + jobs[kind].progress, 0) / JOB_KINDS.length)
}

type KindEvent = Extract<ChapterEvent, { name: `${JobKind}_${string}` }>

function advance(job: JobSnapshot, { name, payload }: KindEvent): JobSnapshot {
  switch (name) {
    case 'concept_processing':
    case 'exercise_processing':
    case 'quiz_processing':
      return { ...job, status: 'queued' }
    case 'concept_started':
    case 'exercise_started':
    case 'quiz_started':
      return { ...job, status: 'published', attempt: payload.attempt, started: true, retry_at: null }
    case 'concept_completed':
    case 'exercise_completed':
    case 'quiz_completed': {
      const revision = payload.revision ?? 1
      return {
        ...job,
        ...{ status: 'completed', progress: 100, retry_at: null, error: null },
        ...{ revision, content_revision: revision },
      }
    }
    case 'concept_regenerating':
    case 'exercise_regenerating':
    case 'quiz_regenerating':
      return {
        ...newJob(job.kind),
        ...{ status: 'queued', max_attempts: job.max_attempts },
        ...{ revision: payload.revision, content_revision: job.content_revision },
      }
    case 'concept_timeout':
    case 'exercise_timeout':
    case 'quiz_timeout':
      return {
        ...job,
        max_attempts: payload.max_attempts,
        error: { reason: 'timeout', message: null },
      }
    case 'concept_retrying':
    case 'exercise_retrying':
    case 'quiz_retrying':
      return {
        ...job,
        status: 'queued',
        attempt: payload.attempt,
        max_attempts: payload.max_attempts,
        progress: 0,
        started: false,
        retry_at: payload.retry_at,
        error: { reason: payload.reason, message: payload.error ?? null },
      }
    case 'concept_failed':
    case 'exercise_failed':
    case 'quiz_failed': {
      const error = { reason: payload.reason, message: payload.error ?? null }
      const { attempt, kept = false } = payload
      if (!kept) return { ...job, status: 'failed', attempt, progress: 0, retry_at: null, error }
      // What there was before stays.
      const revision = job.content_revision ?? job.revision
      return { ...job, status: 'completed', attempt, progress: 100, retry_at: null, error, revision }
    }
  }
  // A newer server may have more.
  name satisfies never
  return job
}
