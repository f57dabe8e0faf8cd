/**
 * The event log, for operators: every event of the log once, as it comes, folded by attempt. The attempts that go on
 * are open; those before are closed until somebody opens them.
 */

import { JOB_KINDS } from 'chaptercast-client'
import { splitName } from './chapter.js'
import { byId, createElement, setAttribute, setText } from './dom.js'
import { words } from './strings.js'
import { formatDay, formatTime } from './time.js'

/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {{ kind: JobKind | null, run: number, attempt: number }} Fold */

/** @param {HTMLElement} root */
export function openTimeline(root) {
  /** @type {ChapterWatch['events'] | null} */
  let shown = null
  let count = 0
  /** By name, the newest last. @type {Map<string, { details: HTMLDetailsElement, list: HTMLElement }>} */
  const folds = new Map()
  /** What the person opened or closed, by name: another language changes nothing of it. @type {Map<string, boolean>} */
  const chosen = new Map()
  let sorter = newSorter()
  // It scrolls beside the content: not every browser lets the keyboard scroll it otherwise.
  root.parentElement?.setAttribute('tabindex', '0')

  /** @param {ChapterWatch} watch */
  function show({ events, chapter }) {
    if (events !== shown) {
      if (shown !== null) chosen.clear()
      begin(events)
    }
    const note = byId('timeline-note', HTMLElement)
    note.hidden = events.length > 0 && !chapter.isExpired
    setText(note, words(chapter.isExpired ? 'timeline_expired' : 'timeline_empty'))
    for (const entry of events.slice(count)) foldOf(sorter(entry.event)).list.prepend(describeEntry(entry))
    count = events.length
    // Known from the view, which may come after the events.
    for (const said of root.querySelectorAll('.said')) setAttribute(said, 'lang', chapter.locale)
  }

  /** @param {ChapterWatch['events'] | null} events */
  function begin(events) {
    shown = events
    count = 0
    folds.clear()
    sorter = newSorter()
    root.replaceChildren()
  }

  /** @param {Fold} fold */
  function foldOf(fold) {
    const name = `${fold.kind} ${fold.run} ${fold.attempt}`
    const known = folds.get(name)
    if (known !== undefined) return known
    for (const [earlier, { details }] of folds)
      if (earlier.startsWith(`${fold.kind} `) && !chosen.has(earlier)) details.open = false
    const list = createElement('ol', { reversed: true })
    const details = createElement(
      'details',
      { class: 'fold', open: chosen.get(name) ?? true },
      createElement('summary', {}, titleOf(fold)),
      list,
    )
    details.querySelector('summary')?.addEventListener('click', () => chosen.set(name, !details.open))
    folds.set(name, { details, list })
    root.prepend(details)
    return { details, list }
  }

  return {
    show,
    /** The page speaks another language now: everything is put together anew, and what is open stays so. */
    translated() {
      for (const [name, { details }] of folds) chosen.set(name, details.open)
      begin(null)
    },
  }
}

/** Which attempt an event belongs to: what ends an attempt belongs to that one. */
function newSorter() {
  const now = { concept: start(), exercise: start(), quiz: start() }
  function start() {
    return { run: 1, attempt: 1, isFailed: false }
  }
  /** @param {import('chaptercast-client').ChapterEvent} event @returns {Fold} */
  return ({ name, payload }) => {
    const { kind, what } = splitName(name)
    if (kind === null) {
      if (name === 'chapter_retrying')
        for (const each of JOB_KINDS)
          if (now[each].isFailed) now[each] = { run: now[each].run + 1, attempt: 1, isFailed: false }
      return { kind: null, run: 1, attempt: 1 }
    }
    const job = now[kind]
    if (what === 'regenerating') now[kind] = { run: job.run + 1, attempt: 1, isFailed: false }
    else if (what === 'failed') job.isFailed = true
    else if (what === 'started' && 'attempt' in payload) job.attempt = payload.attempt
    const { run, attempt } = now[kind]
    if (what === 'retrying' && 'attempt' in payload) job.attempt = payload.attempt
    return { kind, run, attempt }
  }
}

/** @param {Fold} fold */
function titleOf({ kind, run, attempt }) {
  if (kind === null) return words('whole_chapter')
  const again = run > 1 ? ` (${words('run_n', { n: run })})` : ''
  return `${words(kind)} · ${words('attempt_n', { n: attempt })}${again}`
}

/** @param {ChapterWatch['events'][number]} entry */
function describeEntry({ event: { name, payload }, isNews }) {
  const { at, seq, message } = payload
  const error = 'error' in payload ? payload.error : undefined
  return createElement(
    'li',
    { class: isNews ? 'live' : '', 'data-seq': seq, 'data-tone': toneOf(name) },
    createElement('p', { class: 'said', dir: 'auto' }, message),
    error ? createElement('p', { class: 'why', dir: 'auto' }, error) : null,
    createElement(
      'p',
      { class: 'facts' },
      createElement('time', { datetime: at, title: formatDay(at) }, formatTime(at)),
      createElement('code', {}, name),
      createElement('span', { 'aria-label': words('event_number', { n: seq }), role: 'img' }, `#${seq}`),
    ),
  )
}

/** @param {string} name */
export function toneOf(name) {
  if (name.endsWith('_completed')) return 'good'
  if (name.endsWith('_failed')) return 'bad'
  if (name.endsWith('_timeout') || name.endsWith('_retrying') || name.endsWith('_cancelled')) return 'warn'
  return 'plain'
}
