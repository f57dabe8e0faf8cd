/**
 * From what a model’s server answered to the body of the finish or the fail webhook. `workflow.ts` puts it as text
 * into an expression of the n8n workflows, so it has no imports and no two closing braces in a row. An expression
 * and not a Code node: n8n stops its Code nodes at once when it is restarted.
 *
 * It does not judge: the model’s own text goes to the server, which does.
 */

/**
 * @param response what the HTTP Request node put out: `{statusCode, headers, body}`, or `{error}`
 * @param texts what is said about a failure, in the chapter’s language
 * @returns `{raw}` for `-finish`, or `{error, reason, …}` for `-fail`
 */
export const answerOf = (response, texts) => {
  const { statusCode = 0, headers, body, error } = response
  const said = JSON.stringify(body ?? '')
  const failed = (text, reason, retryable = true) => ({ error: text, reason, retryable })
  // RFC 9110, 10.2.3: seconds or a date.
  const wait = String(headers?.['retry-after'] ?? '').trim()
  const waitS = /^[\d.]+$/.test(wait) ? Number(wait) : (Date.parse(wait) - Date.now()) / 1000
  const busy = (text, reason, otherwiseS) => ({
    ...failed(text, reason),
    retry_after_s: waitS > 0 ? Math.min(3600, Math.ceil(waitS)) : otherwiseS,
  })

  if (statusCode === 0) {
    if (error === undefined) return failed(texts.broken, 'model_error')
    // Not the whole error: n8n puts the node into it, whose parameters have a timeout, and axios the whole prompt.
    const { message, messages, code, httpCode, cause } = Object(error)
    const why = [String(error), message, messages, code, httpCode, cause?.message].flat().join(' ')
    // Waiting does not mend an address or a credential.
    if (/invalid url|unsupported protocol|no credential|credentials? (\w+ )?(not|missing)/i.test(why))
      return failed(texts.misconfigured.replace('{why}', String(message ?? error)), 'model_error', false)
    // Without a connection the model is away, and not slow.
    const isTimeout = /timed? ?out|ECONNABORTED/i.test(why) && !why.includes('connect E')
    return isTimeout ? failed(texts.timeout, 'timeout') : busy(texts.unavailable, 'unavailable', 15)
  }
  // Waiting does not fill an account.
  if (statusCode === 429 && said.includes('insufficient_quota'))
    return failed(texts.quota, 'model_error', false)
  if (statusCode === 429) return busy(texts.rateLimited, 'rate_limited', 30)
  if (statusCode === 408 || statusCode >= 500) return busy(texts.unavailable, 'unavailable', 15)
  if (statusCode >= 400 && said.includes('content_filter')) return failed(texts.refused, 'refused', false)
  if (statusCode >= 300)
    return failed(texts.misconfigured.replace('{why}', `HTTP ${statusCode}`), 'model_error', false)

  const choice = body?.choices?.[0]
  if (body?.error || choice?.finish_reason === 'error') return busy(texts.unavailable, 'unavailable', 15)
  if (choice?.message?.refusal || choice?.finish_reason === 'content_filter')
    return failed(texts.refused, 'refused', false)
  if (choice?.finish_reason === 'length') return failed(texts.tooLong, 'invalid_result')
  if (choice?.message === undefined) return failed(texts.invalid, 'invalid_result')
  const { content } = choice.message
  // Some servers answer in parts.
  const raw = Array.isArray(content)
    ? content.map((part) => part?.text ?? '').join('')
    : String(content ?? '')
  // A webhook takes 1 MiB, and a character is up to three bytes.
  return raw.length > 300_000 ? failed(texts.tooLong, 'invalid_result') : { raw }
}
