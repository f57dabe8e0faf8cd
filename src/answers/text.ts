/**
 * Text as workers send it: what cannot be stored, what says nothing, and when two texts are the same.
 */

import { isStorable, toStorable } from '../contract/storable.js'
import { mendControls } from './escapes.js'
import type { Note } from './mend.js'

/** In a longer text commands of LaTeX are not looked for, for time. */
const MAX_MENDED_CHARS = 250_000

/** What PostgreSQL can keep: NUL is removed, half a character becomes U+FFFD. Commands of LaTeX are taken back. */
export function cleanText(text: string, note: Note): string {
  const storable = isStorable(text) ? text : toStorable(text)
  if (storable !== text) note('characters')
  const mended = storable.length > MAX_MENDED_CHARS ? storable : mendControls(storable)
  if (mended !== storable) note('latex')
  return mended
}

/** What programs and models write when they have nothing to write. */
const NOTHING = new Set(['undefined', 'null', 'NaN', '[object Object]', 'TBD', 'TODO', 'N/A', 'n/a'])

/** Longest text that is looked at for such a word. */
const MAX_NOTHING = 200

/** Only spaces, or invisible characters. */
export function isBlank(text: string): boolean {
  return /^[\s\p{Cf}\p{Cc}\u115f\u1160\u3164\uffa0\u2800\ufffd]*$/u.test(text)
}

/** A place holder: dots, `undefined`, spaces. An answer may be an operator such as `==`, so signs say something. */
export function saysNothing(text: string): boolean {
  return (
    isBlank(text) || NOTHING.has(text.trim()) || /^["'“”<>[\](){}]*(?:[.…]|\s)+["'“”<>[\](){}]*$/u.test(text)
  )
}

/** As `saysNothing`; prose of signs alone (`---`) says nothing either. */
export function isNoProse(text: string): boolean {
  if (!/[\p{L}\p{N}\p{So}]/u.test(text)) return true
  // With a letter in it, only a short text can be one of those.
  return text.trim().length <= MAX_NOTHING && saysNothing(text)
}

/**
 * Two texts are the same for a reader if they fold to the same: width, case, spaces and the form of Unicode set
 * aside. Only width is taken from the compatibility forms: `x²` is not `x2`.
 */
export function fold(text: string): string {
  return text
    .normalize('NFC')
    .replaceAll(/[\u3000\uff01-\uffef]+/g, (wide) => wide.normalize('NFKC'))
    .toLowerCase()
    .replaceAll(/[\s\u200b\u2060\ufeff\u00ad]/g, '')
    .normalize('NFC')
}

/** Names that were seen: nearly all answers have the same few. */
const bareNames = new Map<string, string>()
const MAX_NAMES = 500
const MAX_NAME_LENGTH = 40

/** A field’s or a type’s name without case, signs and spaces. A long one cannot be a known name, and is left as it is. */
export function bareName(name: string): string {
  if (name.length > MAX_NAME_LENGTH) return name
  const known = bareNames.get(name)
  if (known !== undefined) return known
  // Most names are plain, and an answer may have many thousands.
  const isPlain = /^[\w -]*$/.test(name)
  const bare = isPlain
    ? name.toLowerCase().replaceAll(/[^a-z\d]/g, '')
    : fold(name).replaceAll(/[^\p{L}\p{N}]/gu, '')
  if (bareNames.size < MAX_NAMES) bareNames.set(name, bare)
  return bare
}
