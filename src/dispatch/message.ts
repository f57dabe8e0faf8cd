/**
 * The messages that are sent, made from the rows that owe them.
 */
import type { DeadLetter, GenerationMessage } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import { type ChapterState, toInstant } from '../domain/chapter.js'
import type { DueDeadLetter, DueJob } from '../store/jobs.js'

/** A job of a chapter that was just written, as a claim would return it. */
export function dueJobOf(chapter: ChapterState, kind: JobKind): DueJob {
  const { jobId, attempt, maxAttempts, requestedAt, failure } = chapter.jobs[kind]
  const { id, courseId, ownerId, title, description, locale, quizCount, metadata, traceparent } = chapter
  return {
    kind,
    jobId,
    attempt,
    maxAttempts,
    requestedAt,
    chapterId: id,
    courseId,
    ownerId,
    title,
    description,
    locale,
    quizCount,
    metadata,
    traceparent,
    failure,
  }
}

/** The trace that a message continues is no part of its value. */
const parents = new WeakMap<GenerationMessage, string>()

export function parentOf(message: GenerationMessage): string | undefined {
  return parents.get(message)
}

/**
 * @param publicUrl base of the callback URLs, without a trailing slash
 * @param deadlineAt ms since the epoch
 */
export function generationMessage(job: DueJob, publicUrl: string, deadlineAt: number): GenerationMessage {
  const chapterUrl = `${publicUrl}/v1/chapter/${job.chapterId}`
  const work = `?job_id=${job.jobId}&attempt=${job.attempt}`
  const message: GenerationMessage = {
    job_id: job.jobId,
    kind: job.kind,
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
    chapter_id: job.chapterId,
    course_id: job.courseId,
    owner_id: job.ownerId,
    title: job.title,
    description: job.description,
    locale: job.locale,
    quiz_count: job.quizCount,
    metadata: job.metadata,
    requested_at: toInstant(job.requestedAt),
    deadline_at: toInstant(deadlineAt),
    previous: job.attempt > 1 ? job.failure : null,
    callback: {
      start_url: `${chapterUrl}/${job.kind}-start${work}`,
      finish_url: `${chapterUrl}/${job.kind}-finish${work}`,
      fail_url: `${chapterUrl}/${job.kind}-fail${work}`,
      progress_url: `${chapterUrl}/progress${work}`,
    },
  }
  if (job.traceparent !== null) parents.set(message, job.traceparent)
  return message
}

export function deadLetterMessage(letter: DueDeadLetter, publicUrl: string): DeadLetter {
  const message: DeadLetter = {
    ...generationMessage(letter, publicUrl, letter.deadlineAt ?? letter.failedAt),
    reason: letter.reason,
    error: letter.error,
    failed_at: toInstant(letter.failedAt),
  }
  if (letter.traceparent !== null) parents.set(message, letter.traceparent)
  return message
}
