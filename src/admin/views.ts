/**
 * What operators are shown, made of what the store gives.
 */
import {
  type AuditEntry,
  type DeadLetterView,
  DeliveryView,
  type KindState,
  Redrive,
  type RedriveStatus,
  type StuckJob,
} from '../contract/admin.js'
import { AttemptView, JOB_KINDS } from '../contract/job.js'
import { toInstant, toWire } from '../contract/wire.js'
import { jobMessage } from '../dispatch/message.js'
import type { AuditRow } from '../store/audit.js'
import { type Delivery, deliveryStatusOf } from '../store/deliveries.js'
import type { FailedJob } from '../store/failed-jobs.js'
import type { JobCounts } from '../store/jobs.js'
import type { KindPause } from '../store/pauses.js'
import type { RedriveRow } from '../store/redrives.js'
import type { RunningJob } from '../store/running-jobs.js'
import type { Stuck } from './stuck.js'

export function stuckView(job: RunningJob, stuck: Stuck, waitingBefore: number | null): StuckJob {
  const { status, progress } = job
  return {
    ...listedJob(job),
    status,
    progress,
    requested_at: toInstant(job.requestedAt),
    why: stuck.why,
    since_at: toInstant(stuck.sinceAt),
    until_at: stuck.untilAt === null ? null : toInstant(stuck.untilAt),
    waiting_before: waitingBefore,
    error: job.reason === null ? null : { reason: job.reason, message: job.error },
  }
}

export function deadLetterView({ job, failedAt, attempts }: FailedJob, publicUrl: string): DeadLetterView {
  const { jobId, attempt, reason, error } = job
  // The row says why this attempt failed; its message said that of the one before.
  const before = attempts.find((each) => each.jobId === jobId && each.attempt === attempt - 1)
  const asked = { ...job, reason: before?.reason ?? null, error: before?.error ?? null }
  return {
    ...listedJob(job),
    failed_at: toInstant(failedAt),
    reason,
    error,
    attempts: attempts.map((each) => toWire(AttemptView, each)),
    message: jobMessage(asked, publicUrl, failedAt).value,
  }
}

export function redriveView(row: RedriveRow): Redrive {
  const { id, maxJobs, isCancelled, endedAt, lastError } = row
  const status: RedriveStatus = isCancelled ? 'cancelled' : endedAt === null ? 'running' : 'done'
  return toWire(Redrive, { ...row, redriveId: id, limit: maxJobs, status, lastError })
}

export function kindStates(pauses: readonly KindPause[], { jobs }: JobCounts): KindState[] {
  return JOB_KINDS.map((kind) => {
    const pause = pauses.find((each) => each.kind === kind)
    const count = (status: 'queued' | 'published') =>
      jobs.find((each) => each.kind === kind && each.status === status)?.count ?? 0
    return {
      kind,
      is_paused: pause !== undefined,
      paused_at: pause === undefined ? null : toInstant(pause.pausedAt),
      paused_by: pause?.pausedBy ?? null,
      reason: pause?.reason ?? null,
      queued: count('queued'),
      published: count('published'),
    }
  })
}

export function deliveryView(delivery: Delivery): DeliveryView {
  const state = deliveryStatusOf(delivery)
  return toWire(DeliveryView, { ...delivery, state, dueAt: state === 'pending' ? delivery.dueAt : null })
}

export function auditView(row: AuditRow): AuditEntry {
  return {
    audit_id: row.id,
    at: toInstant(row.at),
    actor: row.actor,
    action: row.action,
    chapter_id: row.chapterId,
    kind: row.kind,
    details: row.details,
    request_id: row.requestId,
    outcome: row.outcome,
    problem: row.problem,
  }
}

/** Which job it is, in every list of jobs. */
function listedJob(
  job: Pick<
    RunningJob,
    'chapterId' | 'courseId' | 'ownerId' | 'title' | 'kind' | 'jobId' | 'attempt' | 'maxAttempts'
  >,
) {
  const { title, kind, attempt } = job
  return {
    chapter_id: job.chapterId,
    course_id: job.courseId,
    owner_id: job.ownerId,
    title,
    kind,
    job_id: job.jobId,
    attempt,
    max_attempts: job.maxAttempts,
  }
}
