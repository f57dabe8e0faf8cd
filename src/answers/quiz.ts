/**
 * The questions of a quiz. Each is judged by itself: a bad one among good ones can be left out.
 *
 * What depends on the chapter is settled afterwards (`settleQuiz`), where the chapter is known: how many
 * questions it asked for, the language of true and false, the order of the options.
 */
import { DIFFICULTIES, MAX_QUIZZES, QUIZ_TYPES, QuizItem, QuizResult } from '../contract/job.js'
import type { Violation, ViolationCode } from '../contract/problem.js'
import type { Locale } from '../contract/scalar.js'
import { compileCheck } from '../contract/validation.js'
import { findKey, type Option, placeOf } from './key.js'
import type { Mend, Note } from './mend.js'
import { readOptions } from './options.js'
import { orderOptions } from './random-order.js'
import { bareName, cleanText, isBlank, isNoProse } from './text.js'
import { TRUTH_PAIRS, truthOf } from './truth.js'

/** A quiz as far as it can be judged without its chapter. */
export interface ReadQuiz {
  /** The good ones, in order; at least one. */
  quizzes: QuizItem[]
  /** What was wrong with the others. */
  refused?: Violation[]
  /** It is what a model wrote, and no choice of the worker’s: its number is the chapter’s to say. */
  isModelText?: boolean
}

export interface QuizChapter {
  chapterId: number
  locale: Locale
  /** How many questions it asked for. */
  quizCount: number
  /** Of these, how many must be good when others are bad, in [0, 1]. */
  minShare: number
}

/** Length of what is told of bad questions, in characters. */
const MAX_TOLD = 1800
/** More than this are not even looked at. */
const MAX_READ = 200

const checkItem = compileCheck(QuizItem)
const checkQuiz = compileCheck(QuizResult)

/** @returns the good questions, and what is wrong with the others */
export function readQuestions(given: unknown, note: Note): { quizzes: QuizItem[]; refused: Violation[] } {
  if (!Array.isArray(given) || given.length === 0)
    return { quizzes: [], refused: checkQuiz(given === undefined ? {} : { quizzes: given }) }
  if (given.length > MAX_READ)
    return {
      quizzes: [],
      refused: [
        {
          path: '/body/quizzes',
          message: `must NOT have more than ${MAX_READ} items`,
          code: 'too_many',
          limit: MAX_READ,
        },
      ],
    }
  const quizzes: QuizItem[] = []
  const refused: Violation[] = []
  for (const [index, each] of given.entries()) {
    const mended = new Set<Mend>()
    const read = readQuestion(each, (mend) => mended.add(mend))
    if ('item' in read) {
      quizzes.push(read.item)
      for (const mend of mended) note(mend)
    } else
      refused.push(
        ...read.violations.map(({ path, message, ...more }) => ({
          ...more,
          path: path.replace(/^\/body/, `/body/quizzes/${index}`),
          message,
        })),
      )
  }
  return { quizzes, refused }
}

/** What its chapter makes of a quiz that was read, or why it cannot take it. */
export function settleQuiz(
  { quizzes, refused = [], isModelText = false }: ReadQuiz,
  { chapterId, locale, quizCount, minShare }: QuizChapter,
): { result: QuizResult; mended: Mend[] } | { violations: Violation[] } {
  const enough = Math.max(1, Math.ceil(quizCount * minShare - 1e-9))
  if ((refused.length > 0 || isModelText) && quizzes.length < enough) {
    const message = `has ${quizzes.length} good questions; ${quizCount} were asked for, and at least ${enough} are needed`
    return {
      violations: [...shortened(refused), { path: '/body/quizzes', message, code: 'too_few', limit: enough }],
    }
  }
  const isCut =
    (refused.length > 0 || isModelText || quizzes.length > MAX_QUIZZES) && quizzes.length > quizCount
  const kept = isCut ? quizzes.slice(0, quizCount) : quizzes
  return {
    result: {
      quizzes: kept.map((quiz, index) => ({ ...quiz, ...placed(quiz, chapterId, index, locale) })),
    },
    mended: [...(refused.length > 0 ? (['dropped'] as const) : []), ...(isCut ? (['cut'] as const) : [])],
  }
}

function placed(quiz: QuizItem, chapterId: number, index: number, locale: Locale): Partial<QuizItem> {
  const { type, options, correct_answer, question } = quiz
  if (type === 'multiple' && options) return { options: orderOptions(options, chapterId, index) }
  if (type !== 'boolean' || options?.length) return {}
  const [yes, no] = TRUTH_PAIRS[locale]
  return {
    options: [yes, no],
    correct_answer: truthOf(correct_answer, isKorean(question)) === true ? yes : no,
  }
}

function readQuestion(given: unknown, note: Note): { item: QuizItem } | { violations: Violation[] } {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return { violations: checkItem(given) }
  const fields = fieldsOf(given as Record<string, unknown>, note)
  const type = typeOf(fields.type, note)
  const options = readOptions(fields.options, note)
  const texts = options?.options?.map(({ text }) => text)
  const draft: Record<string, unknown> = {
    question: typeof fields.question === 'string' ? cleanText(fields.question, note) : fields.question,
    correct_answer: keyOf(fields.correct_answer, options?.options, options?.flagged, note),
    options: options === undefined ? fields.options : (texts ?? null),
    type,
  }
  for (const name of ['question', 'correct_answer']) if (draft[name] === undefined) delete draft[name]
  // The schema’s word comes first; what it refuses is not told of twice.
  const violations = checkItem(draft)
  const isFine = (name: string) => !violations.some(({ path }) => path.startsWith(`/body/${name}`))
  const refuse: Refuse = (name, message, code = 'invalid', limit) => {
    if (isFine(name))
      violations.push({ path: `/body/${name}`, message, code, ...(limit === undefined ? {} : { limit }) })
  }
  const { question, correct_answer: key } = draft
  if (typeof question === 'string' && isNoProse(question)) refuse('question', 'says nothing', 'says_nothing')
  if (typeof key === 'string' && isBlank(key)) refuse('correct_answer', 'says nothing', 'says_nothing')
  for (const [index, text] of texts?.entries() ?? [])
    if (isBlank(text)) refuse(`options/${index}`, 'says nothing', 'says_nothing')

  if (typeof key === 'string' && isFine('type') && isFine('options'))
    draft.correct_answer = settleKey({ type, key, options: options?.options ?? [], question, refuse, note })
  if (violations.length > 0) return { violations }
  const kept = texts === undefined ? [] : [...new Set(texts)]
  if (texts !== undefined && kept.length < texts.length) note('options')
  return { item: { ...(draft as QuizItem), options: kept.length === 0 ? null : kept } }
}

type Refuse = (name: string, message: string, code?: ViolationCode, limit?: number) => void

interface KeyQuestion {
  type: unknown
  key: string
  options: readonly Option[]
  question: unknown
  refuse: Refuse
  note: Note
}

/** The key as it is stored: of a question with options, the text of one of them. */
function settleKey({ type, key, options, question, refuse, note }: KeyQuestion): string {
  const count = new Set(options.map(({ text }) => text)).size
  if (type === 'short') return shortKey(key, options, refuse, note)
  if (options.length === 0) {
    if (type === 'multiple') refuse('options', 'is required for a multiple choice', 'required')
    else if (truthOf(key, isKorean(question)) === undefined)
      refuse('correct_answer', 'must be true or false: the question has no options')
    return key
  }
  const found = findKeyOf(type, key, options, question)
  if (found === undefined) {
    refuse('correct_answer', `must be one of the options; ${shown(key)} fits none of them, or more than one`)
    return key
  }
  if (count < 2) refuse('options', 'must be at least two different ones', 'too_few', 2)
  if (found.text !== key) note(found.how)
  return found.text
}

function findKeyOf(
  type: unknown,
  key: string,
  options: readonly Option[],
  question: unknown,
): { text: string; how: 'key' | 'truth' } | undefined {
  const text = findKey(key, options)
  const isPair = options.length === 2
  if (type !== 'boolean' && !isPair) return text === undefined ? undefined : { text, how: 'key' }
  const korean = isKorean(question) || options.some((option) => isKorean(option.text) || option.text === 'O')
  const truth = truthOf(key, korean)
  const truths = options.map((option) => truthOf(option.text, korean))
  const isTruth =
    truths.filter((is) => is === true).length === 1 && truths.filter((is) => is === false).length === 1
  // `1` and `0` are true and false to a program, and places to a person: only if both say the same.
  if (isTruth && /^[01]$/.test(key.trim()) && text !== key)
    return key.trim() === '1' && truths[0] === true && text !== undefined ? { text, how: 'key' } : undefined
  if (text !== undefined) return { text, how: 'key' }
  if (truth === undefined || !isTruth) return undefined
  const meant = options[truths.indexOf(truth)]?.text
  return meant === undefined ? undefined : { text: meant, how: 'truth' }
}

/** A short answer stands by itself; but `B` beside options is a place, and might be the answer. */
function shortKey(
  key: string,
  options: readonly Option[],
  refuse: KeyQuestion['refuse'],
  note: Note,
): string {
  if (options.length === 0) return key
  const found = findKey(key, options)
  const isText = options.some(({ text }) => text === key)
  if (placeOf(key) !== undefined && !isText) {
    refuse('correct_answer', `is ${shown(key)}, which may be a place among the options or the answer itself`)
    return key
  }
  if (found !== undefined && found !== key) note('key')
  return found ?? key
}

/** As text: a list of one is that one; what an option says of itself stands in for a key that is missing. */
function keyOf(
  given: unknown,
  options: readonly Option[] | null | undefined,
  flagged: number | undefined,
  note: Note,
): unknown {
  const own = flagged === undefined ? undefined : options?.[flagged]?.text
  if (given === undefined || given === null) {
    if (own !== undefined) note('key')
    return own ?? given
  }
  const key = textOfKey(given, options, note)
  // Both say which one is right, so they have to agree.
  if (typeof key !== 'string' || own === undefined || findKey(key, options ?? []) === own) return key
  return null
}

function textOfKey(given: unknown, options: readonly Option[] | null | undefined, note: Note): unknown {
  if (typeof given === 'string') return cleanText(given, note)
  if (Array.isArray(given) && given.length === 1) {
    note('key')
    return textOfKey(given[0], options, note)
  }
  if (typeof given === 'boolean') {
    note('truth')
    return String(given)
  }
  // A bare number may count from 0 or from 1, so it is taken only as the text of an option.
  if (typeof given === 'number' && options?.some(({ text }) => text === String(given))) {
    note('key')
    return String(given)
  }
  return given
}

const FIELDS = {
  question: ['question', 'questiontext'],
  correct_answer: ['correctanswer', 'answer', 'correctoption', 'correctchoice', 'answerkey'],
  options: ['options', 'choices', 'answeroptions'],
  type: ['type', 'questiontype', 'quiztype'],
} as const

/** Under their own name, else under the one other name that is there. */
function fieldsOf(given: Record<string, unknown>, note: Note): Record<keyof typeof FIELDS, unknown> {
  const names = Object.keys(given)
  const pick = (field: keyof typeof FIELDS) => {
    if (Object.hasOwn(given, field)) return given[field]
    const others = names.filter((name) => (FIELDS[field] as readonly string[]).includes(bareName(name)))
    const [name] = others
    if (name === undefined || others.length > 1) return undefined
    note('names')
    return given[name]
  }
  return {
    question: pick('question'),
    correct_answer: pick('correct_answer'),
    options: pick('options'),
    type: pick('type'),
  }
}

/** Other names of the types, without signs and spaces. */
const TYPES: Record<(typeof QUIZ_TYPES)[number], ReadonlySet<string>> = {
  multiple: new Set(
    (
      'multiple multiplechoice multiplechoicequestion multiplechoices mcq mc choice singlechoice single ' +
      '선택형 객관식 선다형 4지선다 사지선다 4지선다형 사지선다형 5지선다 오지선다 5지선다형 오지선다형'
    ).split(' '),
  ),
  short: new Set(
    'short shortanswer shorttext shortanswerquestion fillintheblank fillinblank 단답형 단답 주관식 단답식 빈칸채우기'.split(
      ' ',
    ),
  ),
  boolean: new Set(
    'boolean bool truefalse trueorfalse truefalsequestion tf yesno yesorno ox ox형 ox퀴즈 ox문제 참거짓 참거짓형 진위형'.split(
      ' ',
    ),
  ),
}

function typeOf(given: unknown, note: Note): unknown {
  if (given === undefined || given === null) return 'multiple'
  if (typeof given !== 'string' || (QUIZ_TYPES as readonly string[]).includes(given)) return given
  const name = bareName(given)
  const known = QUIZ_TYPES.find((type) => TYPES[type].has(name))
  if (known === undefined) return given
  note('names')
  return known
}

const DIFFICULTY_NAMES: Record<(typeof DIFFICULTIES)[number], ReadonlySet<string>> = {
  easy: new Set('easy 쉬움 쉽다 하 초급 beginner low'.split(' ')),
  medium: new Set('medium 보통 중간 중 중급 intermediate normal moderate'.split(' ')),
  hard: new Set('hard 어려움 어렵다 상 고급 difficult advanced high'.split(' ')),
}

/** A difficulty under another name; `medium` where none is named. */
export function difficultyOf(given: unknown, note: Note): unknown {
  if (given === undefined) return 'medium'
  if (typeof given !== 'string' || (DIFFICULTIES as readonly string[]).includes(given)) return given
  const name = bareName(given)
  const known = DIFFICULTIES.find((difficulty) => DIFFICULTY_NAMES[difficulty].has(name))
  if (known === undefined) return given
  note('names')
  return known
}

function isKorean(text: unknown): boolean {
  return typeof text === 'string' && /[가-힣]/.test(text)
}

/** As many as the next attempt can be told of, with the sum that follows: longer texts are cut off (`TEXT_MAX`). */
function shortened(refused: readonly Violation[]): Violation[] {
  let length = 0
  return refused.filter(({ path, message }) => {
    length += path.length + message.length + 3
    return length <= MAX_TOLD
  })
}

/** For the refusal’s text, which the next attempt is told. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80).toWellFormed()}…` : text)
}
