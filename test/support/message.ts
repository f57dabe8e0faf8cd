/** A message as a worker gets it. */
import type { GenerationMessage } from '../../src/contract/generation.js'
import type { Message } from '../../src/dispatch/message.js'
import { traceparentOf } from '../../src/telemetry/traceparent.js'

export const MESSAGE: GenerationMessage = {
  job_id: '6f0d8a3e-4d0e-4b53-9a39-3f1b0d2c7a11',
  kind: 'concept',
  attempt: 1,
  max_attempts: 3,
  chapter_id: 1,
  course_id: 1,
  owner_id: 1,
  title: '변수와 자료형',
  description: 'Python 기초',
  locale: 'ko',
  quiz_count: 3,
  metadata: {},
  requested_at: '2026-01-31T09:00:00.000Z',
  deadline_at: '2026-01-31T09:10:00.000Z',
  callback: {
    start_url: 'http://localhost/v1/chapter/1/concept-start',
    finish_url: 'http://localhost/v1/chapter/1/concept-finish',
    fail_url: 'http://localhost/v1/chapter/1/concept-fail',
    progress_url: 'http://localhost/v1/chapter/1/progress',
  },
}

/** The message as a queue is given it. */
export function withHeaders<Value extends GenerationMessage>(value: Value): Message<Value> {
  const { job_id, attempt } = value
  return {
    value,
    headers: {
      'content-type': 'application/json',
      'job-id': job_id,
      attempt: String(attempt),
      traceparent: traceparentOf(job_id),
    },
  }
}
