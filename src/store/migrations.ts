/**
 * Whether a database has the migrations that this program knows. A known one that is missing or altered makes
 * it unusable; newer ones are another release’s, during a rolling update or on the way back from one.
 */
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { sql } from 'drizzle-orm/sql'
import { MigrationError } from '../errors.js'
import type { Db } from './prepared.js'

export const MIGRATIONS_DIR = fileURLToPath(new URL('../../drizzle', import.meta.url))

interface Applied {
  hash: string
  created_at: number | string
}

/**
 * After migrating. Also before: then only what is there already is checked.
 * @returns how many newer migrations the database has
 * @throws {MigrationError} naming each that is missing or altered
 */
export async function checkMigrations(db: Db, when: 'before' | 'after'): Promise<number> {
  const applied = await appliedMigrations(db)
  const known = readMigrationFiles({ migrationsFolder: MIGRATIONS_DIR })
  const last = Math.max(0, ...applied.keys())
  const problems = known.flatMap(({ folderMillis, hash }) => {
    const there = applied.get(folderMillis)
    const name = new Date(folderMillis).toISOString()
    if (there === undefined) return when === 'after' || folderMillis < last ? [`${name} is missing`] : []
    return there === hash ? [] : [`${name} is not the one that this program has`]
  })
  if (problems.length > 0)
    throw new MigrationError(
      `The database’s migrations are not this program’s: ${problems.join('; ')}. Use the database of this program, or its release`,
    )
  const newest = Math.max(0, ...known.map(({ folderMillis }) => folderMillis))
  return [...applied.keys()].filter((at) => at > newest).length
}

async function appliedMigrations(db: Db): Promise<Map<number, string>> {
  const rows = rowsOf(
    await db.execute(sql`
      select to_regclass('drizzle.__drizzle_migrations') is not null as exists`),
  ) as { exists: boolean }[]
  if (rows[0]?.exists !== true) return new Map()
  const applied = rowsOf(
    await db.execute(sql`select hash, created_at from drizzle.__drizzle_migrations`),
  ) as Applied[]
  return new Map(applied.map(({ created_at, hash }) => [Number(created_at), hash]))
}

function rowsOf(result: unknown): unknown[] {
  return Array.isArray(result) ? result : (result as { rows: unknown[] }).rows
}
