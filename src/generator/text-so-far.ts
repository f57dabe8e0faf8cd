/**
 * What can be shown of an answer that is not complete: the JSON is read as far as it goes. Of a concept its `content`, of
 * an exercise its `question`, of a quiz the questions that are whole. The judge reads the complete answer later, and is
 * stricter; what cannot be read here is just not shown.
 */
import { mendEscapes } from '../answers/escapes.js'
import type { JobKind } from '../contract/job.js'

/** What a worker posts as its text so far. */
export type SoFar = { text: string } | { quizzes: { question: string }[] }

const TEXT_FIELDS = { concept: 'content', exercise: 'question' } as const
/** Of the text of a model that thinks aloud, nothing is shown before this. */
const THOUGHTS = /^\s*<(think|thinking|thought|reasoning)>/i
/** Wrappers around an answer are not deeper than that. */
const MAX_DEPTH = 4

/** @returns undefined while there is nothing to show */
export function soFarOf(kind: JobKind, raw: string): SoFar | undefined {
  const spoken = withoutThoughts(raw)
  const start = spoken === undefined ? -1 : spoken.search(/[{[]\s*(?:["{[]|$)/)
  if (spoken === undefined || start < 0) return undefined
  if (kind === 'quiz') {
    const quizzes = questionsOf(spoken, start)
    return quizzes.length === 0 ? undefined : { quizzes }
  }
  const text = fieldOf(spoken, start, TEXT_FIELDS[kind])
  return text === undefined || text === '' ? undefined : { text }
}

function withoutThoughts(raw: string): string | undefined {
  const tag = THOUGHTS.exec(raw)?.[1]
  if (tag === undefined) return raw
  const end = raw.toLowerCase().indexOf(`</${tag.toLowerCase()}>`)
  return end < 0 ? undefined : raw.slice(end + tag.length + 3)
}

/** The value of the first field of that name, as far as it has come. */
function fieldOf(json: string, start: number, name: string): string | undefined {
  let depth = 0
  for (let at = start; at < json.length; at += 1) {
    const sign = json[at]
    if (sign === '{' || sign === '[') depth += 1
    else if (sign === '}' || sign === ']') depth -= 1
    else if (sign === '"') {
      const end = endOfString(json, at)
      const colon = /\s*:\s*"/y
      colon.lastIndex = end
      const isValue = depth <= MAX_DEPTH && json.slice(at + 1, end - 1) === name && colon.test(json)
      if (isValue) return decoded(json, colon.lastIndex - 1)
      at = end - 1
    }
    if (depth === 0) return undefined
  }
  return undefined
}

/** The objects that are complete in the first list of objects. */
function questionsOf(json: string, start: number): { question: string }[] {
  const found: { question: string }[] = []
  const open: { sign: string; at: number }[] = []
  for (let at = start; at < json.length; at += 1) {
    const sign = json[at] ?? ''
    if (sign === '"') at = endOfString(json, at) - 1
    else if (sign === '{' || sign === '[') open.push({ sign, at })
    else if (sign === '}' || sign === ']') {
      const begun = open.pop()
      if (sign === '}' && begun !== undefined && open.at(-1)?.sign === '[') {
        const question = parsed(json.slice(begun.at, at + 1))
        if (question !== undefined) found.push(question)
      }
      if (open.length === 0) break
    }
  }
  return found
}

function parsed(json: string): { question: string } | undefined {
  try {
    const value = JSON.parse(mendEscapes(json)) as { question?: unknown }
    return typeof value.question === 'string' ? { ...value, question: value.question } : undefined
  } catch {
    return undefined
  }
}

/** Behind the quote that ends the string which begins at `at`; beyond the text while none does. */
function endOfString(json: string, at: number): number {
  for (let index = at + 1; index < json.length; index += 1) {
    if (json[index] === '\\') index += 1
    else if (json[index] === '"') return index + 1
  }
  return json.length + 1
}

const ESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** The string that begins with the quote at `at`. */
function decoded(json: string, at: number): string {
  const end = endOfString(json, at)
  const isClosed = end <= json.length
  const come = json.slice(at + 1, isClosed ? end - 1 : json.length)
  // An escape, or a command of LaTeX, that has not come whole.
  const string = isClosed ? come : come.replace(/\\[a-zA-Z0-9]*$/, cutOff)
  return mendEscapes(string).replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|([\s\S]))/g,
    (_found, hex?: string, sign = '') =>
      hex === undefined ? (ESCAPES[sign] ?? sign) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

function cutOff(found: string, offset: number, string: string): string {
  let before = 0
  while (string[offset - 1 - before] === '\\') before += 1
  // Of two backslashes the second begins nothing.
  return before % 2 === 1 ? found : ''
}
