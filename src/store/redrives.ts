/**
 * Redrives: failed jobs that are to be tried again, a batch after the other, by whichever node takes the next one. What a
 * batch is, is written down before it is acted on. So after a node died in the middle, another one does the same batch
 * again (a retry that names its jobs starts each of them once), and counts it once. Instants are milliseconds.
 */
import { sql } from 'drizzle-orm'
import type { RedriveFilter } from '../contract/admin.js'
import { toInstant } from '../contract/wire.js'
import { type Db, jsonParameter, prepare } from './prepared.js'
import { keysOf, recordFields } from './records.js'
import type { FailedJobRef, RedriveCursor } from './schema.js'
import * as table from './schema.js'

export interface NewRedrive {
  filter: RedriveFilter | null
  ids: string[] | null
  ratePerS: number
  maxJobs: number | null
  actor: string
  requestId: string
  createdAt: number
}

export interface RedriveRow extends NewRedrive {
  id: number
  cursor: RedriveCursor | null
  /** What a node was at that is gone. */
  batch: FailedJobRef[] | null
  redriven: number
  skipped: number
  lastError: string | null
  isCancelled: boolean
  endedAt: number | null
}

/** A redrive, and the lease under which its next batch is this node’s. */
export interface RedriveLease {
  id: number
  leasedUntil: number
}

export interface RedriveStore {
  create(redrive: NewRedrive): Promise<RedriveRow>
  read(id: number): Promise<RedriveRow | undefined>
  /** The latest first, with smaller ids than `before`. */
  list(before: number | undefined, limit: number): Promise<RedriveRow[]>
  /** No further batch. One that is over stays as it is. @returns undefined when there is none */
  cancel(id: number, now: number): Promise<RedriveRow | undefined>
  /** The redrive whose next batch has been due for longest. */
  claim(now: number, leasedUntil: number): Promise<RedriveRow | undefined>
  /** Writes down what is done next. @returns false: it was cancelled, or another node has it */
  begin(
    lease: RedriveLease,
    next: { batch: FailedJobRef[]; cursor: RedriveCursor | null; skipped: number },
  ): Promise<boolean>
  /** Counts what was done, and gives it back. @param isOver nothing is left to do */
  settle(
    lease: RedriveLease,
    done: { redriven: number; skipped: number; dueAt: number; isOver: boolean; now: number },
  ): Promise<void>
  /** It stands still, and goes on then with the same batch. */
  postpone(lease: RedriveLease, dueAt: number, error: string): Promise<void>
  /** Deletes those that were over before. @returns how many; call again while it is `limit` */
  deleteEndedBefore(before: number, limit: number): Promise<number>
}

export function createRedriveStore(db: Db): RedriveStore {
  type Row = { redrive: RedriveRow }
  const create = prepare<Row>(db, 'create_redrive', CREATE)
  const read = prepare<Row>(db, 'read_redrive', READ)
  const list = prepare<Row>(db, 'list_redrives', LIST)
  const cancel = prepare(db, 'cancel_redrive', CANCEL)
  const claim = prepare<Row>(db, 'claim_redrive', CLAIM)
  const begin = prepare(db, 'begin_redrive_batch', BEGIN)
  const settle = prepare(db, 'settle_redrive_batch', SETTLE)
  const postpone = prepare(db, 'postpone_redrive', POSTPONE)
  const remove = prepare(db, 'delete_redrives', DELETE)
  const one = (rows: Row[]) => rows[0]?.redrive

  return {
    async create({ filter, ids, ratePerS, maxJobs, actor, requestId, createdAt }) {
      const made = one(
        await create({
          filter: filter === null ? null : JSON.stringify(filter),
          ids: ids === null ? null : JSON.stringify(ids),
          ...{ ratePerS, maxJobs, actor, requestId },
          now: toInstant(createdAt),
        }),
      )
      if (made === undefined) throw new Error('A redrive was not written')
      return made
    },
    read: async (id) => one(await read({ id })),
    list: async (before, limit) => (await list({ before: before ?? null, limit })).map((row) => row.redrive),
    async cancel(id, now) {
      await cancel({ id, now: toInstant(now) })
      return one(await read({ id }))
    },
    claim: async (now, leasedUntil) =>
      one(await claim({ now: toInstant(now), leasedUntil: toInstant(leasedUntil) })),
    async begin(lease, { batch, cursor, skipped }) {
      const rows = await begin({
        ...leaseOf(lease),
        batch: JSON.stringify(batch),
        cursor: cursor === null ? null : JSON.stringify(cursor),
        skipped,
      })
      return rows.length > 0
    },
    async settle(lease, { redriven, skipped, dueAt, isOver, now }) {
      await settle({
        ...leaseOf(lease),
        ...{ redriven, skipped, isOver },
        dueAt: toInstant(dueAt),
        now: toInstant(now),
      })
    },
    async postpone(lease, dueAt, error) {
      await postpone({ ...leaseOf(lease), dueAt: toInstant(dueAt), error })
    },
    async deleteEndedBefore(before, limit) {
      return (await remove({ before: toInstant(before), limit })).length
    },
  }
}

function leaseOf({ id, leasedUntil }: RedriveLease) {
  return { id, leasedUntil: toInstant(leasedUntil) }
}

const at = (name: string) => sql`${sql.placeholder(name)}::timestamptz`
const whole = (name: string) => sql`${sql.placeholder(name)}::bigint`
const int = (name: string) => sql`${sql.placeholder(name)}::int`
const text = (name: string) => sql`${sql.placeholder(name)}::text`

const record = (row: string) =>
  sql`json_build_object(${recordFields(table.redrive, row, keysOf(table.redrive, ['dueAt', 'leasedUntil']))}) as redrive`
const IS_MINE = sql`id = ${whole('id')} and leased_until = ${at('leasedUntil')}`

const CREATE = sql`
insert into redrive as r (filter, ids, rate_per_s, max_jobs, actor, request_id, created_at, due_at)
values (${jsonParameter('filter')}, ${jsonParameter('ids')}, ${int('ratePerS')}, ${int('maxJobs')}, ${text('actor')},
  ${text('requestId')}, ${at('now')}, ${at('now')})
returning ${record('r')}`
const READ = sql`select ${record('r')} from redrive r where id = ${whole('id')}`
const LIST = sql`
select ${record('r')} from redrive r where id < coalesce(${whole('before')}, 9223372036854775807)
order by id desc limit ${int('limit')}`
const CANCEL = sql`
update redrive set ended_at = ${at('now')}, is_cancelled = true where id = ${whole('id')} and ended_at is null`
const CLAIM = sql`
with free as materialized (
  select id from redrive
  where (ended_at is null or batch is not null) and due_at <= ${at('now')}
    and (leased_until is null or leased_until <= ${at('now')})
  order by due_at limit 1 for update skip locked
)
update redrive r set leased_until = ${at('leasedUntil')} from free where r.id = free.id
returning ${record('r')}`
const BEGIN = sql`
update redrive set batch = ${jsonParameter('batch')}, cursor = ${jsonParameter('cursor')},
  skipped = skipped + ${int('skipped')}
where ${IS_MINE} and ended_at is null
returning id`
const SETTLE = sql`
update redrive set batch = null, leased_until = null, last_error = null, due_at = ${at('dueAt')},
  redriven = redriven + ${int('redriven')}, skipped = skipped + ${int('skipped')},
  ended_at = case when ${sql.placeholder('isOver')}::boolean then coalesce(ended_at, ${at('now')}) else ended_at end
where ${IS_MINE}`
const POSTPONE = sql`
update redrive set leased_until = null, due_at = ${at('dueAt')}, last_error = ${text('error')} where ${IS_MINE}`
const DELETE = sql`
with old as materialized (
  select id from redrive where ended_at < ${at('before')} and batch is null
  order by id limit ${int('limit')} for update skip locked
)
delete from redrive using old where redrive.id = old.id
returning redrive.id`
