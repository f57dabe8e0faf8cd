/**
 * Between what statements take and give, lists as JSON with the columns’ names, and what the program works with.
 */
import type { ChapterStatus, ChapterSummary, LearningView } from '../contract/chapter.js'
import type { ProgressUpdate } from '../contract/event.js'
import type { FailureReason, JobKind, JobResults, JobStatus } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { type ChapterState, isDue, toInstant } from '../domain/chapter.js'
import type { ChapterWrite, CreatedChapter, GroupAnswer } from './chapters.js'

/** What the read returns; keys are the columns’ names. */
export interface GroupAnswerJson {
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

export interface LearningJson extends Omit<LearningView, keyof ChapterSummary> {
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

export interface ChapterRow {
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

export function fromJson(json: GroupAnswerJson): GroupAnswer {
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

export function fromRow(row: ChapterRow): Omit<ChapterState, 'conceptId' | 'exerciseId' | 'jobs'> {
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
export function toJson(writes: ChapterWrite[], writeId: string, leasedUntil: number): Record<string, string> {
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
