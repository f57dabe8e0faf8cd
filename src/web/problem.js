/**
 * Shows what was refused: in one box with every violation, and beside the fields it is about.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { createElement, setAttribute } from './dom.js'
import { words, wordsOr } from './strings.js'

/**
 * @typedef {{ title: string, detail: string, requestId?: string | undefined,
 *   errors: readonly import('chaptercast-client').Violation[] }} Problem
 */

/** An error of the client in words. Others are mistakes of ours, and thrown. @param {unknown} error @returns {Problem} */
export function describeError(error) {
  if (error instanceof UnreachableError) {
    return { title: words('unreachable'), detail: words('unreachable_detail'), errors: [] }
  }
  if (!(error instanceof RefusedError)) throw error
  const { code, message, errors, requestId } = error
  const title = code === 'bad_answer' ? words('bad_answer') : wordsOr(`problem_${code}`, words('refused'))
  return { title, detail: message, errors, requestId }
}

/**
 * Returns the first field at fault, for the focus; null when it is about none.
 * @param {HTMLElement} box @param {Problem} problem @param {HTMLFormElement} [form]
 * @returns {HTMLElement | null}
 */
export function showProblem(box, problem, form) {
  const violations = problem.errors
  box.replaceChildren()
  box.append(
    createElement('strong', {}, problem.title),
    // Without violations the detail says more than the title; with them it repeats the first.
    violations.length === 0
      ? createElement('p', {}, problem.detail)
      : createElement('ul', {}, ...violations.map(describeViolation)),
    problem.requestId ? createElement('p', { class: 'request-id' }, problem.requestId) : '',
  )
  box.hidden = false
  if (form === undefined) return null
  /** @type {HTMLElement | null} */
  let first = null
  for (const field of fieldsOf(form)) {
    const own = violations.filter((violation) => violation.path.split('/')[2] === field.name)
    const error = document.getElementById(`${field.id}-error`)
    setAttribute(field, 'aria-invalid', own.length > 0 ? 'true' : null)
    if (error !== null) {
      error.textContent = own.map((violation) => violation.message).join('; ')
      error.lang = 'en'
      error.hidden = own.length === 0
    }
    if (own.length > 0) first ??= field
  }
  return first
}

/** @param {HTMLElement} box @param {HTMLFormElement} [form] */
export function hideProblem(box, form) {
  box.hidden = true
  box.replaceChildren()
  for (const field of form === undefined ? [] : fieldsOf(form)) {
    field.removeAttribute('aria-invalid')
    const error = document.getElementById(`${field.id}-error`)
    if (error !== null) error.hidden = true
  }
}

/** @param {import('chaptercast-client').Violation} violation */
function describeViolation({ path, message }) {
  // The server’s own words, which are English.
  return createElement('li', { lang: 'en' }, createElement('code', {}, path), ` ${message}`)
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  return /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input, textarea, select'))
}
