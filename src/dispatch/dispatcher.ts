/**
 * Queued jobs to the queue. A job is its own outbox row: whoever made it has it leased and offers it here at
 * once, a whole commit group in one send; what is left after the lease, any node’s dispatcher claims. Sent
 * twice is harmless, never sent is not: a send that failed or was not marked is simply found again.
 */
import type { FastifyBaseLogger } from 'fastify'
import { repeat } from '../async/repeat.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import type { PublishedJob } from '../domain/command.js'
import type { DueJob, JobStore } from '../store/jobs.js'
import { deadLetterMessage, generationMessage } from './message.js'
import type { JobQueue } from './queue.js'

/** How long a claim keeps others off. Longer than a send’s deadline and a write’s together. */
export const LEASE_MS = 15_000
const SEND_TIMEOUT_MS = 5000
const MAX_BATCH = 300
/** Offers kept in memory while a send takes its time; those beyond are claimed when their lease has lapsed. */
const MAX_OFFERED = 10 * MAX_BATCH

export interface Dispatcher {
  /** Jobs just committed, due now and leased to this node. */
  offer(jobs: DueJob[]): void
  /** A dead letter was just committed. */
  offerDeadLetters(): void
  /** No further send; resolves when the one under way is over. */
  close(): Promise<void>
}

export interface DispatcherOptions {
  queue: JobQueue
  jobs: Pick<JobStore, 'claimDue' | 'claimDeadLetters' | 'deleteDeadLetters'>
  groups: Pick<CommitGroups, 'submit'>
  now: () => number
  queueTimeoutMs: number
  publicUrl: () => string
  pollMs: number
  log: FastifyBaseLogger
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, jobs, groups, now, queueTimeoutMs, publicUrl, pollMs, log } = options
  const offered: DueJob[] = []
  let claimedAt = Number.NEGATIVE_INFINITY

  const turns = repeat(
    async () => {
      const own = offered.splice(0, Math.max(0, Math.min(MAX_BATCH, queue.capacity)))
      if (own.length > 0) {
        await send(own)
        // Offers that never end must not keep claims waiting: retries are found by nothing else.
        if (now() - claimedAt < pollMs) return true
      }
      // What the queue cannot take now stays in the database, and is claimed when there is room.
      if (queue.capacity <= 0) offered.length = 0
      const limit = Math.min(MAX_BATCH, queue.capacity)
      if (limit <= 0) return false
      claimedAt = now()
      const claimed = await jobs.claimDue({
        now: now(),
        leasedUntil: now() + LEASE_MS,
        limit,
      })
      if (claimed.length > 0) await send(claimed)
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
    pollMs,
    (error) => log.warn({ err: error }, 'dead letters could not be published; they are tried again'),
  )

  async function send(batch: DueJob[]): Promise<void> {
    const publishedAt = now()
    const messages = batch.map((job) => generationMessage(job, publicUrl(), publishedAt + queueTimeoutMs))
    await queue.publish(messages, AbortSignal.timeout(SEND_TIMEOUT_MS))
    const byChapter = new Map<number, PublishedJob[]>()
    for (const { chapterId, kind, jobId, attempt } of batch) {
      const published = byChapter.get(chapterId) ?? []
      byChapter.set(chapterId, [...published, { kind, jobId, attempt, publishedAt }])
    }
    // Not awaited: the marks are the next commit group’s business, and meanwhile more can be sent.
    for (const [chapterId, published] of byChapter)
      groups
        .submit({ type: 'published', chapterId, jobs: published })
        .catch((error: unknown) =>
          log.warn({ err: error, chapter_id: chapterId }, 'jobs were not marked published'),
        )
  }

  return {
    offer(batch) {
      offered.push(...batch.slice(0, MAX_OFFERED - offered.length))
      turns.soon()
    },
    offerDeadLetters: letterTurns.soon,
    async close() {
      await Promise.all([turns.stop(), letterTurns.stop()])
    },
  }
}
