/**
 * The beginning of a chapter: its row, three queued jobs and the first four events. Pure, as `decide.ts`.
 */
import type { ChapterEvent } from '../contract/event.js'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { type ChapterState, type JobState, toInstant } from './chapter.js'
import type { DecisionContext } from './command.js'
import { eventMessage } from './messages.js'

/** A validated request for a chapter: title trimmed, every default filled in. */
export interface NewChapter {
  courseId: number
  ownerId: number
  title: string
  description: string
  locale: Locale
  quizCount: number
  metadata: Record<string, unknown>
  /** W3C Trace Context of the request, if it brought one. */
  traceparent?: string | null
}

/** Ids drawn for it; `quizIds` has `quizCount` of them, in order. */
export interface NewChapterIds {
  chapterId: number
  conceptId: number
  exerciseId: number
  quizIds: number[]
}

export function createChapter(
  input: NewChapter,
  ids: NewChapterIds,
  { now, newId, policy }: DecisionContext,
): { state: ChapterState; events: ChapterEvent[] } {
  const job = (kind: JobKind): JobState => ({
    kind,
    jobId: newId(),
    status: 'queued',
    attempt: 1,
    maxAttempts: policy.maxAttempts,
    progress: 0,
    requestedAt: now,
    dueAt: now,
    deadlineAt: null,
    startedAt: null,
    lastSignAt: null,
    failure: null,
  })
  const chapter_id = ids.chapterId
  const at = toInstant(now)
  const message = (name: ChapterEvent['name']) => eventMessage(name, input.locale)
  const events: ChapterEvent[] = [
    {
      name: 'chapter_processing_started',
      payload: {
        chapter_id,
        title: input.title,
        status: 'processing_started',
        message: message('chapter_processing_started'),
        seq: 1,
        at,
      },
    },
    {
      name: 'concept_processing',
      payload: {
        chapter_id,
        concept_id: ids.conceptId,
        status: 'processing',
        message: message('concept_processing'),
        seq: 2,
        at,
      },
    },
    {
      name: 'exercise_processing',
      payload: {
        chapter_id,
        exercise_id: ids.exerciseId,
        status: 'processing',
        message: message('exercise_processing'),
        seq: 3,
        at,
      },
    },
    {
      name: 'quiz_processing',
      payload: {
        chapter_id,
        quiz_count: input.quizCount,
        status: 'processing',
        message: message('quiz_processing'),
        seq: 4,
        at,
      },
    },
  ]
  const state: ChapterState = {
    id: chapter_id,
    version: 1,
    lastSeq: events.length,
    ...input,
    traceparent: input.traceparent ?? null,
    conceptId: ids.conceptId,
    exerciseId: ids.exerciseId,
    status: 'processing',
    progress: 0,
    progressVersion: 0,
    latestProgress: null,
    createdAt: now,
    updatedAt: now,
    completedAt: null,
    jobs: Object.fromEntries(JOB_KINDS.map((kind) => [kind, job(kind)])) as ChapterState['jobs'],
  }
  return { state, events }
}
