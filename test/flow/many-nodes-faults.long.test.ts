/**
 * Nodes and Redis that go without a word: clients come back by themselves and miss nothing, and what a dead node did
 * not tell the others they read from the log.
 */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { ownRedis } from '../support/redis.js'
import { spread, stockClient, tell } from '../support/stock-client.js'
import { startNodes } from '../support/three-nodes.js'
import { underLoad } from '../support/watch.js'

const program = await findHaproxy()
const redis = await ownRedis(t)
const { nodes } = await startNodes(t, 3, { process: true, proxies: true, redisUrl: redis.url })
const urls = nodes.map(({ url }) => url)
const at = (index: number) => urls[index % 3] ?? ''

await t.test('clients that join while Redis restarts hear everything, once and in order', async (t) => {
  const clients: { chapterId: number; client: ReturnType<typeof stockClient> }[] = []
  const joining = underLoad(async (n) => {
    const chapterId = await createChapter(at(n))
    for (const url of urls)
      clients.push({
        chapterId,
        client: stockClient(t, url, { chapters: [chapterId], transports: ['websocket'] }),
      })
    const answers = await Promise.all(JOB_KINDS.map((kind, index) => finish(at(n + index), chapterId, kind)))
    for (const { status } of answers) t.equal(status, 200)
  }, 2)
  for (let restart = 1; restart <= 2; restart += 1) {
    await waitFor('some are in', () => joining.runs >= 20 * restart - 10)
    await redis.stop()
    await waitFor('more come while it is away', () => joining.runs >= 20 * restart)
    await redis.start()
  }
  await waitFor('more come when it is back', () => joining.runs >= 60)
  await joining.stop()
  await waitFor('all hear the end', () =>
    clients.every(({ client, chapterId }) => client.hasHeard(chapterId, 8)),
  )
  t.same(
    clients.flatMap(({ client }) => client.faults()),
    [],
  )
  t.ok(
    clients.every(({ client }) => client.connections === 1),
    'and none lost its connection',
  )
  for (const { client } of clients) client.socket.disconnect()
})

await t.test(
  'what a node did not tell because it died, other nodes’ clients hear from the log',
  async (t) => {
    const [, , dying] = nodes
    if (dying === undefined) throw new Error('there are three nodes')
    const chapterId = await createChapter(at(0))
    const clients = urls
      .slice(0, 2)
      .flatMap((url) => Array.from({ length: 10 }, () => stockClient(t, url, { chapters: [chapterId] })))
    await waitFor('all are in', () => clients.every((client) => client.hasHeard(chapterId, 4)))

    // Between commit and broadcast: what it publishes from now on goes nowhere.
    dying.redis.stall()
    const answers = await Promise.all(JOB_KINDS.map((kind) => finish(dying.url, chapterId, kind)))
    await dying.kill()
    const committedAt = performance.now()
    for (const { status } of answers) t.equal(status, 200)

    await waitFor('all hear the end', () => clients.every((client) => client.hasHeard(chapterId, 8)))
    const late = clients.map((client) => (client.heardAt(chapterId, 8) ?? 0) - committedAt)
    tell(`not broadcast, heard from the log: ${spread(late)}`)
    t.same(
      clients.flatMap((client) => client.faults()),
      [],
    )
    for (const url of urls.slice(0, 2))
      t.ok((await repairsAt(url)) >= 4, 'they came from the log, and not by Redis')
    dying.redis.resume()
    await dying.start()
  },
)

await t.test(
  'clients of a node that is killed are back by themselves, and miss nothing',
  { skip: program === undefined && 'no haproxy: install it (apt-get install haproxy)' },
  async (t) => {
    const proxy = await startHaproxy(
      t,
      program ?? '',
      nodes.map(({ port }) => port),
    )
    const chapters = await Promise.all([0, 1, 2].map(() => createChapter(proxy.url)))
    const clients = Array.from({ length: 60 }, (_, index) =>
      stockClient(t, proxy.url, {
        chapters,
        ...(index % 3 === 1 ? { transports: ['polling'] } : {}),
      }),
    )
    await waitFor('all are in', () =>
      clients.every((client) => chapters.every((id) => client.hasHeard(id, 4))),
    )
    // Their upgrades are over when nobody polls who need not.
    await waitFor('all have their transport', () =>
      clients.every(
        ({ socket }, index) => (socket.io.engine.transport.name === 'polling') === (index % 3 === 1),
      ),
    )
    const progressing = underLoad(async (n) => {
      await delay(20)
      const body = { progress: n % 100, message: 'on the way' }
      // A node that dies takes requests along: a worker calls again.
      await post(`${proxy.url}/v1/chapter/${chapters[n % 3]}/progress`, body).catch(() => {})
    })
    const [victim] = nodes
    await victim?.kill()
    // While some of them are away:
    for (const id of chapters)
      for (const kind of JOB_KINDS)
        await waitFor('the webhook is taken', async () => (await finish(proxy.url, id, kind)).status === 200)
    await waitFor(
      'everyone has heard everything',
      () => clients.every((client) => chapters.every((id) => client.hasHeard(id, 8))),
      { timeoutMs: 20_000 },
    )
    await progressing.stop()
    const moved = clients.filter(({ connections }) => connections > 1)
    t.ok(moved.length >= 10, `${moved.length} had to move`)
    t.same(
      clients.flatMap((client) => client.faults()),
      [],
    )
    const awayMs = clients.flatMap((client) => client.awayMs)
    tell(`killed -9, ${moved.length} of 60 away: ${spread(awayMs)}`)
    await victim?.start()
  },
)

async function repairsAt(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^chaptercast_feed_repairs_total\{feed="chapter"\} (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
}
