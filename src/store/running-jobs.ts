/**
 * Jobs that have not ended, for operators: of all chapters, the oldest chapter first, and what is known of one chapter’s
 * jobs besides their state. Instants are milliseconds since the epoch.
 */
import { sql } from 'drizzle-orm'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import type { JobState } from '../domain/chapter.js'
import { type Db, prepare } from './prepared.js'
import { keysOf, recordFields } from './records.js'
import * as table from './schema.js'

/** Who has a job, and until when; no decision reads it. */
export interface JobHolds {
  leasedUntil: number | null
  heldUntil: number | null
  placedAt: number | null
}

export interface RunningJob
  extends Omit<JobState, 'kind' | 'keptRevision' | 'revision' | 'maxAttempts'>,
    JobHolds {
  kind: JobKind
  maxAttempts: number
  chapterId: number
  courseId: number
  ownerId: number
  title: string
  /** When the attempt before ended; null: there was none. */
  endedAt: number | null
}

/** Jobs in the order of their chapters, and of their kinds within one. */
export interface JobPlace {
  chapterId: number
  kind: string
}

export interface RunningJobFilter {
  ownerId?: number | undefined
  courseId?: number | undefined
  kind?: JobKind | undefined
  /** Only jobs after this one. */
  after: JobPlace
  /** As many chapters are looked at. */
  chapters: number
}

export interface RunningJobStore {
  /** `lastChapterId`: looked at last; null: there was none. */
  list(
    filter: RunningJobFilter,
  ): Promise<{ jobs: RunningJob[]; scanned: number; lastChapterId: number | null }>
  holdsOf(chapterId: number): Promise<Partial<Record<JobKind, JobHolds & { endedAt: number | null }>>>
}

export function createRunningJobStore(db: Db): RunningJobStore {
  const list = prepare<{ page: Awaited<ReturnType<RunningJobStore['list']>> }>(db, 'list_running_jobs', LIST)
  const holds = prepare<{ kind: JobKind; holds: JobHolds & { endedAt: number | null } }>(
    db,
    'holds_of_chapter',
    HOLDS,
  )
  return {
    async list({ ownerId, courseId, kind, after, chapters }) {
      const [row] = await list({
        ownerId: ownerId ?? null,
        courseId: courseId ?? null,
        kind: kind ?? null,
        afterChapterId: after.chapterId,
        afterKind: after.kind,
        chapters,
      })
      return row?.page ?? { jobs: [], scanned: 0, lastChapterId: null }
    },
    async holdsOf(chapterId) {
      const rows = await holds({ chapterId })
      return Object.fromEntries(rows.map((row) => [row.kind, row.holds]))
    },
  }
}

const whole = (name: string) => sql`${sql.placeholder(name)}::bigint`
const kind = sql`${sql.placeholder('kind')}::text`
const HOLD_KEYS = ['leasedUntil', 'heldUntil', 'placedAt']
const JOB_KEYS = keysOf(table.job, ['chapterId', 'ownerId', 'revision', 'keptRevision'])
const ENDED_AT = sql`'endedAt', (
  select (date_part('epoch', max(a.ended_at)) * 1000)::bigint from attempt a
  where a.chapter_id = j.chapter_id and a.kind = j.kind)`

/** A job that runs is one of a chapter that is processing. */
const LIST = sql`
with scanned as materialized (
  select id, course_id, owner_id, title from chapter
  where status = 'processing' and id >= ${whole('afterChapterId')}
  order by id limit ${sql.placeholder('chapters')}::int
)
select json_build_object('scanned', (select count(*) from scanned), 'lastChapterId', (select max(id) from scanned),
  'jobs', (
    select coalesce(json_agg(json_build_object(${recordFields(table.job, 'j', JOB_KEYS)}, ${ENDED_AT},
      'chapterId', s.id, 'courseId', s.course_id, 'ownerId', s.owner_id, 'title', s.title) order by s.id, j.kind), '[]')
    from scanned s cross join lateral (
      -- One by one by its key, so not by any index that is for one status.
      select * from job where job.chapter_id = s.id offset 0) j
    where j.status in ('queued', 'published')
      and (j.chapter_id, j.kind) > (${whole('afterChapterId')}, ${sql.placeholder('afterKind')}::text)
      and (${whole('ownerId')} is null or s.owner_id = ${whole('ownerId')})
      and (${whole('courseId')} is null or s.course_id = ${whole('courseId')})
      and (${kind} is null or j.kind = ${kind}))) as page`

const HOLDS = sql`
select j.kind, json_build_object(${recordFields(table.job, 'j', HOLD_KEYS)}, ${ENDED_AT}) as holds
from job j where j.chapter_id = ${whole('chapterId')} limit ${sql.raw(String(JOB_KINDS.length))}`
