/**
 * The one judge of what workers hand in. It finds the result in what came (an object, JSON as a string, a bare
 * list of questions, an object around it, or `{raw}`, a model’s own text), mends what can be mended without
 * guessing, and says what is wrong with the rest.
 *
 * Guarantees: pure and total, it never throws; what it lets through is as `contract/job.ts` has it and can be
 * stored; a key is always the text of exactly one option. Two readings are a refusal: no wrong key may be stored.
 * Violations are worded for the next attempt, which is told them, and their paths are those of a webhook’s body.
 */
import { ConceptResult, ExerciseResult, type JobKind } from '../contract/job.js'
import type { Violation, ViolationCode } from '../contract/problem.js'
import { isRecord } from '../contract/record.js'
import { compileCheck } from '../contract/validation.js'
import { type FoundJson, findJson, type SearchBudget, searchBudget } from './find-json.js'
import type { Mend, Note } from './mend.js'
import { difficultyOf, type ReadQuiz, readQuestions } from './quiz.js'
import { bareName, cleanText, isNoProse, saysNothing } from './text.js'

/** What a worker handed in, as far as it can be judged without its chapter. */
export type Answer =
  | { kind: 'concept'; result: ConceptResult }
  | { kind: 'exercise'; result: ExerciseResult }
  /** `settleQuiz` makes the result of it. */
  | { kind: 'quiz'; result: ReadQuiz }

export type Verdict = { answer: Answer; mended: Mend[] } | { violations: Violation[] }

/** A result is found at most so deep in objects and strings around it. */
const MAX_DEPTH = 4
/** Nothing that is meant as a result, or around one, has so many fields; comparing their names would take long. */
const MAX_FIELDS = 1000
/** Of a refusal, so that it can be read. */
const MAX_VIOLATIONS = 20

const TOO_MANY_FIELDS: Verdict = {
  violations: [{ path: '/body', message: `has more than ${MAX_FIELDS} fields`, code: 'invalid' }],
}

export function judgeAnswer(kind: JobKind, given: unknown): Verdict {
  if (hasManyFields(given)) return TOO_MANY_FIELDS
  const own = isRecord(given) ? withoutWork(given) : given
  const raw = isRecord(own) && typeof own.raw === 'string' && !isShaped(kind, own) ? own.raw : undefined
  const handedIn = raw ?? own
  const readings = readingsOf(kind, handedIn, searchBudget())
  const verdicts = readings.map((reading) => verdictOn(kind, reading))
  const good = verdicts.filter((verdict) => 'answer' in verdict)
  const [first] = good
  if (good.length > 1 && new Set(good.map(({ answer }) => contentOf(answer))).size > 1)
    return refusal(raw, 'holds more than one result, and nothing says which one counts', 'invalid')
  if (first !== undefined) return first
  const [refused] = verdicts
  if (refused !== undefined) return refused
  if (typeof handedIn === 'string')
    return refusal(raw, 'holds no complete JSON object with the result', 'not_json')
  return verdictOn(kind, { value: own, mended: [], isRebuilt: false, isModelText: false })
}

/** Two readings with the same content are one. */
function contentOf({ result }: Answer): string {
  return JSON.stringify('quizzes' in result ? result.quizzes : result)
}

function refusal(raw: string | undefined, message: string, code: ViolationCode): Verdict {
  return { violations: [{ path: raw === undefined ? '/body' : '/body/raw', message, code }] }
}

interface Reading extends FoundJson {
  /** It stood in text, as a model writes it, and did not come as JSON of the worker’s own. */
  isModelText: boolean
}

/** Everything in what was handed in that has the shape of a result, whether or not it is a good one. */
function readingsOf(kind: JobKind, given: unknown, budget: SearchBudget, depth = 0): Reading[] {
  if (depth > MAX_DEPTH || hasManyFields(given)) return []
  if (typeof given === 'string') return readingsOfText(kind, given, budget, depth)
  const plain = { value: given, mended: [], isRebuilt: false, isModelText: false }
  if (isShaped(kind, given)) return [plain]
  if (kind === 'quiz' && Array.isArray(given) && given.some(isQuestion))
    return [{ ...plain, value: { quizzes: given }, mended: ['unwrapped'] }]
  if (typeof given !== 'object' || given === null) return []
  if (Array.isArray(given) && given.length !== 1) return []
  const inner = Object.values(given).flatMap((value) =>
    isPlainText(value) ? [] : readingsOf(kind, value, budget, depth + 1),
  )
  if (inner.length > 0)
    return inner.map((reading) => ({ ...reading, mended: [...reading.mended, 'unwrapped'] }))
  return kind === 'quiz' && isQuestion(given)
    ? [{ ...plain, value: { quizzes: [given] }, mended: ['unwrapped'] }]
    : []
}

function readingsOfText(kind: JobKind, text: string, budget: SearchBudget, depth: number): Reading[] {
  const found = findJson(text, budget)
  // Questions one after the other, without a list around them.
  if (kind === 'quiz' && found.length > 1 && found.every(({ value }) => isQuestion(value)))
    return [
      {
        value: { quizzes: found.map(({ value }) => value) },
        mended: ['unwrapped', ...found.flatMap(({ mended }) => mended)],
        isRebuilt: found.some(({ isRebuilt }) => isRebuilt),
        isModelText: true,
      },
    ]
  const readings = found.flatMap(({ value, mended, isRebuilt }) =>
    readingsOf(kind, value, budget, depth + 1).map((reading) => ({
      value: reading.value,
      mended: [...mended, ...(typeof value === 'string' ? (['unwrapped'] as const) : []), ...reading.mended],
      isRebuilt: isRebuilt || reading.isRebuilt,
      isModelText: true,
    })),
  )
  if (readings.length > 0) return readings
  // None of them is a result: the judge says of the first object what it lacks.
  const nearest = found.find(({ value }) => isRecord(value))
  return nearest === undefined ? [] : [{ ...nearest, isModelText: true }]
}

/** A string without brackets holds no result; most strings are such, and need not be searched. */
function isPlainText(value: unknown): boolean {
  return typeof value === 'string' && !/[{[]/.test(value)
}

/** The fields by which a result is known, and the other names of the list of questions. */
const SHAPES: Record<JobKind, readonly string[]> = {
  concept: ['title', 'content'],
  exercise: ['question', 'answer'],
  quiz: [],
}
const LISTS = ['quizzes', 'quiz', 'questions', 'quizlist']

function isShaped(kind: JobKind, value: unknown): boolean {
  if (!isRecord(value)) return false
  if (kind === 'quiz') return Array.isArray(listIn(value)?.list)
  const names = Object.keys(value).map(bareName)
  return SHAPES[kind].every((name) => names.includes(name))
}

function isQuestion(value: unknown): boolean {
  if (!isRecord(value)) return false
  const names = Object.keys(value).map(bareName)
  return (
    names.includes('question') &&
    (names.includes('correctanswer') || names.includes('options') || names.includes('answer'))
  )
}

/** The list under its own name, else under the only other name that holds one. */
function listIn(value: Record<string, unknown>): { list: unknown; isRenamed: boolean } | undefined {
  if (Object.hasOwn(value, 'quizzes')) return { list: value.quizzes, isRenamed: false }
  const names = Object.keys(value).filter(
    (name) => LISTS.includes(bareName(name)) && Array.isArray(value[name]),
  )
  const [name] = names
  return name === undefined || names.length > 1 ? undefined : { list: value[name], isRenamed: true }
}

const checkConcept = compileCheck(ConceptResult)
const checkExercise = compileCheck(ExerciseResult)

function hasManyFields(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length > MAX_FIELDS
}

function verdictOn(kind: JobKind, reading: Reading): Verdict {
  if (hasManyFields(reading.value)) return TOO_MANY_FIELDS
  const mended = new Set<Mend>(reading.mended)
  const note: Note = (mend) => void mended.add(mend)
  const { value, isModelText } = reading
  if (reading.isRebuilt && hasStrangers(kind, value))
    return refused([
      { path: '/body', message: 'is broken JSON that can be read in more than one way', code: 'not_json' },
    ])
  if (kind === 'quiz') {
    const found = isRecord(value) ? listIn(value) : undefined
    if (!isRecord(value)) return refused(checkConcept(value).slice(0, 1))
    if (found?.isRenamed) note('names')
    const { quizzes, refused: bad } = readQuestions(found?.list, note)
    if (quizzes.length === 0) return refused(bad)
    return { answer: { kind, result: { quizzes, refused: bad, isModelText } }, mended: [...mended] }
  }
  if (kind === 'concept') {
    if (!isRecord(value)) return refused(checkConcept(value))
    const result = textsOf(value, ['title', 'content'], note)
    const violations = checkConcept(result)
    addSilence(violations, result, ['title', 'content'], isNoProse)
    return violations.length > 0
      ? refused(violations)
      : { answer: { kind, result: result as ConceptResult }, mended: [...mended] }
  }
  if (!isRecord(value)) return refused(checkExercise(value))
  const result = textsOf(value, ['question', 'answer'], note)
  result.difficulty = difficultyOf(fieldOf(value, 'difficulty', note), note)
  const violations = checkExercise(result)
  addSilence(violations, result, ['question'], isNoProse)
  addSilence(violations, result, ['answer'], saysNothing)
  return violations.length > 0
    ? refused(violations)
    : { answer: { kind, result: result as ExerciseResult }, mended: [...mended] }
}

/** In JSON with broken quotes, an unknown field may be a piece of a text. */
function hasStrangers(kind: JobKind, value: unknown): boolean {
  if (kind === 'quiz' || !isRecord(value)) return false
  const known = [...SHAPES[kind], 'difficulty']
  return Object.keys(value).some((name) => !known.includes(bareName(name)))
}

function refused(violations: Violation[]): Verdict {
  return { violations: violations.slice(0, MAX_VIOLATIONS) }
}

function addSilence(
  violations: Violation[],
  result: Record<string, unknown>,
  names: string[],
  isSilent: (text: string) => boolean,
): void {
  for (const name of names) {
    const text = result[name]
    const path = `/body/${name}`
    if (
      typeof text === 'string' &&
      isSilent(text) &&
      !violations.some((violation) => violation.path === path)
    )
      violations.push({ path, message: 'says nothing', code: 'says_nothing' })
  }
}

function textsOf(value: Record<string, unknown>, names: string[], note: Note): Record<string, unknown> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const field = fieldOf(value, name, note)
      if (field === undefined) return []
      return [[name, typeof field === 'string' ? cleanText(field, note) : field]]
    }),
  )
}

/** Under its own name, else in other letters: `Title`. */
function fieldOf(value: Record<string, unknown>, name: string, note: Note): unknown {
  if (Object.hasOwn(value, name)) return value[name]
  const others = Object.keys(value).filter((other) => bareName(other) === name)
  const [other] = others
  if (other === undefined || others.length > 1) return undefined
  note('names')
  return value[other]
}

/** Without the names of the work, which are the door’s to read. */
function withoutWork({ job_id, attempt, ...own }: Record<string, unknown>): Record<string, unknown> {
  return own
}
