/**
 * Requests to the server. Requests that may succeed later are repeated, a bounded number of times, with full-jitter
 * waits and not before the server wants it; every other failure is a typed error at once.
 */
import type { Problem } from './contract.js'
import { ChaptercastError, RefusedError, UnreachableError } from './errors.js'
import { backoffMs, delay, onAbort } from './wait.js'

/** A string, or a function that is asked for the token of now; undefined sends none. */
export type Token = string | (() => string | undefined | Promise<string | undefined>)

const TRIES = 6
const ANSWER_PATIENCE_MS = 20_000
const RETRY_BASE_MS = 300
const RETRY_CAP_MS = 10_000
/** No further try is waited for beyond this. */
const PATIENCE_MS = 30_000

export interface RequestOptions {
  query?: object | undefined
  body?: unknown
  headers?: Record<string, string>
  signals?: readonly (AbortSignal | undefined)[]
  /** How often it is asked in all; 1 for what must not be asked twice. */
  tries?: number
  /** Beyond which no further try is waited for; default 30 s. */
  patienceMs?: number
}

export type Method = 'GET' | 'POST' | 'DELETE'

export type Http = <T>(method: Method, path: string, options?: RequestOptions) => Promise<T>

export function createHttp(options: {
  /** Without a slash at its end. */
  base: string
  token: Token | undefined
  fetch: typeof fetch
  /** Ends every request. */
  signal: AbortSignal
}): Http {
  return async <T>(method: Method, path: string, request: RequestOptions = {}): Promise<T> => {
    const { tries = TRIES, patienceMs = PATIENCE_MS, signals = [] } = request
    const deadline = Date.now() + patienceMs
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await ask(options, method, path, request)) as T
      } catch (error) {
        const waitMs = retryWaitMs(error, attempt)
        if (waitMs === undefined || attempt >= tries || Date.now() + waitMs > deadline) throw error
        await delay(waitMs, ...signals, options.signal)
      }
    }
  }
}

/** undefined when asking again is useless. */
function retryWaitMs(error: unknown, attempt: number): number | undefined {
  const waitMs = backoffMs(attempt, RETRY_BASE_MS, RETRY_CAP_MS)
  // Nobody answered, or there is no token now.
  if (!(error instanceof RefusedError)) return waitMs
  if (error.status === undefined) return undefined
  const mayPass = error.status >= 500 || error.status === 408 || error.status === 429
  return mayPass ? Math.max(waitMs, error.retryAfterMs ?? 0) : undefined
}

async function ask(
  { base, token, fetch, signal: closed }: Parameters<typeof createHttp>[0],
  method: Method,
  path: string,
  { query = {}, body, headers = {}, signals = [] }: RequestOptions,
): Promise<unknown> {
  const url = `${base}${path}${searchOf(query)}`
  const abort = new AbortController()
  const late = new UnreachableError(url, new Error('no answer in time'))
  const timer = setTimeout(() => abort.abort(late), ANSWER_PATIENCE_MS)
  const stops = [...signals, closed].filter((each) => each !== undefined)
  const unlisten = onAbort(stops, () => abort.abort())
  try {
    for (const each of stops) each.throwIfAborted()
    const bearer = typeof token === 'function' ? await orAborted(token(), abort.signal) : token
    const sent = fetch(url, {
      method,
      cache: 'no-store',
      signal: abort.signal,
      headers: {
        accept: 'application/json',
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return await answerOf(sent, url)
  } catch (error) {
    for (const each of stops) each.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    unlisten()
  }
}

async function answerOf(sent: Promise<Response>, url: string): Promise<unknown> {
  try {
    const response = await sent
    const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '')
    const answer: unknown = isJson ? await response.json() : undefined
    if (response.status === 204 || (response.ok && answer !== undefined)) return answer
    throw refusalOf(response, answer)
  } catch (error) {
    throw error instanceof ChaptercastError ? error : new UnreachableError(url, error)
  }
}

/** `promise`, or as soon as it aborts a rejection: not everything that is waited for takes a signal. */
async function orAborted<T>(promise: T | Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function refusalOf(response: Response, answer: unknown): RefusedError {
  const details = { status: response.status, retryAfterMs: retryAfterMs(response.headers) }
  if (typeof answer !== 'object' || answer === null || !('code' in answer))
    // A proxy in the server’s place, or another server.
    return new RefusedError('bad_answer', `HTTP ${response.status} without a reason`, details)
  const { code, detail, title, errors, request_id: requestId } = answer as Problem
  return new RefusedError(code, detail ?? title, { ...details, errors, requestId })
}

/** Of a header that names seconds or, as proxies do, a date. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

function searchOf(query: object): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search}`
}
