/**
 * A PostgreSQL database behind Drizzle, with this program’s migrations applied. Here: PGlite, the embedded
 * one, in a directory or in memory. It has one connection and belongs to one process at a time; `data-dir-lock.ts`
 * enforces that. A PostgreSQL server is in `postgres.ts`.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { drizzle } from 'drizzle-orm/pglite'
import { migrate } from 'drizzle-orm/pglite/migrator'
import { lockDataDir } from './data-dir-lock.js'
import { checkMigrations, MIGRATIONS_DIR } from './migrations.js'
import type { Db } from './prepared.js'

/**
 * How statements are planned. Every hot one is prepared, takes short lists and finds rows by key. PostgreSQL would plan
 * some anew for each call, and others for the empty tables of a young installation, which it then reads whole. So each
 * is planned once, for indexes and nested loops. `test/store/plans.long.test.ts` looks at the plans.
 */
export const PLANNING = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  jit: 'off',
} as const

export interface Database {
  readonly db: Db
  /** For people: what it is and where. */
  readonly description: string
  /** True if no other process can use it. Leases and holds in it are then left over from a process that died. */
  readonly isExclusive: boolean
  ping(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the embedded database, creating it when there is none.
 * @param dataDir its directory, or `memory`
 * @throws {DataDirLockedError} while another process has the directory
 */
export async function openEmbeddedDatabase(dataDir: string): Promise<Database> {
  if (dataDir === 'memory') return startPglite(await PGlite.create(), 'PGlite in memory', async () => {})
  await mkdir(dataDir, { recursive: true })
  const unlock = await lockDataDir(dataDir)
  try {
    const directory = join(dataDir, 'pglite')
    if (!existsSync(directory)) await initialise(dataDir, directory)
    return await startPglite(await PGlite.create(directory), `PGlite in ${dataDir}`, unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}

/** Under another name until it is whole: a kill in the middle must not leave half a database to be opened. */
async function initialise(dataDir: string, directory: string): Promise<void> {
  const unfinished = join(dataDir, 'pglite.new')
  await rm(unfinished, { recursive: true, force: true })
  await (await PGlite.create(unfinished)).close()
  await rename(unfinished, directory)
}

async function startPglite(
  pglite: PGlite,
  description: string,
  unlock: () => Promise<void>,
): Promise<Database> {
  await pglite.exec(
    Object.entries(PLANNING)
      .map(([name, value]) => `set ${name} = ${value};`)
      .join('\n'),
  )
  takeTurns(pglite)
  const db = drizzle(pglite)
  await checkMigrations(db as unknown as Db, 'before')
  await migrate(db, { migrationsFolder: MIGRATIONS_DIR })
  // Here a process that is killed is a crash of the database, which would empty an unlogged table.
  await pglite.exec('alter table partial set logged')
  return {
    db: db as unknown as Db,
    description,
    isExclusive: true,
    async ping() {
      await pglite.query('select 1')
    },
    async close() {
      try {
        await pglite.close()
      } finally {
        await unlock()
      }
    },
  }
}

/**
 * PGlite computes on this very thread. Statements that wait for it would follow each other without a pause, and nothing
 * else would be done meanwhile: so the event loop turns after each.
 */
function takeTurns(pglite: PGlite): void {
  const query = pglite.query.bind(pglite)
  let last: Promise<unknown> = Promise.resolve()
  pglite.query = (...args: Parameters<typeof query>) => {
    const done = last.then(() => query(...args))
    last = done.catch(() => {}).then(() => nextTurn())
    return done as ReturnType<typeof pglite.query<never>>
  }
}
