/**
 * The message that asks a worker for one generation: topics, headers, value.
 * It may be delivered more than once; `job_id` and `attempt` identify the work.
 */
import { type Static, Type } from '@sinclair/typebox'
import { Metadata } from './chapter.js'
import { FAILURE_REASONS, JOB_KINDS, type JobKind } from './job.js'
import { Id, Instant, LocaleSchema, nullable, stringEnum } from './scalar.js'

export const TOPICS: Record<JobKind, string> = {
  concept: 'concept-generation',
  exercise: 'exercise-generation',
  quiz: 'quiz-generation',
}
export const DEAD_LETTER_TOPIC = 'generation-dead-letter'

const url = (description: string) => Type.String({ description })

/** Why the attempt before this one failed. */
export const PreviousFailure = Type.Object({
  reason: stringEnum(FAILURE_REASONS, 'the kind of failure'),
  error: nullable(Type.String({ description: 'what was said about it' })),
})

const messageFields = {
  job_id: Type.String({
    format: 'uuid',
    description: 'With `attempt` it names the work; callbacks give both back',
  }),
  kind: stringEnum(JOB_KINDS),
  attempt: Type.Integer({ minimum: 1, description: 'Counts from 1' }),
  max_attempts: Type.Integer({ minimum: 1 }),
  chapter_id: Id,
  course_id: Id,
  owner_id: Id,
  title: Type.String(),
  description: Type.String(),
  locale: LocaleSchema,
  quiz_count: Type.Integer({ minimum: 1, description: 'Questions that are wanted' }),
  metadata: Metadata,
  requested_at: Instant,
  deadline_at: Type.String({ ...Instant, description: 'Counted from publishing, and again from `-start`' }),
  previous: Type.Optional(
    nullable(
      Type.Object(PreviousFailure.properties, {
        description:
          'Why the attempt before failed, from attempt 2 on; what was wrong with an `invalid_result`',
      }),
    ),
  ),
  revision: Type.Optional(
    Type.Integer({ minimum: 1, description: '1, and one more with every regeneration of the kind' }),
  ),
  instruction: Type.Optional(
    nullable(Type.String({ description: 'Of a regeneration: what is to be better, in the client’s words' })),
  ),
  current: Type.Optional(
    Type.Unsafe<Record<string, unknown> | null>({
      type: ['object', 'null'],
      additionalProperties: true,
      description:
        'Of a regeneration: the content there is, as a finish has it, answers included; null also when it is larger ' +
        'than 256 KiB',
    }),
  ),
  callback: Type.Object({
    start_url: url('asked before working, answers `run: true` or why not'),
    finish_url: url('takes the result'),
    fail_url: url('takes the reason why there is no result'),
    progress_url: url('takes how far it is'),
    partial_url: Type.Optional(url('takes what is written so far')),
  }),
}

export const GenerationMessage = Type.Object(messageFields)
export type GenerationMessage = Static<typeof GenerationMessage>

/** A job that failed for good, as the topic of dead letters has it. */
export const DeadLetter = Type.Object({
  ...messageFields,
  reason: stringEnum(FAILURE_REASONS),
  error: nullable(Type.String()),
  failed_at: Instant,
})
export type DeadLetter = Static<typeof DeadLetter>
