import t from 'tap'
import { waitFor } from '../support/condition.js'
import { ownRedis } from '../support/redis.js'
import { startNodes } from '../support/three-nodes.js'
import { compareWithLog, liveChapter, NOTHING_WRONG, query, underLoad, watch } from '../support/watch.js'

const CHAPTERS = 150
const CONCURRENCY = 5
const LONG = { timeoutMs: 90_000 }

t.test(
  'three webhooks at once on three nodes, 150 times, Redis frozen for some: one all_completed each, all heard once',
  async (t) => {
    const redis = await ownRedis(t)
    t.teardown(() => redis.thaw())
    const { nodes, databaseUrl } = await startNodes(t, 3, { redisUrl: redis.url })
    const watchers = await Promise.all(
      nodes.flatMap(({ url }) => [watch(t, url), watch(t, url, [], { transports: ['polling'] })]),
    )
    const load = underLoad((n) => liveChapter(nodes, watchers, (request) => n + request), CONCURRENCY)
    await waitFor('a third of it', () => load.runs > CHAPTERS / 3, LONG)
    redis.freeze()
    await waitFor('two thirds', () => load.runs > (2 * CHAPTERS) / 3, LONG)
    redis.thaw()
    await waitFor('all of it', () => load.runs >= CHAPTERS, LONG)
    const chapters = await load.stop()

    const report = await compareWithLog(databaseUrl, watchers)
    t.match(report, NOTHING_WRONG)
    t.equal(report.heard, chapters * watchers.length * 8)
    t.comment(
      `${chapters} chapters, ${report.heard} heard, late p50 ${report.p50Ms} ms, max ${report.maxMs} ms`,
    )
    const ends = await query<{ count: number }>(
      databaseUrl,
      `select count(*)::int from event where name = 'all_completed' group by chapter_id`,
    )
    t.equal(ends.length, chapters)
    t.ok(ends.every(({ count }) => count === 1))
    const open = await query(databaseUrl, `select 1 from chapter where status <> 'completed'`)
    t.strictSame(open, [])
  },
)
