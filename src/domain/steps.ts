/**
 * What an action does to a chapter: the only place where state changes and events arise. `decide.ts` and `create.ts`
 * choose the steps; each step writes into the decision's `Changes`.
 */

import { backoffMs, busyWaitMs } from '../async/backoff.js'
import type { ProgressUpdate } from '../contract/event.js'
import { type FailureReason, JOB_KINDS, type JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import type { Changes, EventFields } from './changes.js'
import { type ChapterState, contentRevisionOf, isKept, isRunning, type JobState, jobsOf } from './chapter.js'
import type { EndedAttempt, FinishResult } from './command.js'
import { eventMessage } from './messages.js'
import { chapterProgress, meanProgress } from './progress.js'

/** The first events of a chapter, which is new. */
export function accept(changes: Changes): void {
  const chapter = changes.changeChapter()
  changes.emit('chapter_processing_started', { title: chapter.title, status: 'processing_started' })
  for (const kind of JOB_KINDS)
    changes.emit(`${kind}_processing`, { ...CONTENT_FIELDS[kind](chapter), status: 'processing' })
}

/** What only the events of a kind say of its content. */
const CONTENT_FIELDS: {
  [Kind in JobKind]: (chapter: ChapterState) => Omit<EventFields<`${Kind}_processing`>, 'status'>
} = {
  concept: ({ conceptId }) => ({ concept_id: conceptId }),
  exercise: ({ exerciseId }) => ({ exercise_id: exerciseId }),
  quiz: ({ quizCount }) => ({ quiz_count: quizCount }),
}

/** Stores the result and completes the job; the chapter may end with it. */
export function complete(changes: Changes, { kind, result }: FinishResult): void {
  const job = changes.changeJob(kind)
  // A late result: its attempt was noted as one that failed.
  if (job.status === 'failed' || isKept(job))
    noteAttempt(changes, job, { outcome: 'completed', endedAt: changes.context.now })
  store(changes, job, { kind, result } as FinishResult)
  const chapter = changes.changeChapter()
  raiseProgress(changes, eventMessage(`${kind}_completed`, chapter.locale), { kind })
  endRun(changes)
}

/** The content of the job’s revision. */
function store(changes: Changes, job: JobState, { kind, result }: FinishResult): void {
  changes.results.push({ kind, result } as FinishResult)
  job.status = 'completed'
  job.progress = 100
  job.deadlineAt = null
  job.reason = null
  job.error = null
  job.keptRevision = null
  const chapter = changes.changeChapter()
  const which = job.revision === 1 ? {} : { revision: job.revision }
  if (kind === 'quiz') chapter.quizCount = result.quizzes.length
  changes.emit(`${kind}_completed`, { ...CONTENT_FIELDS[kind](chapter), status: 'completed', ...which })
}

/** For the job’s history. */
function noteAttempt(
  changes: Changes,
  { kind, revision, jobId, attempt, startedAt }: JobState,
  end: Pick<EndedAttempt, 'outcome' | 'endedAt'> & Partial<Pick<EndedAttempt, 'reason' | 'error'>>,
): void {
  changes.attempts.push({ kind, revision, jobId, attempt, startedAt, reason: null, error: null, ...end })
}

interface AttemptEnd {
  reason: FailureReason
  error: string | null
  retryable: boolean
  leastWaitMs: number
  /** By hand: it costs no attempt, and the next try waits for nothing. */
  isRestart?: true
}

/** Failures for load: they are no fault of the work. */
const BUSY_REASONS: readonly FailureReason[] = ['rate_limited', 'unavailable']

/**
 * Ends the current attempt: the next one is scheduled, or the job fails, and perhaps the chapter. A busy model costs no
 * attempt while the job is young: the same one is tried again under a new job id, so that callbacks of the try before
 * are told apart.
 */
export function endAttempt(changes: Changes, kind: JobKind, end: AttemptEnd): void {
  const { now, policy, random, newId } = changes.context
  const job = changes.changeJob(kind)
  const { reason, error } = end
  const failure = { reason, ...(error === null ? {} : { error }) }
  const hadProgress = job.progress > 0
  const isBusy = BUSY_REASONS.includes(reason)
  const ageMs = now - job.requestedAt
  const isFree = end.isRestart ?? (end.retryable && isBusy && ageMs < policy.patienceMs)
  // A later attempt is still told why the one before it failed.
  if (!isFree || job.attempt === 1) {
    job.reason = reason
    job.error = error
  }
  noteAttempt(changes, job, { outcome: 'failed', endedAt: now, reason, error })

  if (isFree || (end.retryable && job.attempt < job.maxAttempts)) {
    const next = isFree ? job.attempt : job.attempt + 1
    const waitMs = end.isRestart
      ? 0
      : isBusy
        ? busyWaitMs(ageMs, end.leastWaitMs, policy, random)
        : Math.max(backoffMs(next, policy, random), end.leastWaitMs)
    const retryAt = now + waitMs
    if (isFree) job.jobId = newId()
    queueAttempt(job, next, retryAt)
    changes.emit(`${kind}_retrying`, {
      status: 'retrying',
      attempt: next,
      max_attempts: job.maxAttempts,
      retry_at: toInstant(retryAt),
      ...failure,
    })
    if (hadProgress)
      raiseProgress(changes, eventMessage(`${kind}_retrying`, changes.chapter.locale), { kind })
    return
  }

  const { jobId, attempt, maxAttempts, revision, requestedAt, deadlineAt } = job
  changes.deadLetters.push({
    kind,
    jobId,
    attempt,
    maxAttempts,
    revision,
    requestedAt,
    deadlineAt,
    reason,
    error,
    failedAt: now,
  })
  // The content of an earlier revision stays for good.
  const kept = job.keptRevision !== null
  job.status = kept ? 'completed' : 'failed'
  job.dueAt = now
  job.deadlineAt = null
  job.progress = kept ? 100 : 0
  changes.emit(`${kind}_failed`, {
    status: 'failed',
    attempt,
    ...failure,
    ...(kept ? { kept: true as const } : {}),
  })
  if (hadProgress) raiseProgress(changes, eventMessage(`${kind}_failed`, changes.chapter.locale), { kind })
  endRun(changes)
}

/** The deadline passed without an answer. */
export function timeOut(changes: Changes, kind: JobKind): void {
  const { attempt, maxAttempts } = changes.job(kind)
  changes.emit(`${kind}_timeout`, { status: 'timeout', attempt, max_attempts: maxAttempts })
  endAttempt(changes, kind, { reason: 'timeout', error: null, retryable: true, leastWaitMs: 0 })
}

/** An operator gives the current attempt up: it is sent again at once, under a new job id. */
export function startAnew(changes: Changes, kind: JobKind): void {
  const error = 'an operator started this attempt anew'
  endAttempt(changes, kind, { reason: 'timeout', error, retryable: true, leastWaitMs: 0, isRestart: true })
}

/** Queues the same attempt again: the process that worked on it died or gave it back. */
export function requeue(changes: Changes, kind: JobKind, dueAt = changes.context.now): void {
  const job = changes.changeJob(kind)
  job.status = 'queued'
  job.dueAt = dueAt
  job.deadlineAt = null
  // `startedAt` stays: this attempt's `{kind}_started` is in the log. The heartbeat goes with its process.
  job.lastHeardAt = null
}

/** Starts failed jobs again from attempt 1, under new ids. */
export function restart(changes: Changes, kinds: readonly JobKind[]): void {
  const { now, newId, policy } = changes.context
  for (const kind of kinds) {
    const job = changes.changeJob(kind)
    job.jobId = newId()
    job.requestedAt = now
    job.maxAttempts = policy.maxAttempts
    job.reason = null
    job.error = null
    queueAttempt(job, 1, now)
  }
  const chapter = changes.changeChapter()
  const isNewRun = chapter.status === 'failed'
  chapter.status = 'processing'
  chapter.completedAt = null
  changes.emit('chapter_retrying', { status: 'retrying' })
  // A new run begins where its jobs stand; a retry within a run must not move the bar back.
  if (isNewRun) chapter.progress = meanProgress(chapter)
  setLatestProgress(changes, { message: eventMessage('chapter_retrying', chapter.locale) })
}

/** Begins a run in which one kind is written again; the content there is stays until there is another. */
export function regenerate(changes: Changes, kind: JobKind, instruction: string | null): void {
  const { now, newId, policy } = changes.context
  const job = changes.changeJob(kind)
  if (job.status === 'completed' && !isKept(job))
    noteAttempt(changes, job, { outcome: 'completed', endedAt: null })
  beginRevision(changes, job, instruction)
  job.jobId = newId()
  job.requestedAt = now
  job.maxAttempts = policy.maxAttempts
  job.reason = null
  job.error = null
  queueAttempt(job, 1, now)
  const chapter = changes.changeChapter()
  chapter.status = 'processing'
  chapter.completedAt = null
  changes.emit(`${kind}_regenerating`, {
    status: 'regenerating',
    revision: job.revision,
    ...(instruction === null ? {} : { instruction }),
  })
  chapter.progress = meanProgress(chapter)
  setLatestProgress(changes, { message: eventMessage(`${kind}_regenerating`, chapter.locale), kind })
}

/** An earlier revision’s content becomes the current one, as a revision of its own. No run begins. */
export function restore(changes: Changes, content: FinishResult, instruction: string | null): void {
  const job = changes.changeJob(content.kind)
  beginRevision(changes, job, instruction)
  store(changes, job, content)
}

/** From now on the job is about its next revision; the content there is keeps its number. */
function beginRevision(changes: Changes, job: JobState, instruction: string | null): void {
  job.keptRevision = contentRevisionOf(job)
  job.revision += 1
  const { kind, revision, keptRevision } = job
  const { now, policy } = changes.context
  const { maxRevisions } = policy
  changes.revisions.push({ kind, revision, instruction, keptRevision, createdAt: now, maxRevisions })
}

/** Cancels the chapter and these jobs of it, for good. */
export function cancelAll(changes: Changes, kinds: readonly JobKind[]): void {
  for (const kind of kinds) {
    const job = changes.changeJob(kind)
    job.status = 'cancelled'
    job.deadlineAt = null
  }
  changes.changeChapter().status = 'cancelled'
  changes.emit('chapter_cancelled', { status: 'cancelled' })
}

/** Ends the run when nothing runs any more: `all_completed` or `chapter_failed`, once a run. */
function endRun(changes: Changes): void {
  const jobs = jobsOf(changes.chapter)
  if (jobs.every((job) => job.status === 'completed')) {
    const chapter = changes.changeChapter()
    chapter.status = 'completed'
    chapter.completedAt = changes.context.now
    raiseProgress(changes, eventMessage('all_completed', chapter.locale), { reported: 100 })
    changes.emit('all_completed', { status: 'all_completed' })
    return
  }
  if (changes.chapter.status !== 'processing' || jobs.some(isRunning)) return
  changes.changeChapter().status = 'failed'
  changes.emit('chapter_failed', {
    status: 'failed',
    failed: jobs.filter((job) => job.status === 'failed').map((job) => job.kind),
  })
}

function queueAttempt(job: JobState, attempt: number, dueAt: number): void {
  job.status = 'queued'
  job.attempt = attempt
  job.dueAt = dueAt
  job.deadlineAt = null
  job.startedAt = null
  job.lastHeardAt = null
  job.progress = 0
}

/**
 * A worker is at this attempt: its deadline counts from now. Its first heartbeat is logged as `{kind}_started`.
 * @returns the deadline
 */
export function heartbeat(changes: Changes, kind: JobKind): number {
  const { now } = changes.context
  const job = changes.changeJob(kind)
  job.status = 'published'
  if (job.startedAt === null) {
    job.startedAt = now
    changes.emit(`${kind}_started`, { status: 'started', attempt: job.attempt })
  }
  // Until now the deadline was the queue's, which may be later: a worker that hangs is found sooner.
  if (job.lastHeardAt === null) job.deadlineAt = null
  job.lastHeardAt = now
  return renewDeadline(changes, job)
}

/** Chapter-level progress renews the deadline of every published job, and the heartbeat of those that have one. */
export function renewDeadlines(changes: Changes): void {
  for (const kind of JOB_KINDS)
    if (changes.job(kind).status === 'published') renewDeadline(changes, changes.changeJob(kind))
}

/** The deadline never moves back. */
function renewDeadline({ context: { now, policy } }: Changes, job: JobState): number {
  const deadlineAt = Math.max(job.deadlineAt ?? 0, now + policy.timeoutMs)
  job.deadlineAt = deadlineAt
  if (job.lastHeardAt !== null) job.lastHeardAt = now
  return deadlineAt
}

/** Raises a job's progress, and the chapter's with it. */
export function raiseJobProgress(changes: Changes, kind: JobKind, progress: number, message: string): void {
  const job = changes.changeJob(kind)
  job.progress = Math.max(job.progress, progress)
  raiseProgress(changes, message, { kind })
}

/** Raises the chapter's progress to what was reported, or to the mean over its kinds. */
export function raiseProgress(
  changes: Changes,
  message: string,
  of: { kind?: JobKind; reported?: number },
): void {
  const chapter = changes.changeChapter()
  chapter.progress = chapterProgress(chapter, of.reported)
  setLatestProgress(changes, { message, ...(of.kind === undefined ? {} : { kind: of.kind }) })
}

/** The latest `progress_update`, if it says anything new. */
function setLatestProgress(changes: Changes, { message, kind }: { message: string; kind?: JobKind }): void {
  const chapter = changes.changeChapter()
  const update: ProgressUpdate = {
    chapter_id: chapter.id,
    progress: chapter.progress,
    message,
    ...(kind === undefined ? {} : { kind, kind_progress: chapter.jobs[kind].progress }),
  }
  const last = chapter.latestProgress
  const isNew =
    last === null ||
    last.progress !== update.progress ||
    last.message !== update.message ||
    last.kind !== update.kind ||
    last.kind_progress !== update.kind_progress
  if (!isNew) return
  chapter.latestProgress = update
  chapter.progressVersion = changes.nextVersion
}
