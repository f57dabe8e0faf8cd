/**
 * A gate inside PostgreSQL: a statement that writes chapters stops in its middle until the test lets it go on, so
 * that a fault can come exactly between a write and its answer.
 */
import postgres, { type Sql } from 'postgres'
import type { Test } from 'tap'
import { waitFor } from './condition.js'

/**
 * Whoever writes a chapter waits, in the middle of the statement, until the gate is opened. What nodes write by themselves
 * must not reach it first: a sweep that finds nothing writes no row, and no job is on its way to a worker any more.
 */
export async function holdWrites(t: Test, databaseUrl: string, write: 'insert' | 'update') {
  const sql = connectSql(t, databaseUrl)
  await waitFor('all jobs to be with workers', async () => {
    const open = await sql`select from job where status = 'queued'`
    return open.length === 0
  })
  await sql.unsafe(`
    create or replace function wait_at_gate() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock_shared(77); return new; end $$;
    create or replace trigger gate before ${write} on chapter for each row execute function wait_at_gate()`)
  const holder = await sql.reserve()
  await holder`select pg_advisory_lock(77)`
  const locks = () =>
    sql<{ granted: boolean }[]>`select granted from pg_locks where locktype = 'advisory' and objid = 77
      and database = (select oid from pg_database where datname = current_database())`
  return {
    isReached: () =>
      waitFor('the write to be at the gate', async () => (await locks()).some(({ granted }) => !granted)),
    /**
     * Resolves when what waited has been committed: until then it has its own share of the lock. The trigger stays, and
     * holds nobody: to drop it would wait for every statement that was parsed on a connection that is silent now.
     */
    async open() {
      await holder`select pg_advisory_unlock(77)`
      holder.release()
      await waitFor('the write to be done', async () => (await locks()).length === 0)
    },
  }
}

export function connectSql(t: Test, databaseUrl: string): Sql {
  const sql = postgres(databaseUrl, { max: 3, onnotice() {} })
  t.teardown(() => sql.end({ timeout: 1 }))
  return sql
}
