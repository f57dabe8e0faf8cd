/**
 * Everything an operator can do: what is asked before, what is sent, and what is said afterwards.
 */
import { createElement } from '../dom.js'
import { ask } from './api.js'
import { REASONS } from './filters.js'
import { jobOf } from './parts.js'
import { describeFilter } from './redrives.js'
import { words } from './strings.js'

/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('../../contract/admin.js').Redrive} Redrive */
/** @typedef {Record<string, string>} Data of the button */
/** @typedef {{ text: (name: string) => string | undefined, number: (name: string) => number | undefined, has: (name: string) => boolean }} Given */
/**
 * @typedef {{ question: string, lines: string[], yes: string, isGrave?: boolean, fields?: Node[],
 *   send: (given: Given) => Promise<unknown>, done: (answer: unknown) => string }} Act
 */

const RATE = 10

export const ACTS = { end, restart, pause, resume, redrive, cancel_redrive: cancelRedrive, resend }

/** @param {Data} data @returns {Act} */
function end({ chapter, kind }) {
  const job = jobOf(/** @type {JobKind} */ (kind), Number(chapter))
  const reasons = REASONS.map((reason) =>
    createElement('option', { value: reason }, words(`reason_${reason}`)),
  )
  return {
    question: words('end_question'),
    lines: [job, words('end_text')],
    yes: words('end_yes'),
    isGrave: true,
    fields: [
      field('reason', words('field_reason'), createElement('select', {}, ...reasons)),
      field('error', optional(words('end_error')), createElement('textarea', { rows: 2, dir: 'auto' })),
      createElement(
        'label',
        { class: 'check' },
        createElement('input', { type: 'checkbox', name: 'final' }),
        createElement('span', {}, words('end_final')),
      ),
    ],
    send: ({ text, has }) =>
      ask('POST', `/chapter/${chapter}/${kind}/end`, {
        reason: text('reason'),
        error: text('error'),
        retryable: !has('final'),
      }),
    done: () => words('end_done', { job }),
  }
}

/** @param {Data} data @returns {Act} */
function restart({ chapter, kind }) {
  const job = jobOf(/** @type {JobKind} */ (kind), Number(chapter))
  return {
    question: words('restart_question'),
    lines: [job, words('restart_text')],
    yes: words('restart_yes'),
    send: () => ask('POST', `/chapter/${chapter}/${kind}/restart`),
    done: () => words('restart_done', { job }),
  }
}

/** @param {Data} data @returns {Act} */
function pause(data) {
  const kind = words(/** @type {JobKind} */ (data.kind))
  const reason = createElement('input', { type: 'text', dir: 'auto', autocomplete: 'off' })
  return {
    question: words('pause_question', { kind }),
    lines: [words('pause_text')],
    yes: words('pause_yes'),
    isGrave: true,
    fields: [field('reason', optional(words('pause_reason')), reason)],
    send: ({ text }) => ask('POST', `/kinds/${data.kind}/pause`, { reason: text('reason') }),
    done: () => words('pause_done', { kind }),
  }
}

/** @param {Data} data @returns {Act} */
function resume(data) {
  const kind = words(/** @type {JobKind} */ (data.kind))
  return {
    question: words('resume_question', { kind }),
    lines: [words('resume_text')],
    yes: words('resume_yes'),
    send: () => ask('POST', `/kinds/${data.kind}/resume`),
    done: () => words('resume_done', { kind }),
  }
}

/** Jobs by their ids, or by a filter as the address has it. @param {Data} data @returns {Act} */
function redrive(data) {
  const ids = data.ids?.split(',')
  const filter = data.filter === undefined ? undefined : JSON.parse(data.filter)
  const isAll = filter !== undefined && Object.keys(filter).length === 0
  const n = ids?.length ?? 0
  const question =
    n === 1
      ? words('redrive_question_one')
      : n > 1
        ? words('redrive_question_ids', { n })
        : words(isAll ? 'redrive_question_all' : 'redrive_question_filter')
  const matches =
    filter === undefined || isAll ? [] : [words('redrive_matches', { filter: describeFilter(filter) })]
  const rate = createElement('input', {
    type: 'text',
    inputmode: 'numeric',
    autocomplete: 'off',
    value: RATE,
  })
  const limit = createElement('input', { type: 'text', inputmode: 'numeric', autocomplete: 'off' })
  return {
    question,
    lines: [...(data.about === undefined ? [] : [data.about]), ...matches, words('redrive_text')],
    yes: words('redrive_yes'),
    fields: [
      ...(n === 1 ? [] : [field('rate_per_s', words('redrive_rate'), rate)]),
      ...(filter === undefined ? [] : [field('limit', optional(words('redrive_limit')), limit)]),
    ],
    send: ({ number }) =>
      ask('POST', '/dead-letters/redrive', {
        ids,
        filter,
        rate_per_s: number('rate_per_s'),
        limit: number('limit'),
      }),
    done: (answer) => words('redrive_done', { n: /** @type {Redrive} */ (answer).redrive_id }),
  }
}

/** @param {Data} data @returns {Act} */
function cancelRedrive({ id = '' }) {
  return {
    question: words('cancel_redrive_question', { n: id }),
    lines: [words('cancel_redrive_text')],
    yes: words('cancel_redrive_yes'),
    isGrave: true,
    send: () => ask('DELETE', `/redrives/${id}`),
    done: () => words('cancel_redrive_done', { n: id }),
  }
}

/** @param {Data} data @returns {Act} */
function resend({ chapter = '', seq = '' }) {
  const notice = words('notice_of', { n: chapter, seq })
  return {
    question: words('resend_question'),
    lines: [notice, words('resend_text')],
    yes: words('resend_yes'),
    send: () => ask('POST', `/deliveries/${chapter}/${seq}/resend`),
    done: () => words('resend_done', { notice }),
  }
}

/** @param {string} name as the API calls it @param {string | Node} label @param {HTMLElement} control */
function field(name, label, control) {
  const id = `ask-${name}`
  control.id = id
  control.setAttribute('name', name)
  control.setAttribute('aria-describedby', `${id}-error`)
  const error = createElement('p', { class: 'error', id: `${id}-error`, hidden: true })
  return createElement('div', { class: 'field' }, createElement('label', { for: id }, label), control, error)
}

/** @param {string} text */
function optional(text) {
  return createElement('span', {}, `${text} `, createElement('small', {}, words('optional')))
}
