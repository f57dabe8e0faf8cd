/**
 * The whole server for a test: listening on a free port, on a database of the test’s own, closed at its end.
 */
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp, type Overrides } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { freePort } from './condition.js'
import { postgresDatabase } from './database.js'
import { buildSerializer } from './serializers.js'

export interface TestApp {
  app: FastifyInstance
  url: string
  close(): Promise<void>
}

/** A clock that stands still until it is moved. */
export interface TestClock {
  now: () => number
  advance(ms: number): void
}

export function testClock(start = Date.parse('2026-01-31T09:00:00.000Z')): TestClock {
  let at = start
  return {
    now: () => at,
    advance(ms) {
      at += ms
    },
  }
}

/**
 * @param env settings; by default nobody generates (`GENERATOR: 'off'`) and callbacks are the test’s to make
 * @param overrides e.g. a `database` (PostgreSQL of the test’s own unless given) and a `now`
 */
export async function buildTestApp(
  t: Test,
  env: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<TestApp> {
  const port = Number(env.PORT ?? (await freePort()))
  const config = readConfig({
    HOST: '127.0.0.1',
    GENERATOR: 'off',
    LOG_LEVEL: 'silent',
    ...env,
    PORT: String(port),
  })
  const app = await buildApp(config, {
    buildSerializer,
    pollMs: 50,
    repairMs: 200,
    ...overrides,
    database: overrides.database ?? (await postgresDatabase(t)),
  })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= app.close().then(() => {})
    return closing
  }
  t.teardown(close)
  await app.listen({ host: config.host, port })
  return { app, url: `http://127.0.0.1:${port}`, close }
}
