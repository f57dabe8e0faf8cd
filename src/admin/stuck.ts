/**
 * What operators may see and do: this folder. Here: why a job does not go on. Rules only: the clock is passed in.
 */
import type { StuckWhy } from '../contract/admin.js'
import type { JobKind } from '../contract/job.js'
import type { RunningJob } from '../store/running-jobs.js'

export interface StuckRules {
  /** ms since the epoch */
  now: number
  /** Only so many jobs may be with workers at once. */
  isWindowed: boolean
  /** Since when each paused kind is, ms. */
  pausedAt: Partial<Record<JobKind, number>>
  /** From being sent until the deadline, as long as no worker begins, ms. */
  queueTimeoutMs: number
  /** It is told only when it has been so for so long, ms. */
  unsentMs: number
  unstartedMs: number
  silentMs: number
}

export interface Stuck {
  why: StuckWhy
  sinceAt: number
  untilAt: number | null
}

type JobTimes = Pick<
  RunningJob,
  | 'kind'
  | 'status'
  | 'requestedAt'
  | 'dueAt'
  | 'deadlineAt'
  | 'lastHeardAt'
  | 'leasedUntil'
  | 'placedAt'
  | 'endedAt'
>

/** @returns undefined: it goes on */
export function stuckOf(job: JobTimes, rules: StuckRules): Stuck | undefined {
  if (job.status === 'queued') return unsent(job, rules)
  if (job.status === 'published') return unanswered(job, rules)
  return undefined
}

function unsent(job: JobTimes, { now, isWindowed, pausedAt, unsentMs }: StuckRules): Stuck | undefined {
  const { kind, dueAt, requestedAt, endedAt } = job
  if (dueAt > now) return { why: 'waiting_for_retry', sinceAt: endedAt ?? requestedAt, untilAt: dueAt }
  if (now - dueAt < unsentMs) return undefined
  const paused = pausedAt[kind]
  if (paused !== undefined) return { why: 'paused', sinceAt: Math.max(paused, dueAt), untilAt: null }
  const isWaiting = isWindowed && job.placedAt === null && job.leasedUntil === null
  return { why: isWaiting ? 'window_full' : 'not_published', sinceAt: dueAt, untilAt: null }
}

function unanswered(job: JobTimes, rules: StuckRules): Stuck | undefined {
  const { now, queueTimeoutMs, unstartedMs, silentMs } = rules
  const { lastHeardAt, deadlineAt, requestedAt } = job
  if (lastHeardAt !== null)
    return now - lastHeardAt < silentMs
      ? undefined
      : { why: 'silent', sinceAt: lastHeardAt, untilAt: deadlineAt }
  // When it was sent is in no row. Until a worker begins, the deadline counts from then.
  const sentAt = Math.max(requestedAt, (deadlineAt ?? now) - queueTimeoutMs)
  return now - sentAt < unstartedMs
    ? undefined
    : { why: 'no_worker_started', sinceAt: sentAt, untilAt: deadlineAt }
}
