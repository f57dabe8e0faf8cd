/**
 * Jobs that a node has out with a worker over a connection of its own (`dispatch/http-queue.ts`). The node holds them:
 * it renews `held_until` while the request is open, and when it dies others send the job again (`timers/sweeper.ts`).
 *
 * As claims do, these statements raise no version, name the attempt they are about, and skip rows that a write has
 * locked, so that they can never deadlock with one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { toInstant } from '../contract/wire.js'
import type { AttemptRef, PublishedAttempt } from './jobs.js'
import { type Db, prepare } from './prepared.js'
import { namedJob, recordset } from './records.js'
import * as table from './schema.js'

export interface OpenJobStore {
  /**
   * Marks queued attempts published and held until then, in one step: what is sent is out, and nothing is out unheld.
   * @returns the job ids of those that are this node’s now; the others were taken, changed or cancelled meanwhile
   */
  take(attempts: PublishedAttempt[], heldUntil: number): Promise<Set<string>>
  /** Leaves queued attempts alone until then, on every node: their worker takes none. */
  leave(attempts: AttemptRef[], leasedUntil: number): Promise<void>
  /** Renews holds. @returns the attempts that nobody wants any more: ended, cancelled, or followed by another */
  renew(attempts: AttemptRef[], heldUntil: number): Promise<AttemptRef[]>
  /**
   * Its worker has it and calls back: no node holds it from now on.
   * @param deadlineAt counts from now, unless the worker has been heard already; null: it stays
   * @param heardSince only if the worker was heard after that, ms
   * @returns whether it was let go
   */
  letGo(attempt: AttemptRef, deadlineAt: number | null, heardSince?: number): Promise<boolean>
}

/** A row that is being written is free again after a round trip or two. */
const TRIES = 5
const PAUSE_MS = 20

export function createOpenJobStore(db: Db): OpenJobStore {
  const take = prepare<{ jobId: string }>(db, 'take_jobs', TAKE)
  const leave = prepare(db, 'leave_jobs', LEAVE)
  const renew = prepare<{ jobId: string; attempt: number }>(db, 'renew_open_jobs', RENEW)
  const letGo = prepare<{ isFree: boolean; isHeard: boolean }>(db, 'let_go_job', LET_GO)

  return {
    async take(attempts, heldUntil) {
      const values = { attempts: JSON.stringify(attempts), until: toInstant(heldUntil) }
      return new Set((await take(values)).map(({ jobId }) => jobId))
    },
    async leave(attempts, leasedUntil) {
      await leave({ attempts: JSON.stringify(attempts), until: toInstant(leasedUntil) })
    },
    async renew(attempts, heldUntil) {
      const values = { attempts: JSON.stringify(attempts), until: toInstant(heldUntil) }
      const over = new Set((await renew(values)).map(({ jobId, attempt }) => `${jobId} ${attempt}`))
      return attempts.filter(({ jobId, attempt }) => over.has(`${jobId} ${attempt}`))
    },
    async letGo(attempt, deadlineAt, heardSince) {
      const values = {
        attempts: JSON.stringify([attempt]),
        deadlineAt: deadlineAt === null ? null : toInstant(deadlineAt),
        heardSince: heardSince === undefined ? null : toInstant(heardSince),
      }
      for (let tries = 1; ; tries++) {
        const [row] = await letGo(values)
        // None: it is no longer out, or nobody was heard.
        if (row === undefined) return false
        if (row.isFree || tries === TRIES) return row.isFree
        await delay(PAUSE_MS * Math.random())
      }
    },
  }
}

const attempts = (...more: string[]) =>
  recordset(table.job, 'attempts', ['chapterId', 'kind', 'jobId', 'attempt', ...more])
const until = sql`${sql.placeholder('until')}::timestamptz`

const TAKE = sql`
with free as materialized (
  select job.chapter_id, job.kind, x."deadlineAt"
  from ${attempts('deadlineAt')}, ${namedJob('queued')}
)
update job set status = 'published', deadline_at = to_timestamp(free."deadlineAt" / 1000), leased_until = null,
  held_until = ${until}
from free where job.chapter_id = free.chapter_id and job.kind = free.kind
returning job.job_id as "jobId"`

const LEAVE = sql`
with free as materialized (
  select job.chapter_id, job.kind
  from ${attempts()}, ${namedJob('queued')}
)
update job set leased_until = ${until}
from free where job.chapter_id = free.chapter_id and job.kind = free.kind`

const RENEW = sql`
with named as materialized (
  select x.* from ${attempts()}
), held as materialized (
  select job.chapter_id, job.kind
  -- One that was let go while this statement was on its way stays free.
  from named x, ${namedJob('published', { and: sql`held_until is not null` })}
), renewed as (
  update job set held_until = ${until} from held
  where job.chapter_id = held.chapter_id and job.kind = held.kind
)
select x."jobId", x.attempt from named x
where not exists (
  select from job
  where job.chapter_id = x."chapterId" and job.kind = x.kind and job.job_id = x."jobId" and job.attempt = x.attempt
    and job.status in ('queued', 'published')
  offset 0)`

const heardSince = sql`${sql.placeholder('heardSince')}::timestamptz`
const isHeard = sql`(${heardSince} is null or last_sign_at >= ${heardSince})`
const LET_GO = sql`
with named as materialized (
  select job.chapter_id, job.kind
  from ${attempts()}, ${namedJob('published', { and: isHeard, lock: false })}
), free as materialized (
  select job.chapter_id, job.kind from named join job using (chapter_id, kind)
  for no key update of job skip locked
), freed as (
  update job set held_until = null,
    deadline_at = case when job.last_sign_at is null and job.status = 'published'
      then coalesce(${sql.placeholder('deadlineAt')}::timestamptz, job.deadline_at) else job.deadline_at end
  from free where job.chapter_id = free.chapter_id and job.kind = free.kind
  returning job.kind
)
select exists (select from freed) as "isFree" from named`
