/**
 * The form above a view that narrows what it shows. What it holds becomes part of the address; the server says what is
 * wrong with it.
 */
import { JOB_KINDS } from 'chaptercast-client'
import { createElement } from '../dom.js'
import { translate } from '../strings.js'

/** @typedef {import('./address.js').Query} Query */
/** @typedef {import('./strings.js').StringKey} StringKey */
/** @typedef {keyof typeof FIELDS} FieldName */
/** @typedef {{ type: 'number' | 'text' | 'instant' } | { type: 'choice', words: string, choices: readonly string[] }} Field */

/** @type {readonly import('../../contract/job.js').FailureReason[]} */
export const REASONS = ['timeout', 'rate_limited', 'unavailable', 'model_error', 'invalid_result', 'refused']
/** @type {readonly import('../../contract/admin.js').StuckWhy[]} */
const WHYS = ['waiting_for_retry', 'paused', 'window_full', 'not_published', 'no_worker_started', 'silent']
/** @type {readonly import('../../contract/notice.js').DeliveryStatus[]} */
const STATES = ['pending', 'delivered', 'failed']
/** @type {readonly import('../../contract/admin.js').AuditAction[]} */
const ACTIONS = ['pause', 'resume', 'redrive', 'cancel_redrive', 'retry', 'resend', 'end', 'restart']

const FIELDS = {
  kind: choice('', JOB_KINDS),
  why: choice('why_', WHYS),
  reason: choice('reason_', REASONS),
  state: choice('state_', STATES),
  action: choice('action_', ACTIONS),
  owner_id: { type: 'number' },
  course_id: { type: 'number' },
  chapter_id: { type: 'number' },
  id: { type: 'number' },
  actor: { type: 'text' },
  from: { type: 'instant' },
  to: { type: 'instant' },
}

/** @param {string} words what the keys of its words begin with @param {readonly string[]} choices */
function choice(words, choices) {
  return { type: 'choice', words, choices }
}

/** @param {HTMLFormElement} form @param {readonly FieldName[]} names @param {Query} query what it holds at first @param {string} clear the address without any */
export function fillFilters(form, names, query, clear) {
  form.replaceChildren(
    createElement('div', { class: 'filters' }, ...names.map((name) => fieldOf(name, query[name] ?? ''))),
    createElement(
      'div',
      { class: 'actions' },
      createElement('button', { type: 'submit', 'data-words': names[0] === 'id' ? 'open' : 'apply' }),
      names[0] === 'id' ? null : createElement('a', { class: 'tall', href: clear, 'data-words': 'show_all' }),
    ),
  )
  translate(form)
}

/** What the form holds, as the API takes it; empty fields are left out. @param {HTMLFormElement} form @returns {Query} */
export function readFilters(form) {
  /** @type {Query} */
  const query = {}
  for (const [name, value] of new FormData(form)) {
    const text = String(value).trim()
    if (text === '') continue
    const isInstant = name === 'from' || name === 'to'
    query[name] = isInstant ? new Date(text).toISOString() : text.replace(/^#(?=\d)/, '')
  }
  return query
}

/** @param {FieldName} name @param {string} value */
function fieldOf(name, value) {
  const id = `filter-${name}`
  const described = { id, name, 'aria-describedby': `${id}-error` }
  return createElement(
    'div',
    { class: 'field' },
    createElement('label', { for: id, 'data-words': `field_${name}` }),
    controlOf(FIELDS[name], described, value),
    createElement('p', { class: 'error', id: `${id}-error`, hidden: true }),
  )
}

/** @param {ReturnType<typeof choice> | { type: string }} field @param {Record<string, string>} attributes @param {string} value */
function controlOf(field, attributes, value) {
  if ('choices' in field) {
    const any = createElement('option', { value: '', 'data-words': 'any' })
    const options = field.choices.map((each) =>
      createElement('option', {
        value: each,
        'data-words': `${field.words}${each}`,
        selected: each === value,
      }),
    )
    return createElement('select', attributes, any, ...options)
  }
  const kind =
    field.type === 'instant'
      ? { type: 'datetime-local', value: localTime(value) }
      : { type: 'text', value, inputmode: field.type === 'number' ? 'numeric' : 'text' }
  return createElement('input', { ...attributes, ...kind, autocomplete: 'off', enterkeyhint: 'search' })
}

/** As `datetime-local` takes it: the time of this computer, without a zone. @param {string} instant */
function localTime(instant) {
  const ms = Date.parse(instant)
  if (Number.isNaN(ms)) return ''
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
