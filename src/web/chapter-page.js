/**
 * Shows what a watch knows. Called for every change, it touches only what differs: focus, open
 * answers, given answers and scroll positions stay.
 */
import { canCancel, canRetry } from './chapter.js'
import { byId, setAttribute, setBar, setText } from './dom.js'
import { openJobs } from './jobs.js'
import { describeError, hideProblem, showProblem } from './problem.js'
import { openSections } from './sections.js'
import { words } from './strings.js'
import { formatDay } from './time.js'
import { openTimeline } from './timeline.js'

/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */

export function openChapterPage() {
  const title = byId('chapter-title', HTMLElement)
  const box = byId('chapter-problem', HTMLElement)
  const jobs = openJobs(byId('jobs', HTMLElement))
  const parts = openSections(byId('content', HTMLElement))
  const timeline = openTimeline(byId('timeline', HTMLElement))
  let problemShown = 'null'

  /** @param {ChapterWatch} watch @param {unknown} error to be shown; null when there is none */
  function show(watch, error) {
    const { chapter } = watch
    showHead(watch)
    showProgress(chapter)
    jobs.show(chapter)
    parts.show(watch)
    timeline.show(watch)
    const problem = error === null ? null : describeError(error)
    if (JSON.stringify(problem) === problemShown) return
    problemShown = JSON.stringify(problem)
    if (problem === null) hideProblem(box)
    else showProblem(box, problem)
  }

  /** @param {ChapterWatch} watch */
  function showHead({ chapter, view, error }) {
    const waiting = chapter.exists === false
    const unknown = waiting || (chapter.status === null && error !== null)
    const status = chapter.status ?? (waiting ? 'waiting' : 'loading')
    setText(byId('chapter-number', HTMLElement), words('chapter_n', { n: chapter.id }))
    setText(title, chapter.title ?? words('chapter_n', { n: chapter.id }))
    setAttribute(title, 'lang', chapter.title === null ? null : chapter.locale)
    const pill = byId('chapter-status', HTMLElement)
    setText(pill, words(`status_${status}`))
    setAttribute(pill, 'data-status', status)
    pill.hidden = unknown && !waiting

    const description = byId('chapter-description', HTMLElement)
    description.hidden = !view?.description
    setText(description, view?.description ?? '')
    setAttribute(description, 'lang', chapter.locale)
    const meta = byId('chapter-meta', HTMLElement)
    meta.hidden = view === null
    if (view !== null) {
      const facts = [words('course_n', { n: view.course_id }), words('owner_n', { n: view.owner_id })]
      setText(meta, `${facts.join(' · ')} · ${words('created')} ${formatDay(view.created_at)}`)
    }

    const note = byId('chapter-waiting', HTMLElement)
    note.hidden = !waiting
    if (waiting) setText(note, words('waiting_text', { n: chapter.id }))
    byId('chapter-progress', HTMLElement).hidden = unknown
    byId('columns', HTMLElement).hidden = unknown
  }

  /** @param {Chapter} chapter */
  function showProgress(chapter) {
    const percent = Math.floor(chapter.progress)
    const bar = byId('whole-bar', HTMLElement)
    setText(byId('whole-percent', HTMLElement), `${percent}%`)
    setBar(bar, percent, `${percent}%, ${words(`status_${chapter.status ?? 'loading'}`)}`)
    setAttribute(bar, 'data-status', chapter.status)
    const message = byId('whole-message', HTMLElement)
    setText(message, chapter.message)
    setAttribute(message, 'lang', chapter.locale)

    const retry = byId('retry', HTMLElement)
    const cancel = byId('cancel', HTMLElement)
    const offers = new Map([
      [retry, canRetry(chapter)],
      [cancel, canCancel(chapter)],
    ])
    for (const [button, possible] of offers) {
      // What cannot be asked is not offered; who just asked for it keeps a place to be.
      if (!possible && button === document.activeElement) title.focus({ preventScroll: true })
      button.hidden = !possible
    }
    byId('actions', HTMLElement).hidden = retry.hidden && cancel.hidden
  }

  return {
    show,
    /** The countdowns alone, every second. @param {Chapter} chapter */
    tick: (chapter) => jobs.show(chapter),
    /** The page speaks another language now: everything is put together anew. */
    translated() {
      timeline.forget()
      problemShown = ''
    },
  }
}
