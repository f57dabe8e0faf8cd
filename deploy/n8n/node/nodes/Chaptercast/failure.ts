/**
 * What kind of failure an error of n8n’s model nodes is. They pass on little but a sentence, so its words decide.
 */

export interface Failure {
  error: string
  reason: string
  retryable: boolean
  retry_after_s?: number
}

/** The first that fits. Waiting does not fill an account, nor mend a key. */
const KINDS: [RegExp, Omit<Failure, 'error'>][] = [
  [/insufficient.quota|exceeded your current quota|billing/i, { reason: 'model_error', retryable: false }],
  [/\b429\b|too many requests|rate.?limit/i, { reason: 'rate_limited', retryable: true, retry_after_s: 30 }],
  [
    /\b40[13]\b|unauthori[sz]ed|authori[sz]ation failed|api.?key|permission/i,
    { reason: 'model_error', retryable: false },
  ],
  [/content.?filter|content.?policy|refus(ed|al) to/i, { reason: 'refused', retryable: false }],
  [
    /connect E[A-Z]+|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|socket hang up|connection|offline|\b5\d\d\b|unavailable|overloaded|not able to process|fetch failed/i,
    { reason: 'unavailable', retryable: true, retry_after_s: 15 },
  ],
  [/timed? ?out|ETIMEDOUT|ECONNABORTED|aborted/i, { reason: 'timeout', retryable: true }],
  [/required format|parse|JSON/i, { reason: 'invalid_result', retryable: true }],
]
const OTHER = { reason: 'model_error', retryable: true }

/** Longest text that the server keeps. */
const MAX_CHARS = 2000

export function recogniseFailure(given: unknown): Failure {
  const error = textOf(given).slice(0, MAX_CHARS) || 'The worker gave no reason'
  const [, kind] = KINDS.find(([pattern]) => pattern.test(error)) ?? [undefined, OTHER]
  return { error, ...kind }
}

/** Of a text, or of an error object: its message, description and status. */
function textOf(given: unknown): string {
  if (typeof given === 'string') return given
  if (typeof given !== 'object' || given === null) return given === undefined ? '' : String(given)
  const { message, description, httpCode, code } = given as Record<string, unknown>
  const parts = [message, description, httpCode, code].filter(
    (part) => typeof part === 'string' || typeof part === 'number',
  )
  return parts.length > 0 ? [...new Set(parts)].join('. ') : JSON.stringify(given)
}
