import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { waitFor } from '../support/condition.js'
import { ownRedis } from '../support/redis.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import {
  compareWithLog,
  latenessOf,
  liveChapter,
  NOTHING_WRONG,
  type Report,
  underLoad,
  type Watcher,
  watch,
} from '../support/watch.js'

/** Between a chapter of one lane and its next. */
const PAUSE_MS = 30
const LOAD = { timeoutMs: 30_000, everyMs: 20 }

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

t.test('Redis frozen under load: noticed, degraded with 200, and heard again when it thaws', async (t) => {
  const redis = await ownRedis(t)
  const { nodes, databaseUrl } = await startNodes(t, 2, { redisUrl: redis.url })
  const watchers = await watchAll(t, nodes)
  const load = chaptersOn(nodes, watchers.flat())
  await waitFor('load', () => load.runs > 3, LOAD)
  redis.freeze()
  t.teardown(() => redis.thaw())
  await waitFor('it to be noticed', async () => !(await anyHearing(nodes)), LOAD)
  t.equal((await nodes[0]?.readyz())?.status, 200)
  const runs = load.runs
  await waitFor('load while it is frozen', () => load.runs > runs + 5, LOAD)
  redis.thaw()
  await waitFor('Redis to be heard again', () => areHearing(nodes), LOAD)
  const chapters = await load.stop()
  const report = await compareWithLog(databaseUrl, watchers.flat())
  t.match(report, NOTHING_WRONG)
  tell(t, `frozen, ${chapters} chapters`, report)
})

t.test('one node’s connection to Redis goes silent: it is fed from the log and connects anew', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 3, { proxies: true })
  const watchers = await watchAll(t, nodes)
  const deaf = nodes[2] as TestNode
  const load = chaptersOn(nodes, watchers.flat())
  await waitFor('load', () => load.runs > 3, LOAD)
  deaf.redis.stall()
  await waitFor('it to be noticed', async () => !(await anyHearing([deaf])), LOAD)
  t.ok(await areHearing(nodes.slice(0, 2)), 'the others are well')
  deaf.redis.resume()
  await waitFor('it to hear again', () => areHearing(nodes), LOAD)
  const chapters = await load.stop()
  const report = await compareWithLog(databaseUrl, watchers.flat())
  t.match(report, NOTHING_WRONG)
  tell(t, `one node half-open, ${chapters} chapters`, report)
  t.comment(`that node ${late(latenessOf(watchers[2] ?? []))}`)
})

t.test('connections that went silent in the middle of connecting are given up too', async (t) => {
  const { nodes } = await startNodes(t, 1, { proxies: true, overrides: { repairMs: 600_000 } })
  const [node] = nodes as [TestNode]
  await waitFor('the node to hear itself', () => areHearing(nodes), LOAD)
  node.redis.stall()
  const { accepted } = node.redis
  await waitFor('new connections into silence', () => node.redis.accepted >= accepted + 2, LOAD)
  await waitFor('it to be noticed', async () => !(await anyHearing(nodes)), LOAD)
  // What was opened so far leads nowhere for ever; Redis itself is well again.
  node.redis.abandon()
  node.redis.resume()
  await waitFor('the node to hear again', () => areHearing(nodes), LOAD)
})

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

t.test('Redis away at the start: the node starts, and joins the others later', async (t) => {
  const redis = await ownRedis(t)
  await redis.stop()
  const system = await startNodes(t, 2, { redisUrl: redis.url, overrides: { repairMs: 600_000 } })
  const { nodes, databaseUrl } = system
  await waitFor('it to be told of', async () => !(await anyHearing(nodes)), LOAD)
  const watchers = await watchAll(t, nodes)
  await redis.start()
  await waitFor('Redis to be heard', () => areHearing(nodes), LOAD)
  await liveChapter(nodes, watchers.flat())
  const report = await compareWithLog(databaseUrl, watchers.flat())
  t.match(report, NOTHING_WRONG, 'although the log is not asked')
  tell(t, 'away at the start', report)
})

/** Two sockets on each node, one of them on long-polling. */
async function watchAll(t: Test, nodes: readonly TestNode[]): Promise<Watcher[][]> {
  return await Promise.all(
    nodes.map(({ url }) => Promise.all([watch(t, url), watch(t, url, [], { transports: ['polling'] })])),
  )
}

/** Chapter after chapter, all on the first node. */
function chaptersOn(nodes: readonly TestNode[], watchers: readonly Watcher[]) {
  return underLoad(async () => {
    await liveChapter(nodes, watchers, () => 0)
    await delay(PAUSE_MS)
  })
}

async function statesOf(nodes: readonly TestNode[]): Promise<(string | undefined)[]> {
  return await Promise.all(nodes.map(async (node) => (await node.readyz()).dependencies.redis))
}

async function areHearing(nodes: readonly TestNode[]): Promise<boolean> {
  return (await statesOf(nodes)).every((state) => state === 'ok')
}

async function anyHearing(nodes: readonly TestNode[]): Promise<boolean> {
  return (await statesOf(nodes)).includes('ok')
}

function tell(t: Test, fault: string, { lost, repeated, disordered, heard, ...times }: Report): void {
  t.comment(
    `${fault}: ${heard} heard, ${lost} lost, ${repeated} repeated, ${disordered} disordered, ${late(times)}`,
  )
}

function late({ p50Ms, maxMs }: { p50Ms: number; maxMs: number }): string {
  return `late p50 ${p50Ms} ms, max ${maxMs} ms`
}
