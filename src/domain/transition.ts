/**
 * What a decision does to a chapter, step by step: a job is completed, an attempt ends, a worker gives a sign of life, the
 * progress rises, the run ends. Each works on a draft.
 */

import { backoffMs } from '../async/backoff.js'
import type { ProgressUpdate } from '../contract/event.js'
import type { FailureReason, JobKind, JobResults } from '../contract/job.js'
import { isRunning, type JobState, jobsOf, toInstant } from './chapter.js'
import type { FinishResult } from './command.js'
import type { Draft } from './draft.js'
import { eventMessage } from './messages.js'
import { chapterProgress } from './progress.js'

/** The result is stored and told of; the chapter may end with it. */
export function complete(draft: Draft, { kind, result }: FinishResult): void {
  draft.results.push({ kind, result } as FinishResult)
  const job = draft.change(kind)
  job.status = 'completed'
  job.progress = 100
  job.deadlineAt = null
  job.failure = null
  const chapter = draft.changeChapter()
  if (kind === 'concept')
    draft.emit('concept_completed', {
      status: 'completed',
      concept_id: chapter.conceptId,
    })
  else if (kind === 'exercise')
    draft.emit('exercise_completed', {
      status: 'completed',
      exercise_id: chapter.exerciseId,
    })
  else {
    chapter.quizCount = (result as JobResults['quiz']).quizzes.length
    draft.emit('quiz_completed', {
      status: 'completed',
      quiz_count: chapter.quizCount,
    })
  }
  reportProgress(draft, eventMessage(`${kind}_completed`, chapter.locale), {
    kind,
  })
  endRun(draft)
}

interface AttemptEnd {
  reason: FailureReason
  error: string | null
  retryable: boolean
  leastWaitMs: number
}

/** The current attempt is over: the next one is scheduled, or the job fails, and perhaps the chapter. */
export function endAttempt(draft: Draft, kind: JobKind, end: AttemptEnd): void {
  const { now, policy, random } = draft.context
  const job = draft.change(kind)
  const { reason, error } = end
  const failure = { reason, ...(error === null ? {} : { error }) }
  const hadProgress = job.progress > 0
  job.failure = { reason, error }

  if (end.retryable && job.attempt < job.maxAttempts) {
    const next = job.attempt + 1
    const retryAt = now + Math.max(backoffMs(next, policy, random), end.leastWaitMs)
    requeue(job, next, retryAt)
    draft.emit(`${kind}_retrying`, {
      status: 'retrying',
      attempt: next,
      max_attempts: job.maxAttempts,
      retry_at: toInstant(retryAt),
      ...failure,
    })
    if (hadProgress) reportProgress(draft, eventMessage(`${kind}_retrying`, draft.chapter.locale), { kind })
    return
  }

  const { jobId, attempt, maxAttempts, requestedAt, deadlineAt } = job
  draft.deadLetters.push({
    kind,
    jobId,
    attempt,
    maxAttempts,
    requestedAt,
    deadlineAt,
    reason,
    error,
    failedAt: now,
  })
  job.status = 'failed'
  job.deadlineAt = null
  job.progress = 0
  draft.emit(`${kind}_failed`, { status: 'failed', attempt, ...failure })
  if (hadProgress) reportProgress(draft, eventMessage(`${kind}_failed`, draft.chapter.locale), { kind })
  endRun(draft)
}

/** Ends the run when nothing runs any more: `all_completed` at most once ever, `chapter_failed` once a run. */
function endRun(draft: Draft): void {
  const jobs = jobsOf(draft.chapter)
  if (jobs.every((job) => job.status === 'completed')) {
    const chapter = draft.changeChapter()
    chapter.status = 'completed'
    chapter.completedAt = draft.context.now
    reportProgress(draft, eventMessage('all_completed', chapter.locale), {
      reported: 100,
    })
    draft.emit('all_completed', { status: 'all_completed' })
    return
  }
  if (draft.chapter.status !== 'processing' || jobs.some(isRunning)) return
  draft.changeChapter().status = 'failed'
  draft.emit('chapter_failed', {
    status: 'failed',
    failed: jobs.filter((job) => job.status === 'failed').map((job) => job.kind),
  })
}

export function requeue(job: JobState, attempt: number, dueAt: number): void {
  job.status = 'queued'
  job.attempt = attempt
  job.dueAt = dueAt
  job.deadlineAt = null
  job.startedAt = null
  job.lastSignAt = null
  job.progress = 0
}

/**
 * A worker is at this attempt: its deadline counts from now, and the first sign is told.
 * @returns the deadline
 */
export function signOfLife(draft: Draft, job: JobState): number {
  const { now } = draft.context
  job.status = 'published'
  if (job.startedAt === null) {
    job.startedAt = now
    draft.emit(`${job.kind}_started`, {
      status: 'started',
      attempt: job.attempt,
    })
  }
  // Until now the deadline was that of the queue, which may be later: a worker that hangs is found sooner.
  if (job.lastSignAt === null) job.deadlineAt = null
  job.lastSignAt = now
  return renewDeadline(draft, job)
}

/** Never earlier than it was. What says nothing of this job is a sign of life only while it had one. */
export function renewDeadline(draft: Draft, job: JobState): number {
  const { now, policy } = draft.context
  const deadlineAt = Math.max(job.deadlineAt ?? 0, now + policy.timeoutMs)
  job.deadlineAt = deadlineAt
  if (job.lastSignAt !== null) job.lastSignAt = now
  return deadlineAt
}

/** Raises the chapter’s progress, and makes the latest `progress_update` say so, if it says anything new. */
export function reportProgress(
  draft: Draft,
  message: string,
  of: { kind?: JobKind; reported?: number },
): void {
  const chapter = draft.changeChapter()
  chapter.progress = chapterProgress(chapter, of.reported)
  noteProgress(draft, {
    message,
    ...(of.kind === undefined ? {} : { kind: of.kind }),
  })
}

export function noteProgress(draft: Draft, { message, kind }: { message: string; kind?: JobKind }): void {
  const chapter = draft.changeChapter()
  const update: ProgressUpdate = {
    chapter_id: chapter.id,
    progress: chapter.progress,
    message,
    ...(kind === undefined ? {} : { kind, kind_progress: chapter.jobs[kind].progress }),
  }
  const last = chapter.latestProgress
  const isNews =
    last === null ||
    last.progress !== update.progress ||
    last.message !== update.message ||
    last.kind !== update.kind ||
    last.kind_progress !== update.kind_progress
  if (!isNews) return
  chapter.latestProgress = update
  chapter.progressVersion = draft.nextVersion
}
