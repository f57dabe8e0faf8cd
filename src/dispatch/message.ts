/**
 * The messages that are sent, made from the rows that owe them: a value as the contract has it, and headers.
 */
import { DeadLetter, GenerationMessage } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import { camelCase, toWire } from '../contract/wire.js'
import type { ChapterState, JobState } from '../domain/chapter.js'
import type { DueDeadLetter, DueJob } from '../store/jobs.js'
import { traceparentOf } from '../telemetry/traceparent.js'

export interface Message<Value extends GenerationMessage = GenerationMessage> {
  value: Value
  headers: { 'content-type': string; 'job-id': string; attempt: string; traceparent: string }
}

/** The others are made when it is sent. */
const JOB_KEYS = [
  ...Object.keys(GenerationMessage.properties).map(camelCase),
  'reason',
  'error',
  'traceparent',
].filter((key) => key !== 'deadlineAt')

/** A job of a chapter that was just written, as a claim would return it; only of a first revision. */
export function dueJobOf(chapter: ChapterState, kind: JobKind): DueJob {
  const job = chapter.jobs[kind]
  const fields: Record<string, unknown> = { chapterId: chapter.id, instruction: null, current: null }
  for (const key of JOB_KEYS)
    if (key in job) fields[key] = job[key as keyof JobState]
    else if (key in chapter) fields[key] = chapter[key as keyof ChapterState]
  return fields as unknown as DueJob
}

/**
 * @param publicUrl base of the callback URLs, without a trailing slash
 * @param deadlineAt ms since the epoch
 * @param traceparent of the span that sends it; without telemetry it is a span that nobody else knows
 */
export function jobMessage(
  job: DueJob,
  publicUrl: string,
  deadlineAt: number,
  traceparent?: string,
): Message {
  const { reason, error } = job
  const previous = job.attempt > 1 && reason !== null ? { reason, error } : null
  const callback = callbacksOf(job, publicUrl)
  return withHeaders(job, toWire(GenerationMessage, { ...job, deadlineAt, previous, callback }), traceparent)
}

export function deadLetterMessage(letter: DueDeadLetter, publicUrl: string): Message<DeadLetter> {
  const deadlineAt = letter.deadlineAt ?? letter.failedAt
  const callback = callbacksOf(letter, publicUrl)
  // Its reason is its own, and not that of an attempt before it.
  return withHeaders(letter, toWire(DeadLetter, { ...letter, deadlineAt, previous: null, callback }))
}

type TracedWork = Pick<DueJob, 'jobId' | 'attempt' | 'traceparent'>
type WorkRef = Pick<DueJob, 'chapterId' | 'kind' | 'jobId' | 'attempt'>

function callbacksOf(
  { chapterId, kind, jobId, attempt }: WorkRef,
  publicUrl: string,
): GenerationMessage['callback'] {
  const chapterUrl = `${publicUrl}/v1/chapter/${chapterId}`
  const work = `?job_id=${jobId}&attempt=${attempt}`
  return {
    start_url: `${chapterUrl}/${kind}-start${work}`,
    finish_url: `${chapterUrl}/${kind}-finish${work}`,
    fail_url: `${chapterUrl}/${kind}-fail${work}`,
    progress_url: `${chapterUrl}/progress${work}`,
    partial_url: `${chapterUrl}/${kind}-partial${work}`,
  }
}

/** The message continues the trace of the request that created the chapter. */
function withHeaders<Value extends GenerationMessage>(
  job: TracedWork,
  value: Value,
  traceparent = traceparentOf(job.jobId, job.traceparent ?? undefined),
): Message<Value> {
  return {
    value,
    headers: {
      'content-type': 'application/json',
      'job-id': job.jobId,
      attempt: String(job.attempt),
      traceparent,
    },
  }
}
