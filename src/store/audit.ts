/**
 * The audit log: what operators did. An entry is written before its act, as `begun`, and settled after it. So no act is
 * without its entry, and one that stays `begun` is an act of which nobody knows whether it was done.
 */
import { sql } from 'drizzle-orm'
import type { AuditAction, AuditOutcome } from '../contract/admin.js'
import type { JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import { type BoundedPage, SCAN_ROWS } from './bounded-page.js'
import { type Db, prepare, preparedByParts } from './prepared.js'
import { recordFields, recordset } from './records.js'
import * as table from './schema.js'

export interface NewAuditEntry {
  /** ms since the epoch */
  at: number
  actor: string
  action: AuditAction
  chapterId: number | null
  kind: JobKind | null
  details: Record<string, unknown>
  requestId: string
}

export interface AuditRow extends NewAuditEntry {
  id: number
  outcome: AuditOutcome
  problem: string | null
}

export interface AuditFilter {
  action?: AuditAction | undefined
  chapterId?: number | undefined
  actor?: string | undefined
  /** Only entries with a smaller id. */
  before?: number | undefined
  limit: number
}

export interface AuditStore {
  /** @returns the ids, each with its chapter, in any order */
  begin(entries: NewAuditEntry[]): Promise<{ id: number; chapterId: number | null }[]>
  settle(ids: number[], outcome: AuditOutcome, problem: string | null): Promise<void>
  /** The latest first. */
  list(filter: AuditFilter): Promise<BoundedPage<AuditRow, number>>
  /** Deletes entries from before. @returns how many; call again while it is `limit` */
  deleteBefore(before: number, limit: number): Promise<number>
}

export function createAuditStore(db: Db): AuditStore {
  const begin = prepare<{ id: number | string; chapterId: number | string | null }>(db, 'begin_audit', BEGIN)
  const settle = prepare(db, 'settle_audit', SETTLE)
  const list = preparedByParts<{ page: BoundedPage<AuditRow, number> }, 'chapter'>(
    db,
    'list_audit',
    listStatement,
  )
  const remove = prepare(db, 'delete_audit', DELETE)

  return {
    async begin(entries) {
      const rows = await begin({ entries: JSON.stringify(entries) })
      return rows.map(({ id, chapterId }) => ({
        id: Number(id),
        chapterId: chapterId === null ? null : Number(chapterId),
      }))
    },
    async settle(ids, outcome, problem) {
      if (ids.length > 0) await settle({ ids: ids.join(), outcome, problem })
    },
    async list({ action, chapterId, actor, before, limit }) {
      const [row] = await list(chapterId === undefined ? [] : ['chapter'], {
        action: action ?? null,
        actor: actor ?? null,
        before: before ?? null,
        limit,
        ...(chapterId === undefined ? {} : { chapterId }),
      })
      return row?.page ?? { items: [], scanned: 0, last: null }
    },
    async deleteBefore(before, limit) {
      return (await remove({ before: toInstant(before), limit })).length
    },
  }
}

const NEW_KEYS = ['at', 'actor', 'action', 'chapterId', 'kind', 'details', 'requestId']

const BEGIN = sql`
insert into audit (at, actor, action, chapter_id, kind, details, request_id)
select to_timestamp(x.at / 1000), x.actor, x.action, x."chapterId", x.kind, x.details, x."requestId"
from ${recordset(table.audit, 'entries', NEW_KEYS)}
returning id, chapter_id as "chapterId"`

const SETTLE = sql`
update audit set outcome = ${sql.placeholder('outcome')}::text, problem = ${sql.placeholder('problem')}::text
where id = any(string_to_array(${sql.placeholder('ids')}::text, ',')::bigint[])`

const action = sql`${sql.placeholder('action')}::text`
const actor = sql`${sql.placeholder('actor')}::text`
const limit = sql`${sql.placeholder('limit')}::int`

/** `chapter`: of one chapter, by its index. */
function listStatement(parts: readonly 'chapter'[]) {
  const ofChapter = parts.includes('chapter')
    ? sql`chapter_id = ${sql.placeholder('chapterId')}::bigint and`
    : sql``
  return sql`
with scanned as materialized (
  select * from audit
  where ${ofChapter} id < coalesce(${sql.placeholder('before')}::bigint, 9223372036854775807)
  order by id desc limit ${sql.raw(String(SCAN_ROWS))}
), found as (
  select * from scanned
  where (${action} is null or action = ${action}) and (${actor} is null or actor = ${actor})
  order by id desc limit ${limit}
)
select json_build_object(
  'items', (select coalesce(json_agg(json_build_object(${recordFields(table.audit, 'x')}) order by x.id desc), '[]') from found x),
  'scanned', (select count(*) from scanned), 'last', (select min(id) from scanned)) as page`
}

const DELETE = sql`
with old as materialized (
  select id from audit where at < ${sql.placeholder('before')}::timestamptz
  order by at limit ${limit} for update skip locked
)
delete from audit using old where audit.id = old.id
returning audit.id`
