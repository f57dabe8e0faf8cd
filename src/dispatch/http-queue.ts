/**
 * The queue that is a service of the user’s: each message is a POST, and what is answered says whether the worker has
 * it, is done with it, or cannot take it now (`worker-answer.ts`). No more requests are open at once than are wanted;
 * the other jobs wait in the database, for whichever node has room.
 *
 * A job goes out in this order, so that a node may die at any point:
 *
 * 1. It is marked published and held by this node, in one step. From here on others send it again, same attempt, as
 *    soon as this node no longer renews its hold.
 * 2. It is sent. While the request is open the hold is renewed, and the same statement tells which jobs nobody wants
 *    any more (cancelled, timed out, finished elsewhere): their requests are aborted.
 * 3. The answer is stored through the same door as a webhook’s, or the job is let go to a worker that calls back, or it
 *    goes back to wait for its next time. A connection that breaks leaves the outcome unknown: then the job waits too,
 *    and whatever its worker still says counts.
 *
 * The server’s deadline ends an attempt, as it does with any queue; no timer here does. An address that cannot take
 * jobs is left alone for a while, on this node.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Mend } from '../answers/mend.js'
import { backoffMs } from '../async/backoff.js'
import { abortable } from '../async/deadline.js'
import { repeat } from '../async/repeat.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import type { GenerationPolicy, HttpDispatchConfig } from '../config/config.js'
import type { GenerationMessage } from '../contract/generation.js'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import type { ChapterCommand } from '../domain/command.js'
import { ChapterNotFoundError, InvalidRequestError } from '../errors.js'
import type { AttemptRef, JobStore } from '../store/jobs.js'
import type { OpenJobStore } from '../store/open-jobs.js'
import { jobAttributes, type Span, type Tracing, traced } from '../telemetry/tracing.js'
import { logDeadLetters } from './dead-letters.js'
import type { Message } from './message.js'
import { brokenBecause, createPoster, type PostAnswer, retryAfterMsOf } from './post.js'
import type { JobQueue } from './queue.js'
import { keyOf, webhookHeaders } from './standard-webhooks.js'
import { type Outcome, outcomeOf } from './worker-answer.js'

export interface HttpQueueOptions {
  config: HttpDispatchConfig
  /** Longest answer that is read. */
  bodyLimitBytes: number
  /** `patienceMs` also bounds how long an address that takes no jobs costs no attempt. */
  policy: Pick<GenerationPolicy, 'patienceMs' | 'queueTimeoutMs' | 'heartbeatMs'>
  /** How long open requests may go on when the node leaves, ms. */
  closeMs: number
  open: OpenJobStore
  hold: JobStore['hold']
  submit: CommitGroups['submit']
  /** The node is about to leave: no new request. */
  isDraining: () => boolean
  /** Told of every answer: its status, or `none`. */
  onAnswer?: (kind: JobKind, answer: string, isResult: boolean) => void
  onMended?: (kind: JobKind, how: readonly Mend[]) => void
  tracing?: Tracing | undefined
  now: () => number
  random: () => number
  log: FastifyBaseLogger
}

/** How long a hold lasts, and how often it is renewed: a cancelled job’s request ends within five seconds. */
const HOLD_MS = 9000
const RENEW_MS = 2500
/** How long an address is left alone; from the first failure on. */
const AWAY = { retryBaseMs: 1000, retryMaxMs: 30_000 }
/** Jobs that were sent away together do not come back together. */
const SPREAD_MS = 1000
/** Other nodes may have more luck with an address, so jobs are kept from them no longer than this. */
const MAX_LEFT_MS = 60_000
/** Without a request for so long, earlier trouble may be over. */
const TROUBLE_MS = 60_000
/** Waits before an outcome that could not be stored is stored again; some ten minutes in all. */
const STORE = { retryBaseMs: 250, retryMaxMs: 10_000 }
const MAX_STORES = 120

interface Open {
  message: GenerationMessage
  ref: AttemptRef
  abort: AbortController
}

/** An address that did not take a job. */
interface Pause {
  until: number
  /** How often in a row it did not, after it was left alone. */
  times: number
  error: string
}

/** Why a request is aborted. */
const UNWANTED = new Error('the job is no longer wanted')
const LEAVING = new Error('the node is leaving')

export function createHttpQueue(options: HttpQueueOptions): JobQueue {
  const { config, policy, open: store, now, random, log } = options
  const keys = config.secrets.map(keyOf)
  const poster = createPoster()
  const open = new Map<string, Open>()
  const running = new Set<Promise<void>>()
  const pauses = new Map<string, Pause>()
  const leaving = new AbortController()
  /** Sent, and without an answer when the node left. */
  const aborted: AttemptRef[] = []
  let isClosed = false
  let tellRoom = () => {}

  const renewal = repeat(
    async () => {
      if (open.size === 0) return false
      const unwanted = await store.renew(
        [...open.values()].map(({ ref }) => ref),
        now() + HOLD_MS,
      )
      for (const ref of unwanted) open.get(nameOf(ref))?.abort.abort(UNWANTED)
      return false
    },
    RENEW_MS,
    (error) => log.warn({ err: error }, 'could not renew the hold on jobs that are out'),
  )

  const isPaused = (url: string) => (pauses.get(url)?.until ?? 0) > now()
  const isAllPaused = () => JOB_KINDS.every((kind) => isPaused(config.urls[kind]))

  async function run(job: Open, message: Message): Promise<void> {
    const { ref, abort } = job
    const { kind } = ref
    const url = config.urls[kind]
    const sentAt = now()
    try {
      let answer: PostAnswer
      try {
        answer = await send(url, message, abort.signal)
      } catch (error) {
        if (abort.signal.aborted) {
          if (abort.signal.reason === LEAVING) aborted.push(ref)
          log.debug({ ...aboutOf(job), why: abort.signal.reason.message }, 'a request was aborted')
          return
        }
        options.onAnswer?.(kind, 'none', false)
        const problem = `no answer from the worker: ${brokenBecause(error)}`
        await unanswered(job, sentAt, problem)
        return
      }
      const outcome = outcomeOf(job.message, answer)
      options.onAnswer?.(kind, String(answer.status), outcome.type === 'result')
      const retryAfterMs = retryAfterMsOf(answer.headers, now())
      if (outcome.type === 'later') {
        await later(job, sentAt, outcome, retryAfterMs)
        return
      }
      pauses.delete(url)
      if (outcome.type === 'accepted') await store.letGo(ref, now() + policy.queueTimeoutMs)
      else if (outcome.type === 'result') await finish(job, outcome)
      else await fail(job, outcome, retryAfterMs)
    } catch (error) {
      log.warn(
        { ...aboutOf(job), err: error },
        'the outcome of a job could not be stored; the job is sent again',
      )
    }
  }

  function send(url: string, { value, headers }: Message, signal: AbortSignal): Promise<PostAnswer> {
    const body = JSON.stringify(value)
    const id = `${value.job_id}/${value.attempt}`
    return poster.post({
      url,
      headers: {
        'content-type': headers['content-type'],
        accept: 'application/json, text/plain;q=0.9, */*;q=0.1',
        'accept-encoding': 'identity',
        'user-agent': 'chaptercast',
        'idempotency-key': id,
        traceparent: headers.traceparent,
        ...webhookHeaders(id, now(), body, keys),
      },
      body,
      maxBytes: options.bodyLimitBytes,
      signal,
    })
  }

  /** The connection broke: the worker may have the job or not. If it has spoken since, it has. */
  async function unanswered(job: Open, sentAt: number, error: string): Promise<void> {
    const heardSince = Math.max(sentAt, now() - policy.heartbeatMs)
    if (await store.letGo(job.ref, null, heardSince)) {
      log.info(
        { ...aboutOf(job), problem: error },
        'the connection to a worker broke; the worker was heard, so it keeps the job',
      )
      return
    }
    await later(job, sentAt, { reason: 'unavailable', error }, 0)
  }

  /** The address takes no job now: it waits, and so do others for this address. */
  async function later(
    job: Open,
    sentAt: number,
    { reason, error }: Pick<Extract<Outcome, { type: 'later' }>, 'reason' | 'error'>,
    retryAfterMs: number,
  ): Promise<void> {
    const { ref, message } = job
    const pause = pauseOf(config.urls[ref.kind], sentAt, error, retryAfterMs)
    const dueAt = pause.until + Math.floor(random() * SPREAD_MS)
    const isPatient = now() - Date.parse(message.requested_at) < policy.patienceMs
    log.info({ ...aboutOf(job), problem: error, due_at: new Date(dueAt) }, 'a job was not taken; it waits')
    if (!isPatient) await fail(job, { reason, error }, dueAt - now())
    else await stored({ type: 'hold_expired', ...ref, dueAt })
  }

  function pauseOf(url: string, sentAt: number, error: string, retryAfterMs: number): Pause {
    const before = pauses.get(url)
    // Of requests that were open together, one counts.
    const isNew = before === undefined || sentAt >= before.until
    const times = isNew ? (before?.times ?? 0) + 1 : before.times
    const capMs = Math.min(AWAY.retryMaxMs, AWAY.retryBaseMs * 2 ** (times - 1))
    const waitMs = isNew ? capMs / 2 + random() * (capMs / 2) : 0
    const until = Math.max(before?.until ?? 0, now() + Math.max(waitMs, retryAfterMs))
    const pause = { until, times, error }
    pauses.set(url, pause)
    if (before === undefined) log.warn({ problem: error }, 'workers take no jobs by HTTP; none is lost')
    return pause
  }

  async function finish(job: Open, outcome: Extract<Outcome, { type: 'result' }>): Promise<void> {
    const { chapterId, kind, jobId, attempt } = job.ref
    const named = { jobId, attempt }
    try {
      const reply = await stored({ type: 'finish', chapterId, named, ...outcome.answer })
      const how = [...new Set([...outcome.mended, ...(reply?.mended ?? [])])]
      log.debug({ ...aboutOf(job), status: reply?.status, how }, 'a result came with the answer')
      if (reply?.status === 'success' && how.length > 0) options.onMended?.(kind, how)
    } catch (error) {
      // Only with the chapter at hand it showed that the questions do not suffice.
      if (!(error instanceof InvalidRequestError)) throw error
      await fail(job, { reason: 'invalid_result', error: error.message }, 0)
    }
  }

  async function fail(
    job: Open,
    { reason, error }: Pick<Extract<Outcome, { type: 'failed' }>, 'reason' | 'error'>,
    retryAfterMs: number,
  ): Promise<void> {
    const { chapterId, kind, jobId, attempt } = job.ref
    const named = { jobId, attempt }
    await stored({ type: 'fail', chapterId, kind, named, reason, error, retryable: true, retryAfterMs })
  }

  /** Stores an outcome, however long the database is away. @returns undefined when the chapter is gone */
  async function stored<C extends ChapterCommand>(command: C) {
    for (let tries = 1; ; tries++) {
      try {
        return await options.submit(command)
      } catch (error) {
        if (error instanceof ChapterNotFoundError) return undefined
        if (error instanceof InvalidRequestError || tries >= MAX_STORES) throw error
        log.warn({ err: error, chapter_id: command.chapterId, tries }, 'an outcome could not be stored yet')
        const waitMs = STORE.retryBaseMs / 2 + backoffMs(tries + 1, STORE, random)
        await delay(waitMs, undefined, { signal: leaving.signal })
      }
    }
  }

  function begin(message: Message): void {
    const { chapter_id: chapterId, kind, job_id: jobId, attempt } = message.value
    const ref = { chapterId, kind, jobId, attempt }
    const name = nameOf(ref)
    // It came again although its request is open: the database was away, and its hold had expired.
    if (open.has(name)) return
    const job = { message: message.value, ref, abort: new AbortController() }
    open.set(name, job)
    const about = {
      parent: message.headers.traceparent,
      kind: 'client',
      attributes: jobAttributes(ref),
    } as const
    const work = (span?: Span) => run(job, span === undefined ? message : continuedBy(message, span))
    const done: Promise<void> = traced(options.tracing, `send ${kind}`, about, work).finally(() => {
      open.delete(name)
      running.delete(done)
      tellRoom()
    })
    running.add(done)
  }

  return {
    get capacity() {
      return isClosed || options.isDraining() || isAllPaused() ? 0 : config.concurrency - open.size
    },
    trouble() {
      const errors = [...pauses.values()].flatMap(({ until, error }) =>
        until + TROUBLE_MS > now() ? [error] : [],
      )
      return errors.length === 0 ? undefined : [...new Set(errors)].join('; ')
    },
    whenRoom(callback) {
      tellRoom = callback
    },
    async publish(messages) {
      const attempts = messages.map(({ value }) => ({
        chapterId: value.chapter_id,
        kind: value.kind,
        jobId: value.job_id,
        attempt: value.attempt,
        deadlineAt: Date.parse(value.deadline_at),
      }))
      for (const url of new Set(Object.values(config.urls))) {
        const left = attempts.filter(({ kind }) => config.urls[kind] === url)
        const until = Math.min(pauses.get(url)?.until ?? 0, now() + MAX_LEFT_MS)
        if (left.length > 0 && until > now()) await store.leave(left, until)
      }
      const wanted = attempts.filter(({ kind }) => !isPaused(config.urls[kind]))
      if (wanted.length === 0) return
      const taken = await store.take(wanted, now() + HOLD_MS)
      for (const message of messages) if (taken.has(message.value.job_id)) begin(message)
    },
    async publishDeadLetters(letters) {
      logDeadLetters(letters, log)
    },
    async close() {
      isClosed = true
      if (running.size > 0)
        await abortable(Promise.all(running), AbortSignal.timeout(options.closeMs)).catch(() => {})
      leaving.abort(LEAVING)
      for (const { abort } of open.values()) abort.abort(LEAVING)
      await Promise.all(running)
      await renewal.stop()
      poster.close()
      if (aborted.length === 0) return
      log.info({ jobs: aborted.length }, 'open requests were aborted; their jobs are sent again by others')
      await options.hold(aborted, now())
    },
  }
}

function continuedBy(message: Message, { traceparent }: Span): Message {
  return { ...message, headers: { ...message.headers, traceparent } }
}

function nameOf({ jobId, attempt }: Pick<AttemptRef, 'jobId' | 'attempt'>): string {
  return `${jobId}/${attempt}`
}

function aboutOf({ ref: { chapterId, kind, jobId, attempt } }: Open) {
  return { chapter_id: chapterId, kind, job_id: jobId, attempt }
}
