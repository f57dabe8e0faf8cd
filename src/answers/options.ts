/**
 * The options of a question, in any of the shapes in which workers send them. What is none of these shapes stays
 * as it is, for the schema to refuse.
 */
import { isRecord } from '../contract/record.js'
import { type Option, plainLabel } from './key.js'
import type { Note } from './mend.js'
import { bareName, cleanText } from './text.js'

export interface ReadOptions {
  options: Option[] | null
  /** Of the one option that says of itself that it is right. */
  flagged: number | undefined
}

/** More than the schema allows are not looked at: it refuses them. */
const MAX_OPTIONS = 50
const MAX_CHARS = 100_000

/** @returns undefined when these are no options */
export function readOptions(given: unknown, note: Note): ReadOptions | undefined {
  if (given === undefined || given === null) return { options: null, flagged: undefined }
  if (isTooLarge(given)) return undefined
  const shaped = shapeOf(given, note)
  if (shaped === undefined) return undefined
  return { options: withoutLabels(shaped.options, note), flagged: shaped.flagged }
}

function shapeOf(given: unknown, note: Note): (ReadOptions & { options: Option[] }) | undefined {
  if (Array.isArray(given)) {
    if (given.some(isRecord)) return fromRecords(given, note)
    const options = given.flatMap((item) => {
      const text = textOf(item, note)
      return text === undefined ? [] : [plain(text)]
    })
    return options.length === given.length ? { options, flagged: undefined } : undefined
  }
  if (isRecord(given)) return fromRecord(given, note)
  if (typeof given !== 'string') return undefined
  const lines = given.split(/\r?\n/).filter((line) => line.trim() !== '')
  const options = lines.map((line) => plain(cleanText(line.trim(), note)))
  // Only letters or numbers before each show that the lines are the options.
  if (options.length < 2 || sequenceOf(options.map(({ text }) => text)) === undefined) return undefined
  note('options')
  return { options, flagged: undefined }
}

function isTooLarge(given: unknown): boolean {
  if (typeof given === 'string') return given.length > MAX_CHARS
  return typeof given === 'object' && given !== null && Object.keys(given).length > MAX_OPTIONS
}

/** `{"A": "사과", "B": "바나나"}`. */
function fromRecord(given: Record<string, unknown>, note: Note) {
  const entries = Object.entries(given)
  const labels = entries.map(([name]) => labelOf(name.replace(/^(?:option|choice|보기)[\s_-]*/i, '')))
  if (entries.length < 2 || !isSequence(labels)) return undefined
  const options = entries.flatMap(([, value], index) => {
    const text = textOf(value, note)
    return text === undefined ? [] : [{ text, given: text, label: labels[index] }]
  })
  if (options.length !== entries.length) return undefined
  note('options')
  return { options, flagged: undefined }
}

const FLAGS = new Set(['correct', 'iscorrect', 'right', 'isright', 'isanswer'])
/** The likeliest first. A number under `text` is the option itself, and no label. */
const LABELS = ['label', 'id', 'key', 'letter', 'number', 'index', 'no', 'option', 'choice', 'value']
const TEXTS = ['text', 'content', 'option', 'choice', 'value', 'answer', 'label']

/** `[{"label": "A", "text": "사과"}]` or `[{"A": "사과"}, {"B": "바나나"}]`. */
function fromRecords(given: unknown[], note: Note) {
  const records = given.filter(isRecord)
  if (records.length !== given.length) return undefined
  const flags = records.map((record) =>
    Object.entries(record).some(([name, value]) => FLAGS.has(bareName(name)) && value === true),
  )
  const flagged = flags.filter(Boolean).length === 1 ? flags.indexOf(true) : undefined
  const fields = records.map((record) =>
    Object.entries(record).flatMap(([name, value]) => {
      const text = FLAGS.has(bareName(name)) ? undefined : textOf(value, note)
      return text === undefined ? [] : [{ name: bareName(name), text }]
    }),
  )
  if (fields.every((own) => own.length === 1)) {
    const names = fields.map((own) => own[0]?.name ?? '')
    const labels = names.map(labelOf)
    const isNamed = new Set(names).size === 1
    if (!isNamed && !isSequence(labels)) return undefined
    note('options')
    const options = fields.map((own, index) => {
      const text = own[0]?.text ?? ''
      return { text, given: text, label: isNamed ? undefined : labels[index] }
    })
    return { options, flagged }
  }
  const [names = []] = fields.map((own) => own.map(({ name }) => name))
  const column = (name: string) => fields.map((own) => own.find((field) => field.name === name)?.text)
  const labelName = LABELS.find((name) => names.includes(name) && isLabelColumn(column(name)))
  const textName = TEXTS.find((name) => name !== labelName && names.includes(name))
  if (textName === undefined) return undefined
  const texts = column(textName)
  const labels = labelName === undefined ? [] : column(labelName)
  const options = texts.flatMap((text, index) => {
    const label = labels[index]
    return text === undefined
      ? []
      : [{ text, given: text, label: label === undefined ? undefined : labelOf(label) }]
  })
  if (options.length !== records.length) return undefined
  note('options')
  return { options, flagged }
}

function isLabelColumn(texts: (string | undefined)[]): boolean {
  const labels = texts.map((text) => (text === undefined ? undefined : labelOf(text)))
  const known = labels.filter((label) => label !== undefined)
  return known.length === texts.length && known.length > 1 && new Set(known).size === known.length
}

/** Letters before options go when all have them, in their order: `A. Smith` beside `C. Brown` are names. */
function withoutLabels(options: Option[], note: Note): Option[] {
  const stripped = sequenceOf(options.map(({ text }) => text))
  if (stripped === undefined) return options
  note('options')
  return options.map((option, index) => ({
    given: option.text,
    text: stripped[index]?.text ?? option.text,
    label: option.label ?? stripped[index]?.label,
  }))
}

interface Labelled {
  label: string
  text: string
}

/** The texts without their labels, if all have one and these count on from the first. */
function sequenceOf(texts: string[]): Labelled[] | undefined {
  const labelled = texts.flatMap((text) => splitLabel(text) ?? [])
  if (labelled.length !== texts.length || labelled.length < 2) return undefined
  return isSequence(labelled.map(({ label }) => label)) ? labelled : undefined
}

const HANGUL = ['가나다라마바사아자차', 'ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ']

function splitLabel(text: string): Labelled | undefined {
  const enclosed = /^\s*([\u2460-\u24e9\u2776-\u2793])\s*[.:)]?\s*(\S[\s\S]*)$/u.exec(text)
  const [, sign = '', behind = ''] = enclosed ?? []
  const enclosedLabel = sign === '' ? undefined : labelOf(sign)
  if (enclosedLabel !== undefined) return { label: enclosedLabel, text: behind }
  // Of digits only `1.` and `1)`, and no number behind the point: `1.5` and `1:2` are what they are.
  const found =
    /^\s*(?:\(\s*([A-Za-z]|\d{1,2}|[가-힣ㄱ-ㅎ])\s*\)|\[\s*([A-Za-z]|\d{1,2})\s*\]|([A-Za-z가-힣ㄱ-ㅎ])\s?[.)]|(\d{1,2})\s?(?:\.(?!\d)|\))|([A-Za-z])\s?:(?=\s))\s*(\S[\s\S]*)$/u.exec(
      widthOf(text),
    )
  if (found === null) return undefined
  const label = labelOf(found[1] ?? found[2] ?? found[3] ?? found[4] ?? found[5] ?? '')
  const rest = found[6] ?? ''
  // The rest as it came: only the label is read in plain characters.
  return label === undefined ? undefined : { label, text: text.slice(text.length - rest.length) }
}

/** One character for one, so that places stay. */
function widthOf(text: string): string {
  return text.replaceAll(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
}

/** `B`, `b.`, `②`, `2`, `나` as a label in upper case; undefined when the text is no label. */
function labelOf(text: string): string | undefined {
  const plain = plainLabel(text)
    .trim()
    .replace(/^[([]|[)\].:]$/g, '')
    .replace(/[)\].:]$/, '')
  return /^(?:[A-Za-z]|\d{1,2}|[가나다라마바사아자차ㄱ-ㅊ])$/u.test(plain) ? plain.toUpperCase() : undefined
}

/** A, B, C … or 1, 2, 3 … or 가, 나, 다 … */
function isSequence(labels: (string | undefined)[]): boolean {
  return (
    labels.length > 1 &&
    [lettersFrom('A'), numbers, ...HANGUL.map(charactersOf)].some((expected) =>
      labels.every((label, index) => label !== undefined && label === expected(index)),
    )
  )
}

function lettersFrom(first: string): (index: number) => string {
  return (index) => String.fromCharCode(first.charCodeAt(0) + index)
}
function numbers(index: number): string {
  return String(index + 1)
}
function charactersOf(text: string): (index: number) => string | undefined {
  return (index) => text[index]
}

function plain(text: string): Option {
  return { text, given: text, label: undefined }
}

function textOf(value: unknown, note: Note): string | undefined {
  if (typeof value === 'string') return cleanText(value, note)
  if (typeof value !== 'number' && typeof value !== 'boolean') return undefined
  note('options')
  return String(value)
}
