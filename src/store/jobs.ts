/**
 * Jobs as work that is due. Each claim is one statement that commits by itself: it leases rows that nobody
 * else has (`FOR UPDATE SKIP LOCKED`) and holds no lock afterwards. A lease is no part of a job’s state.
 * Instants are milliseconds since the epoch.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import { GenerationMessage } from '../contract/generation.js'
import type { FailureReason, JobKind } from '../contract/job.js'
import { camelCase, type RecordOf, toInstant } from '../contract/wire.js'
import type { OwedDeadLetter } from '../domain/command.js'
import { contentOf } from './content.js'
import { failureKindOf } from './failure.js'
import { type Db, prepare } from './prepared.js'
import { keysOf, namedJob, recordFields, recordset } from './records.js'
import * as table from './schema.js'

/** A job with all that its message says, and the trace that the message continues. */
export type DueJob = RecordOf<Omit<GenerationMessage, 'deadline_at' | 'callback' | 'previous'>> & {
  traceparent: string | null
  /** Why the attempt before failed. */
  reason: FailureReason | null
  error: string | null
}

export type DueDeadLetter = Omit<DueJob, 'reason' | 'error'> &
  Pick<OwedDeadLetter, 'reason' | 'error' | 'deadlineAt' | 'failedAt'>

/** A job’s attempt, to be expired or taken back. */
export interface AttemptRef {
  chapterId: number
  kind: JobKind
  jobId: string
  attempt: number
}

export type JobRef = Pick<AttemptRef, 'chapterId' | 'kind' | 'jobId'>

/** How many jobs are under way, and since when the oldest; instants in ms. */
export interface JobCounts {
  jobs: {
    kind: JobKind
    status: 'queued' | 'published'
    count: number
    /** Of the queued ones: due, and waiting for a place in the window. */
    waiting: number
    /** Of the queued ones: given a place, and being sent. */
    placed: number
  }[]
  /** `queued`: due, or with a window placed, since; `published`: with a worker since it was asked for. */
  oldestAt: { queued: number | null; published: number | null }
}

/** An attempt that was published; its deadline counts from then. */
export interface PublishedAttempt extends AttemptRef {
  deadlineAt: number
}

interface Claim {
  now: number
  /** Others leave the rows alone until then. */
  leasedUntil: number
  limit: number
}

export interface JobStore {
  /** Queued jobs whose time has come, oldest first; none of the kinds that are paused. */
  claimDue(claim: Claim & { paused?: ReadonlySet<JobKind> }): Promise<DueJob[]>
  /** Gives queued attempts back that were claimed and are not sent: no node has them, and they have no place. */
  unclaim(attempts: AttemptRef[]): Promise<void>
  /** Published jobs past their deadline. */
  claimOverdue(claim: Claim): Promise<AttemptRef[]>
  /** Published jobs whose process has not renewed its hold on them. */
  claimExpiredHolds(claim: Claim): Promise<AttemptRef[]>
  claimDeadLetters(claim: Claim): Promise<DueDeadLetter[]>
  deleteDeadLetters(jobIds: string[]): Promise<void>
  /**
   * Marks jobs published that are still queued for the attempt that was sent. As a claim it raises no version; a job
   * that somebody is changing at this moment is left out.
   * @returns how many were marked
   */
  markPublished(attempts: PublishedAttempt[]): Promise<number>
  /** Says that this process has these jobs in a queue that would die with it; `until` in the past gives them up. */
  hold(jobs: JobRef[], until: number): Promise<void>
  count(of: { now: number; isWindowed: boolean }): Promise<JobCounts>
  /** Voids every lease and hold: only where no other process can have one. */
  voidLeases(now: number): Promise<void>
}

/** A row that is being written is free again after a round trip or two. */
const HOLD_TRIES = 5
const CONFLICT_TRIES = 5
const PAUSE_MS = 20

export function createJobStore(db: Db): JobStore {
  const due = prepare<{ due: DueJob }>(db, 'claim_due', CLAIM_DUE)
  const overdue = prepare<{ attempt: AttemptRef }>(db, 'claim_overdue', CLAIM_OVERDUE)
  const expiredHolds = prepare<{ attempt: AttemptRef }>(db, 'claim_expired_holds', CLAIM_EXPIRED_HOLDS)
  const letters = prepare<{ due: DueDeadLetter }>(db, 'claim_dead_letters', CLAIM_DEAD_LETTERS)
  const remove = prepare(db, 'delete_dead_letters', DELETE_DEAD_LETTERS)
  const mark = prepare(db, 'mark_published', MARK_PUBLISHED)
  const hold = prepare<{ jobId: string }>(db, 'hold_jobs', HOLD)
  const unclaim = prepare(db, 'unclaim_jobs', UNCLAIM)
  const count = prepare<CountRow>(db, 'count_jobs', COUNT)
  const voidAll = prepare(db, 'void_leases', VOID_LEASES)

  return {
    async claimDue({ paused = new Set(), ...claim }) {
      const rows = await due({ ...values(claim), paused: [...paused].join() })
      return rows.map((row) => row.due)
    },
    async unclaim(attempts) {
      await despiteConflicts(() => unclaim({ attempts: JSON.stringify(attempts) }))
    },
    claimOverdue: async (claim) => (await overdue(values(claim))).map((row) => row.attempt),
    claimExpiredHolds: async (claim) => (await expiredHolds(values(claim))).map((row) => row.attempt),
    claimDeadLetters: async (claim) => (await letters(values(claim))).map((row) => row.due),
    async markPublished(attempts) {
      const marked = await despiteConflicts(() => mark({ attempts: JSON.stringify(attempts) }))
      return marked.length
    },
    async deleteDeadLetters(jobIds) {
      await remove({ jobIds: jobIds.join() })
    },
    async hold(jobs, until) {
      let rest = jobs
      for (let tries = 1; rest.length > 0 && tries <= HOLD_TRIES; tries++) {
        if (tries > 1) await delay(PAUSE_MS * Math.random())
        const values = { jobs: JSON.stringify(rest), until: toInstant(until) }
        const rows = await despiteConflicts(() => hold(values))
        const held = new Set(rows.map(({ jobId }) => jobId))
        rest = rest.filter(({ jobId }) => !held.has(jobId))
      }
    },
    async count(of) {
      const rows = await count({ now: toInstant(of.now), isWindowed: of.isWindowed })
      const oldest = (status: string) => {
        const since = rows.flatMap((row) =>
          row.status === status && row.since !== null ? [Date.parse(row.since)] : [],
        )
        return since.length === 0 ? null : Math.min(...since)
      }
      return {
        jobs: rows.map(({ kind, status, ...row }) => ({
          kind,
          status,
          count: Number(row.count),
          waiting: Number(row.waiting),
          placed: Number(row.placed),
        })),
        oldestAt: { queued: oldest('queued'), published: oldest('published') },
      }
    },
    async voidLeases(now) {
      await voidAll({ now: toInstant(now) })
    },
  }
}

/**
 * PostgreSQL may wait for a row in spite of `skip locked`: when the one who writes it commits at that moment, and the next
 * one writes it already. So, very rarely, it finds a deadlock with a write.
 */
async function despiteConflicts<T>(run: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if (failureKindOf(error) !== 'conflict' || tries === CONFLICT_TRIES) throw error
    }
    await delay(PAUSE_MS * Math.random())
  }
}

const now = sql`${sql.placeholder('now')}::timestamptz`
const leasedUntil = sql`${sql.placeholder('leasedUntil')}::timestamptz`
const limit = sql`${sql.placeholder('limit')}::int`
const isFree = sql`(leased_until is null or leased_until <= ${now})`

/** What a message says of its job and of its chapter; the rest is made when it is sent. */
const MESSAGE_KEYS = [...Object.keys(GenerationMessage.properties).map(camelCase), 'reason', 'error']
const JOB_KEYS = keysOf(table.job, ['chapterId', 'deadlineAt', 'ownerId']).filter((key) =>
  MESSAGE_KEYS.includes(key),
)
const CHAPTER_KEYS = [
  ...MESSAGE_KEYS.filter((key) => !JOB_KEYS.includes(key) && keysOf(table.chapter).includes(key)),
  'traceparent',
]
const LETTER_KEYS = keysOf(table.deadLetter, [...JOB_KEYS, 'chapterId', 'leasedUntil'])

/** A `DueJob`, from rows of `job` and `chapter`. */
export function messageOf(job: string, chapter: string): SQL {
  return sql`json_build_object(${recordFields(table.job, job, JOB_KEYS)}, ${revisionFields(job)}, ${chapterFields(chapter)})`
}
const chapterFields = (row: string) =>
  sql`'chapterId', ${sql.raw(row)}.id, ${recordFields(table.chapter, row, CHAPTER_KEYS)}`
const ATTEMPT = sql`json_build_object(${recordFields(table.job, 'job', ['chapterId', 'kind', 'jobId', 'attempt'])})`

/** Larger content is not sent along: brokers take messages of 1 MiB. */
const MAX_CURRENT_BYTES = 256 * 1024

/** What a message of a later revision says besides, of the row `job`. */
const revisionFields = (job: string) => {
  const x = sql.raw(job)
  return sql`
  'instruction', case when ${x}.revision > 1 then (
    select r.instruction from revision r
    where r.chapter_id = ${x}.chapter_id and r.kind = ${x}.kind and r.revision = ${x}.revision) end,
  'current', case when ${x}.revision > 1 then (
    select case when octet_length(there.content::text) <= ${sql.raw(String(MAX_CURRENT_BYTES))} then there.content end
    from (select ${contentOf(sql`${x}.chapter_id`, sql`${x}.kind`)} as content) there) end`
}

const CLAIM_DUE = sql`
with free as materialized (
  select chapter_id, kind from job
  where status = 'queued' and due_at <= ${now} and ${isFree}
    and kind <> all(string_to_array(${sql.placeholder('paused')}::text, ','))
  order by due_at limit ${limit} for update skip locked
), x as (
  update job set leased_until = ${leasedUntil} from free
  where job.chapter_id = free.chapter_id and job.kind = free.kind
  returning job.*
)
select ${messageOf('x', 'c')} as due
from x join chapter c on c.id = x.chapter_id order by x.due_at`

/** In the order of `due`, oldest first: so PostgreSQL takes the index on it even while the tables are new. */
const claimPublished = (due: SQL, condition: SQL, leased: SQL) => sql`
with free as materialized (
  select chapter_id, kind from job
  where status = 'published' and ${due} <= ${now} and ${condition}
  order by ${due} limit ${limit} for update skip locked
)
update job set ${leased} from free
where job.chapter_id = free.chapter_id and job.kind = free.kind
returning ${ATTEMPT} as attempt`

const CLAIM_OVERDUE = claimPublished(sql`deadline_at`, isFree, sql`leased_until = ${leasedUntil}`)
const CLAIM_EXPIRED_HOLDS = claimPublished(
  sql`held_until`,
  sql`held_until is not null`,
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
select json_build_object(
  ${recordFields(table.deadLetter, 'x', [...JOB_KEYS, ...LETTER_KEYS])}, ${revisionFields('x')}, ${chapterFields('c')}) as due
from x join chapter c on c.id = x.chapter_id order by x.failed_at`

const DELETE_DEAD_LETTERS = sql`
delete from dead_letter where job_id = any(string_to_array(${sql.placeholder('jobIds')}::text, ',')::uuid[])`

const MARK_PUBLISHED = sql`
with sent as materialized (
  select job.chapter_id, job.kind, x."deadlineAt"
  from ${recordset(table.job, 'attempts', ['chapterId', 'kind', 'jobId', 'attempt', 'deadlineAt'])},
    ${namedJob('queued')}
)
update job set status = 'published', deadline_at = to_timestamp(sent."deadlineAt" / 1000), leased_until = null,
  placed_at = null
from sent where job.chapter_id = sent.chapter_id and job.kind = sent.kind
returning job.kind`

const UNCLAIM = sql`
with claimed as materialized (
  select job.chapter_id, job.kind
  from ${recordset(table.job, 'attempts', ['chapterId', 'kind', 'jobId', 'attempt'])}, ${namedJob('queued')}
)
update job set leased_until = null, placed_at = null
from claimed where job.chapter_id = claimed.chapter_id and job.kind = claimed.kind`

/** Skips rows that a write has locked, so that it can never deadlock with one; the caller asks again for those. */
const HOLD = sql`
with held as materialized (
  select job.chapter_id, job.kind
  from ${recordset(table.job, 'jobs', ['chapterId', 'kind', 'jobId'])}
    join job on job.chapter_id = x."chapterId" and job.kind = x.kind
  where job.job_id = x."jobId"
  for no key update of job skip locked
)
update job set held_until = ${sql.placeholder('until')}::timestamptz from held
where job.chapter_id = held.chapter_id and job.kind = held.kind
returning job.job_id as "jobId"`

const COUNT = sql`
select kind, status, count(*) as count,
  count(*) filter (where status = 'queued' and leased_until is null and due_at <= ${now}) as waiting,
  count(*) filter (where status = 'queued' and placed_at is not null) as placed,
  min(case when status = 'published' then requested_at when ${sql.placeholder('isWindowed')}::boolean then placed_at
    else due_at end) as since
from job where status in ('queued', 'published') group by kind, status`

const VOID_LEASES = sql`
with letters as (
  update dead_letter set leased_until = null where leased_until is not null
)
update job set leased_until = null, placed_at = null, held_until = case when held_until > ${now} then ${now} else held_until end
where leased_until is not null or held_until > ${now}`

interface CountRow {
  kind: JobKind
  status: 'queued' | 'published'
  count: number | string
  waiting: number | string
  placed: number | string
  since: string | null
}

function values(claim: Claim) {
  return {
    now: toInstant(claim.now),
    leasedUntil: toInstant(claim.leasedUntil),
    limit: claim.limit,
  }
}
