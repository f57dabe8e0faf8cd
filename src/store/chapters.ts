/**
 * Chapters in the database: the two statements of a commit group, one read and one write, and the views.
 * Statements take lists as JSON and give rows as JSON, so that a group of any size is the same statement.
 */
import { and, desc, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import type { ChapterStatus, ChapterSummary, LearningView } from '../contract/chapter.js'
import type { ChapterEvent, ProgressUpdate } from '../contract/event.js'
import type { FailureReason, JobKind, JobResults, JobStatus } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { type ChapterState, isDue, toInstant } from '../domain/chapter.js'
import type { NewChapterIds } from '../domain/create.js'
import type { FinishResult, OwedDeadLetter } from '../domain/decide.js'
import { type Db, jsonParameter, prepare } from './database.js'
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

const CREATED_FIELDS = sql.raw(`
  json_build_object(
    'create_id', c.create_id, 'chapter_id', c.id, 'status', c.status, 'created_at', c.created_at,
    'quiz_count', c.quiz_count,
    'concept_id', (select id from concept where chapter_id = c.id),
    'exercise_id', (select id from exercise where chapter_id = c.id),
    'quiz_ids', (select json_agg(id order by position) from quiz where chapter_id = c.id))`)

const drawn = (sequence: string, count: string) => sql`
  (select coalesce(json_agg(nextval(${sql.raw(`'${sequence}'`)})), '[]')
     from generate_series(1, ${sql.placeholder(count)}::int))`

const GROUP_READ = sql`
select json_build_object(
  'chapters', (
    select coalesce(json_agg(json_build_object(
      'chapter', c, 'concept_id', concept.id, 'exercise_id', exercise.id,
      'jobs', (select json_agg(job) from job where job.chapter_id = c.id))), '[]')
    from chapter c
      join concept on concept.chapter_id = c.id
      join exercise on exercise.chapter_id = c.id
    where c.id in (select x::bigint from json_array_elements_text(${jsonParameter('chapterIds')}) x)),
  'created', (
    select coalesce(json_agg(${CREATED_FIELDS}), '[]')
    from chapter c
    where c.create_id in (select x::uuid from json_array_elements_text(${jsonParameter('createIds')}) x)),
  'keys', (
    select coalesce(json_agg(json_build_object(
      'owner_id', k.owner_id, 'key', k.key, 'body_hash', k.body_hash, 'chapter', ${CREATED_FIELDS})), '[]')
    from json_to_recordset(${jsonParameter('keys')}) as wanted(owner_id bigint, key text)
      join idempotency_key k on k.owner_id = wanted.owner_id and k.key = wanted.key
      join chapter c on c.id = k.chapter_id),
  'ids', json_build_object(
    'chapters', ${drawn('chapter_id_seq', 'newChapters')},
    'concepts', ${drawn('concept_id_seq', 'newChapters')},
    'exercises', ${drawn('exercise_id_seq', 'newChapters')},
    'quizzes', ${drawn('quiz_id_seq', 'newQuizzes')})) as answer`

/**
 * `moved` takes, in id order and without waiting, only chapters that are still at the version that was
 * decided on; everything else is written for those (`written`) and for new chapters alone. Creates whose
 * idempotency key was taken meanwhile insert nothing. Rows that others may have locked for a moment (keys,
 * jobs) are taken in one order by all, so that nothing can deadlock.
 */
const GROUP_WRITE = sql`
with change as (
  select * from json_to_recordset(${jsonParameter('chapters')}) as x(
    id bigint, expected bigint, version bigint, write_id uuid, last_seq bigint, quiz_count int, status text,
    progress float8, progress_version bigint, latest_progress json, updated_at timestamptz,
    log_ended_at timestamptz, completed_at timestamptz)
), unmoved as materialized (
  select c.id from chapter c join change on change.id = c.id and change.expected = c.version
  order by c.id for update of c skip locked
), changed as (
  update chapter c set
    version = x.version, write_id = x.write_id, last_seq = x.last_seq, quiz_count = x.quiz_count,
    status = x.status, progress = x.progress, progress_version = x.progress_version,
    latest_progress = x.latest_progress, updated_at = x.updated_at, log_ended_at = x.log_ended_at,
    completed_at = x.completed_at
  from change x join unmoved on unmoved.id = x.id
  where c.id = x.id
  returning c.id
), creation as (
  select * from json_to_recordset(${jsonParameter('creations')}) as x(
    id bigint, version bigint, write_id uuid, create_id uuid, last_seq bigint, course_id bigint, owner_id bigint,
    title text, description text, locale text, metadata json, quiz_count int, status text, progress float8,
    created_at timestamptz, concept_id bigint, exercise_id bigint, key text, body_hash text, traceparent text)
), keyed as (
  insert into idempotency_key (owner_id, key, body_hash, chapter_id, created_at)
  select owner_id, key, body_hash, id, created_at from creation where key is not null
  order by owner_id, key
  on conflict (owner_id, key) do nothing
  returning chapter_id
), created as (
  insert into chapter (id, version, write_id, create_id, last_seq, course_id, owner_id, title, description,
    locale, metadata, quiz_count, status, progress, created_at, updated_at, traceparent)
  select id, version, write_id, create_id, last_seq, course_id, owner_id, title, description,
    locale, metadata, quiz_count, status, progress, created_at, created_at, traceparent
  from creation where key is null or id in (select chapter_id from keyed)
  order by id
  returning id
), written as (
  select id from changed union all select id from created
), new_concept as (
  insert into concept (id, chapter_id) select concept_id, id from creation join created using (id)
), new_exercise as (
  insert into exercise (id, chapter_id) select exercise_id, id from creation join created using (id)
), new_quiz as (
  insert into quiz (id, chapter_id, position)
  select x.id, x.chapter_id, x.position
  from json_to_recordset(${jsonParameter('newQuizzes')}) as x(id bigint, chapter_id bigint, position int)
    join created on created.id = x.chapter_id
), jobs as (
  insert into job (chapter_id, kind, job_id, status, attempt, max_attempts, progress, requested_at, due_at,
    deadline_at, started_at, last_sign_at, reason, error, leased_until)
  select chapter_id, kind, job_id, status, attempt, max_attempts, progress, requested_at, due_at,
    deadline_at, started_at, last_sign_at, reason, error, leased_until
  from json_to_recordset(${jsonParameter('jobs')}) as x(
    chapter_id bigint, kind text, job_id uuid, status text, attempt int, max_attempts int, progress float8,
    requested_at timestamptz, due_at timestamptz, deadline_at timestamptz, started_at timestamptz,
    last_sign_at timestamptz, reason text, error text, leased_until timestamptz)
    join written on written.id = x.chapter_id
  order by chapter_id, kind
  on conflict (chapter_id, kind) do update set
    job_id = excluded.job_id, status = excluded.status, attempt = excluded.attempt,
    max_attempts = excluded.max_attempts, progress = excluded.progress, requested_at = excluded.requested_at, due_at = excluded.due_at,
    deadline_at = excluded.deadline_at, started_at = excluded.started_at, last_sign_at = excluded.last_sign_at,
    reason = excluded.reason, error = excluded.error, leased_until = excluded.leased_until,
    held_until = case when excluded.status = 'queued' then null else job.held_until end
), concepts as (
  update concept c set title = x.title, content = x.content, is_complete = true
  from json_to_recordset(${jsonParameter('concepts')}) as x(chapter_id bigint, title text, content text)
    join changed on changed.id = x.chapter_id
  where c.chapter_id = x.chapter_id
), exercises as (
  update exercise e set question = x.question, answer = x.answer, difficulty = x.difficulty, is_complete = true
  from json_to_recordset(${jsonParameter('exercises')}) as x(
    chapter_id bigint, question text, answer text, difficulty text)
    join changed on changed.id = x.chapter_id
  where e.chapter_id = x.chapter_id
), quizzes as (
  insert into quiz (chapter_id, position, question, correct_answer, options, type, is_complete)
  select chapter_id, position, question, correct_answer, options, type, true
  from json_to_recordset(${jsonParameter('quizzes')}) as x(
    chapter_id bigint, position int, question text, correct_answer text, options json, type text)
    join changed on changed.id = x.chapter_id
  on conflict (chapter_id, position) do update set
    question = excluded.question, correct_answer = excluded.correct_answer, options = excluded.options,
    type = excluded.type, is_complete = true
), surplus as (
  delete from quiz q
  using json_to_recordset(${jsonParameter('quizCounts')}) as x(chapter_id bigint, quiz_count int)
    join changed on changed.id = x.chapter_id
  where q.chapter_id = x.chapter_id and q.position > x.quiz_count
), events as (
  insert into event (chapter_id, seq, name, payload)
  select chapter_id, seq, name, payload
  from json_to_recordset(${jsonParameter('events')}) as x(chapter_id bigint, seq bigint, name text, payload json)
    join written on written.id = x.chapter_id
), letters as (
  insert into dead_letter (job_id, chapter_id, kind, attempt, max_attempts, requested_at, deadline_at, reason,
    error, failed_at)
  select job_id, chapter_id, kind, attempt, max_attempts, requested_at, deadline_at, reason, error, failed_at
  from json_to_recordset(${jsonParameter('deadLetters')}) as x(
    job_id uuid, chapter_id bigint, kind text, attempt int, max_attempts int, requested_at timestamptz,
    deadline_at timestamptz, reason text, error text, failed_at timestamptz)
    join changed on changed.id = x.chapter_id
)
select id from written`

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

/** What the read returns; keys are the columns’ names. */
interface GroupAnswerJson {
  chapters: {
    chapter: ChapterRow
    concept_id: number
    exercise_id: number
    jobs: JobRow[]
  }[]
  created: CreatedJson[]
  keys: {
    owner_id: number
    key: string
    body_hash: string
    chapter: CreatedJson
  }[]
  ids: GroupAnswer['ids']
}

interface LearningJson extends Omit<LearningView, keyof ChapterSummary> {
  chapter: ChapterRow
}

interface CreatedJson {
  create_id: string
  chapter_id: number
  concept_id: number
  exercise_id: number
  quiz_ids: number[]
  quiz_count: number
  status: ChapterStatus
  created_at: string
}

interface ChapterRow {
  id: number
  version: number
  write_id: string
  last_seq: number
  course_id: number
  owner_id: number
  title: string
  description: string
  locale: Locale
  metadata: Record<string, unknown>
  quiz_count: number
  traceparent: string | null
  status: ChapterStatus
  progress: number
  progress_version: number
  latest_progress: ProgressUpdate | null
  created_at: string
  updated_at: string
  completed_at: string | null
}

interface JobRow {
  kind: JobKind
  job_id: string
  status: JobStatus
  attempt: number
  max_attempts: number
  progress: number
  requested_at: string
  due_at: string
  deadline_at: string | null
  started_at: string | null
  last_sign_at: string | null
  reason: FailureReason | null
  error: string | null
}

const ms = (instant: string | null): number | null => (instant === null ? null : Date.parse(instant))
const instant = (value: number | null): string | null => (value === null ? null : toInstant(value))

function fromJson(json: GroupAnswerJson): GroupAnswer {
  const chapters: GroupAnswer['chapters'] = new Map()
  for (const { chapter: row, concept_id, exercise_id, jobs } of json.chapters) {
    const state: ChapterState = {
      ...fromRow(row),
      conceptId: concept_id,
      exerciseId: exercise_id,
      jobs: Object.fromEntries(jobs.map((job) => [job.kind, jobFrom(job)])) as ChapterState['jobs'],
    }
    chapters.set(row.id, { state, writeId: row.write_id })
  }
  return {
    chapters,
    created: new Map(json.created.map((chapter) => [chapter.create_id, createdFrom(chapter)])),
    keys: json.keys.map((key) => ({
      ownerId: key.owner_id,
      key: key.key,
      bodyHash: key.body_hash,
      chapter: createdFrom(key.chapter),
    })),
    ids: json.ids,
  }
}

function fromRow(row: ChapterRow): Omit<ChapterState, 'conceptId' | 'exerciseId' | 'jobs'> {
  return {
    id: row.id,
    version: row.version,
    lastSeq: row.last_seq,
    courseId: row.course_id,
    ownerId: row.owner_id,
    title: row.title,
    description: row.description,
    locale: row.locale,
    metadata: row.metadata,
    quizCount: row.quiz_count,
    traceparent: row.traceparent,
    status: row.status,
    progress: row.progress,
    progressVersion: row.progress_version,
    latestProgress: row.latest_progress,
    createdAt: Date.parse(row.created_at),
    updatedAt: Date.parse(row.updated_at),
    completedAt: ms(row.completed_at),
  }
}

function jobFrom(row: JobRow): ChapterState['jobs'][JobKind] {
  return {
    kind: row.kind,
    jobId: row.job_id,
    status: row.status,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    progress: row.progress,
    requestedAt: Date.parse(row.requested_at),
    dueAt: Date.parse(row.due_at),
    deadlineAt: ms(row.deadline_at),
    startedAt: ms(row.started_at),
    lastSignAt: ms(row.last_sign_at),
    failure: row.reason === null ? null : { reason: row.reason, error: row.error },
  }
}

function createdFrom(json: CreatedJson): CreatedChapter {
  return {
    createId: json.create_id,
    chapterId: json.chapter_id,
    conceptId: json.concept_id,
    exerciseId: json.exercise_id,
    quizIds: json.quiz_ids,
    quizCount: json.quiz_count,
    status: json.status,
    createdAt: Date.parse(json.created_at),
  }
}

/** The write’s parameters; each list becomes one JSON text. */
function toJson(writes: ChapterWrite[], writeId: string, leasedUntil: number): Record<string, string> {
  const lists = {
    chapters: [] as unknown[],
    creations: [] as unknown[],
    newQuizzes: [] as unknown[],
    jobs: [] as unknown[],
    concepts: [] as unknown[],
    exercises: [] as unknown[],
    quizzes: [] as unknown[],
    quizCounts: [] as unknown[],
    events: [] as unknown[],
    deadLetters: [] as unknown[],
  }
  for (const { expectedVersion, state, changedKinds, events, results, deadLetters, creation } of writes) {
    const chapter_id = state.id
    const changing = {
      id: state.id,
      version: state.version,
      write_id: writeId,
      last_seq: state.lastSeq,
      quiz_count: state.quizCount,
      status: state.status,
      progress: state.progress,
    }
    if (creation === undefined)
      lists.chapters.push({
        ...changing,
        expected: expectedVersion,
        progress_version: state.progressVersion,
        latest_progress: state.latestProgress,
        updated_at: toInstant(state.updatedAt),
        log_ended_at: state.status === 'processing' ? null : toInstant(state.updatedAt),
        completed_at: instant(state.completedAt),
      })
    else {
      lists.creations.push({
        ...changing,
        create_id: creation.createId,
        course_id: state.courseId,
        owner_id: state.ownerId,
        title: state.title,
        description: state.description,
        locale: state.locale,
        metadata: state.metadata,
        traceparent: state.traceparent,
        created_at: toInstant(state.createdAt),
        concept_id: state.conceptId,
        exercise_id: state.exerciseId,
        key: creation.idempotency?.key ?? null,
        body_hash: creation.idempotency?.bodyHash ?? null,
      })
      creation.quizIds.forEach((id, index) => {
        lists.newQuizzes.push({ id, chapter_id, position: index + 1 })
      })
    }
    for (const kind of changedKinds) lists.jobs.push(jobJson(state, kind, leasedUntil))
    for (const { kind, result } of results) {
      if (kind === 'concept') lists.concepts.push({ chapter_id, ...result })
      else if (kind === 'exercise') lists.exercises.push({ chapter_id, difficulty: 'medium', ...result })
      else addQuizzes(lists, chapter_id, result)
    }
    for (const { name, payload } of events) lists.events.push({ chapter_id, seq: payload.seq, name, payload })
    for (const letter of deadLetters)
      lists.deadLetters.push({
        job_id: letter.jobId,
        chapter_id,
        kind: letter.kind,
        attempt: letter.attempt,
        max_attempts: letter.maxAttempts,
        requested_at: toInstant(letter.requestedAt),
        deadline_at: instant(letter.deadlineAt),
        reason: letter.reason,
        error: letter.error,
        failed_at: toInstant(letter.failedAt),
      })
  }
  return Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, JSON.stringify(list)]))
}

function jobJson(state: ChapterState, kind: JobKind, leasedUntil: number) {
  const job = state.jobs[kind]
  return {
    chapter_id: state.id,
    kind,
    job_id: job.jobId,
    status: job.status,
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
    progress: job.progress,
    requested_at: toInstant(job.requestedAt),
    due_at: toInstant(job.dueAt),
    deadline_at: instant(job.deadlineAt),
    started_at: instant(job.startedAt),
    last_sign_at: instant(job.lastSignAt),
    reason: job.failure?.reason ?? null,
    error: job.failure?.error ?? null,
    leased_until: isDue(job, state.updatedAt) ? toInstant(leasedUntil) : null,
  }
}

function addQuizzes(
  lists: { quizzes: unknown[]; quizCounts: unknown[] },
  chapter_id: number,
  { quizzes }: JobResults['quiz'],
): void {
  quizzes.forEach((quiz, index) => {
    lists.quizzes.push({
      chapter_id,
      position: index + 1,
      question: quiz.question,
      correct_answer: quiz.correct_answer,
      options: quiz.options ?? null,
      type: quiz.type ?? 'multiple',
    })
  })
  lists.quizCounts.push({ chapter_id, quiz_count: quizzes.length })
}
