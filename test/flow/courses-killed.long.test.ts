/**
 * Courses while nodes are killed.
 */
import t from 'tap'
import { post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import {
  allCompleted,
  createChapters,
  waitUntilSame,
  watchCourse,
  writeAll,
} from '../support/course-watch.js'
import { holdWrites } from '../support/gate.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

const SLOW = { timeoutMs: 60_000, everyMs: 50 }

t.test('a plain client whose node was killed is back in its courses on another one', async (t) => {
  const system = await startNodes(t, 3, { process: true, env: { SESSION_TTL_MS: '30000' } })
  const [one, two, three] = system.nodes as [TestNode, TestNode, TestNode]
  const [first = 0] = await createChapters(two.url, 1, 1)
  const watcher = await watchCourse(t, one.url, 1)
  const other = await watchCourse(t, three.url, 1)
  await one.kill()
  const made = await createChapters(three.url, 1, 2)
  // As behind a load balancer: the next connection goes to another node.
  Reflect.set(watcher.client.socket.io, 'uri', two.url)
  await waitFor('it is listed again by another node', () => watcher.lists.length >= 2, SLOW)
  const all = [first, ...made]
  await writeAll([two.url, three.url], all, all)
  await allCompleted([watcher, other], 1)
  await waitUntilSame(two.url, 1, [watcher, other])
  t.equal(watcher.outOfOrder, 0)
  t.strictSame(system.diedByThemselves(), [])
})

t.test('a node killed between commit and broadcast: the course hears of it within seconds', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 3, { process: true })
  const [one, two, three] = nodes as [TestNode, TestNode, TestNode]
  const [id = 0] = await createChapters(one.url, 1, 1)
  const watchers = await Promise.all([two, three].map(({ url }) => watchCourse(t, url, 1)))
  const gate = await holdWrites(t, databaseUrl, 'update')
  const lost = post(`${one.url}/v1/chapter/${id}/cancel`).catch(() => 'no answer')
  await gate.isReached()
  await one.kill()
  t.equal(await lost, 'no answer')
  await gate.open()
  await allCompleted(watchers, 1)
  await waitUntilSame(two.url, 1, watchers)
  for (const watcher of watchers) t.equal(watcher.completions.length, 1)
})
