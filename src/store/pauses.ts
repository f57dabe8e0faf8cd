/**
 * Kinds that are paused: a row for each. No other statement looks at them, so what is not paused costs nothing; nodes read
 * them a few times a second (`dispatch/pauses.ts`). Instants are milliseconds since the epoch.
 */
import { sql } from 'drizzle-orm'
import type { JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import { type Db, prepare } from './prepared.js'
import { recordFields } from './records.js'
import * as table from './schema.js'

export interface KindPause {
  kind: JobKind
  pausedAt: number
  pausedBy: string
  reason: string | null
}

export interface PauseStore {
  read(): Promise<KindPause[]>
  /** A kind that is paused already stays as it was. */
  pause(pause: KindPause): Promise<void>
  resume(kind: JobKind): Promise<void>
}

export function createPauseStore(db: Db): PauseStore {
  const read = prepare<{ pause: KindPause }>(db, 'read_pauses', READ)
  const pause = prepare(db, 'pause_kind', PAUSE)
  const resume = prepare(db, 'resume_kind', RESUME)
  return {
    read: async () => (await read({})).map((row) => row.pause),
    async pause({ kind, pausedAt, pausedBy, reason }) {
      await pause({ kind, pausedAt: toInstant(pausedAt), pausedBy, reason })
    },
    async resume(kind) {
      await resume({ kind })
    },
  }
}

const kind = sql`${sql.placeholder('kind')}::text`
const READ = sql`select json_build_object(${recordFields(table.kindPause, 'p')}) as pause from kind_pause p`
const PAUSE = sql`
insert into kind_pause (kind, paused_at, paused_by, reason)
values (${kind}, ${sql.placeholder('pausedAt')}::timestamptz, ${sql.placeholder('pausedBy')}::text,
  ${sql.placeholder('reason')}::text)
on conflict (kind) do nothing`
const RESUME = sql`delete from kind_pause where kind = ${kind}`
