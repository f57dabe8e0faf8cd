import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { MEASURES, type Measure, measure } from './measure.js'
import { PROGRAMS, startSystem } from './system.js'
import { type Result, tableOf } from './table.js'

const PLAN = { warm: 20, chapters: 20, watchers: 20, sockets: 40, idleMs: 1000 }

t.test('the bench takes every measure of every program, and prints them in one table', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'chaptercast-bench-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const { DATABASE_URL = '', REDIS_URL = '', KAFKA_BROKERS = '' } = process.env
  const services = {
    directory,
    env: process.env,
    databaseUrl: DATABASE_URL,
    redisUrl: REDIS_URL,
    kafkaBrokers: KAFKA_BROKERS,
    pids: [process.pid],
    profiles: undefined,
  }
  const results: Result[] = []
  for (const program of PROGRAMS) {
    const system = await startSystem(program, 2, services)
    t.teardown(() => system.stop())
    const figures = await measure(system, services.pids, PLAN)
    await system.stop()
    const taken = Object.entries(figures).flatMap(([name, value]) => (Number.isFinite(value) ? [name] : []))
    t.strictSame(taken.sort(), Object.keys(MEASURES).sort(), program)
    results.push({ program, nodes: 2, figures })
  }
  const table = tableOf(results)
  for (const measure of Object.keys(MEASURES) as Measure[]) t.match(table, `| ${MEASURES[measure]} | `)
})
