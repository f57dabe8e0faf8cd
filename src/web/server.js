/**
 * Requests to this server. Every failure is a `ServerProblem`, whether the server refused, a proxy
 * answered in its place, or nobody did. Also knows how far this computer’s clock is off.
 */
import { words, wordsOr } from './strings.js'

/** @typedef {import('../contract/problem.js').Problem} Problem */
/** @typedef {Partial<Omit<Problem, 'code'>> & { code: string, title: string, detail: string }} ProblemShown */

const PATIENCE_MS = 20_000
/** `Date` has whole seconds and the answer took its time: a smaller difference says nothing. */
const CLOCK_TOLERANCE_MS = 3000

let clockOffsetMs = 0

/** Now by the server’s clock, in milliseconds: deadlines are counted down to it. */
export function serverNow() {
  return Date.now() + clockOffsetMs
}

export class ServerProblem extends Error {
  /** @override */
  name = 'ServerProblem'

  /** @param {ProblemShown} problem */
  constructor(problem) {
    super(problem.detail)
    this.problem = problem
  }

  /** Whether asking again may help. */
  get retryable() {
    const { status } = this.problem
    return status === undefined || status >= 500 || status === 408 || status === 429
  }
}

/**
 * @template T
 * @param {'GET' | 'POST'} method
 * @param {string} path
 * @param {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 * @returns {Promise<T>}
 * @throws {ServerProblem}
 */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), PATIENCE_MS)
  const stop = () => abort.abort()
  signal?.addEventListener('abort', stop)
  try {
    const response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      signal: abort.signal,
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    noteClock(response.headers.get('date'))
    const answer = /[/+]json\b/.test(response.headers.get('content-type') ?? '')
      ? await response.json()
      : null
    if (response.ok && answer !== null) return answer
    throw new ServerProblem(describeProblem(response.status, answer))
  } catch (error) {
    if (error instanceof ServerProblem) throw error
    throw new ServerProblem({
      code: 'unreachable',
      title: words('unreachable'),
      detail: words('unreachable_detail'),
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

/** @param {number} status @param {unknown} answer @returns {ProblemShown} */
function describeProblem(status, answer) {
  if (typeof answer !== 'object' || answer === null || !('code' in answer)) {
    return {
      status,
      code: 'bad_answer',
      title: words('bad_answer'),
      detail: `HTTP ${status}`,
    }
  }
  const problem = /** @type {Problem} */ (answer)
  return {
    ...problem,
    title: wordsOr(`problem_${problem.code}`, problem.title),
  }
}

/** @param {string | null} date */
function noteClock(date) {
  const offset = date === null ? Number.NaN : Date.parse(date) - Date.now()
  if (!Number.isNaN(offset)) clockOffsetMs = Math.abs(offset) > CLOCK_TOLERANCE_MS ? offset : 0
}
