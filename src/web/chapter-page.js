/**
 * Shows what a watch knows, for one of three people. Called for every change, it touches only what differs: focus,
 * open answers, given answers and scroll positions stay.
 */
import { JOB_KINDS } from 'chaptercast-client'
import { addressOf } from './address.js'
import { openAnswerKey } from './answer-key.js'
import { canCancel, standingOf } from './chapter.js'
import { byId, setAttribute, setBar, setText } from './dom.js'
import { openJobs } from './jobs.js'
import { openLongTitle } from './long-title.js'
import { describeError, hideProblem, showProblem } from './problem.js'
import { rights } from './rights.js'
import { openSections } from './sections.js'
import { words } from './strings.js'
import { formatDay } from './time.js'
import { openTimeline } from './timeline.js'

/** @typedef {import('./address.js').View} View */
/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */
/** @typedef {{ error: unknown, action?: import('./problem.js').Action }} Refused */

/** @param {import('./part-tools.js').Act} act */
export function openChapterPage(act) {
  const article = byId('chapter', HTMLElement)
  const title = byId('chapter-title', HTMLElement)
  const box = byId('chapter-problem', HTMLElement)
  const jobs = openJobs(byId('jobs', HTMLElement))
  const parts = openSections(byId('content', HTMLElement), act)
  const timeline = openTimeline(byId('timeline', HTMLElement))
  const longTitle = openLongTitle(title, byId('title-whole', HTMLButtonElement))
  let problemShown = 'null'
  /** @type {ChapterWatch | null} */
  let shown = null
  openAnswerKey(() => shown && { learning: shown.learning, lang: shown.chapter.locale ?? '' })
  byId('print', HTMLElement).addEventListener('click', () => print())

  /** @param {ChapterWatch} watch @param {View} view @param {Refused | null} refused to be shown */
  function show(watch, view, refused) {
    const { chapter } = watch
    shown = watch
    setAttribute(article, 'data-view', view)
    showHead(watch, view)
    showViews(watch, view)
    showLine(chapter, view)
    showProgress(chapter)
    jobs.show(chapter)
    parts.show(watch, view)
    timeline.show(watch)
    const problem = refused === null ? null : describeError(refused.error, refused.action)
    if (JSON.stringify(problem) === problemShown) return
    problemShown = JSON.stringify(problem)
    if (problem === null) hideProblem(box)
    else showProblem(box, problem)
  }

  /** @param {ChapterWatch} watch @param {View} shownView */
  function showHead({ chapter, view, error }, shownView) {
    const waiting = chapter.exists === false
    const unknown = waiting || (chapter.status === null && error !== null)
    const standing = standingOf(chapter)
    setText(byId('chapter-number', HTMLElement), words('chapter_n', { n: chapter.id }))
    setText(title, chapter.title ?? words('chapter_n', { n: chapter.id }))
    setAttribute(title, 'lang', chapter.title === null ? null : chapter.locale)
    longTitle.look()
    const pill = byId('chapter-status', HTMLElement)
    setText(pill, words(`status_${standing}`))
    setAttribute(pill, 'data-status', standing === 'queued' ? 'waiting' : standing)
    pill.hidden = (unknown && !waiting) || (shownView === 'learner' && !waiting)

    const course = byId('chapter-course', HTMLAnchorElement)
    course.hidden = view === null || !rights().mayWatchCourse(view.course_id)
    if (view !== null) {
      setText(course, words('course_n', { n: view.course_id }))
      setAttribute(course, 'href', addressOf({ course: view.course_id }))
      setAttribute(course, 'data-course', String(view.course_id))
    }
    const description = byId('chapter-description', HTMLElement)
    description.hidden = !view?.description
    setText(description, view?.description ?? '')
    setAttribute(description, 'lang', chapter.locale)
    const meta = byId('chapter-meta', HTMLElement)
    meta.hidden = view === null || shownView === 'learner'
    if (view !== null) {
      const owner = words('owner_n', { n: view.owner_id })
      setText(meta, `${owner} · ${words('created')} ${formatDay(view.created_at)}`)
    }

    const note = byId('chapter-waiting', HTMLElement)
    note.hidden = !waiting
    if (waiting) setText(note, words('waiting_text', { n: chapter.id }))
    byId('chapter-progress', HTMLElement).hidden = unknown || shownView === 'learner'
    byId('columns', HTMLElement).hidden = unknown
    byId('log', HTMLElement).hidden = shownView !== 'details'
    byId('print', HTMLElement).hidden = !JOB_KINDS.some((kind) => chapter.jobs[kind].contentRevision !== null)
  }

  /** The way to the other views, for those who may change the chapter. @param {ChapterWatch} watch @param {View} view */
  function showViews({ chapter }, view) {
    const nav = byId('views', HTMLElement)
    nav.hidden = !rights().mayChange || chapter.status === null
    for (const link of nav.querySelectorAll('a')) {
      const own = /** @type {View} */ (link.dataset.view)
      setAttribute(link, 'href', addressOf({ chapter: chapter.id, view: own }))
      setAttribute(link, 'data-chapter', String(chapter.id))
      setAttribute(link, 'aria-current', own === view ? 'page' : null)
    }
    byId('back', HTMLElement).hidden = !rights().mayChange
    const operate = byId('operate', HTMLAnchorElement)
    operate.hidden = view !== 'details' || !rights().mayOperate
    setAttribute(operate, 'href', `/admin?view=chapter&id=${chapter.id}`)
  }

  /** A learner’s progress. @param {Chapter} chapter @param {View} view */
  function showLine(chapter, view) {
    const line = byId('chapter-line', HTMLElement)
    line.hidden = view !== 'learner' || chapter.status === null
    if (line.hidden) return
    const there = JOB_KINDS.filter((kind) => chapter.jobs[kind].contentRevision !== null).length
    const standing = standingOf(chapter)
    setAttribute(line, 'data-status', standing)
    const percent = standing === 'processing' ? ` · ${chapter.progress}%` : ''
    const parts = standing === 'completed' ? '' : ` · ${words('parts_there', { n: there })}`
    setText(line, `${words(`line_${standing}`)}${parts}${percent}`)
  }

  /** @param {Chapter} chapter */
  function showProgress(chapter) {
    const percent = chapter.progress
    const bar = byId('whole-bar', HTMLElement)
    setText(byId('whole-percent', HTMLElement), `${percent}%`)
    setBar(bar, percent, `${percent}%, ${words(`status_${standingOf(chapter)}`)}`)
    setAttribute(bar, 'data-status', chapter.status)
    const message = byId('whole-message', HTMLElement)
    setText(message, chapter.message)
    setAttribute(message, 'lang', chapter.locale)

    const isCancelled = chapter.status === 'cancelled'
    const cancel = byId('cancel', HTMLElement)
    const same = byId('same-again', HTMLElement)
    const offers = new Map([
      [cancel, canCancel(chapter)],
      [same, isCancelled],
    ])
    for (const [button, possible] of offers) {
      // What cannot be asked is not offered; who just asked for it keeps a place to be.
      if (!possible && button === document.activeElement) title.focus({ preventScroll: true })
      button.hidden = !possible
    }
    byId('cancelled-note', HTMLElement).hidden = !isCancelled
    byId('actions', HTMLElement).hidden = cancel.hidden && same.hidden
  }

  return {
    show,
    /** The countdowns alone, every second. @param {ChapterWatch} watch @param {View} view */
    tick(watch, view) {
      jobs.show(watch.chapter)
      if (view === 'details') parts.show(watch, view)
    },
    /** Another chapter or view: nothing of this one is left. */
    forget() {
      shown = null
      longTitle.fold()
    },
    /** The page speaks another language now: everything is put together anew. */
    translated() {
      timeline.translated()
      parts.translated()
      problemShown = ''
    },
  }
}
