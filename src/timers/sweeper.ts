/**
 * Overdue work: attempts past their deadline, jobs whose process died, logs and keys past their retention.
 * Every node sweeps; a claim keeps two from doing the same, and a decision checks again before it counts.
 */
import type { FastifyBaseLogger } from 'fastify'
import { repeat } from '../async/repeat.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import { ChapterNotFoundError } from '../errors.js'
import type { AuditStore } from '../store/audit.js'
import type { EventStore } from '../store/events.js'
import type { AttemptRef, JobStore } from '../store/jobs.js'
import type { RedriveStore } from '../store/redrives.js'

const CLAIM_MS = 10_000
const STANDSTILL_MS = 3000
/** A hold is renewed every 3 s. */
const RENEWAL_MS = 5000
const LIMIT = 200
/** How long an idempotency key is remembered, at least. */
const KEY_RETENTION_MS = 48 * 60 * 60 * 1000

export interface SweeperOptions {
  jobs: Pick<JobStore, 'claimOverdue' | 'claimExpiredHolds'>
  events: Pick<EventStore, 'deleteLogsEndedBefore' | 'deleteKeysBefore'>
  groups: Pick<CommitGroups, 'submit'>
  now: () => number
  pollMs: number
  eventRetentionMs: number
  /** What operators did. */
  operators?: {
    audit: Pick<AuditStore, 'deleteBefore'>
    redrives: Pick<RedriveStore, 'deleteEndedBefore'>
    retentionMs: number
  }
  /** A longer pause between two sweeps means that the database or this process stood still, ms. */
  standstillMs?: number
  /** How long those who hold jobs may take to renew their holds afterwards, ms. */
  renewalMs?: number
  log: FastifyBaseLogger
}

export function createSweeper(options: SweeperOptions): {
  close(): Promise<void>
} {
  const { jobs, events, groups, now, pollMs, eventRetentionMs, operators, log } = options
  const { standstillMs = STANDSTILL_MS, renewalMs = RENEWAL_MS } = options
  const onError = (error: unknown) => log.warn({ err: error }, 'a sweep failed; it is tried again')

  async function end(type: 'expire' | 'hold_expired', claimed: AttemptRef[]): Promise<void> {
    await Promise.all(
      claimed.map(({ chapterId, kind, jobId, attempt }) => {
        if (type === 'hold_expired')
          log.info(
            { chapter_id: chapterId, kind, job_id: jobId, attempt },
            'the process that held a job is gone; it is queued again',
          )
        return groups.submit({ type, chapterId, kind, jobId, attempt }).catch((error: unknown) => {
          // Deleted since it was claimed.
          if (!(error instanceof ChapterNotFoundError)) throw error
        })
      }),
    )
  }

  let sweptAt = performance.now()
  /** Until then holds that ran out do not count, because nobody could renew them. */
  let holdsCountFrom = 0

  const attempts = repeat(
    async () => {
      const claim = () => ({
        now: now(),
        leasedUntil: now() + CLAIM_MS,
        limit: LIMIT,
      })
      const overdue = await jobs.claimOverdue(claim())
      await end('expire', overdue)
      const at = performance.now()
      if (at - sweptAt > standstillMs + pollMs) holdsCountFrom = at + renewalMs
      sweptAt = at
      const unheld = at < holdsCountFrom ? [] : await jobs.claimExpiredHolds(claim())
      await end('hold_expired', unheld)
      return overdue.length === LIMIT || unheld.length === LIMIT
    },
    pollMs,
    onError,
  )

  const retention = repeat(
    async () => {
      const logs = await events.deleteLogsEndedBefore(now() - eventRetentionMs, LIMIT)
      await events.deleteKeysBefore(now() - KEY_RETENTION_MS)
      if (operators === undefined) return logs === LIMIT
      const before = now() - operators.retentionMs
      const entries = await operators.audit.deleteBefore(before, LIMIT)
      const redrives = await operators.redrives.deleteEndedBefore(before, LIMIT)
      return [logs, entries, redrives].includes(LIMIT)
    },
    10 * pollMs,
    onError,
  )

  return {
    async close() {
      await Promise.all([attempts.stop(), retention.stop()])
    },
  }
}
