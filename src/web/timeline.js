/**
 * What happened, newest first: every event of the log once, as it comes.
 */
import { byId, createElement, setAttribute, setText } from './dom.js'
import { words } from './strings.js'
import { formatDay, formatTime } from './time.js'

/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */

/** @param {HTMLElement} list */
export function openTimeline(list) {
  /** @type {ChapterWatch['events'] | null} */
  let shown = null
  let count = 0
  // It scrolls beside the content: not every browser lets the keyboard scroll it otherwise.
  list.parentElement?.setAttribute('tabindex', '0')

  /** @param {ChapterWatch} watch */
  function show({ events, chapter }) {
    if (events !== shown) {
      shown = events
      count = 0
      list.replaceChildren()
    }
    const note = byId('timeline-note', HTMLElement)
    note.hidden = events.length > 0 && !chapter.isExpired
    setText(note, words(chapter.isExpired ? 'timeline_expired' : 'timeline_empty'))
    list.prepend(...events.slice(count).map(describeEntry).reverse())
    count = events.length
    // Known from the view, which may come after the events.
    for (const said of list.querySelectorAll('.said')) setAttribute(said, 'lang', chapter.locale)
  }

  return {
    show,
    /** Everything is put together anew. */
    forget() {
      shown = null
    },
  }
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
function toneOf(name) {
  if (name.endsWith('_completed')) return 'good'
  if (name.endsWith('_failed')) return 'bad'
  if (name.endsWith('_timeout') || name.endsWith('_retrying') || name.endsWith('_cancelled')) return 'warn'
  return 'plain'
}
