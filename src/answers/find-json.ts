/**
 * The JSON in what a model wrote: alone, in a code fence, between sentences, after thoughts; mended where it is
 * nearly JSON. Text that was cut off is not mended, because its end is unknown.
 *
 * Time is bounded for any text: strings are walked by hand, and repairing has a budget.
 */
import { jsonrepair } from 'jsonrepair'
import { mendEscapes } from './escapes.js'
import type { Mend } from './mend.js'

export interface FoundJson {
  value: unknown
  mended: Mend[]
  /** Quotes or names were guessed at by a library; an unknown field is then a sign of a wrong guess. */
  isRebuilt: boolean
}

/** What one answer may still cost. */
export interface SearchBudget {
  /** Of repairs, in characters times marks. */
  repairs: number
  /** Texts that are searched. */
  texts: number
}

/** The library may take the length times the number of quotes and lines; this is some hundredths of a second. */
const MAX_REPAIRS = 20_000_000
/** A single quote that is no part of a text costs the library so many times as much as another mark. */
const SINGLE_QUOTE_MARKS = 10
/** Longer texts are not repaired: no model writes so much. */
const MAX_REPAIRED_CHARS = 200_000
/** An answer is not spread over more texts. */
const MAX_TEXTS = 100
/** Line breaks inside strings. */
const MAX_CONTROLS = 20_000
/** How many places are tried at which JSON might begin. */
const MAX_STARTS = 20
/** And how much is read from them, as a multiple of the text. Beyond that nothing is found for sure. */
const MAX_READS = 3
/** Nothing that is meant is nested so deep or has so many parts, and reading it would take long. */
const MAX_DEPTH = 500
const MAX_PARTS = 50_000

export function searchBudget(): SearchBudget {
  return { repairs: MAX_REPAIRS, texts: MAX_TEXTS }
}

/**
 * Every JSON value in the text that is not part of another, in order.
 * @returns nothing when there is no JSON, or none that can be read with certainty
 */
export function findJson(text: string, budget: SearchBudget): FoundJson[] {
  budget.texts -= 1
  if (budget.texts < 0) return []
  const plain = text.replaceAll('\0', '').replace(/^\ufeff/, '')
  const whole = parse(plain.trim())
  if (whole !== undefined) return [whole]
  const spoken = withoutThoughts(plain)
  for (const candidate of spoken === plain ? [plain] : [spoken, plain]) {
    const found = findInside(candidate, budget)
    if (found.length > 0) return found
  }
  return []
}

/** Thoughts come before the answer; some servers leave out their first mark. */
function withoutThoughts(text: string): string {
  if (/^\s*[{[]/.test(text)) return text
  const end = /<\/(?:think|thinking|thought|reasoning)>/i.exec(text)
  return end === null ? text : text.slice(end.index + end[0].length)
}

function findInside(text: string, budget: SearchBudget): FoundJson[] {
  const found: FoundJson[] = []
  let from = 0
  let left = MAX_READS * text.length
  for (let start = 0; start < MAX_STARTS; start += 1) {
    const at = nextStart(text, from)
    if (at === undefined) return found
    const end = closingOf(text, at)
    // What is inside something that does not end is no answer of its own.
    if (end === undefined) return found.length > 0 ? found : repairRest(text, at, budget)
    left -= end - at
    if (left < 0) return []
    const piece = text.slice(at, end)
    const value = parse(piece) ?? repair(piece, budget)
    if (value !== undefined) found.push(extracted(value, text, at, end))
    from = value === undefined ? at + 1 : end
  }
  return found
}

/** Its quotes are not in order, or its last brackets are missing. */
function repairRest(text: string, at: number, budget: SearchBudget): FoundJson[] {
  const rest = text.slice(at)
  const fenced = rest.slice(0, rest.lastIndexOf('```') < 0 ? rest.length : rest.lastIndexOf('```'))
  const closed = rest.slice(0, Math.max(rest.lastIndexOf('}'), rest.lastIndexOf(']')) + 1)
  for (const candidate of new Set([rest.trimEnd(), fenced.trimEnd(), closed])) {
    const value = candidate === '' ? undefined : repair(candidate, budget)
    if (value !== undefined) return [extracted(value, text, at, at + candidate.length)]
  }
  return []
}

function extracted(found: FoundJson, text: string, from: number, to: number): FoundJson {
  const isAlone = text.slice(0, from).trim() === '' && text.slice(to).trim() === ''
  return isAlone ? found : { ...found, mended: ['extracted', ...found.mended] }
}

/** A bracket that begins JSON, and no `[3]` or `{x}` of a sentence. */
function nextStart(text: string, from: number): number | undefined {
  const start = /\{\s*(?:["'“‘}]|\\"|[A-Za-z_]\w*["']?\s*:|\/[/*])|\[\s*(?:[{"'[]|\\")/g
  start.lastIndex = from
  return start.exec(text)?.index
}

/** Behind the bracket that closes the one at `at`, if the quotes in between are in order. */
function closingOf(text: string, at: number): number | undefined {
  let depth = 0
  for (let index = at; index < text.length; index += 1) {
    const sign = text[index]
    if (sign === '"') index = endOfString(text, index) - 1
    else if (sign === '{' || sign === '[') {
      depth += 1
      if (depth > MAX_DEPTH) return undefined
    } else if (sign === '}' || sign === ']') {
      depth -= 1
      if (depth === 0) return index + 1
    }
  }
  return undefined
}

/** Behind the quote that ends the string which begins at `at`; beyond the text when none does. */
function endOfString(text: string, at: number): number {
  for (let index = at + 1; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1
    else if (text[index] === '"') return index + 1
  }
  return text.length + 1
}

/** The text with every string put through `map`, its quotes included. */
function mapStrings(text: string, map: (string: string, isClosed: boolean) => string): string {
  let mapped = ''
  let from = 0
  for (let at = text.indexOf('"'); at >= 0 && at < text.length; at = text.indexOf('"', from)) {
    const end = endOfString(text, at)
    mapped += text.slice(from, at) + map(text.slice(at, end), end <= text.length)
    from = end
    if (end > text.length) break
  }
  return mapped + text.slice(from)
}

function parse(text: string): FoundJson | undefined {
  if (text === '' || isTooMuch(text)) return undefined
  const escaped = mendEscapes(text)
  const mended: Mend[] = escaped === text ? [] : ['latex']
  const asItIs = parsed(escaped)
  if (asItIs !== undefined) return { ...asItIs, mended, isRebuilt: false }
  const lined = escapeControls(escaped)
  const withLines = lined === escaped ? undefined : parsed(lined)
  return withLines && { ...withLines, mended: [...mended, 'repaired'], isRebuilt: false }
}

function isTooMuch(text: string): boolean {
  let depth = 0
  let parts = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at) - 1
    else if (code === 0x5b || code === 0x7b) {
      depth += 1
      parts += 1
    } else if (code === 0x5d || code === 0x7d) depth -= 1
    if (depth > MAX_DEPTH || parts > MAX_PARTS) return true
  }
  return false
}

function parsed(json: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(json) as unknown }
  } catch {
    return undefined
  }
}

/** Line breaks and tabs inside strings, as escapes. */
function escapeControls(json: string): string {
  if (!/\p{Cc}/u.test(json)) return json
  let escaped = ''
  let from = 0
  let left = MAX_CONTROLS
  let isInside = false
  let isAfterBackslash = false
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at)
    if (code === QUOTE && !isAfterBackslash) isInside = !isInside
    if (isInside && isControl(code)) {
      left -= 1
      if (left < 0) return json
      escaped += json.slice(from, at) + JSON.stringify(json[at]).slice(1, -1)
      from = at + 1
    }
    isAfterBackslash = isInside && code === BACKSLASH && !isAfterBackslash
  }
  return from === 0 ? json : escaped + json.slice(from)
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** As Unicode’s category Cc. */
function isControl(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code < 0xa0)
}

function repair(text: string, budget: SearchBudget): FoundJson | undefined {
  if (text.length > MAX_REPAIRED_CHARS) return undefined
  const marks = countMarks(text, budget.repairs / text.length)
  if (marks === undefined) return undefined
  const unquoted = isEscapedJson(text) ? text.replaceAll('\\"', '"').replaceAll('\\\\', '\\') : text
  const escaped = mendEscapes(unquoted)
  const isMaimed = isCutOff(escaped) || isAbbreviated(escaped)
  if (isMaimed) return undefined
  budget.repairs -= marks * text.length
  for (const candidate of new Set([escapeControls(escaped), escaped])) {
    try {
      const value = JSON.parse(jsonrepair(candidate)) as unknown
      return { value, mended: escaped === text ? ['repaired'] : ['latex', 'repaired'], isRebuilt: true }
    } catch {
      // The next reading may do.
    }
  }
  return undefined
}

/** JSON as a string of which the outer quotes are missing: `{\"title\": …}`. */
function isEscapedJson(text: string): boolean {
  return /^[{[]\s*(?:[{[]\s*)?\\"/.test(text)
}

/** Quotes, lines and backslashes. @returns undefined when there are more than `most` */
function countMarks(text: string, most: number): number | undefined {
  let marks = 0
  let isInside = false
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] ?? ''
    if (!MARKS.includes(sign)) continue
    if (sign === '"' && text[at - 1] !== '\\') isInside = !isInside
    marks += sign === "'" && !isInside ? SINGLE_QUOTE_MARKS : 1
    if (marks > most) return undefined
  }
  return marks
}

const MARKS = '"\'`\n\\'

/** Whether something inside is not complete. Brackets alone may be missing at the very end. */
function isCutOff(text: string): boolean {
  const open: string[] = []
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at]
    if (sign === '"') at = endOfString(text, at) - 1
    else if (sign === '{' || sign === '[') {
      open.push(sign)
      if (open.length > MAX_DEPTH) return true
    } else if (sign === '}' || sign === ']') open.pop()
  }
  const bare = mapStrings(text, (_string, isClosed) => (isClosed ? '""' : '"'))
  if (open.length === 0) return !/[}\]]\s*[;,]?\s*$/.test(bare.slice(-100))
  // `{"title": "a", "content": "b"` and `{"quizzes": [{…}` lack nothing but brackets.
  const end = bare.slice(-100)
  const isFlat = open.join('') === '{' && /(?:""|[}\]])\s*,?\s*$/.test(end)
  const isBetweenItems = ['[', '{['].includes(open.join('')) && /\}\s*,?\s*$/.test(end)
  return !isFlat && !isBetweenItems
}

/** `["a", …]`: the model left something out. */
function isAbbreviated(text: string): boolean {
  const bare = mapStrings(text, () => '""').replaceAll(/'[^'\n]*'/g, "''")
  return /\.\.\.|…/.test(bare)
}
