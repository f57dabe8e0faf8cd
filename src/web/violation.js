/**
 * What is wrong with a field, in the page’s language: from the code and the limit that the server gives with it.
 */
import { language, wordsOr } from './strings.js'

/** @typedef {import('chaptercast-client').Violation} Violation */

/** @param {Violation} violation @returns {{ text: string, lang: string }} */
export function describeViolation({ code, limit, message }) {
  const key = code === 'too_short' && limit === 1 ? 'invalid_required' : `invalid_${code}`
  const values = { limit: Array.isArray(limit) ? limit.join(', ') : (limit ?? '') }
  const text = wordsOr(key, '', values)
  // A code of a newer server: its own words, which are English.
  return text === '' ? { text: message, lang: 'en' } : { text, lang: language() }
}

/** Whether what is in the field now would no longer be refused for this. @param {string} value @param {Violation} violation */
export function isMended(value, { code, limit }) {
  const text = value.trim()
  const length = [...text].length
  const bound = typeof limit === 'number' ? limit : 0
  switch (code) {
    case 'required':
      return text !== ''
    case 'too_short':
      return length >= bound
    case 'too_long':
      return length <= bound
    case 'not_a_number':
      return Number.isSafeInteger(Number(text)) && text !== ''
    case 'too_small':
      return Number(text) >= bound && text !== ''
    case 'too_large':
      return Number(text) <= bound && text !== ''
    default:
      return true
  }
}
