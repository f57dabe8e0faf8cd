/**
 * Jobs: what is generated for a chapter, where one stands, and what a finished one holds.
 */
import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, Percent, stringEnum } from './scalar.js'

export const JOB_KINDS = ['concept', 'exercise', 'quiz'] as const
export type JobKind = (typeof JOB_KINDS)[number]

/** A cell for each kind. */
export function byKind<T>(cell: (kind: JobKind) => T): Record<JobKind, T> {
  return Object.fromEntries(JOB_KINDS.map((kind) => [kind, cell(kind)])) as Record<JobKind, T>
}

export const JOB_STATUSES = ['queued', 'published', 'completed', 'failed', 'cancelled'] as const
export type JobStatus = (typeof JOB_STATUSES)[number]

export const FAILURE_REASONS = [
  'timeout',
  'rate_limited',
  'unavailable',
  'model_error',
  'invalid_result',
  'refused',
] as const
export type FailureReason = (typeof FAILURE_REASONS)[number]

export const DIFFICULTIES = ['easy', 'medium', 'hard'] as const
export const QUIZ_TYPES = ['multiple', 'short', 'boolean'] as const
export const MAX_QUIZZES = 20

export const ConceptResult = Type.Object({
  title: Type.String({ minLength: 1 }),
  content: Type.String({ minLength: 1, description: 'Markdown' }),
})
export type ConceptResult = Static<typeof ConceptResult>

export const ExerciseResult = Type.Object({
  question: Type.String({ minLength: 1 }),
  answer: Type.String({ minLength: 1 }),
  difficulty: Type.Optional(stringEnum(DIFFICULTIES, 'Default `medium`')),
})
export type ExerciseResult = Static<typeof ExerciseResult>

export const QuizItem = Type.Object({
  question: Type.String({ minLength: 1 }),
  correct_answer: Type.String({
    minLength: 1,
    description: 'For `multiple`, one of the options',
  }),
  options: Type.Optional(nullable(Type.Array(Type.String({ minLength: 1 }), { maxItems: 50 }))),
  type: Type.Optional(stringEnum(QUIZ_TYPES, 'Default `multiple`')),
})
export type QuizItem = Static<typeof QuizItem>

export const QuizResult = Type.Object({
  quizzes: Type.Array(QuizItem, { minItems: 1, maxItems: MAX_QUIZZES }),
})
export type QuizResult = Static<typeof QuizResult>

/** One result per kind, as a worker sends it. */
export const RESULTS = {
  concept: ConceptResult,
  exercise: ExerciseResult,
  quiz: QuizResult,
} as const
export type JobResults = { [K in JobKind]: Static<(typeof RESULTS)[K]> }

export const JobError = Type.Object(
  {
    reason: stringEnum(FAILURE_REASONS),
    message: nullable(Type.String()),
  },
  { description: 'Why the last attempt that failed did: of a failed job this one, else the one before' },
)

export const ATTEMPT_OUTCOMES = ['completed', 'failed', 'cancelled'] as const
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number]

export const AttemptView = Type.Object(
  {
    revision: Type.Integer({ minimum: 1 }),
    attempt: Type.Integer({ minimum: 1 }),
    job_id: Type.String({ format: 'uuid' }),
    started_at: nullable(Instant),
    ended_at: nullable(Instant),
    outcome: stringEnum(ATTEMPT_OUTCOMES),
    reason: nullable(stringEnum(FAILURE_REASONS)),
    error: nullable(Type.String()),
  },
  { description: 'An attempt that has ended' },
)
export type AttemptView = Static<typeof AttemptView>

/** As many attempts a view shows, the latest ones. */
export const HISTORY_LENGTH = 20

export const JobView = Type.Object({
  kind: stringEnum(JOB_KINDS),
  job_id: Type.String({ format: 'uuid' }),
  status: stringEnum(JOB_STATUSES),
  attempt: Type.Integer({ minimum: 1 }),
  max_attempts: Type.Integer({ minimum: 1 }),
  progress: Percent,
  requested_at: Type.String({ ...Instant, description: 'When this job was asked for, whatever its attempt' }),
  started_at: nullable(Type.String({ ...Instant, description: 'When a worker began this attempt' })),
  last_heard_at: nullable(Type.String({ ...Instant, description: 'When its worker was last heard' })),
  deadline_at: nullable(Instant),
  waiting_before: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'While it waits for a place in the window: how many jobs are given one before it, up to 1,000',
    }),
  ),
  error: nullable(JobError),
  revision: Type.Integer({
    minimum: 1,
    description:
      'The one that is being written or was asked for; of a completed job the one that can be read',
  }),
  content_revision: nullable(
    Type.Integer({
      minimum: 1,
      description: 'The revision that can be read now; null before the first result',
    }),
  ),
  history: Type.Array(AttemptView, {
    description: `Attempts that have ended, oldest first; the latest ${HISTORY_LENGTH}`,
  }),
})
export type JobView = Static<typeof JobView>

const revision = nullable(Type.Integer({ minimum: 1, description: 'null while there is no content' }))

export const ConceptView = Type.Object({
  id: Id,
  revision,
  title: nullable(Type.String()),
  content: nullable(Type.String()),
  is_complete: Type.Boolean(),
})

export const ExerciseView = Type.Object({
  id: Id,
  revision,
  question: nullable(Type.String()),
  answer: Type.Optional(nullable(Type.String({ description: 'Only with `?answers=true`' }))),
  difficulty: nullable(stringEnum(DIFFICULTIES)),
  is_complete: Type.Boolean(),
})

export const QuizView = Type.Object({
  id: Id,
  revision,
  question: nullable(Type.String()),
  correct_answer: Type.Optional(nullable(Type.String({ description: 'Only with `?answers=true`' }))),
  options: nullable(Type.Array(Type.String())),
  type: nullable(stringEnum(QUIZ_TYPES)),
  is_complete: Type.Boolean(),
})
