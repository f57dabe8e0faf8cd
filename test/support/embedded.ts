/**
 * Embedded databases that are there already. To make one takes seconds of CPU, so one is made for the whole run and
 * copied. To open one takes half a second, so a process lends its own to one test after another.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { PGlite } from '@electric-sql/pglite'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pglite'
import { type Database, openEmbeddedDatabase } from '../../src/store/database.js'
import type { Db } from '../../src/store/prepared.js'
import { waitFor } from './condition.js'

/** Fills a data directory, which must not exist yet, with an empty database that has its migrations. */
export async function copyEmbeddedDatabase(dataDir: string): Promise<void> {
  // A thousand files: a fifth of the time that Node takes.
  await promisify(execFile)('cp', ['-R', await template(), dataDir])
}

/** The one that no test has now. */
let idle: Database | undefined

// The runner has no further files for this process (see lane.ts).
process.once('disconnect', () => idle?.close())

/**
 * An embedded database with its migrations and empty tables, until it is closed. Only rows go away then, so a test that
 * changes a table or a setting opens a copy of its own.
 */
export async function lendEmbeddedDatabase(): Promise<Database> {
  const database = idle ?? (await openCopy())
  idle = undefined
  let closing: Promise<void> | undefined
  const client = untilClosed(
    (database.db as unknown as { $client: PGlite }).$client,
    () => closing !== undefined,
  )
  return {
    ...database,
    db: drizzle(client) as unknown as Db,
    ping: async () => {
      await client.query('select 1')
    },
    close: () => {
      closing ??= takeBack(database)
      return closing
    },
  }
}

async function openCopy(): Promise<Database> {
  const folder = await mkdtemp(join(process.env.TEST_RUN ?? tmpdir(), 'lent-'))
  await copyEmbeddedDatabase(join(folder, 'data'))
  const database = await openEmbeddedDatabase(join(folder, 'data'))
  return {
    ...database,
    close: async () => {
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function takeBack(database: Database): Promise<void> {
  const wasEmptied = await emptyTables(database).then(
    () => true,
    () => false,
  )
  if (wasEmptied && idle === undefined) idle = database
  else await database.close()
}

/** After the statements that still wait for their turn. */
async function emptyTables({ db }: Database): Promise<void> {
  const { rows } = await (db as unknown as ReturnType<typeof drizzle>).execute<{ names: string }>(
    sql`select string_agg(quote_ident(tablename), ', ') as names from pg_tables where schemaname = 'public'`,
  )
  await db.execute(sql.raw(`truncate ${rows[0]?.names} restart identity`))
}

/** Refuses afterwards, as a database that is closed does. */
function untilClosed(pglite: PGlite, isClosed: () => boolean): PGlite {
  return new Proxy(pglite, {
    get(target, name) {
      if (isClosed()) throw new Error('PGlite is closed')
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

let made: Promise<string> | undefined

function template(): Promise<string> {
  made ??= makeTemplate()
  return made
}

/** The first process of the run makes it; the others wait. */
async function makeTemplate(): Promise<string> {
  const { TEST_RUN } = process.env
  const folder = TEST_RUN ?? (await mkdtemp(join(tmpdir(), 'chaptercast-embedded-')))
  const finished = join(folder, 'embedded')
  const unfinished = join(folder, 'embedded.new')
  if (existsSync(finished)) return finished
  const isMine = await mkdir(unfinished).then(
    () => true,
    () => false,
  )
  if (!isMine) {
    await waitFor('the embedded database to be made', () => existsSync(finished), { timeoutMs: 100_000 })
    return finished
  }
  const database = await openEmbeddedDatabase(unfinished)
  await database.close()
  await rename(unfinished, finished)
  return finished
}
