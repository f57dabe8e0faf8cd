/**
 * A course as its teacher follows it: every chapter as a live row, what needs somebody first, a total, and what can be
 * asked for all of it. The client keeps the list; here is only what is shown of it.
 */
import { countRows, filterRows, rowsOf, STANDINGS } from './course.js'
import { openCourseRows } from './course-rows.js'
import { byId, createElement, setAttribute, setBar, setText } from './dom.js'
import { describeError, hideProblem, showProblem } from './problem.js'
import { rights } from './rights.js'
import { chapters, serverNow } from './server.js'
import { language, words } from './strings.js'

/** @typedef {import('chaptercast-client').CourseSnapshot} CourseSnapshot */

const PAGE = 25
/** What is stuck becomes so by time alone. */
const LOOK_AGAIN_MS = 5000
/** Retries that are asked at once. */
const AT_ONCE = 4

/**
 * @param {{ changed: () => void, say: (text: string, lang: string) => void, refused: (error: unknown) => boolean }} tell
 */
export function openCoursePage(tell) {
  const filter = byId('course-filter', HTMLSelectElement)
  const search = byId('course-search', HTMLInputElement)
  const retry = byId('retry-failed', HTMLButtonElement)
  const box = byId('course-problem', HTMLElement)
  const notice = byId('course-notice', HTMLElement)
  const rows = openCourseRows(byId('course-rows', HTMLUListElement))
  /** @type {{ id: number, watch: import('chaptercast-client').CourseWatch, abort: AbortController } | null} */
  let open = null
  let page = 0
  let isRetrying = false
  /** Something of it was being written while this page looked. */
  let wasBusy = false
  let isDone = false
  /** What a retry was refused with, and when. @type {unknown} */
  let refused = null
  /** How many were asked again; null when nobody asked. @type {number | null} */
  let asked = null

  for (const name of ['all', ...STANDINGS]) filter.append(createElement('option', { value: name }))
  const refilter = () => {
    page = 0
    show()
  }
  filter.addEventListener('change', refilter)
  search.addEventListener('input', refilter)
  byId('page-before', HTMLElement).addEventListener('click', () => turn(-1))
  byId('page-after', HTMLElement).addEventListener('click', () => turn(1))
  retry.addEventListener('click', () => void retryFailed())
  setInterval(() => open !== null && document.visibilityState === 'visible' && show(), LOOK_AGAIN_MS)

  /** @param {number} step */
  function turn(step) {
    page += step
    show()
    byId('course-rows-heading', HTMLElement).focus()
  }

  /** @param {number} id */
  function watchCourse(id) {
    close()
    const abort = new AbortController()
    const watch = chapters.watchCourse(id, { signal: abort.signal })
    open = { id, watch, abort }
    watch.subscribe(() => {
      if (open?.watch !== watch) return
      show()
      tell.changed()
    })
    show()
  }

  function close() {
    open?.abort.abort()
    open = null
    page = 0
    wasBusy = false
    isDone = false
    refused = null
    asked = null
    filter.value = 'all'
    search.value = ''
    rows.clear()
  }

  function failedChapters() {
    const { chapters: all } = /** @type {NonNullable<typeof open>} */ (open).watch.snapshot
    return all.filter(
      ({ status, kinds }) =>
        (status === 'failed' || status === 'processing') && Object.values(kinds).includes('failed'),
    )
  }

  async function retryFailed() {
    if (open === null || isRetrying) return
    const own = open
    const waiting = failedChapters()
    isRetrying = true
    refused = null
    asked = null
    show()
    let accepted = 0
    /** @type {unknown} */
    let error = null
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        try {
          await chapters.retry(next.chapter_id)
          accepted += 1
        } catch (reason) {
          error = reason
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    isRetrying = false
    if (open !== own) return
    asked = accepted
    if (error !== null && !tell.refused(error)) refused = error
    show()
    tell.say(words('retried_n', { n: accepted }), language())
  }

  function show() {
    if (open === null) return
    const { snapshot } = open.watch
    const all = rowsOf(snapshot.chapters, serverNow())
    const counts = countRows(all)
    const isEmpty = snapshot.is_known && all.length === 0
    setText(byId('course-title', HTMLElement), words('course_n', { n: open.id }))
    showNote(snapshot, isEmpty)
    byId('course-progress', HTMLElement).hidden = all.length === 0
    byId('course-list', HTMLElement).hidden = all.length === 0
    byId('list-course-place', HTMLElement).hidden = !rights().mayChange
    showTotal(snapshot, counts)
    showNotice(snapshot)

    for (const option of filter.options) {
      const name = /** @type {import('./course.js').Standing | 'all'} */ (option.value)
      const n = name === 'all' ? all.length : counts[name]
      setText(option, `${words(name === 'all' ? 'filter_all' : `status_${name}`)} (${n})`)
    }
    const wanted = filterRows(all, { standing: filter.value, text: search.value })
    const pages = Math.max(1, Math.ceil(wanted.length / PAGE))
    page = Math.min(Math.max(0, page), pages - 1)
    const from = page * PAGE
    const here = wanted.slice(from, from + PAGE)
    rows.show(here)
    byId('course-none', HTMLElement).hidden = here.length > 0
    byId('course-pages', HTMLElement).hidden = pages === 1
    setText(
      byId('page-now', HTMLElement),
      words('page_now', { from: from + 1, to: from + here.length, all: wanted.length }),
    )
    setAttribute(byId('page-before', HTMLElement), 'aria-disabled', String(page === 0))
    setAttribute(byId('page-after', HTMLElement), 'aria-disabled', String(page === pages - 1))
  }

  /** @param {CourseSnapshot} snapshot @param {boolean} isEmpty */
  function showNote(snapshot, isEmpty) {
    const note = byId('course-waiting', HTMLElement)
    note.hidden = !isEmpty
    if (open !== null) setText(note, words('course_empty', { n: open.id }))
    const error = tell.refused(snapshot.error) ? null : (snapshot.error ?? refused)
    const own = error === snapshot.error ? undefined : 'retry'
    const wanted = error === null ? 'null' : JSON.stringify(describeError(error, own))
    if (box.dataset.shown === wanted) return
    box.dataset.shown = wanted
    if (error === null) hideProblem(box)
    else showProblem(box, describeError(error, own))
  }

  /** @param {CourseSnapshot} snapshot @param {ReturnType<typeof countRows>} counts */
  function showTotal(snapshot, counts) {
    const all = snapshot.chapters.length
    const done = counts.completed
    const total = words('course_total', { n: done, all })
    setText(byId('course-total', HTMLElement), total)
    setBar(byId('course-bar', HTMLElement), all === 0 ? 0 : Math.floor((100 * done) / all), total)
    /** @type {import('./course.js').Standing[]} */
    const others = ['failed', 'stuck', 'processing', 'queued', 'cancelled']
    const parts = others.flatMap((name) =>
      counts[name] === 0 ? [] : [`${words(`status_${name}`)} ${counts[name]}`],
    )
    setText(byId('course-counts', HTMLElement), parts.join(' · '))
    const failed = open === null ? 0 : failedChapters().length
    const hasFocus = document.activeElement === retry
    retry.hidden = !rights().mayChange || (failed === 0 && !isRetrying)
    if (retry.hidden && hasFocus) byId('course-title', HTMLElement).focus({ preventScroll: true })
    setText(retry, isRetrying ? words('retrying_now') : words('retry_failed', { n: failed }))
    setAttribute(retry, 'aria-disabled', String(isRetrying))
    const said = byId('course-asked', HTMLElement)
    said.hidden = asked === null
    setText(said, asked === null ? '' : words('retried_n', { n: asked }))
  }

  /** Told once each time that it becomes so, and it stands there until something moves again. @param {CourseSnapshot} snapshot */
  function showNotice({ is_known: isKnown, completed, counts }) {
    if (isKnown && !completed) wasBusy = true
    const isNow = isKnown && completed && wasBusy
    const text = words(counts.failed > 0 ? 'course_done_failed' : 'course_done', {
      n: counts.completed,
      failed: counts.failed,
    })
    notice.hidden = !isNow
    setText(notice, isNow ? text : '')
    if (isNow && !isDone) tell.say(text, language())
    // What was asked again has ended: whether it went well is told by the rows.
    if (isNow && !isDone) asked = null
    isDone = isNow
  }

  return {
    watch: watchCourse,
    close,
    get id() {
      return open?.id ?? null
    },
    get connection() {
      return open?.watch.snapshot.connection ?? null
    },
    /** For the tab. */
    get name() {
      if (open === null) return ''
      const { snapshot } = open.watch
      const { counts, completed } = snapshot
      const course = words('course_n', { n: open.id })
      if (snapshot.chapters.length === 0) return course
      const sign = !completed
        ? `${counts.completed}/${snapshot.chapters.length}`
        : counts.failed > 0
          ? '✗'
          : '✓'
      return `${sign} ${course}${isDone ? ` · ${words('course_done_short')}` : ''}`
    },
    /** The page speaks another language now. */
    translated() {
      box.dataset.shown = ''
      show()
    },
  }
}
