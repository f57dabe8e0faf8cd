/**
 * Notices of runs that ended, taken from the event log: the log is the outbox. So a chapter’s write does nothing for
 * them, and it does not matter which node wrote it, with or without notices.
 *
 * `collect` looks at chapters that ended lately and makes a row for each end event that has none. What it looks at
 * overlaps with what it looked at before, since a write may commit after others that have a later time. The rows that
 * are kept say what was seen: they outlive by far every event that is still looked at. Instants are milliseconds.
 */
import { type SQL, sql } from 'drizzle-orm'
import { type DeliveryStatus, NOTICES, type NoticeType } from '../contract/notice.js'
import { toInstant } from '../contract/wire.js'
import { type Db, prepare, preparedByParts } from './prepared.js'
import { keysOf, recordFields } from './records.js'
import * as table from './schema.js'

export interface DeliveryRef {
  chapterId: number
  seq: number
}

/** A notice that is to be sent, with all that it says. */
export interface DueDelivery extends DeliveryRef {
  type: NoticeType
  endedAt: number
  /** This one included. */
  attempts: number
  giveUpAt: number
  courseId: number
  ownerId: number
}

export interface Delivery extends DueDelivery {
  dueAt: number
  lastStatus: number | null
  lastError: string | null
  deliveredAt: number | null
  failedAt: number | null
}

export function deliveryStatusOf({
  deliveredAt,
  failedAt,
}: Pick<Delivery, 'deliveredAt' | 'failedAt'>): DeliveryStatus {
  if (deliveredAt !== null) return 'delivered'
  return failedAt === null ? 'pending' : 'failed'
}

/** What became of one try. */
export interface DeliveryOutcome extends DeliveryRef {
  status: number | null
  error: string | null
  /** One of them is set. */
  deliveredAt: number | null
  failedAt: number | null
  dueAt: number | null
}

export interface DeliveryStore {
  /**
   * Says that a node is there that sends notices.
   * @returns since when notices are on; after more than `pauseMs` without such a node they begin anew
   */
  tick(now: number, pauseMs: number): Promise<number>
  /** Makes what is owed for chapters that ended after `from`, of events after `since`. @returns how many */
  collect(range: {
    from: number
    since: number
    now: number
    giveUpAt: number
    limit: number
  }): Promise<number>
  claim(claim: { now: number; leasedUntil: number; limit: number }): Promise<DueDelivery[]>
  /** Of two tries at once the one that delivered counts. */
  settle(outcome: DeliveryOutcome): Promise<void>
  /** Deletes what ended before and is not pending. @returns how many; call again while it is `limit` */
  deleteEndedBefore(before: number, limit: number): Promise<number>
  /** Newest first. */
  listDeliveries(filter: DeliveryFilter): Promise<Delivery[]>
  read(ref: DeliveryRef): Promise<Delivery | undefined>
  /** Sends it again, whatever became of it, for as long as a new one is tried. @returns false when there is none */
  redeliver(ref: DeliveryRef, now: number, giveUpAt: number): Promise<boolean>
}

export interface DeliveryFilter {
  status?: DeliveryStatus
  chapterId?: number
  /** The last one of the page before. */
  after?: Pick<Delivery, 'endedAt' | 'chapterId' | 'seq'>
  limit: number
}

export function createDeliveryStore(db: Db): DeliveryStore {
  const tick = prepare<{ since: number | string }>(db, 'notice_tick', TICK)
  const collect = prepare(db, 'collect_deliveries', COLLECT)
  const claim = prepare<{ due: DueDelivery }>(db, 'claim_deliveries', CLAIM)
  const settle = prepare(db, 'settle_delivery', SETTLE)
  const remove = prepare(db, 'delete_deliveries', DELETE)
  const list = preparedByParts<{ delivery: Delivery }, ListPart>(db, 'list_deliveries', listStatement)
  const one = prepare<{ delivery: Delivery }>(db, 'read_delivery', ONE)
  const redeliver = prepare(db, 'redeliver', REDELIVER)

  return {
    async tick(now, pauseMs) {
      const [row] = await tick({ now: toInstant(now), pausedSince: toInstant(now - pauseMs) })
      return Number(row?.since ?? now)
    },
    async collect({ from, since, now, giveUpAt, limit }) {
      const rows = await collect({
        from: toInstant(from),
        since: toInstant(since),
        now: toInstant(now),
        giveUpAt: toInstant(giveUpAt),
        limit,
      })
      return rows.length
    },
    async claim({ now, leasedUntil, limit }) {
      const rows = await claim({ now: toInstant(now), leasedUntil: toInstant(leasedUntil), limit })
      return rows.map(({ due }) => due)
    },
    async settle({ chapterId, seq, status, error, deliveredAt, failedAt, dueAt }) {
      await settle({
        chapterId,
        seq,
        status,
        error,
        deliveredAt: orNull(deliveredAt),
        failedAt: orNull(failedAt),
        dueAt: orNull(dueAt),
      })
    },
    async deleteEndedBefore(before, limit) {
      return (await remove({ before: toInstant(before), limit })).length
    },
    async listDeliveries({ status, chapterId, after, limit }) {
      const parts: ListPart[] = [
        ...(chapterId === undefined ? [] : (['chapter'] as const)),
        ...(status === undefined ? [] : [status]),
      ]
      const rows = await list(parts, {
        ...(chapterId === undefined ? {} : { chapterId }),
        afterAt: after === undefined ? null : toInstant(after.endedAt),
        afterChapterId: after?.chapterId ?? null,
        afterSeq: after?.seq ?? null,
        limit,
      })
      return rows.map(({ delivery }) => delivery)
    },
    async read({ chapterId, seq }) {
      return (await one({ chapterId, seq }))[0]?.delivery
    },
    async redeliver({ chapterId, seq }, now, giveUpAt) {
      const rows = await redeliver({ chapterId, seq, now: toInstant(now), giveUpAt: toInstant(giveUpAt) })
      return rows.length > 0
    },
  }
}

function orNull(instant: number | null): string | null {
  return instant === null ? null : toInstant(instant)
}

const at = (name: string) => sql`${sql.placeholder(name)}::timestamptz`
const whole = (name: string) => sql`${sql.placeholder(name)}::bigint`
const limit = sql`${sql.placeholder('limit')}::int`

const TICK = sql`
insert into notice_clock as clock (id, since, seen_at) values (1, ${at('now')}, ${at('now')})
on conflict (id) do update set
  since = case when clock.seen_at < ${at('pausedSince')} then excluded.since else least(clock.since, excluded.since) end,
  seen_at = greatest(clock.seen_at, excluded.seen_at)
returning (date_part('epoch', since) * 1000)::bigint as since`

const END_NAMES = sql.raw(
  Object.keys(NOTICES)
    .map((name) => `'${name}'`)
    .join(', '),
)
const TYPE = sql.raw(
  `case e.name ${Object.entries(NOTICES)
    .map(([name, type]) => `when '${name}' then '${type}'`)
    .join(' ')} end`,
)
const EVENT_AT = sql`(e.payload->>'at')::timestamptz`

/** As a rule a chapter’s last event is its end: with a row for that one, its log need not be read. */
const COLLECT = sql`
with ended as materialized (
  select c.id, c.log_ended_at from chapter c
  where c.log_ended_at >= ${at('from')}
    and not exists (select from delivery d where d.chapter_id = c.id and d.seq = c.last_seq)
)
insert into delivery (chapter_id, seq, type, ended_at, due_at, give_up_at)
select ended.id, found.seq, found.type, found.at, ${at('now')}, ${at('giveUpAt')}
from ended cross join lateral (
  select e.seq, ${TYPE} as type, ${EVENT_AT} as at from event e
  where e.chapter_id = ended.id and e.name in (${END_NAMES}) and ${EVENT_AT} >= ${at('since')}
    and not exists (select from delivery d where d.chapter_id = ended.id and d.seq = e.seq)
  -- So that each log is found by its chapter, whatever the planner thinks of it.
  offset 0
) found
order by ended.log_ended_at, found.seq limit ${limit}
on conflict (chapter_id, seq) do nothing
returning seq`

const IS_PENDING = sql`delivered_at is null and failed_at is null`
const DUE_KEYS = ['chapterId', 'seq', 'type', 'endedAt', 'attempts', 'giveUpAt']
const ownership = sql`'courseId', c.course_id, 'ownerId', c.owner_id`

const CLAIM = sql`
with free as materialized (
  select chapter_id, seq from delivery
  where ${IS_PENDING} and due_at <= ${at('now')} and (leased_until is null or leased_until <= ${at('now')})
  order by due_at limit ${limit} for update skip locked
), x as (
  update delivery set leased_until = ${at('leasedUntil')}, attempts = attempts + 1 from free
  where delivery.chapter_id = free.chapter_id and delivery.seq = free.seq
  returning delivery.*
)
select json_build_object(${recordFields(table.delivery, 'x', DUE_KEYS)}, ${ownership}) as due
from x join chapter c on c.id = x.chapter_id order by x.due_at`

const SETTLE = sql`
update delivery set leased_until = null, last_status = ${sql.placeholder('status')}::int,
  last_error = ${sql.placeholder('error')}::text, delivered_at = ${at('deliveredAt')}, failed_at = ${at('failedAt')},
  due_at = coalesce(${at('dueAt')}, due_at)
where chapter_id = ${whole('chapterId')} and seq = ${whole('seq')} and delivered_at is null`

const DELETE = sql`
with old as materialized (
  select chapter_id, seq from delivery
  where ended_at < ${at('before')} and not (${IS_PENDING})
  order by ended_at limit ${limit} for update skip locked
)
delete from delivery using old where delivery.chapter_id = old.chapter_id and delivery.seq = old.seq
returning delivery.seq`

type ListPart = DeliveryStatus | 'chapter'

/** Each by an index of its own: those that failed, or that are pending, may be few among many. */
const LISTED: Record<ListPart, SQL> = {
  pending: sql`d.delivered_at is null and d.failed_at is null`,
  delivered: sql`d.delivered_at is not null`,
  failed: sql`d.failed_at is not null`,
  chapter: sql`d.chapter_id = ${whole('chapterId')}`,
}

const listStatement = (parts: readonly ListPart[]) => sql`
select json_build_object(
  ${recordFields(table.delivery, 'd', keysOf(table.delivery, ['leasedUntil']))}, ${ownership}) as delivery
from delivery d join chapter c on c.id = d.chapter_id
where ${sql.join(
  parts.map((part) => sql`${LISTED[part]} and `),
  sql``,
)} (d.ended_at, d.chapter_id, d.seq) < (coalesce(${at('afterAt')}, 'infinity'),
    coalesce(${whole('afterChapterId')}, 9223372036854775807), coalesce(${whole('afterSeq')}, 0))
order by d.ended_at desc, d.chapter_id desc, d.seq desc limit ${limit}`

const ONE = sql`
select json_build_object(
  ${recordFields(table.delivery, 'd', keysOf(table.delivery, ['leasedUntil']))}, ${ownership}) as delivery
from delivery d join chapter c on c.id = d.chapter_id
where d.chapter_id = ${whole('chapterId')} and d.seq = ${whole('seq')}`

const REDELIVER = sql`
update delivery set delivered_at = null, failed_at = null, leased_until = null, attempts = 0,
  due_at = ${at('now')}, give_up_at = ${at('giveUpAt')}
where chapter_id = ${whole('chapterId')} and seq = ${whole('seq')}
returning seq`
