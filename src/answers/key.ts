/**
 * Which option a key means. A key is the option’s own text, the text in other characters, or a letter or number
 * that says its place. It is found only if exactly one option fits: two readings are none.
 */
import { fold } from './text.js'

export interface Option {
  text: string
  /** What the worker had before it, `B` of `B. 바나나`, or beside it; in upper case. */
  label: string | undefined
  /** As it came, with its letter. */
  given: string
}

/** @returns the text of the one option that fits */
export function findKey(key: string, options: readonly Option[]): string | undefined {
  if (options.some(({ text }) => text === key)) return contradicts(key, options) ? undefined : key
  const whole = only(options, ({ given }) => given === key)
  if (whole !== undefined) return whole

  const folded = fold(key)
  if (folded === '') return undefined
  const same = options.filter(({ text }) => fold(text) === folded)
  if (same.length > 0) return contradicts(key, options) ? undefined : only(same, () => true)
  return only(options, ({ given }) => fold(given) === folded) ?? atPlaceOf(key, options)
}

interface Place {
  /** In upper case. */
  label: string
  /** From 1; NaN for what only the options’ own labels can explain. */
  number: number
}

/** The place that a key is and nothing else: of `B`, `(b)`, `2.`, `②`, `2번`, `Option 2`. */
export function placeOf(key: string): Place | undefined {
  const plain = plainLabel(key).trim().replace(PREFIX, '').trim()
  const found =
    /^[([<]?\s*([A-Za-z]|\d{1,2}|[가나다라마바사아자차ㄱ-ㅎ])\s*[)\]>.:]?\s*(?:번(?:째)?)?\.?$/u.exec(plain)
  return found?.[1] === undefined ? undefined : placeNamed(found[1])
}

/** What people and models write before the letter. */
const PREFIX =
  /^(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)(?:\s+is)?|정답|답|보기|선택지)(?:\s*(?:은|는))?(?:\s*:\s*|\s+|(?=[\d([]))/iu

/** A key that begins with its place: `B) 바나나`. `1.5` does not. */
const PLACE_AND_TEXT =
  /^\s*[([]?\s*(?:([A-Za-z])\s*[)\].:]|(\d{1,2})\s*(?:\.(?!\d)|[)\]]|번\s*[.:)]?))\s*(\S[\s\S]*)$/u

function atPlaceOf(key: string, options: readonly Option[]): string | undefined {
  const place = placeOf(key)
  if (place !== undefined) return atPlace(place, key, options)
  const [, letter, digits, text = ''] = PLACE_AND_TEXT.exec(plainLabel(key).trim().replace(PREFIX, '')) ?? []
  const named = letter ?? digits
  if (named === undefined) return undefined
  const folded = fold(text)
  const meant = only(options, (option) => fold(plainLabel(option.text)) === folded)
  return meant !== undefined && meant === placeIn(placeNamed(named), options) ? meant : undefined
}

/** A place that the options do not name themselves might be their content: any doubt is a refusal. */
function atPlace(place: Place, key: string, options: readonly Option[]): string | undefined {
  const { label, number } = place
  const text = placeIn(place, options)
  if (text === undefined || haveLabels(options, label)) return text
  const mentioning = new Set(
    options.filter((option) => mentions(plainLabel(option.text), place, key)).map((o) => o.text),
  )
  if (mentioning.size > 0) return mentioning.size === 1 && mentioning.has(text) ? text : undefined
  // `2` beside the options 1, 3, 5 and 7 is a wrong answer, and no second place.
  const isOfTheirKind =
    Number.isNaN(number) || /\d/.test(label) ? /^\W*\d/ : /^[^\p{L}\p{N}]*[A-Za-z][^\p{L}\p{N}]*$/u
  return options.some((option) => isOfTheirKind.test(option.text)) ? undefined : text
}

/** Whether a text has the letter or number in it as a word of its own. */
function mentions(text: string, { label, number }: Place, key: string): boolean {
  if (/\d/.test(label)) return new RegExp(String.raw`(?<![\d.])0*${number}(?!\d|\.\d)`, 'u').test(text)
  // An `a` is an article more often than a letter.
  const letter = label === 'A' ? (key.includes('a') ? '[Aa]' : 'A') : label
  return new RegExp(`(?<![A-Za-z])${letter}(?![A-Za-z])`, label === 'A' ? 'u' : 'iu').test(text)
}

/** By the options’ own labels if they have such, else by counting. */
function placeIn({ label, number }: Place, options: readonly Option[]): string | undefined {
  if (haveLabels(options, label)) return only(options, (option) => option.label === label)
  return options[number - 1]?.text
}

/** Whether all have a label, and of that kind: letters, numbers or Korean ones. */
function haveLabels(options: readonly Option[], label: string): boolean {
  const kind = kindOf(label)
  return options.every((option) => option.label !== undefined && kindOf(option.label) === kind)
}

function kindOf(label: string): string {
  return /\d/.test(label) ? 'number' : /[A-Z]/.test(label) ? 'letter' : 'korean'
}

/** `1` is the text of one option and the label of another. */
function contradicts(key: string, options: readonly Option[]): boolean {
  const label = placeOf(key)?.label
  const folded = fold(key)
  return (
    label !== undefined && options.some((option) => option.label === label && fold(option.text) !== folded)
  )
}

function placeNamed(name: string): Place {
  const label = name.toUpperCase()
  if (/\d/.test(label)) return { label: String(Number(label)), number: Number(label) }
  return { label, number: /[A-Z]/.test(label) ? label.charCodeAt(0) - 64 : Number.NaN }
}

/** Full width and enclosed characters as plain ones: `②`, `⑵`, `ⓑ`, `❷`, `Ｂ`. Superscripts stay what they are. */
export function plainLabel(text: string): string {
  return text.replaceAll(/[\u2460-\u24e9\u2776-\u2793\u3260-\u327b\uff01-\uff5e]/gu, (character) => {
    const code = character.charCodeAt(0)
    return code >= 0x2776 && code <= 0x2793 ? String(((code - 0x2776) % 10) + 1) : character.normalize('NFKC')
  })
}

/** The text of the options that fit, if they have one text. */
function only(options: readonly Option[], fits: (option: Option) => boolean): string | undefined {
  const [text, ...others] = new Set(options.filter(fits).map((option) => option.text))
  return others.length === 0 ? text : undefined
}
