/**
 * Between nodes, what happens in a chapter costs only those that have somebody in its room: a node more does not make
 * the others pay for what it commits.
 */
import t from 'tap'
import { createChapter, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { asking } from '../support/redis.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { finishAll } from '../support/views.js'
import { compareWithLog, liveChapter, NOTHING_WRONG, watch } from '../support/watch.js'

const CHAPTERS = 20
/** A channel is left up to 7.5 s after its room closed. */
const LEAVING = { timeoutMs: 20_000, everyMs: 50 }

t.test('a node without watchers of a chapter gets none of its events', async (t) => {
  const { nodes, databaseUrl, redisUrl, redisPrefix } = await startNodes(t, 3, { proxies: true })
  const [here, there, aside] = nodes as [TestNode, TestNode, TestNode]
  const subscribers = (chapterId: number) => subscribersOf(redisUrl, `${redisPrefix}:feed:${chapterId}`)
  const received = nodes.map((node) => feedMessagesOf(node, redisPrefix))
  const watchers = [await watch(t, here.url), await watch(t, there.url)]
  const other = await watch(t, aside.url)

  const chapterIds: number[] = []
  // The last of the three commits as well, and is told nothing by the others.
  for (let n = 0; n < CHAPTERS; n++) chapterIds.push(await liveChapter(nodes, watchers))
  t.match(await compareWithLog(databaseUrl, watchers), NOTHING_WRONG)
  for (const chapterId of chapterIds) t.equal(await subscribers(chapterId), 2)

  const own = await liveChapter(nodes, [other])
  t.match(await compareWithLog(databaseUrl, [other]), NOTHING_WRONG)
  t.equal(await subscribers(own), 1)
  const [ofHere = [], ofThere = [], ofAside = []] = received.map((messages) => messages())
  t.same(new Set(ofHere), new Set(chapterIds))
  t.same(new Set(ofThere), new Set(chapterIds))
  t.same(new Set(ofAside), new Set([own]))
})

t.test('events of a chapter without watchers are sent to no node', async (t) => {
  const { nodes, redisPrefix } = await startNodes(t, 2, { proxies: true })
  const received = nodes.map((node) => feedMessagesOf(node, redisPrefix))
  const [here, there] = nodes as [TestNode, TestNode]
  const silent = await createChapter(here.url)
  await finishAll(here.url, silent)
  // A marker, sent afterwards over the same connection.
  const watcher = await watch(t, there.url)
  const heard = await createChapter(here.url)
  await watcher.join(heard)
  await finishAll(here.url, heard)
  await waitFor('the marker', () => received[1]?.().includes(heard))
  t.notOk(received.some((messages) => messages().includes(silent)))
})

t.test('a node that the last watcher left hears nothing more, a little later', async (t) => {
  const { nodes, databaseUrl, redisUrl, redisPrefix } = await startNodes(t, 2)
  const [here, there] = nodes as [TestNode, TestNode]
  const [left, gone, stays] = [await watch(t, there.url), await watch(t, there.url), await watch(t, here.url)]
  const chapterId = await createChapter(here.url)
  const channel = `${redisPrefix}:feed:${chapterId}`
  for (const { join } of [left, gone, stays]) await join(chapterId)
  t.equal(await subscribersOf(redisUrl, channel), 2)
  t.match(await left.socket.emitWithAck('leave_chapter', { chapter_id: chapterId }), { ok: true })
  gone.socket.disconnect()
  await waitFor('the channel to be left', async () => (await subscribersOf(redisUrl, channel)) === 1, LEAVING)

  await post(`${here.url}/v1/chapter/${chapterId}/progress`, { progress: 10, message: 'on' })
  const back = await watch(t, there.url, [chapterId])
  t.equal(await subscribersOf(redisUrl, channel), 2, 'and it is there again for who comes back')
  await finishAll(here.url, chapterId)
  t.match(await compareWithLog(databaseUrl, [back, stays]), NOTHING_WRONG)
})

async function subscribersOf(redisUrl: string, channel: string): Promise<number> {
  const answer = (await asking(redisUrl, (redis) => redis.pubsub('NUMSUB', channel))) as unknown[]
  return Number(answer[1])
}

/** The chapters of the feed's messages that a node receives from Redis, read off the wire. */
function feedMessagesOf({ redis }: TestNode, prefix: string): () => number[] {
  const pieces: Buffer[] = []
  redis.onAnswer((bytes) => pieces.push(bytes))
  // `*3 $7 message $n channel …`, where a confirmation has `subscribe`.
  const message = new RegExp(`\\$7\\r\\nmessage\\r\\n\\$\\d+\\r\\n${prefix}:feed:(\\d+)\\r\\n`, 'g')
  return () => [...Buffer.concat(pieces).toString('latin1').matchAll(message)].map(([, id]) => Number(id))
}
