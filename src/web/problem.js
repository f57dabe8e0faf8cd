/**
 * Shows what was refused: beside the fields it is about, in the order of the form, and in one box what is about none.
 * What stands beside a field goes when the field is right, and the box when nothing is left.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { createElement, setAttribute } from './dom.js'
import { language, words, wordsOr } from './strings.js'
import { describeViolation, isMended } from './violation.js'

/** @typedef {import('chaptercast-client').Violation} Violation */
/** @typedef {'create' | 'create_many' | 'retry' | 'cancel' | 'regenerate' | 'restore' | 'revisions'} Action */
/**
 * @typedef {{ title: string, detail: { text: string, lang: string } | null, requestId?: string | undefined,
 *   errors: readonly Violation[] }} Problem
 */

/**
 * An error of the client in words. Other errors are uncaught exceptions.
 * @param {unknown} error @param {Action} [action] that failed
 * @returns {Problem}
 */
export function describeError(error, action) {
  const problem = describe(error)
  if (action === undefined) return problem
  return { ...problem, title: words('action_failed', { action: words(`do_${action}`), why: problem.title }) }
}

/** @param {unknown} error @returns {Problem} */
function describe(error) {
  if (error instanceof UnreachableError) {
    const detail = { text: words('unreachable_detail'), lang: language() }
    return { title: words('unreachable'), detail, errors: [] }
  }
  if (!(error instanceof RefusedError)) throw error
  const { code, message, errors, requestId } = error
  if (code === 'bad_answer')
    return { title: words('bad_answer'), detail: { text: message, lang: 'en' }, errors }
  const title = wordsOr(`problem_${code}`, '')
  // The server’s own words, which are English, where there are no others.
  const detail = title === '' || language() === 'en' ? { text: message, lang: 'en' } : null
  return { title: title || words('refused'), detail, errors, requestId }
}

/**
 * Returns the first field at fault, for the focus; null when it is about none.
 * @param {HTMLElement} box @param {Problem} problem @param {HTMLFormElement} [form]
 * @returns {HTMLElement | null}
 */
export function showProblem(box, problem, form) {
  hideProblem(box, form)
  /** @type {HTMLElement | null} */
  let first = null
  let rest = [...problem.errors]
  /** @type {Set<HTMLElement>} */
  const wrong = new Set()
  for (const field of form === undefined ? [] : fieldsOf(form)) {
    const own = rest.filter((violation) => violation.path.split('/')[2] === field.name)
    if (own.length === 0) continue
    rest = rest.filter((violation) => !own.includes(violation))
    first ??= field
    wrong.add(field)
    showBeside(field, own)
    field.addEventListener('input', function look() {
      const left = field.hasAttribute('aria-invalid')
        ? own.filter((violation) => !isMended(field.value, violation))
        : []
      showBeside(field, left)
      if (left.length > 0) return
      field.removeEventListener('input', look)
      wrong.delete(field)
      if (wrong.size === 0 && rest.length === 0) box.hidden = true
    })
  }
  const list = rest.map((violation) => {
    const { text, lang } = describeViolation(violation)
    return createElement('li', { lang }, createElement('code', {}, violation.path), ` ${text}`)
  })
  const { detail } = problem
  box.append(createElement('strong', {}, problem.title))
  if (list.length > 0) box.append(createElement('ul', {}, ...list))
  else if (first !== null) box.append(createElement('p', {}, words('see_fields')))
  else if (detail !== null) box.append(createElement('p', { lang: detail.lang }, detail.text))
  if (problem.requestId && first === null)
    box.append(createElement('p', { class: 'request-id' }, problem.requestId))
  box.hidden = false
  return first
}

/** @param {HTMLElement} box @param {HTMLFormElement} [form] */
export function hideProblem(box, form) {
  box.hidden = true
  box.replaceChildren()
  for (const field of form === undefined ? [] : fieldsOf(form)) showBeside(field, [])
}

/** @param {HTMLInputElement} field @param {readonly Violation[]} violations */
function showBeside(field, violations) {
  setAttribute(field, 'aria-invalid', violations.length > 0 ? 'true' : null)
  const error = document.getElementById(`${field.id}-error`)
  if (error === null) return
  const said = violations.map(describeViolation)
  error.replaceChildren(...said.map(({ text, lang }) => createElement('span', { lang }, text)))
  error.hidden = said.length === 0
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  return /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input, textarea, select'))
}
