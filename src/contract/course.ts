/**
 * Courses: many chapters made in one request, and a course's chapters followed together. A course has no row of its
 * own: it is the chapters that name it, so a course without chapters is empty rather than unknown.
 */
import { type Static, Type } from '@sinclair/typebox'
import { CHAPTER_STATUSES, ChapterCreate, ChapterCreated } from './chapter.js'
import { byKind, JOB_STATUSES } from './job.js'
import { Id, Instant, MAX_ID, nullable, Percent, stringEnum } from './scalar.js'

/** Chapters of one request. */
export const COURSE_BATCH_MAX = 100
/** Chapters of one page. */
export const COURSE_PAGE_MAX = 500
/** A course with more chapters is read by pages, and cannot be followed whole. */
export const COURSE_FOLLOWED_MAX = 5000

const { owner_id, title, description, locale, quiz_count, metadata } = ChapterCreate.properties
/** Without its default, which would win over the value given for all chapters. */
const { default: _, ...ownQuizCount } = quiz_count

export const CourseChapterCreate = Type.Object(
  {
    title,
    description,
    quiz_count: Type.Optional({ ...ownQuizCount, description: 'What is said for all unless given' }),
    metadata: Type.Optional({
      ...metadata,
      description: `${metadata.description}; what is said for all unless given`,
    }),
  },
  { additionalProperties: false },
)

export const CourseChaptersCreate = Type.Object(
  {
    owner_id,
    chapters: Type.Array(CourseChapterCreate, { minItems: 1, maxItems: COURSE_BATCH_MAX }),
    locale,
    quiz_count: Type.Optional({ ...quiz_count, description: 'For chapters that do not say theirs' }),
    metadata: Type.Optional({ ...metadata, description: 'For chapters that do not bring their own' }),
  },
  {
    additionalProperties: false,
    examples: [
      {
        owner_id: 1,
        chapters: [
          { title: '변수와 자료형' },
          { title: '조건문', description: 'if, elif, else', quiz_count: 5 },
        ],
        metadata: { course: 'Python 기초' },
      },
    ],
  },
)
export type CourseChaptersCreate = Static<typeof CourseChaptersCreate>

export const CourseChaptersCreated = Type.Object({
  course_id: Id,
  chapters: Type.Array(ChapterCreated, { description: 'In the order of the request' }),
})
export type CourseChaptersCreated = Static<typeof CourseChaptersCreated>

/** A chapter as its course shows it, and as `chapter_status` tells of it. The highest version counts. */
export const CourseChapter = Type.Object(
  {
    course_id: Id,
    chapter_id: Id,
    title: Type.String(),
    status: stringEnum(CHAPTER_STATUSES),
    progress: Percent,
    kinds: Type.Object(
      byKind(() => stringEnum(JOB_STATUSES)),
      { description: 'Where the job of each kind stands' },
    ),
    version: Type.Integer({
      minimum: 1,
      description: 'Rises with every change of the chapter: a status with a lower one is out of date',
    }),
    updated_at: Instant,
  },
  {
    examples: [
      {
        course_id: 1,
        chapter_id: 12,
        title: '변수와 자료형',
        status: 'processing',
        progress: 33,
        kinds: { concept: 'completed', exercise: 'published', quiz: 'queued' },
        version: 4,
        updated_at: '2026-01-31T09:00:12.345Z',
      },
    ],
  },
)
export type CourseChapter = Static<typeof CourseChapter>

/** How many chapters have each status. */
export const CourseCounts = Type.Object(
  Object.fromEntries(CHAPTER_STATUSES.map((status) => [status, Type.Integer({ minimum: 0 })])) as Record<
    (typeof CHAPTER_STATUSES)[number],
    ReturnType<typeof Type.Integer>
  >,
)
export type CourseCounts = Static<typeof CourseCounts>

const courseProgress = Type.Number({
  minimum: 0,
  maximum: 100,
  description: 'Mean progress of its chapters, in whole percent; 0 without chapters',
})

export const CourseView = Type.Object({
  course_id: Id,
  counts: CourseCounts,
  progress: courseProgress,
  chapters: Type.Array(CourseChapter, { description: 'In the order of their ids' }),
  next: nullable(
    Type.Integer({ description: 'Give it back as `after` for the next page; null on the last' }),
  ),
})
export type CourseView = Static<typeof CourseView>

export const CourseQuery = Type.Object({
  after: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_ID, description: 'A chapter’s id' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: COURSE_PAGE_MAX, default: COURSE_PAGE_MAX })),
})

export const CourseParams = Type.Object({ id: Id })

export const JoinCourse = Type.Object({ course_id: Id })
export type JoinCourse = Static<typeof JoinCourse>

export const LeaveCourse = Type.Object({ course_id: Id })
export type LeaveCourse = Static<typeof LeaveCourse>

/** All of a course at the moment of a join. Sent again when a chapter is gone: it replaces what was known. */
export const JoinedCourse = Type.Object({
  course_id: Id,
  counts: CourseCounts,
  progress: courseProgress,
  chapters: Type.Array(CourseChapter),
})
export type JoinedCourse = Static<typeof JoinedCourse>

export const CourseCompleted = Type.Object({
  course_id: Id,
  counts: CourseCounts,
  message: Type.String({ description: 'For people, in the language of the chapter that ended last' }),
})
export type CourseCompleted = Static<typeof CourseCompleted>

/** The Socket.IO room of a course; of an owner who may see their own chapters of it only, one of that owner's. */
export function courseRoomOf(courseId: number, ownerId: number | null): string {
  return ownerId === null ? `course_${courseId}` : `course_${courseId}_owner_${ownerId}`
}
