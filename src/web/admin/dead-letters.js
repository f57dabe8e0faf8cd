/** Jobs that failed for good: what was asked, what came back, and redriving one, some or all that match. */
import { createElement } from '../dom.js'
import { describeAttempt } from '../part-facts.js'
import { read } from './api.js'
import {
  actButton,
  actions,
  chapterLink,
  code,
  factsOf,
  fold,
  jobOf,
  json,
  listOf,
  pill,
  reasonOf,
  rowOf,
  said,
  sectionOf,
  when,
} from './parts.js'
import { redriveRow } from './redrives.js'
import { words } from './strings.js'

/** @typedef {import('../../contract/admin.js').DeadLetterView} DeadLetterView */
/** @typedef {import('./address.js').Query} Query */
/** @typedef {import('../../contract/admin.js').DeadLetterList & { redrives: import('../../contract/admin.js').Redrive[] }} Read */

const REDRIVES = 3
const NUMBERS = ['owner_id', 'course_id']

/** @type {import('./parts.js').View<Read>} */
export const deadLetters = {
  filters: ['kind', 'reason', 'owner_id', 'course_id', 'from', 'to'],
  async read(query, signal) {
    const [list, { items: redrives }] = await Promise.all([
      /** @type {Promise<import('../../contract/admin.js').DeadLetterList>} */ (
        read('/dead-letters', query, signal)
      ),
      /** @type {Promise<import('../../contract/admin.js').RedriveList>} */ (
        read('/redrives', { limit: REDRIVES }, signal)
      ),
    ])
    return { ...list, redrives }
  },
  show({ items, redrives }, { empty, query, picked }) {
    const here = items.filter(({ job_id: id }) => picked.has(id))
    return [
      redrives.length === 0
        ? null
        : sectionOf(
            'redrives',
            words('redrives'),
            createElement('ul', { class: 'rows' }, ...redrives.map(redriveRow)),
          ),
      items.length === 0 ? null : toolbar(items, here, filterOf(query)),
      listOf(
        empty,
        items.map((letter) => deadLetterRow(letter, picked.has(letter.job_id))),
      ),
    ]
  },
}

/** @param {DeadLetterView[]} items @param {DeadLetterView[]} here that are selected @param {object} filter */
function toolbar(items, here, filter) {
  const isFiltered = Object.keys(filter).length > 0
  const ids = here.map(({ job_id: id }) => id).join(',')
  return createElement(
    'div',
    { class: 'toolbar', 'data-key': 'toolbar' },
    checkbox('all', words('select_page'), here.length === items.length),
    actions(
      here.length === 0 ? null : actButton('redrive', { ids }, words('redrive_selected', { n: here.length })),
      createElement(
        'span',
        { 'data-key': 'filter' },
        actButton(
          'redrive',
          { filter: JSON.stringify(filter) },
          words(isFiltered ? 'redrive_all' : 'redrive_everything'),
        ),
      ),
    ),
  )
}

/** @param {DeadLetterView} letter @param {boolean} [isPicked] undefined: it cannot be selected */
export function deadLetterRow(letter, isPicked) {
  const { chapter_id: chapter, kind, job_id: id, reason } = letter
  const name = jobOf(kind, chapter)
  return rowOf(
    id,
    createElement(
      'p',
      { class: 'head' },
      isPicked === undefined ? null : checkbox(id, `${words('select')}: ${name}`, isPicked, true),
      chapterLink(letter, name),
      pill(reasonOf(reason) ?? words('reason_none'), 'bad'),
    ),
    said(letter.error),
    factsOf([
      [words('failed_at'), when(letter.failed_at)],
      [words('fact_attempt'), words('attempt', { n: letter.attempt, max: letter.max_attempts })],
      [words('course'), String(letter.course_id)],
      [words('owner'), String(letter.owner_id)],
      [words('fact_job'), code(id)],
    ]),
    fold(
      'came-back',
      words('what_came_back'),
      letter.attempts.length === 0
        ? createElement('p', { class: 'muted' }, words('nothing_came_back'))
        : createElement(
            'div',
            { class: 'history' },
            createElement('ol', {}, ...letter.attempts.map(describeAttempt)),
          ),
    ),
    fold('asked', words('what_was_asked'), json(letter.message)),
    actions(actButton('redrive', { ids: id, about: name }, words('redrive'), name)),
  )
}

/** @param {string} pick @param {string} text @param {boolean} isPicked @param {boolean} [isBare] its text is only heard */
function checkbox(pick, text, isPicked, isBare = false) {
  return createElement(
    'label',
    { class: 'check', 'data-key': `pick-${pick}` },
    createElement('input', { type: 'checkbox', 'data-pick': pick, checked: isPicked }),
    createElement('span', { class: isBare ? 'visually-hidden' : null }, text),
  )
}

/** As a redrive takes it. @param {Query} query */
function filterOf(query) {
  const names = ['kind', 'reason', 'owner_id', 'course_id', 'from', 'to']
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query[name]
      return value === undefined ? [] : [[name, NUMBERS.includes(name) ? Number(value) : value]]
    }),
  )
}
