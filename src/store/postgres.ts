/**
 * A PostgreSQL server behind Drizzle, through postgres.js. Connections come back by themselves; a statement
 * ends within its time-out, and one whose answer does not come is given up with its connection, so that a silent
 * server does not block callers for long.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import type { FastifyBaseLogger } from 'fastify'
import postgres, { type Options, type Sql } from 'postgres'
import { backoffMs } from '../async/backoff.js'
import { createSemaphore } from '../async/semaphore.js'
import type { PostgresConfig } from '../config/config.js'
import { ConfigError } from '../errors.js'
import { type Database, PLANNING } from './database.js'
import { failureKindOf } from './failure.js'
import { checkMigrations, MIGRATIONS_DIR } from './migrations.js'
import type { Db } from './prepared.js'

type Log = Pick<FastifyBaseLogger, 'info' | 'warn'>

/** Any number that nothing else locks in the database. */
const MIGRATION_LOCK = 7_229_184
/** How long a server that is not there yet is waited for at start. */
const START_TIMEOUT_MS = 60_000
const CONNECT_TIMEOUT_S = 5
const RECONNECT = { retryBaseMs: 50, retryMaxMs: 1000 }
/** Statements that may wait for a connection of the pool. */
const MAX_QUEUED = 5000

/**
 * Connects, applies migrations under a lock, and refuses a database that is not this program’s.
 * @throws {MigrationError | ConfigError}
 */
export async function openPostgres(config: PostgresConfig, log: Log): Promise<Database> {
  await migratePostgres(config, log)
  const client = renewableClient(config, log)
  return {
    db: drizzle(client as unknown as Sql) as unknown as Db,
    description: `PostgreSQL at ${addressOf(config.url)}`,
    isExclusive: false,
    async ping() {
      await client.unsafe('select 1')
    },
    close: () => client.close(),
  }
}

/** For a turn that is free at once: it needs no deadline. */
const NEVER = new AbortController().signal

/** Its code tells a busy pool from a server that does not answer. The caller may try again. */
function poolBusy(why: string): Error {
  return Object.assign(new Error(`Every connection to PostgreSQL is busy: ${why}`), { code: 'CONNECT_QUEUE' })
}

/** For a moment after an error postgres.js still gives queries to the dying connection; these would never end. */
const DYING_MS = 5

/**
 * As much of a postgres.js client as Drizzle uses, with a deadline for every answer. postgres.js waits for ever for a
 * server that went silent, and its connections stay taken. So that pool is abandoned and a new one is made.
 */
function renewableClient(config: PostgresConfig, log: Log) {
  const answerMs = 2 * config.statementTimeoutMs
  const open = () =>
    postgres(config.url, {
      ...optionsOf(config),
      max: config.poolSize,
      connection: {
        application_name: 'chaptercast',
        statement_timeout: config.statementTimeoutMs,
        ...PLANNING,
      },
    })
  let current = open()
  let isClosed = false
  const { options } = current

  // As many statements are sent as there are connections, so that the deadline of an answer counts from when its
  // statement was sent. A busy pool must not look like a silent server.
  const turns = createSemaphore(config.poolSize)
  let queued = 0

  async function inTurn<T>(send: (client: Sql) => PromiseLike<T>): Promise<T> {
    const giveBack = turns.taken < config.poolSize ? await turns.take(NEVER) : await waitForTurn()
    try {
      const client = current
      return await answered(client, send(client))
    } finally {
      giveBack()
    }
  }

  async function waitForTurn(): Promise<() => void> {
    if (queued >= MAX_QUEUED) throw poolBusy(`${MAX_QUEUED} statements wait`)
    queued += 1
    try {
      return await turns.take(AbortSignal.timeout(answerMs))
    } catch {
      throw poolBusy(`no connection was free for ${answerMs} ms`)
    } finally {
      queued -= 1
    }
  }

  async function answered<T>(client: Sql, answer: PromiseLike<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(Object.assign(new Error('PostgreSQL did not answer in time'), { code: 'ETIMEDOUT' }))
        leave(client)
      }, answerMs)
    })
    try {
      return await Promise.race([answer, late])
    } catch (error) {
      if (failureKindOf(error) === 'connection') await delay(DYING_MS)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  function leave(client: Sql): void {
    if (client !== current || isClosed) return
    log.warn('PostgreSQL went silent; new connections are made')
    current = open()
    // Drizzle set up how values are read and written on the first one.
    Object.assign(current.options, { parsers: options.parsers, serializers: options.serializers })
    void client.end({ timeout: 0 })
  }

  return {
    options,
    unsafe(...query: Parameters<Sql['unsafe']>) {
      return {
        // Drizzle awaits either the rows as objects or, by `values()`, as arrays.
        // biome-ignore lint/suspicious/noThenProperty: it stands for postgres.js’s own lazy query
        then: (...handlers: Parameters<Promise<unknown>['then']>) =>
          inTurn((client) => client.unsafe(...query)).then(...handlers),
        values: () => inTurn((client) => client.unsafe(...query).values()),
      }
    },
    async close() {
      isClosed = true
      await current.end({ timeout: 2 })
    },
  }
}

/**
 * Applies what is missing. Any number of nodes may do so at once: one does, the others wait for it.
 * @param startTimeoutMs how long a server that is not there yet is waited for
 * @throws {MigrationError | ConfigError}
 */
export async function migratePostgres(
  config: PostgresConfig,
  log: Log,
  startTimeoutMs = START_TIMEOUT_MS,
): Promise<void> {
  const deadline = performance.now() + startTimeoutMs
  const address = addressOf(config.url)
  for (let waitMs = 250; ; waitMs = Math.min(2 * waitMs, 4000)) {
    const client = postgres(config.url, {
      ...optionsOf(config),
      max: 1,
      idle_timeout: 0,
      connection: { application_name: 'chaptercast-migrate' },
    })
    try {
      await migrateUnderLock(client, log)
      return
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string }
      if (REFUSALS.test(code))
        throw new ConfigError([`DATABASE_URL: ${address} refuses the connection: ${message}`])
      if (failureKindOf(error) !== 'connection') throw error
      if (performance.now() > deadline)
        throw new ConfigError([
          `DATABASE_URL: ${address} does not answer, for ${startTimeoutMs} ms now: ${message || code}`,
        ])
      log.warn({ err: error }, `PostgreSQL at ${address} does not answer yet`)
    } finally {
      await client.end({ timeout: 2 })
    }
    await delay(waitMs * (0.5 + Math.random()))
  }
}

/** A wrong user or password, a database that does not exist, or one that the user may not use. */
const REFUSALS = /^(28...|3D000|42501)$/

async function migrateUnderLock(client: Sql, log: Log): Promise<void> {
  const db = drizzle(client)
  await client`select pg_advisory_lock(${MIGRATION_LOCK})`
  try {
    await checkMigrations(db as unknown as Db, 'before')
    await migrate(db, { migrationsFolder: MIGRATIONS_DIR })
    const newer = await checkMigrations(db as unknown as Db, 'after')
    if (newer > 0) log.warn({ newer }, 'the database has migrations of a newer release')
  } finally {
    // The lock is the connection’s: if this fails, it goes with it.
    await client`select pg_advisory_unlock(${MIGRATION_LOCK})`.catch(() => {})
  }
}

function optionsOf({ ssl }: PostgresConfig): Options<Record<string, never>> {
  return {
    ssl: ssl === 'off' ? false : ssl,
    connect_timeout: CONNECT_TIMEOUT_S,
    idle_timeout: 30,
    max_lifetime: 30 * 60,
    keep_alive: 10,
    // Arrays are not used. postgres.js does not catch a failure of this query, so a connection that is lost at once
    // would end the process.
    fetch_types: false,
    backoff: (retries: number) => 0.025 + backoffMs(retries + 2, RECONNECT, Math.random) / 1000,
    onnotice() {},
  }
}

/** For people, without the password. */
function addressOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
