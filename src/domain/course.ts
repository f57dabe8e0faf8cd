/**
 * A course as a view over its chapters: what is told of one chapter, which of two tellings is newer, and what the
 * course's own numbers are. Pure.
 */
import { CHAPTER_STATUSES, type ChapterStatus } from '../contract/chapter.js'
import type { CourseChapter, CourseCounts } from '../contract/course.js'
import { byKind, JOB_KINDS, type JobKind, type JobStatus } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { toInstant } from '../contract/wire.js'
import type { ChapterState } from './chapter.js'

/** What travels between nodes and is kept of an open course's chapter: its status, whose it is, its language. */
export interface CourseEntry {
  chapter: CourseChapter
  ownerId: number
  locale: Locale
  /** This very version ended a run: so something was processing, whatever else is known. */
  hasEndedRun?: boolean
  /** The chapter was deleted. */
  isGone?: boolean
}

/** What an entry is made of: a decision's state has it, and so has a row. */
export type ChapterStanding = Pick<
  ChapterState,
  'id' | 'courseId' | 'ownerId' | 'title' | 'locale' | 'status' | 'progress' | 'version' | 'updatedAt'
> & { kinds: Record<JobKind, JobStatus> }

export function chapterStatusOf(state: ChapterState): CourseChapter {
  return entryOf(standingOf(state)).chapter
}

/** @param before the chapter as the write found it; null: the write made it */
export function courseEntryOf(state: ChapterState, before: ChapterState | null = null): CourseEntry {
  const entry = entryOf(standingOf(state))
  const hasEndedRun = before?.status === 'processing' && state.status !== 'processing'
  return hasEndedRun ? { ...entry, hasEndedRun } : entry
}

export function entryOf(standing: ChapterStanding): CourseEntry {
  const { id, courseId, ownerId, title, locale, status, progress, kinds, version, updatedAt } = standing
  return {
    chapter: {
      course_id: courseId,
      chapter_id: id,
      title,
      status,
      progress,
      kinds: byKind((kind) => kinds[kind]),
      version,
      updated_at: toInstant(updatedAt),
    },
    ownerId,
    locale,
  }
}

/** Whether both tell a client the same, their version aside. */
export function saysSame(one: CourseChapter, other: CourseChapter): boolean {
  return (
    one.status === other.status &&
    one.progress === other.progress &&
    one.title === other.title &&
    JOB_KINDS.every((kind) => one.kinds[kind] === other.kinds[kind])
  )
}

/**
 * Whether `next` is what came after `known`. A job is marked published without a new version, so of two statuses of one
 * version that with fewer queued jobs came later.
 */
export function isNewer(next: CourseChapter, known: CourseChapter | undefined): boolean {
  if (known === undefined || next.version > known.version) return true
  return next.version === known.version && queuedJobs(next) < queuedJobs(known)
}

export function queuedJobs({ kinds }: CourseChapter): number {
  return JOB_KINDS.filter((kind) => kinds[kind] === 'queued').length
}

export function noCounts(): CourseCounts {
  return Object.fromEntries(CHAPTER_STATUSES.map((status) => [status, 0])) as Record<ChapterStatus, number>
}

/** The mean over the chapters, in whole percent, so that only the end is 100; 0 without any. */
export function courseProgress(sum: number, chapters: number): number {
  // Sums of the same fractions in another order differ in their last digits.
  return chapters === 0 ? 0 : Math.min(100, Math.floor(sum / chapters + 1e-6))
}

const COMPLETED: Record<Locale, string> = {
  ko: '이 코스에는 이제 생성 중인 챕터가 없습니다.',
  en: 'No chapter of this course is being generated any more.',
}

/** What `course_completed` says to people. */
export function completedMessage(locale: Locale): string {
  return COMPLETED[locale]
}

function standingOf({ jobs, ...chapter }: ChapterState): ChapterStanding {
  return { ...chapter, kinds: byKind((kind) => jobs[kind].status) }
}
