import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import t from 'tap'
import { type FailureKind, failureKindOf, isUniqueViolation } from '../../src/store/failure.js'
import { prepare } from '../../src/store/prepared.js'
import { freePort, waitFor } from '../support/condition.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { databaseError, query } from '../support/node.js'

/** SQLSTATEs (PostgreSQL manual, appendix A) and the codes of Node and postgres.js. */
const KINDS: Record<FailureKind, string[]> = {
  data: ['22P05', '22001', '22003', '22P02', '23502', '23503', '23505', '23514'],
  conflict: ['40001', '40P01', '55P03'],
  connection: [
    '08000',
    '08006',
    '53100',
    '53300',
    '57014',
    '57P01',
    '57P03',
    '40003',
    '25006',
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
    'CONNECTION_ENDED',
    'CONNECT_TIMEOUT',
    'ECONNREFUSED',
    'ECONNRESET',
    'ETIMEDOUT',
    'EPIPE',
    'EAI_AGAIN',
    'ENOTFOUND',
    'EHOSTUNREACH',
    'ENETUNREACH',
  ],
  fault: ['42P01', '42601', '28P01', 'XX000', 'ERR_INVALID_ARG_TYPE', ''],
}

for (const [kind, codes] of Object.entries(KINDS))
  t.test(`these failures are of kind ${kind}: ${codes.join(' ')}`, async (t) => {
    for (const code of codes) t.equal(failureKindOf(databaseError(code)), kind, code)
  })

t.test('what has no code is a mistake of ours', async (t) => {
  for (const error of [new Error('x'), new TypeError('x'), undefined, null, 'text', 5, { code: 23505 }])
    t.equal(failureKindOf(error), 'fault')
})

t.test('only a unique violation is one', async (t) => {
  t.ok(isUniqueViolation(databaseError('23505')))
  t.notOk(isUniqueViolation(databaseError('23514')))
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(`what ${name} really says is known, and repeats no value in its message`, async (t) => {
    const database = await open(t)
    const failure = async (text: string) => {
      const ask = prepare(database.db, 'failing', sql.raw(text))
      return ask({}).then(() => 'none', failureKindOf)
    }
    t.equal(await failure(`select '"\\u0000"'::json #>> '{}'`), 'data')
    t.equal(await failure('select 1 / 0'), 'data')
    t.equal(
      await failure(`insert into event (chapter_id, seq, name, payload) values (1, 1, 'x', '1')`),
      'data',
    )
    t.equal(await failure('select * from nothing'), 'fault')

    const cast = prepare(database.db, 'cast', sql`select ${sql.placeholder('text')}::json #>> '{}' as x`)
    const error = await cast({ text: '"my secret \\u0000"' }).catch((error: unknown) => error)
    t.ok(error instanceof Error)
    t.notMatch((error as Error).message, /secret/)
    t.notMatch((error as Error).stack, /secret/)
    const { where, params } = error as { where?: string; params?: string[] }
    t.notMatch(JSON.stringify({ where, params }), /secret/, 'also not in properties that a logger writes')
  })

t.test('a server that cuts the connection, or is not there, is a connection lost', async (t) => {
  const url = await postgresUrl(t)
  const client = postgres(url, { max: 1, onnotice() {} })
  t.teardown(() => client.end({ timeout: 0 }))
  const sleep = client`select pg_sleep(60)`.catch((error: unknown) => error)
  const other = connectPostgres(t, url, 1)
  const endSleepers = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and wait_event = 'PgSleep'`
  await waitFor('the connection is cut', async () => (await query(other, endSleepers)).length > 0)
  t.equal(failureKindOf(await sleep), 'connection')

  const nobody = postgres(`postgres://postgres@127.0.0.1:${await freePort()}/x`, { max: 1, backoff: false })
  t.teardown(() => nobody.end({ timeout: 0 }))
  t.equal(await nobody`select 1`.catch(failureKindOf), 'connection')
})
