import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { sql } from 'drizzle-orm'
import t from 'tap'
import { type PostgresConfig, readConfig } from '../../src/config/config.js'
import { ConfigError, MigrationError } from '../../src/errors.js'
import { failureKindOf } from '../../src/store/failure.js'
import { migratePostgres, openPostgres } from '../../src/store/postgres.js'
import { freePort, waitFor } from '../support/condition.js'
import { postgresUrl } from '../support/database.js'
import { createDatabase } from '../support/postgres.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { type LogLine, spawnNode } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

const APPLIED = 'select hash, created_at from drizzle.__drizzle_migrations order by created_at'

t.test('a known migration that is altered or missing keeps a node from starting, and is named', async (t) => {
  const statements = {
    'is not the one that this program has': `update drizzle.__drizzle_migrations set hash = 'altered'
      where created_at = (select min(created_at) from drizzle.__drizzle_migrations)`,
    'is missing': `delete from drizzle.__drizzle_migrations
      where created_at = (select min(created_at) from drizzle.__drizzle_migrations)`,
  }
  for (const [problem, statement] of Object.entries(statements)) {
    const databaseUrl = await postgresUrl(t)
    await query(databaseUrl, statement)
    const before = await query(databaseUrl, APPLIED)
    const { log } = logging()
    const error = await rejection(openPostgres(configOf(databaseUrl), log))
    t.ok(error instanceof MigrationError, String(error))
    t.match(error.message, problem)
    t.match(error.message, /\d{4}-\d\d-\d\dT/, 'which one')
    t.strictSame(await query(databaseUrl, APPLIED), before, 'nothing was done to it')
    const { code, said } = await startAndEnd(databaseUrl)
    t.equal(code, 1)
    t.strictSame(said, [error.message], 'and that is all that it says')
  }
})

t.test('migrations of a newer release only warn', async (t) => {
  const databaseUrl = await postgresUrl(t)
  await query(
    databaseUrl,
    `insert into drizzle.__drizzle_migrations (hash, created_at)
     select 'of the next release', max(created_at) + 1000 from drizzle.__drizzle_migrations`,
  )
  const { log, lines } = logging()
  const database = await openPostgres(configOf(databaseUrl), log)
  t.teardown(() => database.close())
  await database.ping()
  t.match(lines, [{ newer: 1, text: /newer release/ }])
})

t.test('a DATABASE_URL that cannot be used is said at once, in one line, without the password', async (t) => {
  const url = new URL(await postgresUrl(t))
  url.pathname = '/no_such_database'
  url.password = 'secret-password'
  const { code, said } = await startAndEnd(url.href)
  t.equal(code, 1)
  t.match(said.join('\n'), /DATABASE_URL.*no_such_database/s)
  t.notMatch(said.join('\n'), /secret-password|\bat .*\.[jt]s:/)
})

t.test('a server that is not there is waited for, not for ever, and then it is said', async (t) => {
  const url = `postgres://me:secret-password@127.0.0.1:${await freePort()}/chapters`
  const { log, lines } = logging()
  const error = await rejection(migratePostgres(configOf(url), log, 1500))
  t.ok(error instanceof ConfigError, String(error))
  t.match(error.message, /DATABASE_URL.*127\.0\.0\.1:\d+\/chapters.*ECONNREFUSED/)
  t.notMatch(JSON.stringify([error.message, lines]), /secret-password/)
  t.ok(lines.length > 0, 'it is told of while it is waited for')
})

t.test('a server that comes later is used', async (t) => {
  const { hostname, port, pathname } = new URL(await createDatabase(t))
  const proxy = await tcpProxy(t, { host: hostname, port: Number(port) })
  proxy.cut()
  const { log, lines } = logging()
  const opening = openPostgres(configOf(`postgres://postgres@127.0.0.1:${proxy.port}${pathname}`), log)
  await waitFor('it to be missed', () => lines.length > 0)
  proxy.resume()
  const database = await opening
  t.teardown(() => database.close())
  await database.ping()
})

t.test('a pool closes, also when the server went silent', async (t) => {
  const { hostname, port, pathname } = new URL(await postgresUrl(t))
  const proxy = await tcpProxy(t, { host: hostname, port: Number(port) })
  const config = configOf(`postgres://postgres@127.0.0.1:${proxy.port}${pathname}`, 300)
  const database = await openPostgres(config, logging().log)
  await Promise.all([database.ping(), database.ping()])
  proxy.stall()
  const pinging = rejection(database.ping())
  // Nobody will ever answer: a close that waited for that would not end.
  await database.close()
  t.ok((await pinging) instanceof Error)
})

function configOf(url: string, statementTimeoutMs = 5000): PostgresConfig {
  const env = { DATABASE_URL: url, DATABASE_STATEMENT_TIMEOUT_MS: String(statementTimeoutMs) }
  return readConfig(env).postgres as PostgresConfig
}

function logging() {
  const lines: { text: string }[] = []
  const write = (about: object | string, text?: string) =>
    void lines.push(typeof about === 'string' ? { text: about } : { ...about, text: String(text) })
  return { log: { info: write, warn: write } as Parameters<typeof openPostgres>[1], lines }
}

/** The process, as somebody starts it; what it said until it ended. */
async function startAndEnd(databaseUrl: string): Promise<{ code: number | null; said: string[] }> {
  const log: LogLine[] = []
  const env = {
    HOST: '127.0.0.1',
    PORT: String(await freePort()),
    LOG_LEVEL: 'error',
    DATABASE_URL: databaseUrl,
  }
  const child = spawnNode(env, log)
  const [code] = await once(child, 'close')
  return { code, said: log.map(({ msg }) => msg) }
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => new Error('it did not reject'),
    (error: Error) => error,
  )
}

t.test('a connection that is lost in its first moment fails its statement, and nothing else', async (t) => {
  const url = new URL(await postgresUrl(t))
  // Of its own accord the client asks for types, before the statement: whoever waits for that is nobody.
  let resets = 3
  const server = createServer((near) => {
    const far = connect(Number(url.port), url.hostname)
    far.on('data', (data) => near.write(data))
    near.on('data', (data) => {
      const isQuery = data.includes('select') || data.includes('SELECT')
      if (isQuery && resets < 3) {
        resets += 1
        near.resetAndDestroy()
      } else far.write(data)
    })
    for (const socket of [near, far]) {
      socket.on('error', () => {})
      socket.on('close', () => [near, far].map((each) => each.destroy()))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const proxied = `${url}`.replace(url.host, `127.0.0.1:${port}`)
  const database = await openPostgres(configOf(proxied), logging().log)
  t.teardown(() => database.close())
  resets = 0
  for (let tries = 0; tries < 3; tries += 1) await t.rejects(database.ping(), { code: 'ECONNRESET' })
  await database.ping()
})

t.test(
  'a busy pool is no silent server: what waits too long is refused, and no connection is dropped',
  async (t) => {
    const url = new URL(await postgresUrl(t))
    const { hostname, port } = url
    const proxy = await tcpProxy(t, { host: hostname, port: Number(port) })
    url.port = String(proxy.port)
    const { log, lines } = logging()
    const database = await openPostgres({ ...configOf(url.href, 500), poolSize: 2 }, log)
    t.teardown(() => database.close())
    await Promise.all([database.ping(), database.ping()])
    const before = proxy.accepted
    const slow = Array.from({ length: 30 }, () => database.db.execute(sql`select pg_sleep(0.2)`))
    const results = await Promise.allSettled(slow)
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    t.ok(results.length - failures.length >= 8, 'what was sent in time is answered')
    t.ok(failures.length > 0, 'the rest waited too long')
    for (const failure of failures) t.equal(failureKindOf(failure), 'connection')
    t.notMatch(JSON.stringify(lines), /silent/)
    await database.ping()
    t.ok(proxy.accepted - before <= 1, 'the connections are those of before')
  },
)
