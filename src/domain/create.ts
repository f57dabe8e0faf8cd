/**
 * The decision that begins a chapter: its row, three queued jobs and its first events. Pure, as `decide.ts`.
 */
import { byKind, type JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { Changes } from './changes.js'
import type { ChapterState, JobState, NewChapterIds } from './chapter.js'
import type { Decision, DecisionContext } from './command.js'
import { accept } from './steps.js'

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

export function createChapter(
  input: NewChapter,
  ids: NewChapterIds,
  context: DecisionContext,
): Decision<'create'> {
  const { now, newId, policy } = context
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
    lastHeardAt: null,
    reason: null,
    error: null,
    revision: 1,
    keptRevision: null,
  })
  const nothing: ChapterState = {
    id: ids.chapterId,
    version: 0,
    lastSeq: 0,
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
    jobs: byKind(job),
  }
  const changes = new Changes(nothing, context)
  accept(changes)
  const { quizCount, status, createdAt } = changes.chapter
  return changes.decision({ ...ids, quizCount, status, createdAt })
}
