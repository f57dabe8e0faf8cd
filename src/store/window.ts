/**
 * Places in the window: which waiting jobs are given to workers next, when only so many may be with workers at once.
 *
 * A job has a place while it is `published`, or `queued` with `placed_at`: then a node is sending it. A claim is one
 * statement that commits by itself. It gives free places to waiting jobs, kind after kind and owner after owner, so that
 * an owner with many chapters delays one with few by one round at most.
 *
 * Claims of all nodes never exceed the window together. Only claims add to what is out, and each takes the row of
 * `generation_window`, without waiting, if it still has the number of claims that the node read before. So what it counts
 * includes whatever claims before it gave away. (To lock the row alone would not do: a statement that waited for a lock
 * still counts what it saw before the wait.) Who loses reads the row and claims again.
 *
 * A claim costs a few index entries for each place that it gives, however many jobs wait.
 */
import { type SQL, sql } from 'drizzle-orm'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import type { Widths, WindowName } from '../domain/window.js'
import { type DueJob, messageOf } from './jobs.js'
import { type Db, jsonParameter, prepare } from './prepared.js'

export interface WindowRow {
  claims: number
  widths: Widths
}

export interface PlaceClaim {
  now: number
  /** Until then others leave a job that was given a place to the node that sends it. */
  leasedUntil: number
  /** At most so many jobs. */
  limit: number
  /** Places of each window; null: as many as you like. */
  places: Record<WindowName, number | null>
  /** What the row must be at. */
  expectedClaims: number
  /** Written into the row; null: as they were. */
  widths: Widths | null
}

export interface WindowStore {
  read(): Promise<WindowRow>
  /**
   * Jobs that were given a place, and jobs with a place whose sender has not marked them in time.
   * @returns undefined when another claim was first: read the row and claim again
   */
  claim(claim: PlaceClaim): Promise<{ row: WindowRow; jobs: DueJob[] } | undefined>
  /**
   * How many jobs are given a place before each job of this chapter that waits for one; no more than `WAITING_MAX` are
   * counted. @param isShared whether the kinds share a window
   */
  waitingBefore(chapterId: number, isShared: boolean, now: number): Promise<Partial<Record<JobKind, number>>>
  /**
   * Lets jobs wait for a place that a node without a window had leased and not sent; due after `since`.
   * @returns how many
   */
  releaseLeased(since: number, now: number, limit: number): Promise<number>
}

/** More are not counted for a view. */
export const WAITING_MAX = 1000

export function createWindowStore(db: Db): WindowStore {
  const make = prepare(db, 'make_window', MAKE)
  const read = prepare<WindowRow>(db, 'read_window', READ)
  const claim = prepare<ClaimRow>(db, 'claim_places', CLAIM)
  const before = prepare<{ kind: JobKind; before: number | string }>(db, 'waiting_before', WAITING_BEFORE)
  const release = prepare(db, 'release_leased', RELEASE_LEASED)

  return {
    async read() {
      let [row] = await read({})
      if (row === undefined) {
        await make({})
        ;[row] = await read({})
      }
      if (row === undefined) throw new Error('The window has no row')
      return { claims: Number(row.claims), widths: row.widths }
    },
    async claim({ now, leasedUntil, limit, places, expectedClaims, widths }) {
      const [row] = await claim({
        now: toInstant(now),
        leasedUntil: toInstant(leasedUntil),
        limit,
        ...places,
        claims: expectedClaims,
        widths: widths === null ? null : JSON.stringify(widths),
      })
      const taken = row?.taken
      return taken ? { row: { claims: taken.claims, widths: taken.widths }, jobs: taken.jobs } : undefined
    },
    async waitingBefore(chapterId, isShared, now) {
      const rows = await before({ chapterId, isShared, now: toInstant(now) })
      return Object.fromEntries(rows.map((row) => [row.kind, Number(row.before)]))
    },
    async releaseLeased(since, now, limit) {
      return (await release({ since: toInstant(since), now: toInstant(now), limit })).length
    },
  }
}

interface ClaimRow {
  /** null when another claim was first. */
  taken: (WindowRow & { jobs: DueJob[] }) | null
}

const now = sql`${sql.placeholder('now')}::timestamptz`
const limit = sql`${sql.placeholder('limit')}::int`
const places = (name: WindowName) => sql`${sql.placeholder(name)}::int`

/** It waits for a place, and is due; all in the columns of the index `job_waiting`. */
const waits = (row: string) =>
  sql`${sql.raw(row)}.status = 'queued' and ${sql.raw(row)}.leased_until is null and ${sql.raw(row)}.due_at <= ${now}`

/** `concept_turn`: the column of a kind. */
const turnColumn = (kind: JobKind) => sql.raw(`${kind}_turn`)
const list = (parts: SQL[]) => sql.join(parts, sql`, `)

const MAKE = sql`insert into generation_window (id) values (1) on conflict (id) do nothing`
const READ = sql`select claims, widths from generation_window where id = 1`

/** Kinds in the order of their turns: that of the last place comes last. */
const turnOf = (row: string) =>
  sql`(${sql.raw(row)}.number + 2 - coalesce(array_position(array[${sql.raw(
    JOB_KINDS.map((kind) => `'${kind}'`).join(', '),
  )}], ${sql.raw(row)}.last_kind), 3)) % 3`

/**
 * An owner with a waiting job of this kind: the next one by id, and after the last one from the first again (`lap` 1) up
 * to the one whose turn was last.
 */
const nextOwner = (lane: string, from: { lap: SQL; after: SQL }) => sql`
  (select w.owner_id, ${from.lap} as lap from job w
   where w.kind = ${sql.raw(lane)}.kind and w.owner_id > ${from.after}
     and (${from.lap} = 0 or w.owner_id <= ${sql.raw(lane)}.turn) and ${waits('w')}
   order by w.owner_id limit 1)
  union all
  (select w.owner_id, 1 from job w
   where ${from.lap} = 0 and w.kind = ${sql.raw(lane)}.kind and w.owner_id >= 0
     and w.owner_id <= ${sql.raw(lane)}.turn and ${waits('w')}
   order by w.owner_id limit 1)
  order by 2 limit 1`

const CLAIM = sql`
with recursive turn as materialized (
  select * from generation_window
  where id = 1 and claims = ${sql.placeholder('claims')}::bigint for update skip locked
), placed as (
  select kind from turn cross join lateral (
    select kind from job where status = 'published' and deadline_at > '-infinity'
    union all
    select kind from job where status = 'queued' and placed_at > '-infinity') j
), room as materialized (
  select ${list([
    sql`least(${limit}, ${places('all')} - count(*)) as "all"`,
    ...JOB_KINDS.map(
      (kind) =>
        sql`least(${limit}, ${places('all')} - count(*),
          ${places(kind)} - count(*) filter (where kind = ${sql.raw(`'${kind}'`)})) as ${sql.raw(kind)}`,
    ),
  ])}
  from placed
), lane as materialized (
  select k.kind, k.turn, k.room, room."all", ${turnOf('k')} as position
  from turn cross join room cross join lateral (values ${list(
    JOB_KINDS.map(
      (kind, index) =>
        sql`(${sql.raw(`'${kind}', ${index + 1}`)}, turn.last_kind, turn.${turnColumn(kind)}, room.${sql.raw(kind)})`,
    ),
  )}) k (kind, number, last_kind, turn, room)
  where k.room > 0
), owner as (
  select lane.kind, next.owner_id, next.lap, 1 as number
  from lane cross join lateral (${nextOwner('lane', { lap: sql`0`, after: sql`lane.turn` })}) next
  union all
  select o.kind, next.owner_id, next.lap, o.number + 1
  from owner o join lane on lane.kind = o.kind
    cross join lateral (${nextOwner('lane', { lap: sql`o.lap`, after: sql`o.owner_id` })}) next
  where o.number < lane.room
), owners as (
  select kind, max(number) as count from owner group by kind
), candidate as (
  select o.kind, o.owner_id, o.number, c.chapter_id,
    row_number() over (partition by o.kind, o.owner_id order by c.chapter_id) as round
  from owner o join lane on lane.kind = o.kind join owners on owners.kind = o.kind
    cross join lateral (
      select w.chapter_id from job w
      where w.kind = o.kind and w.owner_id = o.owner_id and ${waits('w')}
      order by w.chapter_id limit lane.room - owners.count + 1) c
), ranked as (
  select kind, owner_id, chapter_id, row_number() over (partition by kind order by round, number) as rank
  from candidate
), chosen as materialized (
  select r.kind, r.owner_id, r.chapter_id, row_number() over (order by r.rank, lane.position) as place
  from ranked r join lane on lane.kind = r.kind
  where r.rank <= lane.room
  order by place limit (select greatest(0, "all") from room)
), given as materialized (
  select job.chapter_id, job.kind, chosen.owner_id, chosen.place
  from chosen join job on job.chapter_id = chosen.chapter_id and job.kind = chosen.kind
  where ${waits('job')}
  for no key update of job skip locked
), unsent as materialized (
  select job.chapter_id, job.kind from turn, job
  where job.status = 'queued' and job.placed_at > '-infinity' and (job.leased_until <= ${now} or job.leased_until is null)
  limit ${limit} for no key update of job skip locked
), moved as (
  update generation_window w set
    claims = w.claims + 1,
    ${list(
      JOB_KINDS.map(
        (kind) => sql`${turnColumn(kind)} = coalesce((
          select owner_id from given where kind = ${sql.raw(`'${kind}'`)} order by place desc limit 1), w.${turnColumn(kind)})`,
      ),
    )},
    last_kind = coalesce((select kind from given order by place desc limit 1), w.last_kind),
    widths = coalesce(${jsonParameter('widths')}, w.widths)
  from turn where w.id = turn.id and (exists (select from given) or ${jsonParameter('widths')} is not null)
  returning w.claims, w.widths
), x as (
  update job set leased_until = ${sql.placeholder('leasedUntil')}::timestamptz, placed_at = coalesce(job.placed_at, ${now})
  from (select chapter_id, kind, place from given union all select chapter_id, kind, 0 from unsent) p
  where job.chapter_id = p.chapter_id and job.kind = p.kind
  returning job.*, p.place
)
select json_build_object(
  'claims', coalesce((select claims from moved), turn.claims),
  'widths', coalesce((select widths from moved), turn.widths),
  'jobs', (
    select coalesce(json_agg(${messageOf('x', 'c')} order by x.place), '[]')
    from x join chapter c on c.id = x.chapter_id)) as taken
from turn`

/** Whether an owner’s turn is before another’s, seen from the one whose turn was last. */
const isBefore = sql`(o.owner_id <= mine.turn, o.owner_id) < (mine.owner_id <= mine.turn, mine.owner_id)`
const most = sql.raw(String(WAITING_MAX))

const WAITING_BEFORE = sql`
select mine.kind, least(${most}, lane.before + coalesce((
    select sum(q.count) from unnest(array[${sql.raw(JOB_KINDS.map((kind) => `'${kind}'`).join(', '))}])
      with ordinality as k (kind, number)
      cross join lateral (
        select count(*) as count from (
          select 1 from job w where w.kind = k.kind and w.owner_id >= 0 and ${waits('w')}
          limit lane.before + case when (k.number + 2 - mine.last) % 3 < (mine.number + 2 - mine.last) % 3 then 1 else 0 end
        ) counted) q
    where ${sql.placeholder('isShared')}::boolean and k.kind <> mine.kind), 0)) as before
from (
  select job.chapter_id, job.kind, job.owner_id,
    array_position(kinds.names, job.kind) as number,
    coalesce(array_position(kinds.names, w.last_kind), 3) as last,
    coalesce(case job.kind ${sql.join(
      JOB_KINDS.map((kind) => sql`when ${sql.raw(`'${kind}'`)} then w.${turnColumn(kind)}`),
      sql` `,
    )} end, 0) as turn
  from job cross join (select array[${sql.raw(JOB_KINDS.map((kind) => `'${kind}'`).join(', '))}] as names) kinds
    left join generation_window w on w.id = 1
  where job.chapter_id = ${sql.placeholder('chapterId')}::bigint and ${waits('job')}
) mine cross join lateral (
  select count(*) as before from (
    select 1 from job w
    where w.kind = mine.kind and w.owner_id = mine.owner_id and w.chapter_id < mine.chapter_id and ${waits('w')}
    limit ${most}) counted
) own cross join lateral (
  select least(${most}, own.before + count(*)) as before from (
    select 1 from (
      with recursive o as (
        (select w.owner_id from job w
         where w.kind = mine.kind and w.owner_id >= 0 and ${waits('w')} order by w.owner_id limit 1)
        union all
        select next.owner_id from o cross join lateral (
          select w.owner_id from job w
          where w.kind = mine.kind and w.owner_id > o.owner_id and ${waits('w')}
          order by w.owner_id limit 1) next
      ) select owner_id from o limit ${most}
    ) o cross join lateral (
      select 1 from job w
      where w.kind = mine.kind and w.owner_id = o.owner_id and ${waits('w')}
      limit own.before + case when ${isBefore} then 1 else 0 end) q
    where o.owner_id <> mine.owner_id
    limit ${most}) counted
) lane`

const RELEASE_LEASED = sql`
with lapsed as materialized (
  select chapter_id, kind from job
  where status = 'queued' and due_at > ${sql.placeholder('since')}::timestamptz and due_at <= ${now}
    and leased_until <= ${now} and placed_at is null
  limit ${limit} for no key update skip locked
)
update job set leased_until = null from lapsed
where job.chapter_id = lapsed.chapter_id and job.kind = lapsed.kind
returning job.kind`
