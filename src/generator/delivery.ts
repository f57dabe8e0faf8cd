/**
 * Works on one message of a queue that delivers at least once, until it needs no redelivery: the server was
 * told the outcome, wants none, or will bring a new attempt by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { backoffMs } from '../async/backoff.js'
import type { Semaphore } from '../async/semaphore.js'
import type { GenerationMessage } from '../contract/generation.js'
import { AlreadyRunningError, type Log, type Work } from './worker.js'

export interface DeliveryOptions {
  /** With `whenRunning: 'throw'`. */
  work: Work
  slots: Semaphore
  log: Log
  /** Milliseconds since the epoch. */
  now?: () => number
  random?: () => number
  delay?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Resolves when the message is settled; rejects only when `signal` aborts. `giveBack` returns the job’s place. */
export type Deliver = (
  message: GenerationMessage,
  giveBack: () => void,
  signal: AbortSignal,
  traceparent?: string,
) => Promise<void>

/** A worker that died is noticed by the server’s heartbeat; until then it says `running`. */
const ASK_AGAIN_MS = 15_000
/** Twenty minutes: twice the default deadline. */
const MAX_ASKS = 80
/** At least a day: each try of the worker takes a minute or more by itself. */
const MAX_TRIES = 1000
const UNDELIVERED_WAIT = { retryBaseMs: 2000, retryMaxMs: 60_000 }

export function createDelivery(options: DeliveryOptions): Deliver {
  const { work, slots, log, now = Date.now, random = Math.random } = options
  const delay =
    options.delay ?? ((ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).then(() => {}))

  return async function deliver(message, giveBack, signal, traceparent) {
    const { chapter_id, kind, job_id, attempt } = message
    const about = { chapter_id, kind, job_id, attempt }
    let release = giveBack
    try {
      for (let tries = 1, asks = 1; ; ) {
        try {
          return await work(message, signal, traceparent)
        } catch (error) {
          signal.throwIfAborted()
          if (error instanceof AlreadyRunningError) {
            if (asks >= MAX_ASKS)
              return log.info(about, 'still running elsewhere: left to it and to the server’s deadline')
            asks += 1
            // Waiting is no work: the place goes to another job meanwhile.
            release()
            await delay(ASK_AGAIN_MS * (0.75 + random() / 2), signal)
            release = await slots.take(signal)
            continue
          }
          // Nothing is lost: after its deadline the server itself makes a new attempt and sends it. A deadline that
          // lies in a far future must not hold the place for ever.
          if (!(now() <= Date.parse(message.deadline_at)) || tries >= MAX_TRIES)
            return log.error(
              { ...about, err: error },
              'the generator gives this job up; the server tries it again after its deadline',
            )
          tries += 1
          const waitMs = backoffMs(tries, UNDELIVERED_WAIT, random)
          log.warn(
            { ...about, err: error, wait_ms: waitMs },
            'a result could not be delivered; the generator does the job again',
          )
          // The place is kept: while webhooks cannot be reached no more should be begun.
          await delay(waitMs, signal)
        }
      }
    } finally {
      release()
    }
  }
}
