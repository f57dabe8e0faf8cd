/**
 * Jobs that stand failed, with what was asked and what came back. A failed job says in `due_at` since when. Those of a
 * cancelled chapter are left out: nothing of it can be tried again. Instants are milliseconds since the epoch.
 */
import { type SQL, sql } from 'drizzle-orm'
import { type FailureReason, HISTORY_LENGTH, type JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import type { EndedAttempt } from '../domain/command.js'
import { type BoundedPage, SCAN_ROWS } from './bounded-page.js'
import { type DueJob, messageOf } from './jobs.js'
import { type Db, prepare } from './prepared.js'
import { recordFields } from './records.js'
import type { FailedJobRef } from './schema.js'
import * as table from './schema.js'

export interface FailedJobFilter {
  ownerId?: number | undefined
  courseId?: number | undefined
  kind?: JobKind | undefined
  reason?: FailureReason | undefined
  /** Failed then or later, and before that. */
  from?: number | undefined
  to?: number | undefined
}

/** The place of a failed job in their order: by time, then by name. */
export interface FailedJobKey {
  at: number
  chapterId: number
  kind: JobKind
}

export interface FailedJob {
  /** All that its last message said. */
  job: DueJob
  failedAt: number
  /** Oldest first, the latest ones. */
  attempts: EndedAttempt[]
}

export interface FailedJobStore {
  /** The latest first; those before `after` in that order. */
  list(
    filter: FailedJobFilter & { after?: FailedJobKey | undefined; limit: number },
  ): Promise<BoundedPage<FailedJob, FailedJobKey>>
  ofChapter(chapterId: number): Promise<FailedJob[]>
  /** The oldest first; those after `after`. */
  refs(
    filter: FailedJobFilter & { after?: FailedJobKey | undefined; limit: number },
  ): Promise<BoundedPage<FailedJobRef & FailedJobKey, FailedJobKey>>
  /** Those of these jobs that stand failed. */
  named(jobIds: readonly string[]): Promise<FailedJobRef[]>
}

export function createFailedJobStore(db: Db): FailedJobStore {
  const list = prepare<{ page: BoundedPage<FailedJob, FailedJobKey> }>(db, 'list_failed_jobs', LIST)
  const ofChapter = prepare<{ failed: FailedJob }>(db, 'failed_jobs_of_chapter', OF_CHAPTER)
  const refs = prepare<{ page: BoundedPage<FailedJobRef & FailedJobKey, FailedJobKey> }>(
    db,
    'read_failed_refs',
    REFS,
  )
  const named = prepare<{ ref: FailedJobRef }>(db, 'named_failed_jobs', NAMED)
  const none = { items: [], scanned: 0, last: null }

  return {
    list: async (filter) => (await list(valuesOf(filter)))[0]?.page ?? none,
    ofChapter: async (chapterId) => (await ofChapter({ chapterId })).map((row) => row.failed),
    refs: async (filter) => (await refs(valuesOf(filter)))[0]?.page ?? none,
    named: async (jobIds) => (await named({ jobIds: jobIds.join() })).map((row) => row.ref),
  }
}

function valuesOf(filter: Parameters<FailedJobStore['list']>[0]) {
  const { ownerId, courseId, kind, reason, from, to, after, limit } = filter
  return {
    ownerId: ownerId ?? null,
    courseId: courseId ?? null,
    kind: kind ?? null,
    reason: reason ?? null,
    from: from === undefined ? null : toInstant(from),
    to: to === undefined ? null : toInstant(to),
    afterAt: after === undefined ? null : toInstant(after.at),
    afterChapterId: after?.chapterId ?? null,
    afterKind: after?.kind ?? null,
    limit,
  }
}

const at = (name: string) => sql`${sql.placeholder(name)}::timestamptz`
const whole = (name: string) => sql`${sql.placeholder(name)}::bigint`
const text = (name: string) => sql`${sql.placeholder(name)}::text`
const limit = sql`${sql.placeholder('limit')}::int`
const scanRows = sql.raw(String(SCAN_ROWS))

const IS_IN_TIME = sql`status = 'failed' and due_at >= coalesce(${at('from')}, '-infinity')
    and due_at < coalesce(${at('to')}, 'infinity')`
const IS_WANTED = sql`c.status <> 'cancelled'
    and (${whole('ownerId')} is null or c.owner_id = ${whole('ownerId')})
    and (${whole('courseId')} is null or c.course_id = ${whole('courseId')})
    and (${text('kind')} is null or s.kind = ${text('kind')})
    and (${text('reason')} is null or s.reason = ${text('reason')})`
const KEY = sql`'at', (date_part('epoch', s.due_at) * 1000)::bigint, 'chapterId', s.chapter_id, 'kind', s.kind`
const DESCENDING = sql`s.due_at desc, s.chapter_id desc, s.kind desc`
const ASCENDING = sql`s.due_at, s.chapter_id, s.kind`

const FAILED = sql`json_build_object('job', ${messageOf('j', 'c')},
  'failedAt', (date_part('epoch', j.due_at) * 1000)::bigint,
  'attempts', (
    select coalesce(
      json_agg(json_build_object(${recordFields(table.attempt, 'a')}) order by a.ended_at, a.revision, a.attempt), '[]')
    from (
      select * from attempt a
      where a.chapter_id = j.chapter_id and a.kind = j.kind
      order by a.ended_at desc, a.revision desc, a.attempt desc
      limit ${sql.raw(String(HISTORY_LENGTH))}) a))`

/** Rows in the order of the index, and what they have for the filters. */
const scanned = (after: SQL, order: SQL) => sql`
scanned as materialized (
  select chapter_id, kind, job_id, due_at, reason from job s
  where ${IS_IN_TIME} and ${after}
  order by ${order} limit ${scanRows}
), found as materialized (
  select s.* from scanned s join chapter c on c.id = s.chapter_id
  where ${IS_WANTED}
  order by ${order} limit ${limit}
)`

const page = (items: SQL, lastOrder: SQL) => sql`
json_build_object('items', ${items}, 'scanned', (select count(*) from scanned),
  'last', (select json_build_object(${KEY}) from scanned s order by ${lastOrder} limit 1)) as page`

const LIST = sql`
with ${scanned(
  sql`(due_at, chapter_id, kind) < (coalesce(${at('afterAt')}, 'infinity'),
    coalesce(${whole('afterChapterId')}, 9223372036854775807), coalesce(${text('afterKind')}, ''))`,
  DESCENDING,
)}
select ${page(
  sql`(
    select coalesce(json_agg(${FAILED} order by ${DESCENDING}), '[]')
    from found s join job j on j.chapter_id = s.chapter_id and j.kind = s.kind join chapter c on c.id = s.chapter_id)`,
  ASCENDING,
)}`

const REFS = sql`
with ${scanned(
  sql`(due_at, chapter_id, kind) > (coalesce(${at('afterAt')}, '-infinity'),
    coalesce(${whole('afterChapterId')}, 0), coalesce(${text('afterKind')}, ''))`,
  ASCENDING,
)}
select ${page(
  sql`(select coalesce(json_agg(json_build_object(${KEY}, 'jobId', s.job_id) order by ${ASCENDING}), '[]') from found s)`,
  DESCENDING,
)}`

/** The status is not one that an index is made for: PostgreSQL must take the key. */
const STANDS_FAILED = sql`j.status = (select 'failed'::text) and c.status <> 'cancelled'`

const OF_CHAPTER = sql`
select ${FAILED} as failed from job j join chapter c on c.id = j.chapter_id
where j.chapter_id = ${whole('chapterId')} and ${STANDS_FAILED} order by j.kind`

const NAMED = sql`
select json_build_object(${recordFields(table.job, 'j', ['chapterId', 'kind', 'jobId'])}) as ref
from job j join chapter c on c.id = j.chapter_id
where j.job_id = any(string_to_array(${text('jobIds')}, ',')::uuid[]) and ${STANDS_FAILED}
order by j.chapter_id, j.kind`
