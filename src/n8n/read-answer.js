/**
 * The Code node “Read the answer” of the n8n workflows: from what the model’s server answered to the body of the
 * finish or the fail webhook. Runs in n8n, without imports; `workflow.ts` puts it into the workflows as text. It
 * judges as the generator does (`openai.ts`, `result-schema.ts`), which a test compares.
 */

/** Where the server names no time, in seconds. */
const RETRY_AFTER_S = { rate_limited: 30, unavailable: 15 }
const MAX_RETRY_AFTER_S = 3600
/** A webhook takes 1 MiB, and a character is up to three bytes. */
const MAX_CHARS = 300_000

/**
 * Never throws. `next` is `finish` with `result`, `fail` with `failure`, or `simpler`: the server understands no
 * such `response_format`, ask with the next one.
 * @param response what the HTTP Request node put out: `{statusCode, headers, data}`, or `{error}`
 * @param job what “Prepare” put out
 * @param tries how often the model was asked before, from 0
 */
export function readAnswer(response, job, tries, texts) {
  const told = texts[job.locale]
  const failed = (error, reason, more = {}) => ({
    next: 'fail',
    failure: { error, reason, retryable: true, ...more },
  })
  try {
    const { statusCode, headers = {}, data, error } = response
    // Its own output has one or the other; a node that failed as a whole puts out what it was given.
    if (typeof data !== 'string') {
      if (error === undefined) return failed(told.broken, 'model_error')
      const isTimeout = /timed? ?out|ETIMEDOUT|ECONNABORTED/i.test(JSON.stringify(error))
      if (isTimeout) return failed(told.timeout, 'timeout')
      return failed(told.unavailable, 'unavailable', { retry_after_s: RETRY_AFTER_S.unavailable })
    }
    if (statusCode >= 200 && statusCode < 300) return readCompletion(data, job, told, failed)
    if (statusCode === 400 && data.includes('content_filter'))
      return failed(told.refused, 'refused', { retryable: false })
    if ((statusCode === 400 || statusCode === 422) && tries < job.response_formats.length - 1)
      return { next: 'simpler' }
    // Waiting does not fill an account.
    if (statusCode === 429 && data.includes('insufficient_quota'))
      return failed(told.quota, 'model_error', { retryable: false })
    if (statusCode === 429)
      return failed(told.rateLimited, 'rate_limited', {
        retry_after_s: retryAfterOf(headers, 'rate_limited'),
      })
    if (statusCode >= 500 || statusCode === 408)
      return failed(told.unavailable, 'unavailable', { retry_after_s: retryAfterOf(headers, 'unavailable') })
    return failed(told.misconfigured.replace('{status}', statusCode), 'model_error', { retryable: false })
  } catch {
    return failed(told.invalid, 'invalid_result')
  }
}

function readCompletion(text, job, told, failed) {
  const { choices, error } = JSON.parse(text)
  if (error) return failed(told.unavailable, 'unavailable', { retry_after_s: RETRY_AFTER_S.unavailable })
  const { message, finish_reason } = choices[0]
  if (message.refusal || finish_reason === 'content_filter')
    return failed(told.refused, 'refused', { retryable: false })
  if (finish_reason === 'length') return failed(told.tooLong, 'invalid_result')
  const result = resultOf(objectIn(String(message.content)), job)
  if (result === undefined) return failed(told.invalid, 'invalid_result')
  if (JSON.stringify(result).length > MAX_CHARS) return failed(told.tooLong, 'invalid_result')
  return { next: 'finish', result }
}

/** The object in an answer that may be wrapped in thoughts, a code fence or a sentence. */
function objectIn(text) {
  const spoken = text.replace(/^\s*<think>[\s\S]*?<\/think>/, '')
  return JSON.parse(spoken.slice(spoken.indexOf('{'), spoken.lastIndexOf('}') + 1))
}

/** Field by field, so that nothing else gets through; undefined when it is not as asked for. */
function resultOf(value, { kind, quiz_count }) {
  if (kind === 'concept') {
    const { title, content } = value
    return areTexts(title, content) ? { title: storable(title), content: storable(content) } : undefined
  }
  if (kind === 'exercise') {
    const { question, answer, difficulty = 'medium' } = value
    if (!areTexts(question, answer) || !['easy', 'medium', 'hard'].includes(difficulty)) return undefined
    return { question: storable(question), answer: storable(answer), difficulty }
  }
  const quizzes = value.quizzes.slice(0, quiz_count).map(quizOf)
  return quizzes.length === quiz_count && !quizzes.includes(undefined) ? { quizzes } : undefined
}

function quizOf({ question, correct_answer, options: given, type = 'multiple' }) {
  const options = given ?? null
  if (!areTexts(question, correct_answer) || !['multiple', 'short', 'boolean'].includes(type))
    return undefined
  if (options !== null && !(Array.isArray(options) && options.length <= 50 && areTexts(...options)))
    return undefined
  if (type === 'multiple' && (options?.length ?? 0) < 2) return undefined
  // A true-or-false question may come without options; one that has them is answered by one of them.
  if (type !== 'short' && options?.length && !options.includes(correct_answer)) return undefined
  if (options !== null && new Set(options).size < options.length) return undefined
  return {
    question: storable(question),
    correct_answer: storable(correct_answer),
    options: options?.map(storable) ?? null,
    type,
  }
}

function areTexts(...values) {
  return values.every((value) => typeof value === 'string' && value !== '')
}

/** Without what the product refuses: NUL and unpaired surrogates. */
function storable(text) {
  return text.replaceAll('\0', '\uFFFD').replace(/\p{Cs}/gu, '\uFFFD')
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterOf(headers, reason) {
  const value = String(headers['retry-after'] ?? '').trim()
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return seconds > 0 ? Math.min(MAX_RETRY_AFTER_S, Math.ceil(seconds)) : RETRY_AFTER_S[reason]
}
