/**
 * Chapters in the database: a commit group's read and write, and the views. Statements take lists of records as JSON and
 * give records as JSON (`records.ts`), so a group of any size is the same statement.
 */
import { and, desc, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import { type ChapterStatus, ChapterSummary, type LearningView } from '../contract/chapter.js'
import type { ChapterEvent } from '../contract/event.js'
import { ConceptView, ExerciseView, type JobKind, QuizView } from '../contract/job.js'
import { type RecordOf, snakeCase, toWire } from '../contract/wire.js'
import type { CreatedChapter } from '../domain/chapter.js'
import { type ChapterState, isDue, isMessageKnown } from '../domain/chapter.js'
import type { EndedAttempt, FinishResult, NewRevision, OwedDeadLetter } from '../domain/command.js'
import {
  CHANGING_KEYS,
  CONTENT,
  CREATION_KEYS,
  groupRead,
  groupWrite,
  type ReadPart,
  WRITE_LISTS,
  type WriteList,
} from './group-statements.js'
import { type Db, prepare, preparedByParts } from './prepared.js'
import { keysOf, pick, recordFields } from './records.js'
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

export interface StoredChapter {
  state: ChapterState
  /** The write that made this version. */
  writeId: string
}

export interface GroupAnswer {
  chapters: Map<number, StoredChapter>
  /** By create id. */
  created: Map<string, CreatedChapter>
  keys: {
    ownerId: number
    key: string
    bodyHash: string
    /** What the request with this key made, in its order. */
    chapters: CreatedChapter[]
  }[]
  /** Drawn from the sequences: `newChapters` each, `newQuizzes` of the last. */
  ids: {
    chapters: number[]
    concepts: number[]
    exercises: number[]
    quizzes: number[]
  }
}

export interface GroupWritten {
  /** Ids of the chapters that were written. */
  written: Set<number>
  /** Chapters that exist and were not written, as they are now. */
  moved: Map<number, StoredChapter>
}

/** All that one chapter’s decisions changed. Written whole, if the chapter is still at `expectedVersion`. */
export interface ChapterWrite {
  /** null: the chapter is new. */
  expectedVersion: number | null
  /** The write that made that version: tells a chapter of a restored database from the one that was decided on. */
  expectedWriteId?: string
  /** As it was read; null: the chapter is new. */
  before: ChapterState | null
  state: ChapterState
  changedKinds: readonly JobKind[]
  events: ChapterEvent[]
  results: FinishResult[]
  deadLetters: OwedDeadLetter[]
  attempts: EndedAttempt[]
  revisions: NewRevision[]
  /** The chapter goes, with all of its rows. */
  isDeleted: boolean
  creation?: {
    createId: string
    quizIds: number[]
    /** With the first chapter of a request. `chapterIds`: all of them, if it asked for more than one. */
    idempotency?: { key: string; bodyHash: string; chapterIds?: number[] }
    /** The chapter that takes the request’s key: this one is written only if that one can. */
    keyedBy?: number
  }
}

export interface ChapterStore {
  /** The group’s one read; locks nothing. */
  readGroup(question: GroupQuestion): Promise<GroupAnswer>
  /**
   * The group’s one write. Chapters that moved, are locked, or whose idempotency key was taken are left out.
   * @param leasedUntil jobs that are to be published now are leased to the caller until then, ms; null: to nobody
   */
  writeGroup(writes: ChapterWrite[], writeId: string, leasedUntil: number | null): Promise<GroupWritten>
  readChapter(id: number): Promise<ChapterState | undefined>
  list(filter: ChapterFilter): Promise<ChapterSummary[]>
  readLearning(id: number, withAnswers: boolean): Promise<LearningView | undefined>
}

export interface ChapterFilter {
  ownerId?: number
  courseId?: number
  status?: ChapterStatus
  /** Only chapters in one of these lists; of the courses only this owner’s, if one is named. */
  among?: { chapterIds: readonly number[]; courseIds: readonly number[]; coursesOf?: number }
  /** Only chapters with a smaller id. */
  before?: number
  limit: number
}

interface GroupAnswerJson {
  chapters?: StoredChapter[]
  created?: { createId: string; chapter: CreatedChapter }[]
  keys?: GroupAnswer['keys']
  ids?: GroupAnswer['ids']
}

const NO_IDS: GroupAnswer['ids'] = { chapters: [], concepts: [], exercises: [], quizzes: [] }

type ChapterRecord = RecordOf<Omit<ChapterSummary, 'chapter_id'>> & { id: number }

export function createChapterStore(db: Db): ChapterStore {
  const read = preparedByParts<{ answer: GroupAnswerJson }, ReadPart>(db, 'group_read', groupRead)
  const write = preparedByParts<{ id: number | string; moved: StoredChapter | null }, WriteList>(
    db,
    'group_write',
    groupWrite,
  )
  const learning = prepare<{ learning: LearningRecord }>(db, 'learning', LEARNING)

  const readGroup = async (question: GroupQuestion): Promise<GroupAnswer> => {
    const { chapterIds, createIds, keys, newChapters, newQuizzes } = question
    const parts: ReadPart[] = []
    if (chapterIds.length > 0) parts.push('chapters')
    if (createIds.length > 0) parts.push('created')
    if (keys.length > 0) parts.push('keys')
    if (newChapters > 0) parts.push('ids')
    const [row] = await read(parts, {
      chapterIds: chapterIds.join(),
      createIds: createIds.join(),
      keys: JSON.stringify(keys),
      newChapters,
      newQuizzes,
    })
    if (row === undefined) throw new Error('The group’s read returned no row')
    const { answer } = row
    return {
      chapters: new Map(answer.chapters?.map((chapter) => [chapter.state.id, chapter])),
      created: new Map(answer.created?.map(({ createId, chapter }) => [createId, chapter])),
      keys: answer.keys ?? [],
      ids: answer.ids ?? NO_IDS,
    }
  }

  return {
    readGroup,

    async readChapter(id) {
      const question = { chapterIds: [id], createIds: [], keys: [], newChapters: 0, newQuizzes: 0 }
      return (await readGroup(question)).chapters.get(id)?.state
    },

    async writeGroup(writes, writeId, leasedUntil) {
      const lists = recordsOf(writes, writeId, leasedUntil)
      const parts = WRITE_LISTS.filter((name) => lists[name].length > 0)
      const values = Object.fromEntries(parts.map((name) => [name, JSON.stringify(lists[name])]))
      const result: GroupWritten = { written: new Set(), moved: new Map() }
      for (const { id, moved } of await write(parts, values))
        if (moved === null) result.written.add(Number(id))
        else result.moved.set(Number(id), moved)
      return result
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
              and(
                inArray(table.chapter.courseId, [...among.courseIds]),
                among.coursesOf === undefined ? undefined : eq(table.chapter.ownerId, among.coursesOf),
              ),
            ),
        before === undefined ? undefined : lt(table.chapter.id, before),
      ]
      const rows = await db
        .select()
        .from(table.chapter)
        .where(and(...conditions))
        .orderBy(desc(table.chapter.id))
        .limit(limit)
      return rows.map(summaryOf)
    },

    async readLearning(id, withAnswers) {
      const [row] = await learning({ id })
      if (row === undefined) return undefined
      const { chapter, concept, exercise, quizzes, revisions } = row.learning
      if (!withAnswers) {
        delete exercise.answer
        for (const quiz of quizzes) delete quiz.correctAnswer
      }
      return {
        ...summaryOf(chapter),
        concept: toWire(ConceptView, { ...concept, revision: revisions.concept }),
        exercise: toWire(ExerciseView, { ...exercise, revision: revisions.exercise }),
        quizzes: quizzes.map((quiz) => toWire(QuizView, { ...quiz, revision: revisions.quiz })),
      }
    },
  }
}

export function summaryOf(chapter: ChapterRecord): ChapterSummary {
  return toWire(ChapterSummary, { ...chapter, chapterId: chapter.id })
}

/** The write's lists of records. */
function recordsOf(
  writes: ChapterWrite[],
  writeId: string,
  leasedUntil: number | null,
): Record<WriteList, object[]> {
  const lists = Object.fromEntries(WRITE_LISTS.map((name) => [name, []])) as unknown as Record<
    WriteList,
    object[]
  >
  for (const write of writes) {
    const { expectedVersion, expectedWriteId, state } = write
    const { changedKinds, events, results, deadLetters, creation } = write
    const chapterId = state.id
    if (write.isDeleted) {
      lists.deletions.push({ id: chapterId, expectedVersion })
      continue
    }
    if (creation === undefined)
      lists.changes.push({
        id: state.id,
        expectedVersion,
        expectedWriteId,
        ...pick(state, CHANGING_KEYS),
        writeId,
      })
    else {
      const { createId, quizIds, idempotency, keyedBy } = creation
      const { conceptId, exerciseId } = state
      lists.creations.push({
        ...pick(state, CREATION_KEYS),
        writeId,
        createId,
        conceptId,
        exerciseId,
        ...idempotency,
        keyedBy,
      })
      quizIds.forEach((id, index) => {
        lists.newQuizzes.push({ id, chapterId, position: index + 1 })
      })
    }
    const jobs = creation === undefined ? lists.jobs : lists.newJobs
    for (const kind of changedKinds) {
      const job = state.jobs[kind]
      jobs.push({
        chapterId,
        ...job,
        leasedUntil: isDue(job, state.updatedAt) && isMessageKnown(job) ? leasedUntil : null,
      })
    }
    for (const { kind, result } of results) {
      if (kind === 'concept') lists.concepts.push({ chapterId, ...contentOf('concept', result) })
      else if (kind === 'exercise')
        lists.exercises.push({ chapterId, difficulty: 'medium', ...contentOf('exercise', result) })
      else
        result.quizzes.forEach((quiz, index) => {
          lists.quizzes.push({ chapterId, position: index + 1, type: 'multiple', ...contentOf('quiz', quiz) })
        })
    }
    for (const { name, payload } of events) lists.events.push({ chapterId, seq: payload.seq, name, payload })
    for (const letter of deadLetters) lists.deadLetters.push({ chapterId, ...letter })
    for (const attempt of write.attempts) lists.attempts.push({ chapterId, ...attempt })
    for (const revision of write.revisions) lists.revisions.push({ chapterId, ...revision })
  }
  return lists
}

/** What a result says, under the record's names; what it leaves out keeps its default. */
function contentOf(kind: JobKind, result: object): object {
  const from = result as Record<string, unknown>
  const said = CONTENT[kind].map((key) => [key, from[snakeCase(key)]] as const)
  return Object.fromEntries(said.filter(([, value]) => value !== undefined))
}

interface LearningRecord {
  chapter: ChapterRecord
  concept: RecordOf<LearningView['concept']>
  exercise: RecordOf<LearningView['exercise']>
  quizzes: RecordOf<LearningView['quizzes'][number]>[]
  revisions: Record<JobKind, number | null>
}

const contentFields = (of: Parameters<typeof keysOf>[0], name: string) =>
  recordFields(of, name, keysOf(of, ['chapterId', 'position']))

/** One statement, so one snapshot: a completed chapter is never seen without its content. */
const LEARNING = sql`
select json_build_object(
  'chapter', json_build_object(${recordFields(table.chapter, 'c')}),
  'concept', (
    select json_build_object(${contentFields(table.concept, 'concept')}) from concept where chapter_id = c.id),
  'exercise', (
    select json_build_object(${contentFields(table.exercise, 'exercise')}) from exercise where chapter_id = c.id),
  'revisions', (
    select json_object_agg(kind, coalesce(kept_revision, case when status = 'completed' then revision end))
    from job where chapter_id = c.id),
  'quizzes', (
    select coalesce(json_agg(json_build_object(${contentFields(table.quiz, 'quiz')}) order by position), '[]')
    from quiz where chapter_id = c.id)) as learning
from chapter c where c.id = ${sql.placeholder('id')}::bigint`
