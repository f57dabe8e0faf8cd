/**
 * Chapters over HTTP: what a client sends, what it is shown.
 */
import { type Static, Type } from '@sinclair/typebox'
import { ConceptView, ExerciseView, JobView, MAX_QUIZZES, QuizView } from './job.js'
import { Id, Instant, LOCALES, LocaleSchema, nullable, Percent, Seq, stringEnum } from './scalar.js'

export const CHAPTER_STATUSES = ['processing', 'completed', 'failed', 'cancelled'] as const
export type ChapterStatus = (typeof CHAPTER_STATUSES)[number]

export const DEFAULT_QUIZ_COUNT = 3
export const METADATA_MAX_BYTES = 8 * 1024
export const LIST_LIMIT_MAX = 100
export const LIST_LIMIT_DEFAULT = 20

/** Not `Type.Record`: its pattern, and so the serialiser, knows no field name with a line break. */
export const Metadata = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  description: 'JSON object of up to 8 KiB, passed on to the worker and shown in views, unread',
})

/** The guide’s own request, and what it is answered: OpenAPI and the tests share them. */
export const CREATE_EXAMPLE = {
  course_id: 1,
  title: '변수와 자료형',
  description: 'Python 기초',
  owner_id: 1,
}

export const ChapterCreate = Type.Object(
  {
    course_id: Id,
    owner_id: Id,
    title: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Trimmed, then 1 to 255 characters',
    }),
    description: Type.Optional(Type.String({ maxLength: 10_000, default: '' })),
    locale: Type.Optional(
      stringEnum(LOCALES, 'Language of the content and messages; `DEFAULT_LOCALE` unless given'),
    ),
    quiz_count: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_QUIZZES,
        default: DEFAULT_QUIZ_COUNT,
      }),
    ),
    metadata: Type.Optional(Metadata),
  },
  { additionalProperties: false, examples: [CREATE_EXAMPLE] },
)
export type ChapterCreate = Static<typeof ChapterCreate>

export const ChapterCreated = Type.Object(
  {
    chapter_id: Id,
    concept_id: Id,
    exercise_id: Id,
    quiz_ids: Type.Array(Id),
    quiz_count: Type.Integer(),
    status: stringEnum(CHAPTER_STATUSES),
    created_at: Instant,
  },
  {
    examples: [
      {
        chapter_id: 1,
        concept_id: 1,
        exercise_id: 1,
        quiz_ids: [1, 2, 3],
        quiz_count: 3,
        status: 'processing',
        created_at: '2026-01-31T09:00:00.000Z',
      },
    ],
  },
)
export type ChapterCreated = Static<typeof ChapterCreated>

const chapterFields = {
  chapter_id: Id,
  course_id: Id,
  owner_id: Id,
  title: Type.String(),
  description: Type.String(),
  locale: LocaleSchema,
  quiz_count: Type.Integer(),
  metadata: Metadata,
  status: stringEnum(CHAPTER_STATUSES),
  progress: Percent,
  last_seq: Seq,
  created_at: Instant,
  updated_at: Instant,
  completed_at: nullable(Instant),
}

/** A chapter in a list: everything but its jobs. */
export const ChapterSummary = Type.Object(chapterFields)
export type ChapterSummary = Static<typeof ChapterSummary>

export const ChapterView = Type.Object({
  ...chapterFields,
  jobs: Type.Array(JobView),
})
export type ChapterView = Static<typeof ChapterView>

export const ChapterList = Type.Object({
  items: Type.Array(ChapterSummary),
  next_cursor: nullable(
    Type.String({
      description: 'Give it back as `cursor` for the next page; null on the last',
    }),
  ),
})
export type ChapterList = Static<typeof ChapterList>

export const ChapterListQuery = Type.Object({
  owner_id: Type.Optional(Id),
  course_id: Type.Optional(Id),
  status: Type.Optional(stringEnum(CHAPTER_STATUSES)),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LIST_LIMIT_MAX,
      default: LIST_LIMIT_DEFAULT,
    }),
  ),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
})

export const LearningView = Type.Object({
  ...chapterFields,
  concept: ConceptView,
  exercise: ExerciseView,
  quizzes: Type.Array(QuizView),
})
export type LearningView = Static<typeof LearningView>

export const ChapterParams = Type.Object({ id: Id })

/** 202 of retry and cancel, 200 of a cancel that was one already. */
export const ChapterAccepted = Type.Object({
  chapter_id: Id,
  status: stringEnum(CHAPTER_STATUSES),
  last_seq: Seq,
})
export type ChapterAccepted = Static<typeof ChapterAccepted>
