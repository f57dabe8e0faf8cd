/**
 * Queued jobs to the queue. A job is its own outbox row: whoever made it has it leased and offers it here at
 * once, a whole commit group in one send; what is left after the lease, any node’s dispatcher claims. Sent
 * twice is harmless, never sent is not: a send that failed or was not marked is simply found again.
 *
 * With a window (`places.ts`) nothing is leased to its maker: every job waits until a claim gives it a place, and a
 * place that became free on this node is claimed at once.
 *
 * Of a paused kind (`pauses.ts`) nothing is sent. Its jobs stay queued; those that this node has by chance it gives back.
 */
import type { FastifyBaseLogger } from 'fastify'
import { createBatcher } from '../async/batcher.js'
import { repeat } from '../async/repeat.js'
import type { ChapterEvent } from '../contract/event.js'
import type { DueJob, JobStore, PublishedAttempt } from '../store/jobs.js'
import { traceparentOf } from '../telemetry/traceparent.js'
import { jobAttributes, type Span, type Tracing } from '../telemetry/tracing.js'
import { deadLetterMessage, jobMessage } from './message.js'
import type { Pauses } from './pauses.js'
import type { Places } from './places.js'
import type { JobQueue } from './queue.js'

/** How long a claim keeps others off. Longer than a send’s deadline and a write’s together. */
export const LEASE_MS = 15_000
const SEND_TIMEOUT_MS = 5000
const MAX_BATCH = 300
/** A dead letter that its node could not send is sought less often than a job. */
const LETTER_POLLS = 10
/** Offers kept in memory while a send takes its time; those beyond are claimed when their lease has expired. */
const MAX_OFFERED = 10 * MAX_BATCH

export interface Dispatcher {
  /** Jobs just committed, due now and leased to this node; with a window they are leased to nobody. */
  offer(jobs: DueJob[]): void
  /** Events just committed: with a window, what ended leaves a free place. */
  hear(events: readonly ChapterEvent[]): void
  /** Jobs are due that nobody has leased. */
  look(): void
  /** A dead letter was just committed. */
  offerDeadLetters(): void
  /** No further send; resolves when the one under way is over and marked. */
  close(): Promise<void>
}

export interface DispatcherOptions {
  queue: JobQueue
  jobs: Pick<JobStore, 'claimDue' | 'unclaim' | 'markPublished' | 'claimDeadLetters' | 'deleteDeadLetters'>
  /** undefined: no kind is ever paused. */
  pauses?: Pick<Pauses, 'known' | 'has'> | undefined
  /** undefined: any number of jobs may be with workers. */
  places?: Places | undefined
  now: () => number
  queueTimeoutMs: number
  publicUrl: () => string
  pollMs: number
  /** These are marked published now. */
  onPublished?: (jobs: DueJob[]) => void
  tracing?: Tracing | undefined
  log: FastifyBaseLogger
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, jobs, places, pauses, now, queueTimeoutMs, publicUrl, pollMs, tracing, log } = options
  const offered: DueJob[] = []
  let claimedAt = Number.NEGATIVE_INFINITY

  // Its jobs are leased to nobody when they are made: the node that has room claims them.
  const isTakingFew = queue.whenRoom !== undefined
  let isWaitingForRoom = false
  queue.whenRoom?.(() => {
    if (isWaitingForRoom) turns.soon()
  })

  const marks = new Set<Promise<unknown>>()
  const mark = createBatcher(
    async (sent: PublishedAttempt[][]) => {
      await jobs.markPublished(sent.flat())
      return sent.map(() => undefined)
    },
    { lingerMs: queue.lingerMs },
  )

  const turns = repeat(
    async () => {
      const paused = await pauses?.known()
      // Those of a paused kind stay leased to this node for a while, and are then claimed once it goes on.
      const own = offered
        .splice(0, Math.max(0, Math.min(MAX_BATCH, queue.capacity)))
        .filter(({ kind }) => !paused?.has(kind))
      if (own.length > 0) {
        await send(own)
        // Offers that never end must not keep claims waiting: retries are found by nothing else.
        if (now() - claimedAt < pollMs) return true
      }
      // What the queue cannot take now stays in the database, and is claimed when there is room.
      if (queue.capacity <= 0) offered.length = 0
      const limit = Math.min(MAX_BATCH, queue.capacity)
      isWaitingForRoom = limit <= 0
      if (limit <= 0) return false
      claimedAt = now()
      const leasedUntil = now() + LEASE_MS
      const claimed = places
        ? await places.claim(limit, leasedUntil, paused)
        : await jobs.claimDue({ now: now(), leasedUntil, limit, ...(paused === undefined ? {} : { paused }) })
      // Paused since, or given a place before: its sender is gone.
      const unwanted = claimed.filter(({ kind }) => pauses?.has(kind))
      if (unwanted.length > 0) await jobs.unclaim(unwanted)
      const wanted = claimed.filter((job) => !unwanted.includes(job))
      if (wanted.length > 0) await send(wanted)
      return claimed.length === limit || offered.length > 0
    },
    pollMs,
    (error) => log.warn({ err: error }, 'jobs could not be published; they are tried again'),
  )

  const letterTurns = repeat(
    async () => {
      const letters = await jobs.claimDeadLetters({
        now: now(),
        leasedUntil: now() + LEASE_MS,
        limit: MAX_BATCH,
      })
      if (letters.length === 0) return false
      const messages = letters.map((letter) => deadLetterMessage(letter, publicUrl()))
      await queue.publishDeadLetters(messages, AbortSignal.timeout(SEND_TIMEOUT_MS))
      await jobs.deleteDeadLetters(letters.map(({ jobId }) => jobId))
      return letters.length === MAX_BATCH
    },
    LETTER_POLLS * pollMs,
    (error) => log.warn({ err: error }, 'dead letters could not be published; they are tried again'),
  )

  async function send(batch: DueJob[]): Promise<void> {
    const deadlineAt = now() + queueTimeoutMs
    const base = publicUrl()
    const spans = batch.map((job) => tracing && startSpan(tracing, job))
    const messages = batch.map((job, index) => jobMessage(job, base, deadlineAt, spans[index]?.traceparent))
    try {
      await queue.publish(messages, AbortSignal.timeout(SEND_TIMEOUT_MS))
    } catch (error) {
      for (const span of spans) span?.end(error)
      throw error
    }
    for (const span of spans) span?.end()
    if (isTakingFew) return
    // Not awaited: the next send need not wait for the marks of this one, which are made together with others'.
    const attempts = batch.map(({ chapterId, kind, jobId, attempt }) => ({
      chapterId,
      kind,
      jobId,
      attempt,
      deadlineAt,
    }))
    const marked = mark(attempts).then(
      () => options.onPublished?.(batch),
      (error: unknown) =>
        log.warn({ err: error }, 'jobs were not marked published; they are sent again when their lease ends'),
    )
    marks.add(marked)
    void marked.finally(() => marks.delete(marked))
  }

  return {
    offer(batch) {
      if (places === undefined && !isTakingFew) offered.push(...batch.slice(0, MAX_OFFERED - offered.length))
      else if (batch.length === 0) return
      turns.soon(queue.lingerMs)
    },
    hear(events) {
      if (places?.hear(events)) turns.soon()
    },
    look: turns.soon,
    offerDeadLetters: letterTurns.soon,
    async close() {
      await Promise.all([turns.stop(), letterTurns.stop()])
      // Another node sends them at once, instead of after their lease.
      if (offered.length > 0) await jobs.unclaim(offered).catch(() => {})
      await Promise.all(marks)
    },
  }
}

/** A message continues the trace of its own chapter, though many are sent together. */
function startSpan(tracing: Tracing, job: DueJob): Span {
  const parent = job.traceparent ?? traceparentOf(job.jobId)
  return tracing.start(`publish ${job.kind}`, { parent, kind: 'producer', attributes: jobAttributes(job) })
}
