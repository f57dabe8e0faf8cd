import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { waitFor } from '../support/condition.js'
import { ownRedis } from '../support/redis.js'
import { startNodes } from '../support/three-nodes.js'
import {
  compareWithLog,
  latenessOf,
  liveChapter,
  NOTHING_WRONG,
  underLoad,
  type Watcher,
} from '../support/watch.js'
import { anyHearing, areHearing, chaptersOn, LOAD, late, PAUSE_MS, tell, watchAll } from './redis-load.js'

t.test(
  'Redis dead under load: no process ends, and all is heard everywhere, before it is back',
  async (t) => {
    const redis = await ownRedis(t)
    const system = await startNodes(t, 3, { process: true, redisUrl: redis.url })
    const { nodes, databaseUrl } = system
    const watchers = await watchAll(t, nodes)
    const [own = [], ...others] = watchers
    const load = chaptersOn(nodes, watchers.flat())
    await waitFor('load', () => load.runs > 5, LOAD)

    const deadAt = performance.now()
    await redis.stop()
    await waitFor('it to be noticed', async () => !(await anyHearing(nodes)), LOAD)
    t.match(await nodes[1]?.readyz(), { status: 200, dependencies: { redis: 'degraded', database: 'ok' } })
    for (let chapter = 0; chapter < 3; chapter += 1) {
      const chapterId = await liveChapter(nodes, watchers.flat(), () => 0)
      const isHeard = ({ heard }: Watcher) =>
        heard.filter((event) => event.chapterId === chapterId).at(-1)?.name === 'all_completed'
      await waitFor('everyone hears it from the log', () => watchers.flat().every(isHeard), LOAD)
    }
    const dead: [number, number] = [deadAt, performance.now()]
    await redis.start()
    await waitFor('Redis to be heard again', () => areHearing(nodes), LOAD)
    const backAt = performance.now()
    const runs = load.runs
    await waitFor('more load', () => load.runs > runs + 10, LOAD)
    const chapters = await load.stop()

    const report = await compareWithLog(databaseUrl, watchers.flat())
    t.match(report, NOTHING_WRONG)
    t.strictSame(system.diedByThemselves(), [])
    t.strictSame(
      nodes.flatMap(({ log }) => log.filter(({ level }) => level >= 50)),
      [],
      'no fault is logged',
    )
    tell(t, `dead, ${chapters} chapters`, report)
    const [here, there] = [latenessOf(own, dead), latenessOf(others.flat(), dead)]
    const after = latenessOf(others.flat(), [backAt, Number.POSITIVE_INFINITY])
    t.comment(
      `while dead: committing node ${late(here)}, others ${late(there)}; others afterwards ${late(after)}`,
    )
  },
)

t.test('Redis restarted again and again under load loses, repeats and disorders nothing', async (t) => {
  const redis = await ownRedis(t)
  const { nodes, databaseUrl } = await startNodes(t, 3, { redisUrl: redis.url })
  const watchers = await watchAll(t, nodes)
  let offset = 0
  const load = underLoad(async () => {
    const first = offset++
    await liveChapter(nodes, watchers.flat(), (request) => first + request)
    await delay(PAUSE_MS)
  }, 2)
  for (let round = 0; round < 3; round++) {
    const { runs } = load
    await waitFor('load', () => load.runs > runs + 3, LOAD)
    await redis.stop()
    await redis.start()
    await waitFor('Redis to be heard', () => areHearing(nodes), LOAD)
  }
  const chapters = await load.stop()
  const report = await compareWithLog(databaseUrl, watchers.flat())
  t.match(report, NOTHING_WRONG)
  tell(t, `restarted 3 times, ${chapters} chapters`, report)
})
