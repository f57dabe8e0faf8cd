/**
 * A database of its own for each test. It is dropped when the test passed and kept when it failed, with
 * its URL printed.
 */

import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import postgres, { type Sql } from 'postgres'
import type { Test } from 'tap'

/** Puts into an empty database what every test of it starts from: the migrations. */
export type Prepare = (databaseUrl: string) => Promise<void>

const MIGRATIONS = new URL('../../drizzle/', import.meta.url)
/** Any number that nothing else locks in the server's own database. */
const TEMPLATE_LOCK = 4_150_926

/**
 * Creates a database and returns its URL. With `prepare` it is a copy of a template that was prepared
 * once, for all processes of the run and for later runs on the same server, until the migrations or
 * `prepare` change.
 */
export async function createDatabase(t: Test, prepare?: Prepare): Promise<string> {
  const serverUrl = serverUrlFromEnvironment()
  const name = `test_${randomBytes(8).toString('hex')}`
  await withServer(serverUrl, async (sql) => {
    const template = prepare ? await ensureTemplate(sql, serverUrl, prepare) : 'template0'
    await sql`CREATE DATABASE ${sql(name)} TEMPLATE ${sql(template)}`
  })
  const url = urlOf(serverUrl, name)
  t.teardown(async () => {
    if (!t.passing()) return console.error(`kept the database of "${t.fullname}": ${url}`)
    await withServer(serverUrl, (sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`)
  })
  return url
}

/** The name of the prepared template. One process makes it, the others wait at the lock. */
async function ensureTemplate(sql: Sql, serverUrl: string, prepare: Prepare): Promise<string> {
  const name = `chaptercast_template_${hashOf(prepare)}`
  const exists = async () => (await sql`SELECT FROM pg_database WHERE datname = ${name}`).length > 0
  if (await exists()) return name
  await sql`SELECT pg_advisory_lock(${TEMPLATE_LOCK})`
  try {
    if (await exists()) return name
    // It gets its name only when it is finished, so that one left half made is never used.
    const draft = `${name}_draft`
    await sql`DROP DATABASE IF EXISTS ${sql(draft)} WITH (FORCE)`
    await sql`CREATE DATABASE ${sql(draft)} TEMPLATE template0`
    await prepare(urlOf(serverUrl, draft))
    await sql`ALTER DATABASE ${sql(draft)} WITH ALLOW_CONNECTIONS false`
    await sql`ALTER DATABASE ${sql(draft)} RENAME TO ${sql(name)}`
    return name
  } finally {
    await sql`SELECT pg_advisory_unlock(${TEMPLATE_LOCK})`
  }
}

function hashOf(prepare: Prepare): string {
  const hash = createHash('sha256').update(String(prepare))
  for (const file of migrationFiles()) hash.update(file).update(readFileSync(new URL(file, MIGRATIONS)))
  return hash.digest('hex').slice(0, 16)
}

function migrationFiles(): string[] {
  return readdirSync(MIGRATIONS)
    .filter((file) => file.endsWith('.sql'))
    .sort()
}

/** One connection for one errand: a connection kept open would keep the test's process alive. */
async function withServer<T>(serverUrl: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(serverUrl, { max: 1, connect_timeout: 10, onnotice: () => {} })
  try {
    return await use(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}

function serverUrlFromEnvironment(): string {
  const url = process.env.DATABASE_URL
  if (url) return url
  throw new Error('DATABASE_URL is not set: run `npm test -- FILE`, which starts a PostgreSQL for the tests')
}
