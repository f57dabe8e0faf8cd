/**
 * A chapter as decisions see it: its row and its three jobs, as plain values.
 * Instants are milliseconds since the epoch. What decisions never read (leases, content) is not here.
 */
import type { ChapterStatus } from '../contract/chapter.js'
import type { ProgressUpdate } from '../contract/event.js'
import { type FailureReason, JOB_KINDS, type JobKind, type JobStatus } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'

export interface JobState {
  kind: JobKind
  jobId: string
  status: JobStatus
  /** The try under way, or the next one while it waits in `queued`; from 1. */
  attempt: number
  maxAttempts: number
  /** 0 to 100, of this attempt. */
  progress: number
  /** When this job (not this attempt) was asked for. */
  requestedAt: number
  /** While `queued`: publish it then, not before. While `failed`: since when. */
  dueAt: number
  /** While `published`: it timed out then, unless a heartbeat moves it. */
  deadlineAt: number | null
  /** This attempt's first heartbeat, once `{kind}_started` was logged for it. */
  startedAt: number | null
  /** This attempt's last heartbeat; null also after the process that worked on it died. */
  lastHeardAt: number | null
  /** Why the last attempt failed; kept while the next one runs. Null when none did. */
  reason: FailureReason | null
  error: string | null
  /** Counts what was asked for: 1, and one more with every regeneration and restore. */
  revision: number
  /**
   * The revision of the content there is, while a later one is being written, and when that one failed or was
   * cancelled. Null in all other states: the content of a completed job is of `revision`, other jobs have none.
   */
  keptRevision: number | null
}

export interface ChapterState {
  id: number
  /** Raised by every write; a write wins only against the version it was decided on. */
  version: number
  lastSeq: number
  courseId: number
  ownerId: number
  title: string
  description: string
  locale: Locale
  metadata: Record<string, unknown>
  quizCount: number
  /** Of the request that created it; messages continue that trace. */
  traceparent: string | null
  conceptId: number
  exerciseId: number
  status: ChapterStatus
  /** 0 to 100; never falls within a run. */
  progress: number
  /** The version whose write set `latestProgress`; 0 while there was none. */
  progressVersion: number
  latestProgress: ProgressUpdate | null
  createdAt: number
  updatedAt: number
  completedAt: number | null
  jobs: Record<JobKind, JobState>
}

/** Ids drawn for a new chapter; `quizIds` has `quizCount` of them, in order. */
export interface NewChapterIds {
  chapterId: number
  conceptId: number
  exerciseId: number
  quizIds: number[]
}

/** A chapter as its create is answered. */
export interface CreatedChapter extends NewChapterIds {
  quizCount: number
  status: ChapterStatus
  createdAt: number
}

export function jobsOf(chapter: ChapterState): JobState[] {
  return JOB_KINDS.map((kind) => chapter.jobs[kind])
}

/** Whether someone works on the job, or will. */
export function isRunning(job: JobState): boolean {
  return job.status === 'queued' || job.status === 'published'
}

/** Whether the revision asked for last failed, and the content of an earlier one stays. */
export function isKept({ status, keptRevision }: JobState): boolean {
  return status === 'completed' && keptRevision !== null
}

/** The revision of the content that can be read; null before the first result. */
export function contentRevisionOf({ status, revision, keptRevision }: JobState): number | null {
  return keptRevision ?? (status === 'completed' ? revision : null)
}

/**
 * Whether the writer of a due job can make its message from this state. That of a later revision also has the content
 * there is, which is read when the job is claimed.
 */
export function isMessageKnown({ revision }: JobState): boolean {
  return revision === 1
}

/** Whether a queued job is to be published at once; later ones wait for their time. */
export function isDue(job: JobState, now: number): boolean {
  return job.status === 'queued' && job.dueAt <= now
}
