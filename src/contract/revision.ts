/**
 * Writing one kind of a chapter again, and what was there before: over HTTP.
 */
import { type Static, Type } from '@sinclair/typebox'
import { ChapterAccepted } from './chapter.js'
import { ConceptView, ExerciseView, JOB_KINDS, QuizView } from './job.js'
import { Id, Instant, nullable, stringEnum } from './scalar.js'

export const INSTRUCTION_MAX = 2000

export const KindParams = Type.Object({ id: Id, kind: stringEnum(JOB_KINDS) })

const revision = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })

export const RevisionParams = Type.Object({ ...KindParams.properties, revision })

export const RegenerateRequest = Type.Object(
  {
    instruction: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: INSTRUCTION_MAX,
        description: 'What is to be better; the worker is told. Trimmed, then 1 to 2,000 characters',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ instruction: '예를 더 쉽게 써 주세요.' }] },
)
export type RegenerateRequest = Static<typeof RegenerateRequest>

export const RestoreRequest = Type.Object(
  { revision },
  { additionalProperties: false, examples: [{ revision: 1 }] },
)
export type RestoreRequest = Static<typeof RestoreRequest>

/** 202 of a regeneration, 200 of a restore. */
export const RevisionAccepted = Type.Object({
  ...ChapterAccepted.properties,
  kind: stringEnum(JOB_KINDS),
  revision: Type.Integer({
    minimum: 1,
    description: 'The one that is written from now on, or that is the current one now',
  }),
})
export type RevisionAccepted = Static<typeof RevisionAccepted>

export const RevisionSummary = Type.Object({
  revision,
  instruction: nullable(Type.String({ description: 'That it was asked for with' })),
  created_at: nullable(Type.String({ ...Instant, description: 'When it was stored' })),
  is_current: Type.Boolean(),
})
export type RevisionSummary = Static<typeof RevisionSummary>

export const RevisionList = Type.Object(
  { revisions: Type.Array(RevisionSummary, { description: 'Those that have content, oldest first' }) },
  {
    examples: [
      {
        revisions: [
          { revision: 1, instruction: null, created_at: '2026-01-31T09:00:12.345Z', is_current: false },
          {
            revision: 2,
            instruction: '예를 더 쉽게 써 주세요.',
            created_at: '2026-01-31T09:20:31.200Z',
            is_current: true,
          },
        ],
      },
    ],
  },
)
export type RevisionList = Static<typeof RevisionList>

const without = <T extends Record<string, unknown>>({ id, revision, is_complete, ...rest }: T) => rest

/** What a revision holds, as the learning view has it. */
export const ConceptContent = Type.Object(without(ConceptView.properties))
export const ExerciseContent = Type.Object(without(ExerciseView.properties))
export const QuizContent = Type.Object(without(QuizView.properties))

/** One revision with its content: what the learning view has of that kind. */
export const RevisionView = Type.Object({
  ...RevisionSummary.properties,
  concept: Type.Optional(ConceptContent),
  exercise: Type.Optional(ExerciseContent),
  quizzes: Type.Optional(Type.Array(QuizContent)),
})
export type RevisionView = Static<typeof RevisionView>
