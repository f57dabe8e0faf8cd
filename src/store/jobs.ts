/**
 * Jobs as work that is due. Each claim is one statement that commits by itself: it leases rows that nobody
 * else has (`FOR UPDATE SKIP LOCKED`) and holds no lock afterwards. A lease is no part of a job’s state.
 * Instants are milliseconds since the epoch.
 */
import { sql } from 'drizzle-orm'
import type { FailureReason, JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { toInstant } from '../domain/chapter.js'
import { type Db, jsonParameter, prepare } from './database.js'

/** A job with all that its message says. */
export interface DueJob {
  kind: JobKind
  jobId: string
  attempt: number
  maxAttempts: number
  requestedAt: number
  chapterId: number
  courseId: number
  ownerId: number
  title: string
  description: string
  locale: Locale
  quizCount: number
  metadata: Record<string, unknown>
  /** Of the request that created the chapter. */
  traceparent: string | null
  /** Why the attempt before failed. */
  failure: { reason: FailureReason; error: string | null } | null
}

export interface DueDeadLetter extends DueJob {
  deadlineAt: number | null
  reason: FailureReason
  error: string | null
  failedAt: number
}

/** A job’s attempt, to be expired or taken back. */
export interface AttemptRef {
  chapterId: number
  kind: JobKind
  jobId: string
  attempt: number
}

/** How many jobs are under way, and since when the oldest; instants in ms. */
export interface JobCounts {
  jobs: { kind: JobKind; status: 'queued' | 'published'; count: number }[]
  /** `queued`: due since; `published`: with a worker since it was asked for. */
  oldestAt: { queued: number | null; published: number | null }
}

interface Claim {
  now: number
  /** Others leave the rows alone until then. */
  leasedUntil: number
  limit: number
}

export interface JobStore {
  /** Queued jobs whose time has come, oldest first. */
  claimDue(claim: Claim): Promise<DueJob[]>
  /** Published jobs past their deadline. */
  claimOverdue(claim: Claim): Promise<AttemptRef[]>
  /** Published jobs whose holder has not said for too long that it still has them. */
  claimLapsed(claim: Claim): Promise<AttemptRef[]>
  claimDeadLetters(claim: Claim): Promise<DueDeadLetter[]>
  deleteDeadLetters(jobIds: string[]): Promise<void>
  /** Says that this process has these jobs in a queue that would die with it; `until` in the past gives them up. */
  hold(jobIds: string[], until: number): Promise<void>
  count(): Promise<JobCounts>
  /** Voids every lease and hold: only where no other process can have one. */
  voidLeases(now: number): Promise<void>
}

export function createJobStore(db: Db): JobStore {
  const due = prepare<DueRow>(db, 'claim_due', CLAIM_DUE)
  const overdue = prepare<AttemptRow>(db, 'claim_overdue', CLAIM_OVERDUE)
  const lapsed = prepare<AttemptRow>(db, 'claim_lapsed', CLAIM_LAPSED)
  const letters = prepare<LetterRow>(db, 'claim_dead_letters', CLAIM_DEAD_LETTERS)
  const remove = prepare(db, 'delete_dead_letters', DELETE_DEAD_LETTERS)
  const hold = prepare(db, 'hold_jobs', HOLD)
  const count = prepare<CountRow>(db, 'count_jobs', COUNT)
  const voidAll = prepare(db, 'void_leases', VOID_LEASES)

  return {
    claimDue: async (claim) => (await due(values(claim))).map(({ due: row }) => dueJob(row)),
    claimOverdue: async (claim) => (await overdue(values(claim))).map(attemptRef),
    claimLapsed: async (claim) => (await lapsed(values(claim))).map(attemptRef),
    claimDeadLetters: async (claim) =>
      (await letters(values(claim))).map(({ due: row }) => ({
        ...dueJob(row),
        // Its reason is its own, and not that of an attempt before it.
        failure: null,
        deadlineAt: row.deadline_at === null ? null : Date.parse(row.deadline_at),
        reason: row.reason,
        error: row.error,
        failedAt: Date.parse(row.failed_at),
      })),
    async deleteDeadLetters(jobIds) {
      await remove({ jobIds: JSON.stringify(jobIds) })
    },
    async hold(jobIds, until) {
      await hold({ jobIds: JSON.stringify(jobIds), until: toInstant(until) })
    },
    async count() {
      const rows = await count({})
      const oldest = (status: string) => {
        const since = rows.filter((row) => row.status === status).map((row) => Date.parse(row.since))
        return since.length === 0 ? null : Math.min(...since)
      }
      return {
        jobs: rows.map((row) => ({ kind: row.kind, status: row.status, count: Number(row.count) })),
        oldestAt: { queued: oldest('queued'), published: oldest('published') },
      }
    },
    async voidLeases(now) {
      await voidAll({ now: toInstant(now) })
    },
  }
}

const now = sql`${sql.placeholder('now')}::timestamptz`
const leasedUntil = sql`${sql.placeholder('leasedUntil')}::timestamptz`
const limit = sql`${sql.placeholder('limit')}::int`
const isFree = sql`(leased_until is null or leased_until <= ${now})`

const chapterFields = sql.raw(`
  'chapter_id', c.id, 'course_id', c.course_id, 'owner_id', c.owner_id, 'title', c.title,
  'description', c.description, 'locale', c.locale, 'quiz_count', c.quiz_count, 'metadata', c.metadata,
  'traceparent', c.traceparent`)

const jobFields = sql.raw(`
  'kind', x.kind, 'job_id', x.job_id, 'attempt', x.attempt, 'max_attempts', x.max_attempts,
  'requested_at', x.requested_at`)

const CLAIM_DUE = sql`
with free as materialized (
  select chapter_id, kind from job
  where status = 'queued' and due_at <= ${now} and ${isFree}
  order by due_at limit ${limit} for update skip locked
), x as (
  update job set leased_until = ${leasedUntil} from free
  where job.chapter_id = free.chapter_id and job.kind = free.kind
  returning job.*
)
select json_build_object(${jobFields}, ${chapterFields}, 'reason', x.reason, 'error', x.error) as due
from x join chapter c on c.id = x.chapter_id order by x.due_at`

const claimPublished = (condition: ReturnType<typeof sql>, leased: ReturnType<typeof sql>) => sql`
with free as materialized (
  select chapter_id, kind from job
  where status = 'published' and ${condition}
  limit ${limit} for update skip locked
)
update job set ${leased} from free
where job.chapter_id = free.chapter_id and job.kind = free.kind
returning job.chapter_id, job.kind, job.job_id, job.attempt`

const CLAIM_OVERDUE = claimPublished(
  sql`deadline_at <= ${now} and ${isFree}`,
  sql`leased_until = ${leasedUntil}`,
)
const CLAIM_LAPSED = claimPublished(
  sql`held_until is not null and held_until <= ${now}`,
  sql`held_until = ${leasedUntil}`,
)

const CLAIM_DEAD_LETTERS = sql`
with free as materialized (
  select job_id from dead_letter where ${isFree}
  order by failed_at limit ${limit} for update skip locked
), x as (
  update dead_letter set leased_until = ${leasedUntil} from free
  where dead_letter.job_id = free.job_id
  returning dead_letter.*
)
select json_build_object(${jobFields}, ${chapterFields}, 'deadline_at', x.deadline_at, 'reason', x.reason,
  'error', x.error, 'failed_at', x.failed_at) as due
from x join chapter c on c.id = x.chapter_id order by x.failed_at`

const jobIds = sql`(select x::uuid from json_array_elements_text(${jsonParameter('jobIds')}) x)`

const DELETE_DEAD_LETTERS = sql`delete from dead_letter where job_id in ${jobIds}`

/** The only statement here that waits for a row; it takes them in the order in which a group’s write does. */
const HOLD = sql`
with held as materialized (
  select chapter_id, kind from job where job_id in ${jobIds} order by chapter_id, kind for no key update
)
update job set held_until = ${sql.placeholder('until')}::timestamptz from held
where job.chapter_id = held.chapter_id and job.kind = held.kind`

const COUNT = sql`
select kind, status, count(*) as count,
  min(case status when 'queued' then due_at else requested_at end) as since
from job where status in ('queued', 'published') group by kind, status`

const VOID_LEASES = sql`
with letters as (
  update dead_letter set leased_until = null where leased_until is not null
)
update job set leased_until = null, held_until = case when held_until > ${now} then ${now} else held_until end
where leased_until is not null or held_until > ${now}`

interface DueRow {
  due: {
    kind: JobKind
    job_id: string
    attempt: number
    max_attempts: number
    requested_at: string
    chapter_id: number
    course_id: number
    owner_id: number
    title: string
    description: string
    locale: Locale
    quiz_count: number
    metadata: Record<string, unknown>
    traceparent: string | null
    reason: FailureReason | null
    error: string | null
  }
}

interface LetterRow {
  due: DueRow['due'] & {
    deadline_at: string | null
    reason: FailureReason
    error: string | null
    failed_at: string
  }
}

interface CountRow {
  kind: JobKind
  status: 'queued' | 'published'
  count: number | string
  since: string
}

interface AttemptRow {
  chapter_id: number | string
  kind: JobKind
  job_id: string
  attempt: number
}

function values(claim: Claim) {
  return {
    now: toInstant(claim.now),
    leasedUntil: toInstant(claim.leasedUntil),
    limit: claim.limit,
  }
}

function dueJob(row: DueRow['due']): DueJob {
  return {
    kind: row.kind,
    jobId: row.job_id,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    requestedAt: Date.parse(row.requested_at),
    chapterId: row.chapter_id,
    courseId: row.course_id,
    ownerId: row.owner_id,
    title: row.title,
    description: row.description,
    locale: row.locale,
    quizCount: row.quiz_count,
    metadata: row.metadata,
    traceparent: row.traceparent,
    failure: row.reason === null ? null : { reason: row.reason, error: row.error },
  }
}

function attemptRef(row: AttemptRow): AttemptRef {
  return {
    chapterId: Number(row.chapter_id),
    kind: row.kind,
    jobId: row.job_id,
    attempt: row.attempt,
  }
}
