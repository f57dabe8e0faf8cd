import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { openEvents } from '../sockets/sse-client.js'
import { finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import {
  allCompleted,
  createChapters,
  failAll,
  waitUntilSame,
  watchCourse,
  writeAll,
} from '../support/course-watch.js'
import { ownRedis } from '../support/redis.js'
import { scale } from '../support/scale.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

/** A page of a course holds five hundred. */
const HUNDREDS = scale(1, 5)
const SLOW = { timeoutMs: 60_000, everyMs: 50 }

t.test('a course of 30 chapters, written over three nodes, is followed on each of them', async (t) => {
  const { nodes } = await startNodes(t, 3)
  const urls = nodes.map(({ url }) => url)
  const watchers = await Promise.all(urls.map((url) => watchCourse(t, url, 1)))
  const stream = await openEvents(t, `${urls[1]}/v1/course/1`)
  await stream.hears('joined_course')

  const first = await createChapters(urls[0] ?? '', 1, 20)
  const late = await watchCourse(t, urls[2] ?? '', 1)
  t.equal(late.chapters().length, 20, 'whoever joins knows what was made before')
  watchers.push(late)
  const later = await createChapters(urls[1] ?? '', 1, 10)
  await writeAll(urls, [...first, ...later])
  await allCompleted(watchers, 1)
  await waitUntilSame(urls[0] ?? '', 1, watchers)
  for (const watcher of watchers) {
    t.match(watcher.completions, [{ counts: { processing: 0, completed: 28, failed: 1, cancelled: 1 } }])
    t.equal(watcher.outOfOrder, 0)
  }
  await waitFor('the stream hears it', () =>
    stream.events().some(({ event }) => event === 'course_completed'),
  )

  for (let round = 2; round <= 3; round++) {
    const failed = first[0] ?? 0
    await post(`${urls[round % 3]}/v1/chapter/${failed}/retry`)
    await failAll(urls[(round + 1) % 3] ?? '', failed)
    await allCompleted(watchers, round)
  }
  const [last = 0] = await createChapters(urls[0] ?? '', 1, 1)
  await writeAll(urls, [0, 0, last], [last])
  await allCompleted(watchers, 4)
  await waitUntilSame(urls[0] ?? '', 1, watchers)
  for (const watcher of watchers) t.equal(watcher.completions.length, 4, 'each time, and once')
})

t.test('a course of many chapters is joined at once and followed', async (t) => {
  const { nodes } = await startNodes(t, 2)
  const urls = nodes.map(({ url }) => url)
  const ids: number[] = []
  for (let part = 0; part < HUNDREDS; part++)
    ids.push(...(await createChapters(urls[part % 2] ?? '', 5, 100)))
  const watchers = await Promise.all(urls.map((url) => watchCourse(t, url, 5)))
  for (const watcher of watchers) {
    t.equal(watcher.lists.length, 1)
    t.same(
      watcher.chapters().map(({ chapter_id }) => chapter_id),
      ids,
    )
    t.match(watcher.lists[0]?.counts, { processing: HUNDREDS * 100 })
  }
  const { body } = await request(`${urls[0]}/v1/course/5`)
  t.equal(body.chapters.length, HUNDREDS * 100)
  t.equal(body.next, null)
  let next = 0
  const worker = async () => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++])
      await post(`${urls[id % 2]}/v1/chapter/${id}/cancel`)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  await allCompleted(watchers, 1)
  await waitUntilSame(urls[1] ?? '', 5, watchers)
  for (const watcher of watchers)
    t.match(watcher.completions, [{ counts: { processing: 0, cancelled: HUNDREDS * 100 } }])
})

t.test('while Redis is away a course is followed from the database, within seconds', async (t) => {
  const redis = await ownRedis(t)
  const { nodes } = await startNodes(t, 3, { redisUrl: redis.url })
  const urls = nodes.map(({ url }) => url)
  const [first = 0] = await createChapters(urls[0] ?? '', 1, 1)
  const watchers = await Promise.all(urls.map((url) => watchCourse(t, url, 1)))
  await redis.stop()
  const made = await createChapters(urls[1] ?? '', 1, 5)
  const joined = await watchCourse(t, urls[2] ?? '', 1)
  t.equal(joined.chapters().length, 6, 'a join reads what is there')
  watchers.push(joined)
  const all = [first, ...made]
  await writeAll(urls, all, all)
  await allCompleted(watchers, 1)
  await waitUntilSame(urls[0] ?? '', 1, watchers)
  await redis.start()
  await waitFor(
    'Redis to be heard again',
    async () =>
      (await Promise.all(nodes.map((node) => node.readyz()))).every(
        ({ dependencies }) => dependencies.redis === 'ok',
      ),
    SLOW,
  )
  const [after = 0] = await createChapters(urls[0] ?? '', 1, 1)
  await writeAll(urls, [after], [after])
  await allCompleted(watchers, 2)
  for (const watcher of watchers) t.equal(watcher.completions.length, 2, 'once each time')
})

t.test('nothing about a course is sent through Redis while nobody follows it', async (t) => {
  const { nodes, redisUrl, redisPrefix } = await startNodes(t, 2)
  const [one, two] = nodes as [TestNode, TestNode]
  const messages = await listenTo(t, redisUrl, `${redisPrefix}:course:*`)
  // Once every node has said what it has open.
  const watched = await watchCourse(t, two.url, 7)
  await waitFor(
    'only the course that is followed is told',
    async () => {
      const before = messages.length
      const [, other] = [await createChapters(one.url, 7, 1), await createChapters(one.url, 8, 1)]
      await waitFor('the other node hears', () => messages.length > before)
      const [id = 0] = other
      await finish(one.url, id, 'concept')
      await createChapters(one.url, 7, 1)
      await waitFor(
        'and again',
        () => messages.slice(before).filter((name) => name.endsWith(':7')).length >= 2,
      )
      return !messages.slice(before).some((name) => name.endsWith(':8'))
    },
    SLOW,
  )
  t.ok(watched.chapters().length > 0)
})

/** Names of the channels that messages came on. */
async function listenTo(t: Test, redisUrl: string, pattern: string): Promise<string[]> {
  const redis = new Redis(redisUrl)
  t.teardown(() => redis.disconnect())
  const names: string[] = []
  redis.on('pmessage', (_pattern: string, channel: string) => names.push(channel))
  await redis.psubscribe(pattern)
  return names
}
