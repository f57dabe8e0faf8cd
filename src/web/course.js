/**
 * What the page shows of a course: where each chapter stands, which come first, how many there are of each. Rules only.
 */

/** @typedef {import('chaptercast-client').CourseSnapshot} CourseSnapshot */
/** @typedef {CourseSnapshot['chapters'][number]} CourseChapter */
/** @typedef {'failed' | 'stuck' | 'processing' | 'queued' | 'cancelled' | 'completed'} Standing */
/** @typedef {{ chapter: CourseChapter, standing: Standing, silentMs: number }} Row */

/** No word of a chapter that a worker has begun for so long: it may be stuck. */
const SILENT_MS = 120_000
/** Nor of one that waits for a worker: a queue takes its time. */
const WAITING_MS = 600_000

/** What needs somebody comes first. @type {readonly Standing[]} */
export const STANDINGS = ['failed', 'stuck', 'processing', 'queued', 'cancelled', 'completed']

/** In the order in which they are shown. @param {readonly CourseChapter[]} chapters @param {number} now */
export function rowsOf(chapters, now) {
  return chapters
    .map((chapter) => rowOf(chapter, now))
    .sort(
      (one, other) =>
        STANDINGS.indexOf(one.standing) - STANDINGS.indexOf(other.standing) ||
        one.chapter.chapter_id - other.chapter.chapter_id,
    )
}

/** @param {CourseChapter} chapter @param {number} now @returns {Row} */
function rowOf(chapter, now) {
  const silentMs = Math.max(0, now - Date.parse(chapter.updated_at))
  return { chapter, silentMs, standing: standingOf(chapter, silentMs) }
}

/** @param {CourseChapter} chapter @param {number} silentMs @returns {Standing} */
function standingOf({ status, progress, kinds }, silentMs) {
  if (status !== 'processing') return status
  if (Object.values(kinds).includes('failed')) return 'failed'
  const isBegun = progress > 0
  if (silentMs > (isBegun ? SILENT_MS : WAITING_MS)) return 'stuck'
  return isBegun ? 'processing' : 'queued'
}

/** @param {readonly Row[]} rows @returns {Record<Standing, number>} */
export function countRows(rows) {
  const counts = { failed: 0, stuck: 0, processing: 0, queued: 0, cancelled: 0, completed: 0 }
  for (const { standing } of rows) counts[standing] += 1
  return counts
}

/** @param {readonly Row[]} rows @param {{ standing: string, text: string }} wanted */
export function filterRows(rows, { standing, text }) {
  const needle = text.normalize('NFKC').trim().toLowerCase()
  return rows.filter(
    (row) =>
      (standing === 'all' || row.standing === standing) &&
      (needle === '' ||
        row.chapter.title.normalize('NFKC').toLowerCase().includes(needle) ||
        `#${row.chapter.chapter_id}` === needle),
  )
}
