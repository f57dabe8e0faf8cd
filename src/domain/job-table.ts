/**
 * The state machine of a job: one table, status × input × whom the input names. It says which action follows.
 * `decide.ts` looks it up and answers, `steps.ts` does it.
 *
 * Not in it: `partial`, which is decided as `progress`; `restore` and `delete`, which no job is asked for; and most of
 * what comes for a cancelled chapter, which `decide.ts` refuses before.
 */
import type { JobStatus } from '../contract/job.js'
import { isKept, type JobState } from './chapter.js'

/**
 * A job’s status, and one more: `kept`, completed with the content of an earlier revision because the one asked for
 * last failed. A late result of that one still counts, as it does for a failed job.
 */
export const JOB_STANDINGS = ['queued', 'published', 'completed', 'kept', 'failed', 'cancelled'] as const
export type JobStanding = JobStatus | 'kept'

export function standingOf(job: JobState): JobStanding {
  return isKept(job) ? 'kept' : job.status
}

/**
 * What can happen to a job. `expire` and `hold_expired` come from this server (a deadline passed, the process that
 * held the job died), the rest from workers and clients. That a job was published is no input: like the lease it is
 * marked in the row without a decision (`store/jobs.ts`), and only while the job is queued for that attempt.
 */
export const JOB_INPUTS = [
  'start',
  'finish',
  'fail',
  'progress',
  'expire',
  'hold_expired',
  'retry',
  'restart',
  'cancel',
  'regenerate',
] as const
export type JobInput = (typeof JOB_INPUTS)[number]

/**
 * Whether an input names the job’s current `job_id` and attempt, another one, or none at all. `earlier`, from the second
 * revision on: another `job_id`, which may be that of an earlier revision.
 */
export const MATCHES = ['current', 'other', 'earlier', 'unnamed'] as const
export type Match = (typeof MATCHES)[number]

export type JobAction =
  /** a worker begins, unless one that sent a heartbeat lately is at it: → published */
  | 'start'
  /** the result is stored: → completed */
  | 'complete'
  /** → queued with the next attempt, or failed */
  | 'fail'
  /** a heartbeat: deadline and progress, → published */
  | 'progress'
  /** the number only, because the attempt is unknown */
  | 'note'
  /** if the deadline has passed, as `fail` */
  | 'time_out'
  /** → queued, same attempt */
  | 'requeue'
  /** → queued under a new job id, attempt 1 */
  | 'restart'
  /** → queued under a new job id, same attempt, due now */
  | 'start_anew'
  /** due now, if it was to wait */
  | 'send_now'
  /** → cancelled */
  | 'cancel'
  /** → queued under a new job id, attempt 1, for the next revision; the content stays meanwhile */
  | 'regenerate'
  /** the result counted already */
  | 'duplicate'
  /** answered so, changes nothing */
  | 'ignored'
  /** `-start` is told not to run, for this reason */
  | 'refuse_completed'
  | 'refuse_cancelled'
  | 'refuse_superseded'
  /** nothing happens */
  | 'none'

type Cell = JobAction | Record<Match, JobAction>

const ifCurrent = (current: JobAction, otherwise: JobAction): Cell => ({
  current,
  other: otherwise,
  earlier: otherwise,
  unnamed: otherwise,
})

/** The first result of a revision wins; that of an earlier one never counts as this one’s. */
const COMPLETE_OWN: Cell = {
  current: 'complete',
  other: 'complete',
  earlier: 'duplicate',
  unnamed: 'complete',
}

export const JOB_TABLE: Record<JobStanding, Record<JobInput, Cell>> = {
  // A callback may overtake the `published` mark, so `queued` takes callbacks that name it as `published` does.
  queued: {
    start: ifCurrent('start', 'refuse_superseded'),
    finish: COMPLETE_OWN,
    fail: ifCurrent('fail', 'ignored'),
    // Unnamed, it may come from an attempt that was given up; taken as a start, the next would never be sent.
    progress: { current: 'progress', other: 'ignored', earlier: 'ignored', unnamed: 'note' },
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    restart: 'send_now',
    cancel: 'cancel',
    regenerate: 'none',
  },
  published: {
    start: ifCurrent('start', 'refuse_superseded'),
    finish: COMPLETE_OWN,
    fail: { current: 'fail', other: 'ignored', earlier: 'ignored', unnamed: 'fail' },
    progress: { current: 'progress', other: 'ignored', earlier: 'ignored', unnamed: 'progress' },
    expire: ifCurrent('time_out', 'none'),
    hold_expired: ifCurrent('requeue', 'none'),
    retry: 'none',
    restart: 'start_anew',
    cancel: 'cancel',
    regenerate: 'none',
  },
  completed: {
    start: 'refuse_completed',
    finish: 'duplicate',
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    restart: 'none',
    cancel: 'none',
    regenerate: 'regenerate',
  },
  // Unnamed, a result may be the repeat of the one that is kept.
  kept: {
    start: 'refuse_superseded',
    finish: { current: 'complete', other: 'complete', earlier: 'duplicate', unnamed: 'duplicate' },
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    restart: 'none',
    cancel: 'none',
    regenerate: 'regenerate',
  },
  // A late finish still counts: the first result wins.
  failed: {
    start: 'refuse_superseded',
    finish: COMPLETE_OWN,
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'restart',
    restart: 'restart',
    cancel: 'none',
    regenerate: 'regenerate',
  },
  cancelled: {
    start: 'refuse_cancelled',
    finish: 'ignored',
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    restart: 'none',
    cancel: 'none',
    regenerate: 'none',
  },
}

export function actionOf(standing: JobStanding, input: JobInput, match: Match): JobAction {
  const cell = JOB_TABLE[standing][input]
  return typeof cell === 'string' ? cell : cell[match]
}

/** The work a callback names, as far as it does. */
export interface WorkName {
  jobId?: string | undefined
  attempt?: number | undefined
}

export function matchOf(job: { jobId: string; attempt: number; revision?: number }, named: WorkName): Match {
  if (named.jobId === undefined && named.attempt === undefined) return 'unnamed'
  const sameJob = named.jobId === undefined || named.jobId.toLowerCase() === job.jobId
  if (!sameJob && (job.revision ?? 1) > 1) return 'earlier'
  const sameAttempt = named.attempt === undefined || named.attempt === job.attempt
  return sameJob && sameAttempt ? 'current' : 'other'
}
