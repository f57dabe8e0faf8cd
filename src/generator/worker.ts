/**
 * Treats one generation message as an n8n workflow should, over the same webhooks:
 *
 * 1. `-start` asks whether to begin; `run: false` ends it here.
 * 2. The model writes; meanwhile its progress and its text so far are reported, and a reply of `cancelled: true` stops
 *    it. While it is silent a heartbeat asks, so that a cancel is heard within seconds.
 * 3. `-finish` brings the result, or `-fail` says why there is none.
 *
 * Guarantees: every request and every wait has a bound; an abort ends all of it and leaves no timer; when
 * `work` resolves, the server has heard the outcome or wants none. Attempts, deadlines and redelivery are
 * left to the server and to whoever took the message from its queue.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { backoffMs } from '../async/backoff.js'
import { withDeadline } from '../async/deadline.js'
import type { FailCallback } from '../contract/callback.js'
import type { GenerationMessage } from '../contract/generation.js'
import type { Locale } from '../contract/scalar.js'
import { jobAttributes, type Tracing, traced } from '../telemetry/tracing.js'
import { type Model, ModelError, type Written } from './model.js'
import { createTextReports } from './text-reports.js'
import type { SoFar } from './text-so-far.js'

export type Log = Pick<FastifyBaseLogger, 'debug' | 'info' | 'warn' | 'error'>

export interface WorkerOptions {
  model: Model
  /** The one to send, without `Bearer`: the first of several in `WEBHOOK_SECRET`. */
  webhookSecret?: string | undefined
  log: Log
  /**
   * How long the model may go without a result or progress before it is given up (reason `timeout`).
   * Longer than the server’s deadline, whose clock decides; this one only frees the worker.
   */
  modelTimeoutMs?: number
  /**
   * When the server says that this attempt is `running` elsewhere: `skip` (default) settles the message,
   * `throw` rejects with `AlreadyRunningError`, for a queue that can ask again in case the other one died.
   */
  whenRunning?: 'skip' | 'throw'
  /** Longest time without a report, ms: how late a cancel may be heard while the model is silent. */
  heartbeatMs?: number
  /** From the request to the end of the answer’s body. */
  requestTimeoutMs?: number
  /** How often `-start`, `-finish` and `-fail` are sent before giving up. A result is dear, so patience is long. */
  maxTries?: number
  tracing?: Tracing | undefined
  fetch?: typeof fetch
  delay?: (ms: number, signal: AbortSignal) => Promise<void>
  /** In [0, 1). */
  random?: () => number
}

/**
 * Treats one message; may run twice for the same one, at once or one after the other.
 * Rejects with `CallbackUndeliveredError` when the server could not be told, and with the signal’s reason
 * when that aborts: in both cases the message should be delivered again.
 */
export type Work = (message: GenerationMessage, signal: AbortSignal, traceparent?: string) => Promise<void>

/** The server could not be reached, or gave no usable answer, within all tries. */
export class CallbackUndeliveredError extends Error {
  override readonly name = 'CallbackUndeliveredError'
  readonly code = 'callback_undelivered'
  readonly retryable = true

  constructor(
    readonly callback: CallbackName,
    readonly tries: number,
    problem: string,
    cause: unknown,
  ) {
    super(`${callback} callback not delivered in ${tries} tries (${problem}); deliver the message again`, {
      cause,
    })
  }
}

/** Another worker sent a heartbeat of this very attempt not long ago (`GENERATION_HEARTBEAT_MS`). */
export class AlreadyRunningError extends Error {
  override readonly name = 'AlreadyRunningError'
  readonly code = 'already_running'
  readonly retryable = true
}

export function createWorker(options: WorkerOptions): Work {
  const { model, webhookSecret, log, whenRunning = 'skip' } = options
  const modelTimeoutMs = options.modelTimeoutMs ?? 15 * 60_000
  const heartbeatMs = options.heartbeatMs ?? 4000
  const requestTimeoutMs = options.requestTimeoutMs ?? 10_000
  const maxTries = options.maxTries ?? 8
  const request = options.fetch ?? fetch
  const delay = options.delay ?? ((ms, signal) => sleep(ms, undefined, { signal }))
  const random = options.random ?? Math.random
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    ...(webhookSecret ? { authorization: `Bearer ${webhookSecret}` } : {}),
  }

  return function work(message, signal, traceparent) {
    const { chapter_id: chapterId, kind, job_id: jobId, attempt } = message
    const attributes = jobAttributes({ chapterId, kind, jobId, attempt })
    const about = { parent: traceparent ?? null, kind: 'consumer', attributes } as const
    return traced(options.tracing, `generate ${kind}`, about, () => doWork(message, signal))
  }

  async function doWork(message: GenerationMessage, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // All jobs of a queue may share one signal; Node warns of a leak at the eleventh. Each listener is removed.
    setMaxListeners(0, signal)
    try {
      if (!(await mayRun(message, signal))) return
      const outcome = await generate(message, signal)
      if (outcome.status === 'finished') await finish(message, outcome.result, signal)
      else if (outcome.status === 'failed') await fail(message, outcome.failure, signal)
      else log.info(aboutOf(message), 'generation stopped: going on is useless')
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  }

  async function mayRun(message: GenerationMessage, signal: AbortSignal): Promise<boolean> {
    const answer = await deliver('start', message, {}, signal)
    if (!answer.accepted) return false
    const { run, reason } = answer.body
    // The answer to an earlier try may have been lost after the server took it: then what is running is
    // this very work, and stopping would leave the job to its deadline. Two results do no harm.
    if (run === true || (reason === 'running' && answer.tries > 1)) return true
    if (reason === 'running' && whenRunning === 'throw')
      throw new AlreadyRunningError(`Attempt ${message.attempt} of job ${message.job_id} runs elsewhere`)
    log.info({ ...aboutOf(message), reason }, 'generation not wanted')
    return false
  }

  async function generate(message: GenerationMessage, signal: AbortSignal): Promise<Outcome> {
    const stop = new AbortController()
    const abort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const giveUp = () => stop.abort(SILENT)
    let silence = setTimeout(giveUp, modelTimeoutMs)
    let isWriting = true
    const cancelIf = async (isCancelled: Promise<boolean>) => {
      if (await isCancelled) stop.abort(CANCELLED)
    }
    let last: Report = { progress: 0, message: TEXTS[message.locale].thinking }
    const reports = latestOnly((report: Report) => cancelIf(isCancelled(message, report, stop.signal)))
    const texts = createTextReports(message, (body) => post('partial', message, body, stop.signal))
    const partials = latestOnly((soFar: SoFar | undefined) => cancelIf(texts.send(soFar)))
    const heartbeat = model.hasHeartbeat === false ? undefined : setInterval(beat, heartbeatMs)
    const onProgress = (percent: number, text: string) => {
      // A model may go on after it was given up.
      if (!isWriting || !Number.isFinite(percent)) return
      clearTimeout(silence)
      silence = setTimeout(giveUp, modelTimeoutMs)
      last = { progress: percent, message: text }
      heartbeat?.refresh()
      reports.push(last)
    }
    const onText = (soFar: SoFar) => {
      if (!isWriting || !texts.isWanted) return
      heartbeat?.refresh()
      partials.push(soFar)
    }
    function beat(): void {
      if (!isWriting) return
      if (texts.isWanted) partials.push(undefined)
      else reports.push(last)
    }
    const write = async () => {
      try {
        // Raced, for a model may not listen to its signal.
        return await Promise.race([
          model.generate(message, { signal: stop.signal, onProgress, onText }),
          rejectOnAbort(stop.signal),
        ])
      } finally {
        isWriting = false
        clearTimeout(silence)
        clearInterval(heartbeat)
        await Promise.all([reports.close(), partials.close()])
      }
    }
    try {
      const result = await write()
      return stop.signal.reason === CANCELLED ? { status: 'cancelled' } : { status: 'finished', result }
    } catch (error) {
      signal.throwIfAborted()
      if (stop.signal.reason === CANCELLED) return { status: 'cancelled' }
      // A model that listens to its signal may throw an error of its own before the race is told the reason.
      const reason = stop.signal.aborted ? stop.signal.reason : error
      log.warn({ ...aboutOf(message), err: reason }, 'generation failed')
      return { status: 'failed', failure: failureOf(reason, message.locale) }
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Best effort: one try, and a report that failed is only logged. */
  async function isCancelled(
    message: GenerationMessage,
    report: Report,
    signal: AbortSignal,
  ): Promise<boolean> {
    const progress = Math.min(100, Math.max(0, report.progress))
    const reply = await post(
      'progress',
      message,
      { progress, message: storable(report.message), kind: message.kind },
      signal,
    )
    if (reply.status !== 'answered') {
      log.debug({ ...aboutOf(message), problem: reply.problem }, 'progress not reported')
      return false
    }
    return reply.body.cancelled === true
  }

  async function finish(message: GenerationMessage, result: Written, signal: AbortSignal) {
    const answer = await deliver('finish', message, result, signal)
    if (answer.accepted) {
      log.debug({ ...aboutOf(message), status: answer.body.status }, 'result delivered')
    } else if (answer.httpStatus === 413) {
      // Unread, so the server could not count it against the attempt by itself: it would wait for the deadline.
      const error = TEXTS[message.locale].tooLarge
      await fail(message, { error, reason: 'invalid_result', retryable: true }, signal)
    }
  }

  async function fail(message: GenerationMessage, failure: FailCallback, signal: AbortSignal) {
    const answer = await deliver('fail', message, failure, signal)
    if (answer.accepted) {
      log.debug(
        {
          ...aboutOf(message),
          status: answer.body.status,
          reason: failure.reason,
        },
        'failure delivered',
      )
    }
  }

  /** Sends one callback until the server has answered it; a refusal is an answer, logged here. */
  async function deliver(
    callback: CallbackName,
    message: GenerationMessage,
    body: object,
    signal: AbortSignal,
  ): Promise<Delivered> {
    for (let tries = 1; ; tries++) {
      const reply = await post(callback, message, body, signal)
      if (reply.status === 'answered') return { accepted: true, tries, body: reply.body }
      const { problem } = reply
      const about = {
        ...aboutOf(message),
        callback,
        http_status: reply.httpStatus,
        problem,
      }
      if (reply.status === 'refused') {
        log.warn(about, 'callback refused')
        return { accepted: false, httpStatus: reply.httpStatus }
      }
      if (tries >= maxTries) throw new CallbackUndeliveredError(callback, tries, problem, reply.cause)
      const waitMs = waitBeforeMs(tries + 1, reply.retryAfterMs, random)
      log.info({ ...about, wait_ms: waitMs }, 'callback failed, sending it again')
      await delay(waitMs, signal)
    }
  }

  /** One request. Rejects only when `signal` aborts. */
  async function post(
    callback: CallbackName,
    message: GenerationMessage,
    body: object,
    signal: AbortSignal,
  ): Promise<Reply> {
    try {
      return await withDeadline(requestTimeoutMs, signal, async (deadline) => {
        const response = await request(message.callback[`${callback}_url`] ?? '', {
          method: 'POST',
          headers,
          body: JSON.stringify({
            ...body,
            job_id: message.job_id,
            attempt: message.attempt,
          }),
          // Followed, a 301 or 302 would become a GET without the body.
          redirect: 'manual',
          signal: deadline,
        })
        // Read whatever the status: an unread body keeps its connection.
        return replyOf(callback, response, await response.text())
      })
    } catch (cause) {
      signal.throwIfAborted()
      return {
        status: 'failed',
        httpStatus: undefined,
        problem: describe(cause),
        retryAfterMs: 0,
        cause,
      }
    }
  }
}

type CallbackName = 'start' | 'finish' | 'fail' | 'progress' | 'partial'

interface Report {
  progress: number
  message: string
}

type Outcome =
  | { status: 'finished'; result: Written }
  | { status: 'failed'; failure: FailCallback }
  | { status: 'cancelled' }

type Delivered =
  | { accepted: true; tries: number; body: Record<string, unknown> }
  | { accepted: false; httpStatus: number }

type Reply =
  | { status: 'answered'; body: Record<string, unknown> }
  | { status: 'refused'; httpStatus: number; problem: string }
  | {
      status: 'failed'
      httpStatus: number | undefined
      problem: string
      retryAfterMs: number
      cause?: unknown
    }

/** Why generation was stopped from within. */
const CANCELLED = new Error('cancelled by the server')
const SILENT = new Error('the model neither answered nor reported progress in time')

const BACKOFF = { retryBaseMs: 500, retryMaxMs: 30_000 }
/** A longer `Retry-After` is not waited for: the queue can deliver the message again. */
const RETRY_AFTER_MAX_MS = 60_000
const TEXT_MAX_CHARS = 2000
const RETRY_AFTER_MAX_S = 3600

const TEXTS: Record<Locale, { thinking: string; broken: string; silent: string; tooLarge: string }> = {
  ko: {
    thinking: 'AI 모델이 내용을 구상하고 있습니다.',
    broken: '생성기에서 예기치 않은 오류가 발생했습니다.',
    silent: '생성기가 제한 시간 안에 응답하지 않았습니다.',
    tooLarge: '생성된 결과가 너무 커서 저장할 수 없습니다.',
  },
  en: {
    thinking: 'The AI model is thinking.',
    broken: 'The generator failed unexpectedly.',
    silent: 'The generator did not answer in time.',
    tooLarge: 'The generated result is too large to be stored.',
  },
}

function aboutOf({ chapter_id, kind, job_id, attempt }: GenerationMessage) {
  return { chapter_id, kind, job_id, attempt }
}

function failureOf(error: unknown, locale: Locale): FailCallback {
  if (error === SILENT) return { error: TEXTS[locale].silent, reason: 'timeout', retryable: true }
  // Only a ModelError was worded for people; another one may hold an address or a key.
  if (!(error instanceof ModelError)) {
    return {
      error: TEXTS[locale].broken,
      reason: 'model_error',
      retryable: true,
    }
  }
  const { message, reason, retryable, retryAfterS } = error
  return {
    error: storable(message),
    reason,
    retryable,
    ...(retryAfterS !== undefined && Number.isFinite(retryAfterS)
      ? { retry_after_s: Math.min(RETRY_AFTER_MAX_S, Math.max(1, retryAfterS)) }
      : {}),
  }
}

/** Cut to length and without what the server refuses, NUL and unpaired surrogates. */
function storable(text: string): string {
  return text
    .slice(0, TEXT_MAX_CHARS)
    .replaceAll('\0', '\uFFFD')
    .replace(/\p{Cs}/gu, '\uFFFD')
}

function replyOf(callback: CallbackName, response: Response, text: string): Reply {
  const httpStatus = response.status
  const body = parseObject(text)
  if (response.ok) {
    // 200 from something that is not this server, a proxy’s page for one, is not a delivery.
    const isAnswer = callback === 'start' ? typeof body?.run === 'boolean' : typeof body?.status === 'string'
    if (body && isAnswer) return { status: 'answered', body }
    return {
      status: 'failed',
      httpStatus,
      problem: 'not an answer of this server',
      retryAfterMs: 0,
    }
  }
  const location = response.headers.get('location')
  const detail = location ? `redirected to ${location}` : String(body?.detail ?? text.slice(0, 200))
  const problem = `HTTP ${httpStatus} ${detail}`.trim()
  if (httpStatus < 500 && httpStatus !== 408 && httpStatus !== 429) {
    return { status: 'refused', httpStatus, problem }
  }
  return {
    status: 'failed',
    httpStatus,
    problem,
    retryAfterMs: retryAfterMsOf(response),
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** RFC 9110, 10.2.3: seconds or a date. 0 when absent, unreadable or past. */
function retryAfterMsOf(response: Response): number {
  const value = response.headers.get('retry-after')?.trim()
  if (!value) return 0
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : 0
}

/**
 * Wait before try `n` (from 2), in milliseconds: full jitter under a doubling cap, on top of what the server
 * asked for, so that workers it sent away together do not come back together.
 */
function waitBeforeMs(n: number, retryAfterMs: number, random: () => number): number {
  return Math.round(retryAfterMs + backoffMs(n, BACKOFF, random))
}

/** Fetch hides the reason (`ECONNREFUSED`) in its error’s cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  return `${error.message}: ${cause.message || ('code' in cause ? String(cause.code) : cause.name)}`
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), {
      once: true,
    })
  })
}

/**
 * Sends one report at a time; while one is under way only the newest waits. `close`, after which nothing is
 * pushed, drops what waits and resolves once nothing is under way, so that no report overtakes the result.
 */
function latestOnly<T>(send: (report: T) => Promise<void>) {
  let waiting: { report: T } | undefined
  let sending: Promise<void> | undefined

  async function sendWaiting() {
    while (waiting !== undefined) {
      const { report } = waiting
      waiting = undefined
      // Rejects only after an abort, whose reason is reported where it was requested.
      await send(report).catch(() => {})
    }
    sending = undefined
  }

  return {
    push(report: T): void {
      waiting = { report }
      sending ??= sendWaiting()
    },
    async close(): Promise<void> {
      waiting = undefined
      await sending
    },
  }
}
