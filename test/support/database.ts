/**
 * Databases behind the store: a real PostgreSQL through postgres.js, and PGlite. Same schema, same
 * migrations; what is promised holds on both.
 */
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import type { Test } from 'tap'
import { type Database, PLANNING } from '../../src/store/database.js'
import { MIGRATIONS_DIR } from '../../src/store/migrations.js'
import type { Db } from '../../src/store/prepared.js'
import { lendEmbeddedDatabase } from './embedded.js'
import { createDatabase } from './postgres.js'

async function applyMigrations(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice() {} })
  await migrate(drizzle(client), { migrationsFolder: MIGRATIONS_DIR })
  await client.end()
}

/** A fresh PostgreSQL database with migrations; its URL, for several connections to it. */
export function postgresUrl(t: Test): Promise<string> {
  return createDatabase(t, applyMigrations)
}

/** One more pool of connections to a database, as another node would have it. */
export function connectPostgres(t: Test, url: string, max = 4): Database {
  const client = postgres(url, { max, connection: { ...PLANNING }, onnotice() {} })
  const close = () => client.end({ timeout: 5 })
  t.teardown(close)
  return {
    db: drizzle(client) as unknown as Db,
    description: 'PostgreSQL of the tests',
    isExclusive: false,
    ping: async () => {
      await client`select 1`
    },
    close,
  }
}

/** A fresh PostgreSQL database, connected. */
export async function postgresDatabase(t: Test): Promise<Database> {
  return connectPostgres(t, await postgresUrl(t))
}

/** A PGlite with migrations and empty tables, which nobody else has until the test ends. */
export async function embeddedDatabase(t: Test): Promise<Database> {
  const database = await lendEmbeddedDatabase()
  t.teardown(database.close)
  return database
}

/** Each database the store promises to work on, by name: loop over it. */
export const DATABASES = { PostgreSQL: postgresDatabase, PGlite: embeddedDatabase } as const
