/**
 * Chapters in the database: the two statements of a commit group, one read and one write, and the views.
 * Statements take lists as JSON and give rows as JSON, so that a group of any size is the same statement.
 */
import { and, desc, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import type { ChapterStatus, ChapterSummary, LearningView } from '../contract/chapter.js'
import type { ChapterEvent } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import { type ChapterState, toInstant } from '../domain/chapter.js'
import type { FinishResult, OwedDeadLetter } from '../domain/command.js'
import type { NewChapterIds } from '../domain/create.js'
import { fromJson, fromRow, type GroupAnswerJson, type LearningJson, toJson } from './chapter-rows.js'
import { type Db, prepare } from './database.js'
import { GROUP_READ, GROUP_WRITE } from './group-statements.js'
import * as table from './schema.js'

/** What a group must know before it decides. */
export interface GroupQuestion {
  chapterIds: number[]
  /** Creates that look for the chapter they may have made already. */
  createIds: string[]
  keys: { ownerId: number; key: string }[]
  /** How many chapters will be made, and how many quizzes they have in all. */
  newChapters: number
  newQuizzes: number
}

/** A chapter as its create is answered. */
export interface CreatedChapter extends NewChapterIds {
  createId: string
  quizCount: number
  status: ChapterStatus
  createdAt: number
}

export interface GroupAnswer {
  chapters: Map<number, { state: ChapterState; writeId: string }>
  /** By create id. */
  created: Map<string, CreatedChapter>
  keys: {
    ownerId: number
    key: string
    bodyHash: string
    chapter: CreatedChapter
  }[]
  /** Drawn from the sequences: `newChapters` each, `newQuizzes` of the last. */
  ids: {
    chapters: number[]
    concepts: number[]
    exercises: number[]
    quizzes: number[]
  }
}

/** All that one chapter’s decisions changed. Written whole, if the chapter is still at `expectedVersion`. */
export interface ChapterWrite {
  /** null: the chapter is new. */
  expectedVersion: number | null
  state: ChapterState
  changedKinds: readonly JobKind[]
  events: ChapterEvent[]
  results: FinishResult[]
  deadLetters: OwedDeadLetter[]
  creation?: {
    createId: string
    quizIds: number[]
    idempotency?: { key: string; bodyHash: string }
  }
}

export interface ChapterStore {
  /** The group’s one read; locks nothing. */
  readGroup(question: GroupQuestion): Promise<GroupAnswer>
  /**
   * The group’s one write. Chapters that moved, are locked, or whose idempotency key was taken are left out.
   * @param leasedUntil jobs that are to be published now are leased to the caller until then, ms
   * @returns ids of the chapters that were written
   */
  writeGroup(writes: ChapterWrite[], writeId: string, leasedUntil: number): Promise<Set<number>>
  readChapter(id: number): Promise<ChapterState | undefined>
  list(filter: ChapterFilter): Promise<ChapterSummary[]>
  readLearning(id: number, withAnswers: boolean): Promise<LearningView | undefined>
}

export interface ChapterFilter {
  ownerId?: number
  courseId?: number
  status?: ChapterStatus
  /** Only chapters in one of these lists. */
  among?: { chapterIds: readonly number[]; courseIds: readonly number[] }
  /** Only chapters with a smaller id. */
  before?: number
  limit: number
}

export function createChapterStore(db: Db): ChapterStore {
  const read = prepare<{ answer: GroupAnswerJson }>(db, 'group_read', GROUP_READ)
  const write = prepare<{ id: number | string }>(db, 'group_write', GROUP_WRITE)
  const learning = prepare<{ learning: LearningJson }>(db, 'learning', LEARNING)

  const readGroup = async (question: GroupQuestion): Promise<GroupAnswer> => {
    const [row] = await read({
      chapterIds: JSON.stringify(question.chapterIds),
      createIds: JSON.stringify(question.createIds),
      keys: JSON.stringify(question.keys.map(({ ownerId, key }) => ({ owner_id: ownerId, key }))),
      newChapters: question.newChapters,
      newQuizzes: question.newQuizzes,
    })
    if (row === undefined) throw new Error('The group’s read returned no row')
    return fromJson(row.answer)
  }

  const readChapter = async (id: number): Promise<ChapterState | undefined> => {
    const answer = await readGroup({
      chapterIds: [id],
      createIds: [],
      keys: [],
      newChapters: 0,
      newQuizzes: 0,
    })
    return answer.chapters.get(id)?.state
  }

  return {
    readGroup,
    readChapter,

    async writeGroup(writes, writeId, leasedUntil) {
      const rows = await write(toJson(writes, writeId, leasedUntil))
      return new Set(rows.map(({ id }) => Number(id)))
    },

    async list({ ownerId, courseId, status, among, before, limit }) {
      const conditions: (SQL | undefined)[] = [
        ownerId === undefined ? undefined : eq(table.chapter.ownerId, ownerId),
        courseId === undefined ? undefined : eq(table.chapter.courseId, courseId),
        status === undefined ? undefined : eq(table.chapter.status, status),
        among === undefined
          ? undefined
          : or(
              inArray(table.chapter.id, [...among.chapterIds]),
              inArray(table.chapter.courseId, [...among.courseIds]),
            ),
        before === undefined ? undefined : lt(table.chapter.id, before),
      ]
      const rows = await db
        .select()
        .from(table.chapter)
        .where(and(...conditions))
        .orderBy(desc(table.chapter.id))
        .limit(limit)
      return rows.map((row) => ({
        chapter_id: row.id,
        course_id: row.courseId,
        owner_id: row.ownerId,
        title: row.title,
        description: row.description,
        locale: row.locale,
        quiz_count: row.quizCount,
        metadata: row.metadata,
        status: row.status,
        progress: row.progress,
        last_seq: row.lastSeq,
        created_at: toInstant(Date.parse(row.createdAt)),
        updated_at: toInstant(Date.parse(row.updatedAt)),
        completed_at: row.completedAt === null ? null : toInstant(Date.parse(row.completedAt)),
      }))
    },

    async readLearning(id, withAnswers) {
      const [row] = await learning({ id })
      if (row === undefined) return undefined
      const { chapter, concept, exercise, quizzes } = row.learning
      if (!withAnswers) {
        delete exercise.answer
        for (const quiz of quizzes) delete quiz.correct_answer
      }
      return { ...summaryOf(fromRow(chapter)), concept, exercise, quizzes }
    },
  }
}

export function summaryOf(state: Omit<ChapterState, 'conceptId' | 'exerciseId' | 'jobs'>): ChapterSummary {
  return {
    chapter_id: state.id,
    course_id: state.courseId,
    owner_id: state.ownerId,
    title: state.title,
    description: state.description,
    locale: state.locale,
    quiz_count: state.quizCount,
    metadata: state.metadata,
    status: state.status,
    progress: state.progress,
    last_seq: state.lastSeq,
    created_at: toInstant(state.createdAt),
    updated_at: toInstant(state.updatedAt),
    completed_at: state.completedAt === null ? null : toInstant(state.completedAt),
  }
}

/** One statement, so one snapshot: nobody sees a completed chapter whose content is not there yet. */
const LEARNING = sql`
select json_build_object(
  'chapter', c,
  'concept', (
    select json_build_object('id', id, 'title', title, 'content', content, 'is_complete', is_complete)
    from concept where chapter_id = c.id),
  'exercise', (
    select json_build_object('id', id, 'question', question, 'answer', answer, 'difficulty', difficulty,
      'is_complete', is_complete)
    from exercise where chapter_id = c.id),
  'quizzes', (
    select coalesce(json_agg(json_build_object('id', id, 'question', question, 'correct_answer', correct_answer,
      'options', options, 'type', type, 'is_complete', is_complete) order by position), '[]')
    from quiz where chapter_id = c.id)) as learning
from chapter c where c.id = ${sql.placeholder('id')}::bigint`
