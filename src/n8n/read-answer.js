/**
 * The Code node “Read the answer” of the n8n workflows: from what the model’s server answered to the body of the
 * finish or the fail webhook. Runs in n8n, without imports; `workflow.ts` puts it into the workflows as text. It
 * does not judge: the model’s own text goes to the server, which does.
 */

/** Where the server names no time, in seconds. */
const RETRY_AFTER_S = { rate_limited: 30, unavailable: 15 }
const MAX_RETRY_AFTER_S = 3600
/** A webhook takes 1 MiB, and a character is up to three bytes. */
const MAX_CHARS = 300_000

/**
 * Never throws. `next` is `finish` with `raw`, `fail` with `failure`, or `simpler`: the server understands no
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
    if (statusCode >= 200 && statusCode < 300) return readCompletion(data, told, failed)
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

function readCompletion(text, told, failed) {
  const { choices, error } = JSON.parse(text)
  if (error) return failed(told.unavailable, 'unavailable', { retry_after_s: RETRY_AFTER_S.unavailable })
  const { message, finish_reason } = choices[0]
  if (message.refusal || finish_reason === 'content_filter')
    return failed(told.refused, 'refused', { retryable: false })
  if (finish_reason === 'length') return failed(told.tooLong, 'invalid_result')
  const { content } = message
  // Some servers answer in parts.
  const raw = Array.isArray(content) ? content.map(({ text = '' }) => text).join('') : String(content ?? '')
  if (raw.length > MAX_CHARS) return failed(told.tooLong, 'invalid_result')
  return { next: 'finish', raw }
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterOf(headers, reason) {
  const value = String(headers['retry-after'] ?? '').trim()
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return seconds > 0 ? Math.min(MAX_RETRY_AFTER_S, Math.ceil(seconds)) : RETRY_AFTER_S[reason]
}
