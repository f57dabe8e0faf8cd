/**
 * Notices out: when a run of a chapter ends, `NOTIFY_URL` is told by a signed POST, at least once. What is owed is taken
 * from the event log (`store/deliveries.ts`), by any node, whichever wrote the chapter. It is sent under a lease, tried
 * again with a growing pause for a day, and then kept as failed.
 *
 * The log is looked at once a second, and soon after this node ended a chapter. Each look goes back a little further
 * than the last one; once a minute much further, and at start as far as anything is still sent.
 */
import type { FastifyBaseLogger } from 'fastify'
import { abortable, withDeadline } from '../async/deadline.js'
import { repeat } from '../async/repeat.js'
import type { NotifyConfig } from '../config/config.js'
import type { Notice, NoticeType } from '../contract/notice.js'
import { toInstant } from '../contract/wire.js'
import type { DeliveryOutcome, DeliveryStore, DueDelivery } from '../store/deliveries.js'
import { brokenBecause, createPoster, retryAfterMsOf } from './post.js'
import { keyOf, webhookHeaders } from './standard-webhooks.js'

export interface Notices {
  /** A run has just ended. */
  soon(): void
  close(): Promise<void>
}

export interface NoticesOptions {
  config: NotifyConfig
  deliveries: Omit<DeliveryStore, 'listDeliveries' | 'redeliver'>
  /** How long ended logs are kept; notices are kept as long, and two days at least. */
  retentionMs: number
  /** How long open requests may go on when the node leaves, ms. */
  closeMs: number
  onOutcome?: (outcome: 'delivered' | 'retried' | 'failed') => void
  now: () => number
  random: () => number
  pollMs: number
  log: FastifyBaseLogger
}

const DAY_MS = 24 * 60 * 60 * 1000
/** How long a notice is tried. */
export const PATIENCE_MS = DAY_MS
/** Longer than anything is looked for in the log: what was delivered must not be found anew. */
const MIN_RETENTION_MS = 2 * DAY_MS
const CONCURRENCY = 8
const TIMEOUT_MS = 15_000
/** Longer than a request and its outcome take. */
const LEASE_MS = 30_000
/** Nobody reads more of what a receiver says. */
const MAX_ANSWER_BYTES = 4096
const MAX_ERROR = 200
const RETRY = { firstMs: 5000, lastMs: 3_600_000 }

const COLLECT_LIMIT = 200
/** How far each look goes back: writes commit within seconds of their time, but clocks and databases stall. */
const LOOK_BACK_MS = 10_000
const FAR_LOOK_BACK_MS = 15 * 60_000
const FAR_LOOK_EVERY_MS = 60_000
/** How far a node’s clock may be behind: a run that ends there may seem older than the first notice. */
const CLOCK_SKEW_MS = 2 * 60_000
/** After this node ended a chapter; many that end together are one look. */
const SOON_MS = 50

export function createNotices(options: NoticesOptions): Notices {
  const { config, deliveries, now, random, pollMs, log } = options
  const keys = config.secrets.map(keyOf)
  const poster = createPoster()
  const running = new Set<Promise<void>>()
  const leaving = new AbortController()
  /** Runs that end before the first look are told, too. */
  const startedAt = now()
  let since: number | undefined
  let lookedAt = 0
  let lookedFarAt = Number.NEGATIVE_INFINITY
  let isClosed = false
  let soonTimer: NodeJS.Timeout | undefined
  const onError = (about: string) => (error: unknown) => log.warn({ err: error }, about)

  const looks = repeat(
    async () => {
      const at = now()
      const isFar = since === undefined || at - lookedFarAt >= FAR_LOOK_EVERY_MS
      const start =
        isFar || since === undefined
          ? await deliveries.tick(since === undefined ? startedAt : at, PATIENCE_MS)
          : since
      // The first look on this node: nobody knows what the others saw.
      const backMs = since === undefined ? PATIENCE_MS : isFar ? FAR_LOOK_BACK_MS : LOOK_BACK_MS
      const earliest = Math.max(start - CLOCK_SKEW_MS, at - PATIENCE_MS)
      const found = await deliveries.collect({
        from: Math.max(earliest, (since === undefined ? at : lookedAt) - backMs),
        since: earliest,
        now: at,
        giveUpAt: at + PATIENCE_MS,
        limit: COLLECT_LIMIT,
      })
      if (found > 0) sends.soon()
      if (found === COLLECT_LIMIT) return true
      since = start
      lookedAt = at
      if (isFar) lookedFarAt = at
      return false
    },
    2 * pollMs,
    onError('the log could not be searched for notices; it is searched again'),
  )

  const sends = repeat(
    async () => {
      const limit = CONCURRENCY - running.size
      if (limit <= 0) return false
      const due = await deliveries.claim({ now: now(), leasedUntil: now() + LEASE_MS, limit })
      for (const delivery of due) begin(delivery)
      return false
    },
    pollMs,
    onError('notices could not be claimed; they are claimed again'),
  )

  const retention = repeat(
    async () => {
      const before = now() - Math.max(options.retentionMs, MIN_RETENTION_MS)
      return (await deliveries.deleteEndedBefore(before, COLLECT_LIMIT)) === COLLECT_LIMIT
    },
    20 * pollMs,
    onError('old notices could not be deleted; it is tried again'),
  )

  function begin(delivery: DueDelivery): void {
    const done: Promise<void> = deliver(delivery)
      .catch(onError('the outcome of a notice could not be stored; it is sent again'))
      .finally(() => {
        running.delete(done)
        if (!isClosed) sends.soon()
      })
    running.add(done)
  }

  async function deliver(delivery: DueDelivery): Promise<void> {
    const { chapterId, seq, attempts } = delivery
    const about = { chapter_id: chapterId, seq, type: delivery.type, attempts }
    const answer = await send(delivery)
    if (answer === undefined) return
    const { status, error, retryAfterMs } = answer
    const outcome: DeliveryOutcome = {
      ...{ chapterId, seq, status, error },
      ...{ deliveredAt: null, failedAt: null, dueAt: null },
    }
    if (error === null) outcome.deliveredAt = now()
    else {
      const waitMs = Math.max(retryAfterMs, pauseMs(attempts, random))
      if (now() + waitMs > delivery.giveUpAt) outcome.failedAt = now()
      else outcome.dueAt = now() + waitMs
    }
    await deliveries.settle(outcome)
    if (outcome.deliveredAt !== null) {
      options.onOutcome?.('delivered')
      log.debug({ ...about, status }, 'a notice was delivered')
    } else if (outcome.failedAt !== null) {
      options.onOutcome?.('failed')
      log.warn({ ...about, status, problem: error }, 'a notice is given up; an operator may send it again')
    } else {
      options.onOutcome?.('retried')
      log.info({ ...about, status, problem: error }, 'a notice was not taken; it is sent again')
    }
  }

  /** @returns undefined when the node leaves meanwhile: the lease ends by itself */
  async function send(
    delivery: DueDelivery,
  ): Promise<{ status: number | null; error: string | null; retryAfterMs: number } | undefined> {
    const body = JSON.stringify(noticeOf(delivery))
    const id = `${delivery.chapterId}-${delivery.seq}`
    try {
      const post = (signal: AbortSignal) =>
        poster.post({
          url: config.url,
          headers: {
            'content-type': 'application/json',
            'user-agent': 'chaptercast',
            'idempotency-key': id,
            ...webhookHeaders(id, now(), body, keys),
          },
          body,
          maxBytes: MAX_ANSWER_BYTES,
          signal,
        })
      const { status, headers } = await withDeadline(TIMEOUT_MS, leaving.signal, post)
      const isTaken = status >= 200 && status < 300
      const error = isTaken ? null : `the receiver answered ${status}`
      return { status, error, retryAfterMs: retryAfterMsOf(headers, now()) }
    } catch (error) {
      if (leaving.signal.aborted) return undefined
      const problem = brokenBecause(error).slice(0, MAX_ERROR)
      return { status: null, error: `no answer: ${problem}`, retryAfterMs: 0 }
    }
  }

  return {
    soon() {
      if (isClosed) return
      soonTimer ??= setTimeout(() => {
        soonTimer = undefined
        looks.soon()
      }, SOON_MS)
    },
    async close() {
      isClosed = true
      clearTimeout(soonTimer)
      await Promise.all([looks.stop(), sends.stop(), retention.stop()])
      if (running.size > 0)
        await abortable(Promise.all(running), AbortSignal.timeout(options.closeMs)).catch(() => {})
      leaving.abort(new Error('the node is leaving'))
      await Promise.all(running)
      poster.close()
    },
  }
}

const STATUSES: Record<NoticeType, Notice['data']['status']> = {
  'chapter.completed': 'completed',
  'chapter.failed': 'failed',
  'chapter.cancelled': 'cancelled',
}

/** The same for every try. */
function noticeOf({ chapterId, seq, type, endedAt, courseId, ownerId }: DueDelivery): Notice {
  return {
    type,
    timestamp: toInstant(endedAt),
    data: { chapter_id: chapterId, course_id: courseId, owner_id: ownerId, status: STATUSES[type], seq },
  }
}

/** After the n-th try, from 1: half of a doubling cap, and up to the whole of it by chance. */
function pauseMs(n: number, random: () => number): number {
  const capMs = Math.min(RETRY.lastMs, RETRY.firstMs * 2 ** Math.min(n - 1, 20))
  return Math.round(capMs / 2 + random() * (capMs / 2))
}
