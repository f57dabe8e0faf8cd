/**
 * The state machine of a job: one table, status × input × whom the input names.
 * It says which action follows; `decide.ts` says what each action does.
 */
import type { JobStatus } from '../contract/job.js'

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
  'cancel',
] as const
export type JobInput = (typeof JOB_INPUTS)[number]

/** Whether an input names the job’s current `job_id` and attempt, another one, or none at all. */
export const MATCHES = ['current', 'other', 'unnamed'] as const
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
  /** the number only: nobody knows which attempt it is about */
  | 'note'
  /** if the deadline has passed, as `fail` */
  | 'time_out'
  /** → queued, same attempt */
  | 'requeue'
  /** → queued under a new job id, attempt 1 */
  | 'restart'
  /** → cancelled */
  | 'cancel'
  /** the result counted already */
  | 'duplicate'
  /** answered so, changes nothing */
  | 'ignored'
  /** `-start` is told not to run, for this reason */
  | 'refuse_completed'
  | 'refuse_cancelled'
  | 'refuse_superseded'
  /** nothing to do, nobody to tell */
  | 'none'

type Cell = JobAction | Record<Match, JobAction>

const ifCurrent = (current: JobAction, otherwise: JobAction): Cell => ({
  current,
  other: otherwise,
  unnamed: otherwise,
})

export const JOB_TABLE: Record<JobStatus, Record<JobInput, Cell>> = {
  // A callback may overtake the `published` mark, so `queued` takes callbacks that name it as `published` does.
  queued: {
    start: ifCurrent('start', 'refuse_superseded'),
    finish: 'complete',
    fail: ifCurrent('fail', 'ignored'),
    // Unnamed, it may come from an attempt that was given up; taken as a start, the next would never be sent.
    progress: { current: 'progress', other: 'ignored', unnamed: 'note' },
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    cancel: 'cancel',
  },
  published: {
    start: ifCurrent('start', 'refuse_superseded'),
    finish: 'complete',
    fail: { current: 'fail', other: 'ignored', unnamed: 'fail' },
    progress: { current: 'progress', other: 'ignored', unnamed: 'progress' },
    expire: ifCurrent('time_out', 'none'),
    hold_expired: ifCurrent('requeue', 'none'),
    retry: 'none',
    cancel: 'cancel',
  },
  completed: {
    start: 'refuse_completed',
    finish: 'duplicate',
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    cancel: 'none',
  },
  // A late finish still counts: the first result wins.
  failed: {
    start: 'refuse_superseded',
    finish: 'complete',
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'restart',
    cancel: 'none',
  },
  cancelled: {
    start: 'refuse_cancelled',
    finish: 'ignored',
    fail: 'ignored',
    progress: 'ignored',
    expire: 'none',
    hold_expired: 'none',
    retry: 'none',
    cancel: 'none',
  },
}

export function actionOf(status: JobStatus, input: JobInput, match: Match): JobAction {
  const cell = JOB_TABLE[status][input]
  return typeof cell === 'string' ? cell : cell[match]
}

/** The work a callback names, as far as it does. */
export interface WorkName {
  jobId?: string | undefined
  attempt?: number | undefined
}

export function matchOf(job: { jobId: string; attempt: number }, named: WorkName): Match {
  if (named.jobId === undefined && named.attempt === undefined) return 'unnamed'
  const sameJob = named.jobId === undefined || named.jobId.toLowerCase() === job.jobId
  const sameAttempt = named.attempt === undefined || named.attempt === job.attempt
  return sameJob && sameAttempt ? 'current' : 'other'
}
