/**
 * The text so far of one job, and the difference between two of them. Pure.
 *
 * A worker counts the units that it sent. What is shown may be shorter: NUL is left out, and half a character at the end
 * waits for its other half. So `length` counts as the worker does, and changes count in what is shown.
 */
import type { PartialQuestion } from '../contract/partial.js'
import { toStorable } from '../contract/storable.js'

/** Text, or the questions of a quiz. */
export type PartialContent = string | readonly PartialQuestion[]

export interface PartialText {
  /** What is shown. */
  content: PartialContent
  /** What was sent: UTF-16 units, or questions. */
  length: number
  /** The first half of a character at the end; it is counted, and not shown yet. */
  half: string
}

/** What follows the first `offset` units or questions. */
export interface PartialChange {
  offset: number
  content: PartialContent
}

export function wholeText(text: string): PartialText {
  return appendText({ content: '', length: 0, half: '' }, text)
}

export function appendText(before: PartialText, text: string): PartialText {
  const joined = before.half + text
  const half = /[\ud800-\udbff]$/.exec(joined)?.[0] ?? ''
  const shown = half === '' ? joined : joined.slice(0, -1)
  return {
    content: `${before.content}${toStorable(shown)}`,
    length: before.length + text.length,
    half,
  }
}

export function wholeQuestions(questions: readonly PartialQuestion[]): PartialText {
  return { content: questions, length: questions.length, half: '' }
}

/** @returns undefined when both are the same */
export function changeBetween(before: PartialContent, after: PartialContent): PartialChange | undefined {
  if (typeof before === 'string' && typeof after === 'string') {
    const offset = commonLength(before, after)
    const isSame = offset === before.length && offset === after.length
    return isSame ? undefined : { offset, content: after.slice(offset) }
  }
  // The kind of a job never changes, but what another node says of it may be anything.
  if (typeof before === 'string' || typeof after === 'string') return { offset: 0, content: after }
  let offset = 0
  while (offset < before.length && offset < after.length && isSameQuestion(before[offset], after[offset]))
    offset += 1
  const isSame = offset === before.length && offset === after.length
  return isSame ? undefined : { offset, content: after.slice(offset) }
}

export function applyChange(before: PartialContent, { offset, content }: PartialChange): PartialContent {
  if (typeof content === 'string')
    return (typeof before === 'string' ? before.slice(0, offset) : '') + content
  return [...(typeof before === 'string' ? [] : before.slice(0, offset)), ...content]
}

/** About what it takes in memory, in bytes. */
export function sizeOf(content: PartialContent): number {
  if (typeof content === 'string') return 2 * content.length
  return content.reduce(
    (sum, { question, options }) =>
      sum + 100 + 2 * question.length + (options ?? []).reduce((all, { length }) => all + 20 + 2 * length, 0),
    0,
  )
}

/** Never in the middle of a character. */
function commonLength(one: string, other: string): number {
  const most = Math.min(one.length, other.length)
  let length = 0
  // Nearly always one begins with the other, which is compared at once.
  if (one.length <= other.length ? other.startsWith(one) : one.startsWith(other)) length = most
  else while (length < most && one.charCodeAt(length) === other.charCodeAt(length)) length += 1
  const isInside = length > 0 && (isHigh(one, length - 1) || isHigh(other, length - 1))
  return isInside && length < Math.max(one.length, other.length) ? length - 1 : length
}

function isHigh(text: string, at: number): boolean {
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit <= 0xdbff
}

function isSameQuestion(one: PartialQuestion | undefined, other: PartialQuestion | undefined): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other)
}
