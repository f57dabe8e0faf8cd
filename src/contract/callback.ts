/**
 * What a worker (n8n or the generator) posts back, and what it is answered.
 * Unknown fields are ignored here: workflows outlive servers.
 */
import { type Static, type TObject, Type } from '@sinclair/typebox'
import { ConceptResult, ExerciseResult, FAILURE_REASONS, JOB_KINDS, QuizResult } from './job.js'
import { Id, Instant, Percent, stringEnum } from './scalar.js'

export const WORK_FIELDS = {
  job_id: Type.Optional(
    Type.String({
      format: 'uuid',
      description: 'From the message; names the work',
    }),
  ),
  attempt: Type.Optional(Type.Integer({ minimum: 1, description: 'From the message' })),
}

const work = WORK_FIELDS

export const ConceptFinish = Type.Object(
  { ...ConceptResult.properties, ...work },
  {
    examples: [
      {
        title: '변수란 무엇인가',
        content: '# 변수\n\n변수는 값에 붙이는 이름입니다.',
      },
    ],
  },
)
export const ExerciseFinish = Type.Object(
  { ...ExerciseResult.properties, ...work },
  {
    examples: [
      {
        question: '두 변수의 값을 바꾸세요.',
        answer: 'a, b = b, a',
        difficulty: 'easy',
      },
    ],
  },
)
export const QuizFinish = Type.Object(
  { ...QuizResult.properties, ...work },
  {
    examples: [
      {
        quizzes: [
          {
            question: '다음 중 정수형은?',
            correct_answer: '42',
            options: ['"42"', '42', '4.2', 'True'],
            type: 'multiple',
          },
        ],
      },
    ],
  },
)
export const FINISHES = {
  concept: ConceptFinish,
  exercise: ExerciseFinish,
  quiz: QuizFinish,
} as const

/** The model’s own text instead of the result. */
export const RawFinish = Type.Object({
  raw: Type.String({
    description: 'What the model answered, as it came: the server finds the JSON in it, mends and judges it',
  }),
  ...work,
})

/** What a finish may be, for the documents: the judge (`answers/`) reads more shapes than these. */
export const FINISH_BODIES = {
  concept: finishBody(ConceptFinish),
  exercise: finishBody(ExerciseFinish),
  quiz: finishBody(QuizFinish),
} as const

function finishBody<T extends TObject>(finish: T) {
  const { examples, ...schema } = finish
  return Type.Union([schema as T, RawFinish], { examples })
}

export const StartCallback = Type.Object(
  {
    job_id: Type.String({ format: 'uuid' }),
    attempt: Type.Integer({ minimum: 1 }),
  },
  { examples: [{ job_id: '7f6c8f0e-2d3b-4c55-9a51-0d6b2f7e1c11', attempt: 1 }] },
)
export type StartCallback = Static<typeof StartCallback>

export const START_REFUSALS = ['completed', 'cancelled', 'superseded', 'running'] as const
export type StartRefusal = (typeof START_REFUSALS)[number]

export const StartAnswer = Type.Object(
  {
    run: Type.Boolean(),
    deadline_at: Type.Optional(Instant),
    reason: Type.Optional(stringEnum(START_REFUSALS)),
  },
  {
    examples: [
      { run: true, deadline_at: '2026-01-31T09:10:00.000Z' },
      { run: false, reason: 'superseded' },
    ],
  },
)
export type StartAnswer = Static<typeof StartAnswer>

export const FailCallback = Type.Object(
  {
    error: Type.String({ description: 'Free text; its first 2,000 characters are kept' }),
    retryable: Type.Optional(Type.Boolean({ default: true })),
    reason: Type.Optional(stringEnum(FAILURE_REASONS, 'Default `model_error`')),
    retry_after_s: Type.Optional(Type.Number({ minimum: 1, maximum: 3600 })),
    ...work,
  },
  {
    examples: [
      {
        error: '429 Too Many Requests',
        reason: 'rate_limited',
        retry_after_s: 20,
      },
    ],
  },
)
export type FailCallback = Static<typeof FailCallback>

export const ProgressCallback = Type.Object(
  {
    progress: Percent,
    message: Type.String({ description: 'For people; its first 2,000 characters are kept' }),
    kind: Type.Optional(stringEnum(JOB_KINDS)),
    ...work,
  },
  {
    examples: [
      {
        progress: 40,
        message: '개념 설명을 작성하고 있습니다.',
        kind: 'concept',
      },
    ],
  },
)
export type ProgressCallback = Static<typeof ProgressCallback>

export const CALLBACK_STATUSES = ['success', 'duplicate', 'ignored'] as const
export type CallbackStatus = (typeof CALLBACK_STATUSES)[number]

export const CallbackAnswer = Type.Object(
  {
    status: stringEnum(CALLBACK_STATUSES),
    message: Type.String(),
    chapter_id: Id,
    cancelled: Type.Optional(
      Type.Boolean({
        description:
          '`progress` only: true when going on is useless. A worker whose model is silent asks so every few seconds',
      }),
    ),
  },
  {
    examples: [{ status: 'success', message: 'concept stored', chapter_id: 1 }],
  },
)
export type CallbackAnswer = Static<typeof CallbackAnswer>
