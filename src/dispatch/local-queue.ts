/**
 * The in-process queue: messages go to a worker in this very process, over the same webhooks as anyone’s.
 * It would die with the process, so it says in the database which jobs it holds, again and again; when it
 * stops saying so, they are queued again, same attempt (`timers/sweeper.ts`).
 */
import type { FastifyBaseLogger } from 'fastify'
import { repeat } from '../async/repeat.js'
import type { GenerationMessage } from '../contract/generation.js'
import type { JobRef, JobStore } from '../store/jobs.js'
import { logDeadLetters } from './dead-letters.js'
import type { Message } from './message.js'
import type { JobQueue } from './queue.js'

/** How long a hold lasts; said again three times in that time. */
const HOLD_MS = 9000
const MAX_HELD = 1000
const CONCURRENCY = 200

export interface LocalQueueOptions {
  /**
   * Does the work and calls the webhooks. It rejects when they could not be reached: the message comes again.
   * Without it nothing is held: whoever wants to answers the webhooks by hand.
   */
  work: ((message: GenerationMessage, signal: AbortSignal, traceparent?: string) => Promise<void>) | undefined
  hold: JobStore['hold']
  now: () => number
  log: FastifyBaseLogger
}

interface Held {
  message: GenerationMessage
  traceparent: string
  abort: AbortController
}

export function createLocalQueue({ work, hold, now, log }: LocalQueueOptions): JobQueue {
  /** Waiting or at work, by job id; of two attempts of a job only the newer one is worth anything. */
  const held = new Map<string, Held>()
  const waiting: Held[] = []
  const atWork = new Set<Promise<void>>()

  const renewal = repeat(
    async () => {
      if (held.size > 0) await hold(heldJobs(), now() + HOLD_MS)
      return false
    },
    HOLD_MS / 3,
    (error) => log.warn({ err: error }, 'could not renew the hold on jobs'),
  )

  const heldJobs = () => [...held.values()].map(({ message }) => refOf(message))

  function take({ value: message, headers: { traceparent } }: Message): void {
    const older = held.get(message.job_id)
    if (older !== undefined && older.message.attempt >= message.attempt) return
    older?.abort.abort()
    const job = { message, traceparent, abort: new AbortController() }
    held.set(message.job_id, job)
    waiting.push(job)
  }

  function pump(): void {
    while (atWork.size < CONCURRENCY) {
      const job = waiting.shift()
      if (job === undefined) return
      const done: Promise<void> = run(job).finally(() => {
        atWork.delete(done)
        pump()
      })
      atWork.add(done)
    }
  }

  async function run(job: Held): Promise<void> {
    const { message, abort } = job
    const { job_id, attempt, chapter_id, kind } = message
    try {
      if (!abort.signal.aborted) await work?.(message, abort.signal, job.traceparent)
    } catch (error) {
      if (!abort.signal.aborted)
        log.warn(
          { err: error, chapter_id, kind, job_id, attempt },
          'the generator gave a job up; it comes again',
        )
    } finally {
      if (held.get(job_id) === job) held.delete(job_id)
    }
  }

  return {
    get capacity() {
      return MAX_HELD - held.size
    },
    async publish(messages, signal) {
      if (work === undefined) return
      // First the hold, then the work: dying in between leaves a job that is soon found, not one that looks safe.
      await hold(
        messages.map(({ value }) => refOf(value)),
        now() + HOLD_MS,
      )
      signal.throwIfAborted()
      for (const message of messages) take(message)
      pump()
    },
    async publishDeadLetters(letters) {
      logDeadLetters(letters, log)
    },
    async giveBack(kinds) {
      const back = waiting.filter(({ message }) => kinds.has(message.kind))
      if (back.length === 0) return
      waiting.splice(0, waiting.length, ...waiting.filter((job) => !back.includes(job)))
      for (const job of back) {
        const { job_id } = job.message
        if (held.get(job_id) === job) held.delete(job_id)
      }
      await hold(
        back.map(({ message }) => refOf(message)),
        now(),
      )
    },
    async close() {
      await renewal.stop()
      const jobs = heldJobs()
      for (const { abort } of held.values()) abort.abort()
      waiting.length = 0
      await Promise.allSettled(atWork)
      if (jobs.length > 0) await hold(jobs, now())
    },
  }
}

function refOf({ chapter_id: chapterId, kind, job_id: jobId }: GenerationMessage): JobRef {
  return { chapterId, kind, jobId }
}
