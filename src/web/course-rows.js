/** The chapters of a course as rows that live: each is made once and changed where it differs. */
import { JOB_KINDS } from 'chaptercast-client'
import { addressOf } from './address.js'
import { createElement, icon, setAttribute, setText } from './dom.js'
import { rights } from './rights.js'
import { words } from './strings.js'
import { formatLeft } from './time.js'

/** @typedef {import('./course.js').Row} Row */
/** @typedef {ReturnType<typeof makeRow>} Shown */

/** @param {HTMLElement} list */
export function openCourseRows(list) {
  /** @type {Map<number, Shown>} */
  const shown = new Map()

  return {
    /** @param {readonly Row[]} rows of this page, in order */
    show(rows) {
      const wanted = new Set(rows.map(({ chapter }) => chapter.chapter_id))
      for (const [id, row] of shown) {
        if (wanted.has(id)) continue
        row.root.remove()
        shown.delete(id)
      }
      const focused = document.activeElement
      rows.forEach((row, index) => {
        const id = row.chapter.chapter_id
        const made = shown.get(id) ?? makeRow(id)
        shown.set(id, made)
        paint(made, row)
        if (list.children[index] !== made.root) list.insertBefore(made.root, list.children[index] ?? null)
      })
      // A row that moved took the focus with it out of the page.
      if (focused instanceof HTMLElement && list.contains(focused) && document.activeElement !== focused)
        focused.focus({ preventScroll: true })
    },
    clear() {
      shown.clear()
      list.replaceChildren()
    },
  }
}

/** @param {number} id */
function makeRow(id) {
  const view = rights().mayChange ? 'teacher' : 'learner'
  const name = createElement('span', { class: 'name', dir: 'auto' })
  const title = createElement(
    'a',
    { href: addressOf({ chapter: id, view }), 'data-chapter': id, 'data-view': view },
    name,
  )
  const pill = createElement('span', { class: 'pill' })
  const number = createElement('span', { class: 'muted' }, `#${id}`)
  const note = createElement('span', { class: 'muted' })
  const kinds = JOB_KINDS.map((kind) => {
    const name = createElement('span', { class: 'kind' })
    const state = createElement('span', { class: 'state' })
    return { kind, name, state, root: createElement('li', {}, icon(kind), name, state) }
  })
  const root = createElement(
    'li',
    { class: 'course-row', 'data-chapter': id },
    title,
    createElement('p', { class: 'facts' }, pill, number, note),
    createElement('ul', { class: 'kinds' }, ...kinds.map((kind) => kind.root)),
  )
  return { root, title, name, pill, note, kinds }
}

/** @param {Shown} shown @param {Row} row */
function paint({ root, title, name: titleText, pill, note, kinds }, { chapter, standing, silentMs }) {
  setAttribute(root, 'data-standing', standing)
  setText(titleText, chapter.title)
  setAttribute(title, 'title', chapter.title)
  setText(pill, words(`status_${standing}`))
  setAttribute(pill, 'data-status', standing === 'queued' ? 'waiting' : standing)
  setText(note, standing === 'stuck' ? words('silent_for', { time: formatLeft(silentMs) }) : '')
  for (const { kind, name, state, root: item } of kinds) {
    const status = chapter.kinds[kind]
    setAttribute(item, 'data-status', status)
    setText(name, words(kind))
    setText(state, words(`job_${status}`))
  }
}
