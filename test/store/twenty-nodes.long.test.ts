import t from 'tap'
import { postgresUrl } from '../support/database.js'
import { createDatabase } from '../support/postgres.js'
import { redisPrefix } from '../support/redis.js'
import { startNodes } from '../support/three-nodes.js'
import { compareWithLog, liveChapter, NOTHING_WRONG, query, watch } from '../support/watch.js'

const APPLIED = 'select hash, created_at from drizzle.__drizzle_migrations order by created_at'

t.test('20 nodes that start at once on an empty database all serve; migrations run once', async (t) => {
  const databaseUrl = await createDatabase(t)
  // As many connections as PostgreSQL gives unless told otherwise, 100, are plenty.
  const env = { DATABASE_POOL_SIZE: '3', REDIS_PREFIX: redisPrefix() }
  const systems = await Promise.all([
    startNodes(t, 4, { process: true, databaseUrl, env }),
    startNodes(t, 16, { databaseUrl, env }),
  ])
  const nodes = systems.flatMap((system) => system.nodes)
  const applied = await query(databaseUrl, APPLIED)
  t.strictSame(applied, await query(await postgresUrl(t), APPLIED), 'each once')
  for (const { url, readyz, log } of nodes) {
    t.match(await readyz(), { status: 200, dependencies: { database: 'ok' } }, url)
    t.notMatch(JSON.stringify(log), /PostgreSQL at .* does not answer/, 'it was there for everyone')
  }

  // One chapter on all of them: created on one, answered on three others, heard on every one.
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))
  await liveChapter(nodes, watchers, (request) => 5 * request)
  const report = await compareWithLog(databaseUrl, watchers)
  t.match(report, { ...NOTHING_WRONG, heard: 8 * nodes.length })
})
