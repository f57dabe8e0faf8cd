/**
 * What a worker’s answer to a job’s POST means. Pure.
 *
 * | Answer | Means |
 * |---|---|
 * | 202, 204, 409, 200 without a result | it has the job and calls back |
 * | 200 with a result or `{raw}` | the finish |
 * | 404, 429, 502, 503, 504 | not now: again later, no attempt is used |
 * | anything else | the attempt failed |
 *
 * A 200 has a result when the judge finds one. When it does not, a body that says no more than “I have it” is no
 * result: an empty one, a single word, a number, or JSON whose texts are short and whose fields are none that results
 * and models’ answers have, such as `{}` and `{"message": "Workflow was started"}`. Anything else was meant as a
 * result, prose too, and is the attempt’s failure.
 */
import { type Answer, judgeAnswer } from '../answers/judge.js'
import type { Mend } from '../answers/mend.js'
import { bareName } from '../answers/text.js'
import type { GenerationMessage } from '../contract/generation.js'
import type { FailureReason } from '../contract/job.js'
import { structureProblem } from '../contract/json-structure.js'
import { isRecord } from '../contract/record.js'
import { toStorable } from '../contract/storable.js'
import type { PostAnswer } from './post.js'

export type Outcome =
  | { type: 'accepted' }
  | { type: 'result'; answer: Answer; mended: Mend[] }
  | { type: 'later'; reason: FailureReason; error: string }
  | { type: 'failed'; reason: FailureReason; error: string }

type Work = Pick<GenerationMessage, 'kind' | 'job_id' | 'attempt'>

/** Not now, rather than not at all. 404 is what n8n says while it starts, and before a workflow is published. */
const AWAY = [404, 502, 503, 504]

export function outcomeOf(
  work: Work,
  { status, body, isCut }: Pick<PostAnswer, 'status' | 'body' | 'isCut'>,
): Outcome {
  if (status === 200) return outcomeOfBody(work, body, isCut)
  if (status === 202 || status === 204 || status === 409) return { type: 'accepted' }
  const error = `the worker answered ${status}${saidIn(body)}`
  if (status === 429) return { type: 'later', reason: 'rate_limited', error }
  if (AWAY.includes(status)) return { type: 'later', reason: 'unavailable', error }
  return { type: 'failed', reason: 'model_error', error }
}

function outcomeOfBody(work: Work, body: Buffer, isCut: boolean): Outcome {
  const invalid = (error: string): Outcome => ({ type: 'failed', reason: 'invalid_result', error })
  if (isCut) return invalid(`the answer is longer than ${body.length} bytes`)
  const problem = structureProblem(body)
  if (problem !== undefined) return invalid(`the answer ${problem}`)
  const text = body
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .trim()
  if (text === '') return { type: 'accepted' }
  const value = parsed(text)
  if (isMessage(value)) return { type: 'accepted' }

  const verdict = judgeAnswer(work.kind, value)
  if ('answer' in verdict)
    return namesOtherWork(work, value)
      ? invalid('the answer names other work')
      : { type: 'result', answer: verdict.answer, mended: verdict.mended }
  const complaint = errorIn(value)
  if (complaint !== undefined)
    return { type: 'failed', reason: 'model_error', error: `the worker answered 200: ${complaint}` }
  if (saysNoMore(value)) return { type: 'accepted' }
  const violations = verdict.violations.map(({ path, message }) => `${path} ${message}`)
  return invalid(violations.join('; '))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What a worker says of itself is short; what a model says is not. */
const MAX_REMARK = 200
const MAX_ERROR = 2000
const MAX_SAID_BYTES = 16_384
const MAX_DEPTH = 4
const ONE_WORD = /^[\p{L}\p{N}_.:-]{0,64}!?$/u
/** Fields under which results come, and answers of models. */
const CONTENT = new Set([
  ...['title', 'content', 'question', 'questions', 'answer', 'options', 'correctanswer', 'difficulty'],
  ...['quizzes', 'quiz', 'quizlist', 'concept', 'exercise', 'raw'],
  ...['output', 'outputs', 'text', 'completion', 'choices', 'generatedtext', 'generations'],
])
/** Fields that have either a model’s answer or a word such as `ok`. */
const VAGUE = new Set(['result', 'results', 'response', 'data'])

/** Whether a body says no more than that the job was taken. */
function saysNoMore(value: unknown, depth = 0): boolean {
  if (depth > MAX_DEPTH) return false
  if (typeof value === 'string') return ONE_WORD.test(value.trim())
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every((item) => saysNoMore(item, depth + 1))
  return Object.entries(value).every(([key, inner]) => {
    const name = bareName(key)
    if (CONTENT.has(name)) return false
    const isRemark = typeof inner === 'string' && !VAGUE.has(name)
    return isRemark ? inner.length <= MAX_REMARK && !/[{[]/.test(inner) : saysNoMore(inner, depth + 1)
  })
}

/** The very message that was sent, which some services answer with; its `current` is no new result. */
function isMessage(value: unknown): boolean {
  return isRecord(value) && isRecord(value.callback) && typeof value.callback.finish_url === 'string'
}

function namesOtherWork({ job_id, attempt }: Work, value: unknown): boolean {
  if (!isRecord(value)) return false
  const isOther = (given: unknown, own: unknown) =>
    given !== undefined && given !== null && String(given).toLowerCase() !== String(own)
  return isOther(value.job_id, job_id) || isOther(value.attempt, attempt)
}

/** Of `{"error": …}`, whatever shape it has. */
function errorIn(value: unknown): string | undefined {
  const [first] = Array.isArray(value) ? value : [value]
  const { error } = isRecord(first) ? first : {}
  if (error === undefined || error === null || error === false || error === '') return undefined
  const { message } = isRecord(error) ? error : {}
  const text =
    typeof message === 'string' ? message : typeof error === 'string' ? error : JSON.stringify(error)
  return toStorable(text.slice(0, MAX_ERROR))
}

/** What the body of a refusal says, for whoever reads why the attempt failed. */
function saidIn(body: Buffer): string {
  // More of it says no more, and is not worth the time to parse it.
  const text = body.subarray(0, MAX_SAID_BYTES).toString('utf8').trim()
  const value = parsed(text)
  const { message, detail } = isRecord(value) ? value : {}
  const said = errorIn(value) ?? [detail, message].find((each) => typeof each === 'string') ?? text
  const line = toStorable(String(said).replaceAll(/\s+/g, ' ')).slice(0, MAX_REMARK).toWellFormed()
  return line === '' ? '' : `: ${line}`
}
