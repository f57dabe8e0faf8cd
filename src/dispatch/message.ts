/**
 * The messages that are sent, made from the rows that owe them: a value as the contract has it, and headers.
 */
import { DeadLetter, GenerationMessage } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import { camelCase, toWire } from '../contract/wire.js'
import type { ChapterState, JobState } from '../domain/chapter.js'
import type { DueDeadLetter, DueJob } from '../store/jobs.js'
import { traceparentOf } from './traceparent.js'

export interface Message<Value extends GenerationMessage = GenerationMessage> {
  value: Value
  headers: { 'content-type': string; 'job-id': string; attempt: string; traceparent: string }
}

const JOB_KEYS = [
  ...Object.keys(GenerationMessage.properties)
    .filter((name) => name !== 'deadline_at' && name !== 'callback')
    .map(camelCase),
  'traceparent',
]

/** A job of a chapter that was just written, as a claim would return it. */
export function dueJobOf(chapter: ChapterState, kind: JobKind): DueJob {
  const job = chapter.jobs[kind]
  const fields: Record<string, unknown> = { chapterId: chapter.id }
  for (const key of JOB_KEYS)
    if (key in job) fields[key] = job[key as keyof JobState]
    else if (key in chapter) fields[key] = chapter[key as keyof ChapterState]
  return fields as unknown as DueJob
}

/**
 * @param publicUrl base of the callback URLs, without a trailing slash
 * @param deadlineAt ms since the epoch
 */
export function jobMessage(job: DueJob, publicUrl: string, deadlineAt: number): Message {
  return withHeaders(job, toWire(GenerationMessage, { ...job, deadlineAt, ...callbacksOf(job, publicUrl) }))
}

export function deadLetterMessage(letter: DueDeadLetter, publicUrl: string): Message<DeadLetter> {
  const deadlineAt = letter.deadlineAt ?? letter.failedAt
  return withHeaders(letter, toWire(DeadLetter, { ...letter, deadlineAt, ...callbacksOf(letter, publicUrl) }))
}

function callbacksOf({ chapterId, kind }: DueJob, publicUrl: string): Pick<GenerationMessage, 'callback'> {
  const chapterUrl = `${publicUrl}/v1/chapter/${chapterId}`
  return {
    callback: {
      start_url: `${chapterUrl}/${kind}-start`,
      finish_url: `${chapterUrl}/${kind}-finish`,
      fail_url: `${chapterUrl}/${kind}-fail`,
      progress_url: `${chapterUrl}/progress`,
    },
  }
}

/** The message continues the trace of the request that created the chapter. */
function withHeaders<Value extends GenerationMessage>(job: DueJob, value: Value): Message<Value> {
  return {
    value,
    headers: {
      'content-type': 'application/json',
      'job-id': job.jobId,
      attempt: String(job.attempt),
      traceparent: traceparentOf(job.jobId, job.traceparent ?? undefined),
    },
  }
}
