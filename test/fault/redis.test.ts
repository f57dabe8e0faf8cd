import t from 'tap'
import { waitFor } from '../support/condition.js'
import { ownRedis } from '../support/redis.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { compareWithLog, latenessOf, liveChapter, NOTHING_WRONG } from '../support/watch.js'
import { anyHearing, areHearing, chaptersOn, LOAD, late, tell, watchAll } from './redis-load.js'

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
