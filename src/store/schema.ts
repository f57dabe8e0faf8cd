/**
 * Tables, indexes and constraints, for PostgreSQL and PGlite alike. `npm run generate` writes the SQL in
 * `drizzle/` from here. Constraints hold what the code promises: one job a kind, one event a seq, and
 * statuses and progress within their bounds.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  doublePrecision,
  foreignKey,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { AUDIT_ACTIONS, AUDIT_OUTCOMES, type RedriveFilter } from '../contract/admin.js'
import { CHAPTER_STATUSES } from '../contract/chapter.js'
import type { ProgressUpdate } from '../contract/event.js'
import {
  ATTEMPT_OUTCOMES,
  DIFFICULTIES,
  FAILURE_REASONS,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  QUIZ_TYPES,
} from '../contract/job.js'
import { NOTICE_TYPES } from '../contract/notice.js'
import { LOCALES } from '../contract/scalar.js'
import { toInstant } from '../contract/wire.js'
import type { Widths } from '../domain/window.js'

/** A job that stands failed, by the name of its last work. */
export interface FailedJobRef {
  chapterId: number
  kind: JobKind
  jobId: string
}

/** How far a redrive came: the last failed job it looked at, or how many of its ids. */
export type RedriveCursor = { at: number; chapterId: number; kind: JobKind } | { taken: number }

const id = () => bigint('id', { mode: 'number' }).generatedByDefaultAsIdentity().primaryKey()
const chapterId = () => bigint('chapter_id', { mode: 'number' }).notNull()
/** A moment: milliseconds since the epoch in the program. */
const instant = customType<{ data: number; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  fromDriver: (text) => Date.parse(text),
  toDriver: toInstant,
})
const percent = (name: string) => doublePrecision(name).notNull().default(0)
const isOneOf = (column: string, values: readonly string[]) =>
  sql.raw(`"${column}" in (${values.map((value) => `'${value}'`).join(', ')})`)
const isPercent = (column: string) => sql.raw(`"${column}" between 0 and 100`)

export const chapter = pgTable(
  'chapter',
  {
    id: id(),
    /** Raised by every write; a write wins only against the version it was decided on. */
    version: bigint('version', { mode: 'number' }).notNull(),
    /** The write that made this version: tells a writer whose connection broke whether it won. */
    writeId: uuid('write_id').notNull(),
    /** The request that created it: the same for every try, so that it exists once. */
    createId: uuid('create_id').notNull(),
    lastSeq: bigint('last_seq', { mode: 'number' }).notNull(),
    /** The first seq that the log still has; above `last_seq` once the log was deleted. */
    logFrom: bigint('log_from', { mode: 'number' }).notNull().default(1),
    courseId: bigint('course_id', { mode: 'number' }).notNull(),
    ownerId: bigint('owner_id', { mode: 'number' }).notNull(),
    title: text('title').notNull(),
    description: text('description').notNull(),
    locale: text('locale', { enum: LOCALES }).notNull(),
    metadata: json('metadata').$type<Record<string, unknown>>().notNull(),
    quizCount: integer('quiz_count').notNull(),
    /** Of the request that created it; its messages continue that trace. */
    traceparent: text('traceparent'),
    status: text('status', { enum: CHAPTER_STATUSES }).notNull(),
    progress: percent('progress'),
    progressVersion: bigint('progress_version', { mode: 'number' }).notNull().default(0),
    latestProgress: json('latest_progress').$type<ProgressUpdate>(),
    createdAt: instant('created_at').notNull(),
    updatedAt: instant('updated_at').notNull(),
    /** The last write of a chapter that has ended; null while it runs, and once its log was deleted. */
    logEndedAt: instant('log_ended_at'),
    completedAt: instant('completed_at'),
  },
  (t) => [
    unique('chapter_create_id').on(t.createId),
    index('chapter_by_owner').on(t.ownerId, t.id),
    index('chapter_by_course').on(t.courseId, t.id),
    index('chapter_by_status').on(t.status, t.id),
    index('chapter_log_ended').on(t.logEndedAt).where(sql`log_ended_at is not null`),
    check('chapter_status', isOneOf('status', CHAPTER_STATUSES)),
    check('chapter_locale', isOneOf('locale', LOCALES)),
    check('chapter_progress', isPercent('progress')),
    check('chapter_completed', sql`(status = 'completed') = (completed_at is not null)`),
  ],
)

const ofChapter = (column: ReturnType<typeof chapterId>) =>
  column.references(() => chapter.id, { onDelete: 'cascade' })

export const concept = pgTable(
  'concept',
  {
    id: id(),
    chapterId: ofChapter(chapterId()),
    title: text('title'),
    content: text('content'),
    isComplete: boolean('is_complete').notNull().default(false),
  },
  (t) => [unique('concept_of_chapter').on(t.chapterId)],
)

export const exercise = pgTable(
  'exercise',
  {
    id: id(),
    chapterId: ofChapter(chapterId()),
    question: text('question'),
    answer: text('answer'),
    difficulty: text('difficulty', { enum: DIFFICULTIES }),
    isComplete: boolean('is_complete').notNull().default(false),
  },
  (t) => [
    unique('exercise_of_chapter').on(t.chapterId),
    check('exercise_difficulty', isOneOf('difficulty', DIFFICULTIES)),
  ],
)

export const quiz = pgTable(
  'quiz',
  {
    id: id(),
    chapterId: ofChapter(chapterId()),
    /** From 1, in the order of the questions. */
    position: integer('position').notNull(),
    question: text('question'),
    correctAnswer: text('correct_answer'),
    options: json('options').$type<string[]>(),
    type: text('type', { enum: QUIZ_TYPES }),
    isComplete: boolean('is_complete').notNull().default(false),
  },
  (t) => [
    unique('quiz_of_chapter').on(t.chapterId, t.position),
    check('quiz_type', isOneOf('type', QUIZ_TYPES)),
  ],
)

export const job = pgTable(
  'job',
  {
    chapterId: ofChapter(chapterId()),
    kind: text('kind', { enum: JOB_KINDS }).notNull(),
    jobId: uuid('job_id').notNull(),
    status: text('status', { enum: JOB_STATUSES }).notNull(),
    attempt: integer('attempt').notNull(),
    maxAttempts: integer('max_attempts').notNull(),
    progress: percent('progress'),
    requestedAt: instant('requested_at').notNull(),
    /** While queued: to be published then. While failed: since when. */
    dueAt: instant('due_at').notNull(),
    /** While published: overdue then. */
    deadlineAt: instant('deadline_at'),
    startedAt: instant('started_at'),
    lastHeardAt: instant('last_sign_at'),
    reason: text('reason', { enum: FAILURE_REASONS }),
    error: text('error'),
    /** Counts what was asked for. */
    revision: integer('revision').notNull().default(1),
    /** The revision of the content there is, when that is not the one asked for last. */
    keptRevision: integer('kept_revision'),
    /** Until then a node is publishing it, or expiring it. No decision reads it, claiming raises no version. */
    leasedUntil: instant('leased_until'),
    /** Until then a process holds it in a queue that would not survive it; null in a durable queue. */
    heldUntil: instant('held_until'),
    /** The chapter’s: whose turn it is (`window.ts`). 0 of jobs that a node of an earlier release made. */
    ownerId: bigint('owner_id', { mode: 'number' }).notNull().default(0),
    /** While queued: when it was given a place in the window; null while it waits for one. */
    placedAt: instant('placed_at'),
  },
  (t) => [
    primaryKey({ name: 'job_of_chapter', columns: [t.chapterId, t.kind] }),
    unique('job_job_id').on(t.jobId),
    index('job_to_publish').on(t.dueAt).where(sql`status = 'queued'`),
    index('job_to_expire').on(t.deadlineAt).where(sql`status = 'published'`),
    // Jobs that are made without a window are leased to their maker, and cost nothing here.
    index('job_waiting')
      .on(t.kind, t.ownerId, t.chapterId, t.dueAt)
      .where(sql`status = 'queued' and leased_until is null`),
    index('job_placed').on(t.placedAt).where(sql`status = 'queued' and placed_at is not null`),
    // Only jobs that stand failed cost anything here.
    index('job_failed').on(t.dueAt, t.chapterId, t.kind).where(sql`status = 'failed'`),
    index('job_held').on(t.heldUntil).where(sql`status = 'published' and held_until is not null`),
    check('job_kind', isOneOf('kind', JOB_KINDS)),
    check('job_status', isOneOf('status', JOB_STATUSES)),
    check('job_progress', isPercent('progress')),
    check('job_attempt', sql`attempt between 1 and max_attempts`),
    check('job_reason', isOneOf('reason', FAILURE_REASONS)),
    check('job_deadline', sql`(status = 'published') = (deadline_at is not null)`),
  ],
)

/**
 * Text so far, one row for each job that is being written; a reader takes it only if it is the job's current attempt.
 * Unlogged in the migration: what a crash takes, the next post brings again. It refers to `job`, not to `chapter`, so
 * that a write never waits for a chapter that is locked.
 */
export const partial = pgTable(
  'partial',
  {
    chapterId: chapterId(),
    kind: text('kind', { enum: JOB_KINDS }).notNull(),
    jobId: uuid('job_id').notNull(),
    attempt: integer('attempt').notNull(),
    /** Rises with every change, over all nodes: a clock, see `feed/partials.ts`. */
    stamp: bigint('stamp', { mode: 'number' }).notNull(),
    /** As the worker counts. */
    length: integer('length').notNull(),
    /** Text; of a quiz its questions as JSON. */
    content: text('content').notNull(),
  },
  (t) => [
    primaryKey({ name: 'partial_of_job', columns: [t.chapterId, t.kind] }),
    foreignKey({
      name: 'partial_job',
      columns: [t.chapterId, t.kind],
      foreignColumns: [job.chapterId, job.kind],
    }).onDelete('cascade'),
  ],
)

export const event = pgTable(
  'event',
  {
    chapterId: ofChapter(chapterId()),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    name: text('name').notNull(),
    /** As it is emitted; `json`, not `jsonb`, keeps it byte for byte. */
    payload: json('payload').notNull(),
  },
  (t) => [
    primaryKey({ name: 'event_of_chapter', columns: [t.chapterId, t.seq] }),
    check('event_seq', sql`seq >= 1`),
  ],
)

/** Jobs that failed for good and are not yet in the dead-letter topic; written with the failure. */
export const deadLetter = pgTable(
  'dead_letter',
  {
    jobId: uuid('job_id').primaryKey(),
    chapterId: ofChapter(chapterId()),
    kind: text('kind', { enum: JOB_KINDS }).notNull(),
    attempt: integer('attempt').notNull(),
    maxAttempts: integer('max_attempts').notNull(),
    revision: integer('revision').notNull().default(1),
    requestedAt: instant('requested_at').notNull(),
    deadlineAt: instant('deadline_at'),
    reason: text('reason', { enum: FAILURE_REASONS }).notNull(),
    error: text('error'),
    failedAt: instant('failed_at').notNull(),
    leasedUntil: instant('leased_until'),
  },
  (t) => [index('dead_letter_by_time').on(t.failedAt)],
)

/** Notices of runs that ended: to be sent, sent, or given up. Made from the log, only where notices are on. */
export const delivery = pgTable(
  'delivery',
  {
    chapterId: ofChapter(chapterId()),
    /** Of the event that ended the run. */
    seq: bigint('seq', { mode: 'number' }).notNull(),
    type: text('type', { enum: NOTICE_TYPES }).notNull(),
    endedAt: instant('ended_at').notNull(),
    attempts: integer('attempts').notNull().default(0),
    /** To be sent then. */
    dueAt: instant('due_at').notNull(),
    /** Not tried again after that. */
    giveUpAt: instant('give_up_at').notNull(),
    leasedUntil: instant('leased_until'),
    /** Of the last answer; null when there was none. */
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
    deliveredAt: instant('delivered_at'),
    failedAt: instant('failed_at'),
  },
  (t) => [
    primaryKey({ name: 'delivery_of_event', columns: [t.chapterId, t.seq] }),
    index('delivery_to_send').on(t.dueAt).where(sql`delivered_at is null and failed_at is null`),
    index('delivery_by_age').on(t.endedAt, t.chapterId, t.seq),
    index('delivery_failed').on(t.endedAt, t.chapterId, t.seq).where(sql`failed_at is not null`),
    check('delivery_type', isOneOf('type', NOTICE_TYPES)),
  ],
)

/** One row: since when notices are on, and when a node that sends them was last there. */
export const noticeClock = pgTable('notice_clock', {
  id: integer('id').primaryKey(),
  since: instant('since').notNull(),
  seenAt: instant('seen_at').notNull(),
})

/**
 * What was written more than once, by revision: from the second on, and the first when the second was asked for.
 * The current content is in its own table; here it is a row without a result, until another one follows.
 */
export const revision = pgTable(
  'revision',
  {
    chapterId: ofChapter(chapterId()),
    kind: text('kind', { enum: JOB_KINDS }).notNull(),
    revision: integer('revision').notNull(),
    instruction: text('instruction'),
    /** As a finish has it; null while it is current, and when it was never written. */
    result: json('result').$type<object>(),
    createdAt: instant('created_at').notNull(),
  },
  (t) => [
    primaryKey({ name: 'revision_of_kind', columns: [t.chapterId, t.kind, t.revision] }),
    check('revision_kind', isOneOf('kind', JOB_KINDS)),
  ],
)

/** Attempts that ended without a result, and those that did before their kind was written again. */
export const attempt = pgTable(
  'attempt',
  {
    chapterId: ofChapter(chapterId()),
    kind: text('kind', { enum: JOB_KINDS }).notNull(),
    revision: integer('revision').notNull(),
    jobId: uuid('job_id').notNull(),
    attempt: integer('attempt').notNull(),
    startedAt: instant('started_at'),
    endedAt: instant('ended_at').notNull(),
    outcome: text('outcome', { enum: ATTEMPT_OUTCOMES }).notNull(),
    reason: text('reason', { enum: FAILURE_REASONS }),
    error: text('error'),
  },
  (t) => [
    primaryKey({ name: 'attempt_of_job', columns: [t.chapterId, t.kind, t.jobId, t.attempt] }),
    check('attempt_kind', isOneOf('kind', JOB_KINDS)),
    check('attempt_outcome', isOneOf('outcome', ATTEMPT_OUTCOMES)),
  ],
)

export const idempotencyKey = pgTable(
  'idempotency_key',
  {
    ownerId: bigint('owner_id', { mode: 'number' }).notNull(),
    key: text('key').notNull(),
    /** SHA-256 of the validated body, in hexadecimal. */
    bodyHash: text('body_hash').notNull(),
    /** The chapter that the request made; of a request for many the first. */
    chapterId: chapterId(),
    /** Of a request for many: all of them, in its order. */
    chapterIds: json('chapter_ids').$type<number[]>(),
    createdAt: instant('created_at').notNull(),
  },
  (t) => [
    primaryKey({
      name: 'idempotency_key_of_owner',
      columns: [t.ownerId, t.key],
    }),
    index('idempotency_key_by_age').on(t.createdAt),
    foreignKey({
      name: 'idempotency_key_chapter',
      columns: [t.chapterId],
      foreignColumns: [chapter.id],
    }).onDelete('cascade'),
    uniqueIndex('idempotency_key_of_chapter').on(t.chapterId),
  ],
)

/** One row: whose turn it is in the window, and how wide the window is. Claims of all nodes go through it. */
export const generationWindow = pgTable(
  'generation_window',
  {
    id: integer('id').primaryKey(),
    /** Raised by every claim that took something; a claim wins only against the number that it read. */
    claims: bigint('claims', { mode: 'number' }).notNull().default(0),
    /** The owner whose turn was last, for each kind. */
    conceptTurn: bigint('concept_turn', { mode: 'number' }).notNull().default(0),
    exerciseTurn: bigint('exercise_turn', { mode: 'number' }).notNull().default(0),
    quizTurn: bigint('quiz_turn', { mode: 'number' }).notNull().default(0),
    /** The kind that was given the last place. */
    lastKind: text('last_kind', { enum: JOB_KINDS }),
    /** Windows that were narrowed; the others are as wide as the settings say. */
    widths: json('widths').$type<Widths>().notNull().default({}),
  },
  () => [check('generation_window_one', sql`id = 1`)],
)

/** Kinds of which nothing is sent until an operator takes them out of here. */
export const kindPause = pgTable(
  'kind_pause',
  {
    kind: text('kind', { enum: JOB_KINDS }).primaryKey(),
    pausedAt: instant('paused_at').notNull(),
    pausedBy: text('paused_by').notNull(),
    reason: text('reason'),
  },
  () => [check('kind_pause_kind', isOneOf('kind', JOB_KINDS))],
)

/**
 * Failed jobs that are to be tried again, a batch after the other. Any node takes the next one, under a lease: it writes
 * the batch down before it acts, so that another node can finish it and count it.
 */
export const redrive = pgTable(
  'redrive',
  {
    id: id(),
    /** One of them is set. */
    filter: json('filter').$type<RedriveFilter>(),
    ids: json('ids').$type<string[]>(),
    ratePerS: integer('rate_per_s').notNull(),
    maxJobs: integer('max_jobs'),
    actor: text('actor').notNull(),
    requestId: text('request_id').notNull(),
    createdAt: instant('created_at').notNull(),
    /** The next batch is taken then. */
    dueAt: instant('due_at').notNull(),
    leasedUntil: instant('leased_until'),
    /** The job that was looked at last, or how many of `ids` were. */
    cursor: json('cursor').$type<RedriveCursor>(),
    /** What is being done; null between two batches. */
    batch: json('batch').$type<FailedJobRef[]>(),
    redriven: integer('redriven').notNull().default(0),
    skipped: integer('skipped').notNull().default(0),
    /** Why it last stood still. */
    lastError: text('last_error'),
    isCancelled: boolean('is_cancelled').notNull().default(false),
    endedAt: instant('ended_at'),
  },
  (t) => [index('redrive_open').on(t.dueAt).where(sql`ended_at is null or batch is not null`)],
)

/** What operators did. It outlives what it is about, so it refers to nothing. */
export const audit = pgTable(
  'audit',
  {
    id: id(),
    at: instant('at').notNull(),
    actor: text('actor').notNull(),
    action: text('action', { enum: AUDIT_ACTIONS }).notNull(),
    chapterId: bigint('chapter_id', { mode: 'number' }),
    kind: text('kind', { enum: JOB_KINDS }),
    details: json('details').$type<Record<string, unknown>>().notNull(),
    requestId: text('request_id').notNull(),
    /** Written as `begun` before the act. */
    outcome: text('outcome', { enum: AUDIT_OUTCOMES }).notNull().default('begun'),
    problem: text('problem'),
  },
  (t) => [
    index('audit_by_time').on(t.at),
    index('audit_of_chapter').on(t.chapterId, t.id).where(sql`chapter_id is not null`),
    check('audit_outcome', isOneOf('outcome', AUDIT_OUTCOMES)),
  ],
)

/** Nodes that are alive, as far as sessions need to know. */
export const node = pgTable('node', {
  id: uuid('id').primaryKey(),
  seenAt: instant('seen_at').notNull(),
})

/** Rooms of Socket.IO sessions, so that a client that comes back to any node is back in them by itself. */
export const sessionRoom = pgTable(
  'session_room',
  {
    /** What Socket.IO gives a client to come back with; a secret of that client. */
    pid: text('pid').notNull(),
    /** No reference: a room may be entered before its chapter exists. Of a course’s room its id, negative. */
    chapterId: chapterId(),
    afterSeq: bigint('after_seq', { mode: 'number' }).notNull(),
    nodeId: uuid('node_id').notNull(),
    /** When the connection ended; null while it lives, or since its node was killed. */
    leftAt: instant('left_at'),
  },
  (t) => [
    primaryKey({ name: 'session_room_of_session', columns: [t.pid, t.chapterId] }),
    index('session_room_left').on(t.leftAt).where(sql`left_at is not null`),
    index('session_room_by_node').on(t.nodeId),
  ],
)
