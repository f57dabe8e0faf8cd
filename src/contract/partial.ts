/**
 * Text so far: what a worker posts while it writes, and what everybody in the chapter's room reads along. It is no event:
 * it is not logged, only the latest counts, and it is gone when the result is stored or the attempt ends.
 */
import { type Static, type TObject, Type } from '@sinclair/typebox'
import { CALLBACK_STATUSES, WORK_FIELDS } from './callback.js'
import { JOB_KINDS, type JobKind, MAX_QUIZZES, QUIZ_TYPES } from './job.js'
import { Id, nullable, stringEnum } from './scalar.js'

/** Of one kind, in UTF-8. */
export const PARTIAL_MAX_BYTES = 65_536

/** A question of a quiz that is being written. Its answer is never shown before the quiz is stored. */
export const PartialQuestion = Type.Object({
  question: Type.String(),
  options: Type.Optional(nullable(Type.Array(Type.String()))),
  type: Type.Optional(stringEnum(QUIZ_TYPES)),
})
export type PartialQuestion = Static<typeof PartialQuestion>

const shared = {
  chapter_id: Id,
  attempt: Type.Integer({ minimum: 1 }),
}

export const TextPartial = Type.Object(
  {
    ...shared,
    offset: Type.Integer({
      minimum: 0,
      description: 'In UTF-16 units: how much of the text before stays; 0 begins anew',
    }),
    text: Type.String({ description: 'What follows the first `offset` units' }),
  },
  { description: 'Text so far of a concept or an exercise' },
)
export type TextPartial = Static<typeof TextPartial>

export const QuizPartial = Type.Object(
  {
    ...shared,
    offset: Type.Integer({ minimum: 0, description: 'How many of the questions before stay; 0 begins anew' }),
    quizzes: Type.Array(PartialQuestion, { description: 'What follows the first `offset` questions' }),
  },
  { description: 'Whole questions so far of a quiz' },
)
export type QuizPartial = Static<typeof QuizPartial>

export const PARTIALS = { concept: TextPartial, exercise: TextPartial, quiz: QuizPartial } as const
export type PartialName = `${JobKind}_partial`
export const PARTIAL_NAMES = JOB_KINDS.map((kind) => `${kind}_partial` as const)

/** One update: its name beside its payload. */
export type PartialUpdate = {
  [Kind in JobKind]: { name: `${Kind}_partial`; payload: Static<(typeof PARTIALS)[Kind]> }
}[JobKind]

const TextCallback = Type.Object(
  {
    text: Type.String({
      description: 'All that is written so far, up to 64 KiB of UTF-8; with `offset`, what follows',
    }),
    offset: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: '`text` is appended here. It must be the length so far, in UTF-16 units',
      }),
    ),
    ...WORK_FIELDS,
  },
  { examples: [{ text: '변수는 값에 붙이는 ' }, { text: '이름입니다.', offset: 11 }] },
)

const QuizCallback = Type.Object(
  {
    quizzes: Type.Array(
      Type.Object(
        {
          question: Type.String(),
          // Whatever they are, the question counts: what cannot be shown of it is left out.
          options: Type.Optional(Type.Unknown({ description: 'A list of texts, or null' })),
          type: Type.Optional(Type.Unknown({ description: '`multiple`, `short` or `boolean`' })),
        },
        { description: 'As in the finish; the answer is not shown' },
      ),
      { maxItems: 10 * MAX_QUIZZES, description: 'All questions that are whole so far' },
    ),
    ...WORK_FIELDS,
  },
  {
    examples: [{ quizzes: [{ question: '다음 중 정수형은?', options: ['"42"', '42'], type: 'multiple' }] }],
  },
)

export const PARTIAL_BODIES = {
  concept: TextCallback,
  exercise: TextCallback,
  quiz: QuizCallback,
} as const satisfies Record<JobKind, TObject>

export const PartialAnswer = Type.Object(
  {
    status: stringEnum(CALLBACK_STATUSES, '`success` or `ignored`'),
    message: Type.Optional(Type.String()),
    chapter_id: Id,
    length: Type.Integer({
      minimum: 0,
      description: 'How much the server has: UTF-16 units as they were sent, or questions. The next `offset`',
    }),
    cancelled: Type.Optional(Type.Boolean({ description: 'True when going on is useless' })),
  },
  { examples: [{ status: 'success', chapter_id: 1, length: 17 }] },
)
export type PartialAnswer = Static<typeof PartialAnswer>
