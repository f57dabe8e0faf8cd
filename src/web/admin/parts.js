/** What several views of the operators’ page are made of. */
import { createElement } from '../dom.js'
import { serverNow } from '../server.js'
import { wordsOr } from '../strings.js'
import { formatDay, formatDistance } from '../time.js'
import { addressOf } from './address.js'
import { words } from './strings.js'

/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {string | Node | null} Value null leaves the fact out */
/** @typedef {import('./address.js').Query} Query */
/**
 * What a view is shown with: its part of the address, the rows that are selected, and the key of the words for none.
 * @typedef {{ query: Query, picked: ReadonlySet<string>, empty: import('./strings.js').StringKey }} Shown
 */
/**
 * @template T
 * @typedef {{
 *   filters: readonly import('./filters.js').FieldName[],
 *   read: (query: Query, signal: AbortSignal) => Promise<T>,
 *   show: (read: T, shown: Shown) => (Node | null)[],
 * }} View
 */

/** @param {JobKind} kind @param {number} chapterId */
export function jobOf(kind, chapterId) {
  return words('job_of', { kind: words(kind), n: chapterId })
}

/** @param {string} key @param {...(Node | null)} children */
export function rowOf(key, ...children) {
  return createElement('li', { class: 'row-of-list', 'data-key': key }, ...children)
}

/** What a row is about, and the way to its whole story. @param {{ chapter_id: number, title?: string }} of @param {string} text */
export function chapterLink({ chapter_id: id, title }, text) {
  return createElement(
    'a',
    { class: 'subject', href: addressOf('chapter', { id }) },
    createElement('span', {}, text),
    title === undefined ? null : createElement('span', { class: 'name', dir: 'auto' }, title),
  )
}

/** @param {string} text @param {'good' | 'warn' | 'bad' | 'busy' | 'plain'} tone */
export function pill(text, tone) {
  return createElement('span', { class: 'pill', 'data-tone': tone }, text)
}

/** A time that is near is told as a distance as well. @param {string | null} at */
export function when(at) {
  if (at === null) return null
  return createElement(
    'span',
    {},
    createElement('time', { datetime: at }, formatDay(at)),
    ` (${formatDistance(at, serverNow())})`,
  )
}

/** @param {readonly [name: string, value: Value][]} list */
export function factsOf(list) {
  const known = list.filter(([, value]) => value !== null && value !== '')
  return createElement(
    'dl',
    { class: 'details' },
    ...known.map(([name, value]) =>
      createElement('div', {}, createElement('dt', {}, name), createElement('dd', {}, value)),
    ),
  )
}

/** @param {string} text */
export function code(text) {
  return createElement('code', {}, text)
}

/** What somebody or something wrote. @param {string | null | undefined} text */
export function said(text) {
  return text ? createElement('p', { class: 'why', dir: 'auto' }, text) : null
}

/** @param {string | null} reason @param {string | null} [error] */
export function reasonOf(reason, error) {
  if (reason === null) return null
  return [wordsOr(`reason_${reason}`, reason), error].filter(Boolean).join(': ')
}

/** @param {string} key @param {string} summary @param {...(Node | null)} children */
export function fold(key, summary, ...children) {
  return createElement('details', { 'data-key': key }, createElement('summary', {}, summary), ...children)
}

/** @param {unknown} value */
export function json(value) {
  const text = JSON.stringify(value, null, 2)
  return createElement('pre', { dir: 'ltr', tabindex: 0, role: 'group', 'aria-label': words('code') }, text)
}

/**
 * A button that asks before it acts; `acts.js` has what each act needs.
 * @param {string} act @param {Record<string, string | number | null>} data
 * @param {string} text @param {string} [about] for those who hear it without its row
 */
export function actButton(act, data, text, about) {
  return createElement(
    'button',
    {
      type: 'button',
      'data-key': act,
      'data-act': act,
      ...Object.fromEntries(Object.entries(data).map(([name, value]) => [`data-${name}`, value])),
    },
    text,
    about === undefined ? null : createElement('span', { class: 'visually-hidden' }, ` ${about}`),
  )
}

/** @param {...(Node | null)} buttons */
export function actions(...buttons) {
  return createElement('div', { class: 'actions' }, ...buttons)
}

/** A part of a view under a heading of its own. @param {string} key @param {string} heading @param {...(Node | null)} children */
export function sectionOf(key, heading, ...children) {
  const id = `part-${key}`
  return createElement(
    'section',
    { 'data-key': key, 'aria-labelledby': id },
    createElement('h2', { id }, heading),
    ...children,
  )
}

/** @param {string} key of its words @param {readonly Node[]} rows */
export function listOf(key, rows) {
  return rows.length === 0
    ? createElement(
        'p',
        { class: 'muted', 'data-key': 'none' },
        words(/** @type {import('./strings.js').StringKey} */ (key)),
      )
    : createElement('ul', { class: 'rows', 'data-key': 'rows' }, ...rows)
}
