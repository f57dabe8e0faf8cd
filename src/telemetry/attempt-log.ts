/**
 * The line that says that an attempt ended, and why, whatever ended it: the worker, an answer that could not be used,
 * the deadline, a cancel. It is written once, by the node whose write ended the attempt.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { Committed } from '../chapters/commit-group.js'
import { JOB_KINDS } from '../contract/job.js'
import { isRunning, type JobState } from '../domain/chapter.js'
import { traceIdOf, traceparentOf } from './traceparent.js'

/** Of a worker’s own words about a failure. */
const MAX_ERROR = 300

export function logAttempts(all: readonly Committed[], log: Pick<FastifyBaseLogger, 'info'>): void {
  for (const { before, state, attempts, isDeleted } of all) {
    if (before === null) continue
    const end = (job: JobState, outcome: string, why: object) => {
      const traceparent = traceparentOf(job.jobId, state.traceparent ?? undefined)
      const { kind, jobId: job_id, attempt } = job
      const about = { chapter_id: state.id, kind, job_id, attempt, trace_id: traceIdOf(traceparent) }
      log.info({ ...about, outcome, ...why }, 'an attempt ended')
    }
    for (const kind of JOB_KINDS) {
      const [was, is] = [before.jobs[kind], state.jobs[kind]]
      if (was === is && !isDeleted) continue
      const next = is.status === 'queued' ? { retry_at: new Date(is.dueAt).toISOString() } : {}
      for (const { kind: of, outcome, reason, error, jobId, attempt } of attempts) {
        if (of !== kind || outcome !== 'failed') continue
        const said = error === null ? {} : { error: error.slice(0, MAX_ERROR).toWellFormed() }
        end({ ...was, jobId, attempt }, 'failed', { reason, ...said, ...next })
      }
      if (is.status === 'completed' && is.keptRevision === null && was.status !== 'completed')
        end(is, 'completed', {})
      else if (isRunning(was) && is.status === 'cancelled') end(is, 'cancelled', { reason: 'cancel' })
      else if (isRunning(was) && isDeleted) end(was, 'cancelled', { reason: 'delete' })
    }
  }
}
