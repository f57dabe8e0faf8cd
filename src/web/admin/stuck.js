/** What is stuck and why, oldest first. */
import { createElement } from '../dom.js'
import { read } from './api.js'
import {
  actButton,
  actions,
  chapterLink,
  code,
  factsOf,
  jobOf,
  listOf,
  pill,
  reasonOf,
  rowOf,
  when,
} from './parts.js'
import { words } from './strings.js'

/** @typedef {import('../../contract/admin.js').StuckJob} StuckJob */
/** @typedef {import('../../contract/admin.js').StuckWhy} StuckWhy */

/** @type {Record<StuckWhy, 'warn' | 'bad' | 'plain'>} */
const TONES = {
  waiting_for_retry: 'plain',
  paused: 'plain',
  window_full: 'plain',
  not_published: 'bad',
  no_worker_started: 'warn',
  silent: 'warn',
}

/** @type {import('./parts.js').View<import('../../contract/admin.js').StuckList>} */
export const stuck = {
  filters: ['why', 'kind', 'owner_id', 'course_id'],
  read: (query, signal) => read('/stuck', query, signal),
  show: ({ items }, { empty }) => [listOf(empty, items.map(stuckRow))],
}

/** @param {StuckJob} job */
function stuckRow(job) {
  const { chapter_id: chapter, kind, why } = job
  const name = jobOf(kind, chapter)
  return rowOf(
    job.job_id,
    createElement('p', { class: 'head' }, chapterLink(job, name), whyPill(why)),
    createElement('p', {}, becauseOf(why, job.waiting_before)),
    factsOf([
      [words('since'), when(job.since_at)],
      [words(why === 'waiting_for_retry' ? 'until_retry' : 'until_deadline'), when(job.until_at)],
      [words('fact_attempt'), words('attempt', { n: job.attempt, max: job.max_attempts })],
      [words('progress'), job.status === 'published' ? `${job.progress}%` : null],
      [words('requested'), when(job.requested_at)],
      [words('last_failure'), job.error === null ? null : reasonOf(job.error.reason, job.error.message)],
      [words('course'), String(job.course_id)],
      [words('owner'), String(job.owner_id)],
      [words('fact_job'), code(job.job_id)],
    ]),
    jobActions({ chapter, kind, status: job.status }),
  )
}

/** @param {StuckWhy} why */
export function whyPill(why) {
  return pill(words(`why_${why}`), TONES[why])
}

/** @param {StuckWhy} why @param {number | null | undefined} waitingBefore */
export function becauseOf(why, waitingBefore) {
  return words(`because_${why}`, { n: waitingBefore ?? 0 })
}

/**
 * Only an attempt that a worker has can be ended.
 * @param {{ chapter: number, kind: import('chaptercast-client').JobKind, status: StuckJob['status'] }} job
 */
export function jobActions({ chapter, kind, status }) {
  if (status === 'completed' || status === 'cancelled') return null
  const about = jobOf(kind, chapter)
  return actions(
    actButton('restart', { chapter, kind }, words('restart'), about),
    status === 'published' ? actButton('end', { chapter, kind }, words('end'), about) : null,
  )
}
