/**
 * A chapter’s progress, from what was reported for it and from its jobs. Percent, 0 to 100.
 */
import { type ChapterState, jobsOf } from './chapter.js'

/** The mean over the kinds, a finished one being 100; whole, so that only the end is 100. */
export function meanProgress(chapter: ChapterState): number {
  const jobs = jobsOf(chapter)
  const sum = jobs.reduce((total, job) => total + (job.status === 'completed' ? 100 : job.progress), 0)
  return Math.floor(sum / jobs.length)
}

/** The highest so far of what was reported for the chapter and the mean over its kinds. */
export function chapterProgress(chapter: ChapterState, reported = 0): number {
  return Math.max(chapter.progress, reported, meanProgress(chapter))
}
