import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { Redis } from 'ioredis'
import { encode } from 'notepack.io'
import pino from 'pino'
import { Server } from 'socket.io'
import t, { type Test } from 'tap'
import type { ChapterEvent } from '../../src/contract/event.js'
import { connectNodeBus } from '../../src/feed/bus.js'
import type { FeedEntry } from '../../src/feed/feed.js'
import type { ChapterIo } from '../../src/sockets/chapter-io.js'
import { connectSocket } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { ownRedis, redisPrefix, sharedRedisUrl } from '../support/redis.js'

/** Each test’s own. */
const prefixes = new WeakMap<Test, string>()

/** What the adapter takes for a request of another node, by type (its `RequestType`). */
const REQUEST_TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, '6', null]
const REQUEST_SHAPES: Record<string, unknown>[] = [
  {},
  { requestId: 'r' },
  { requestId: 'r', rooms: 5 },
  { requestId: 'r', opts: null },
  { opts: { rooms: 5, except: 5 }, rooms: 7 },
  { requestId: 'r', sid: {}, room: {} },
  { uid: 'other', data: 5 },
  { uid: 'other', data: null },
  { uid: 'other', data: ['error'] },
  { uid: 'other', data: ['connection', {}] },
  { uid: 'other', data: ['feed'], requestId: 'r' },
  { uid: 'other', data: { length: 1e9 } },
  { opts: { rooms: ['nobody'], except: [] }, requestId: 'r', packet: 5 },
]

t.test('whatever stands on the adapter’s channels ends nothing and disconnects nobody', async (t) => {
  const { bus, heard, prefix, url, publisher } = await startBus(t)
  const client = await connectSocket(t, url)
  const bytes = [
    Buffer.alloc(0),
    Buffer.from('garbage'),
    Buffer.from('{'),
    Buffer.from('{"type":'),
    Buffer.from([0xc1]),
    Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]),
    Buffer.alloc(70_000, 0x93),
    Buffer.from('null'),
    Buffer.from('[]'),
    ...[
      null,
      5,
      'text',
      [],
      {},
      [null],
      ['u', null],
      ['u', {}],
      ['u', { nsp: '/' }],
      ['u', { nsp: 5 }, 5],
    ].map((value) => encode(value)),
    encode(['u', { nsp: '/', type: 2, data: ['x'] }]),
    encode(['u', { nsp: '/', type: 2, data: ['x'] }, null]),
    encode(['u', { nsp: '/', type: 2, data: ['x'] }, { rooms: 5, except: {} }]),
    ...['null', '5', '{"type":{}}', '{"requestId":{}}', '{"requestId":"r","sockets":5}'].map((text) =>
      Buffer.from(text),
    ),
  ]
  const requests = REQUEST_TYPES.flatMap((type) =>
    REQUEST_SHAPES.flatMap((shape) => [
      Buffer.from(JSON.stringify({ type, ...shape })),
      encode({ type, ...shape }),
    ]),
  )
  const channels = ['#/#', '#/#room#', '-request#/#', '-response#/#', '-response#/#other#', '#/other#']
  for (const channel of channels)
    for (const message of [...bytes, ...requests]) await publisher.publish(`${prefix}${channel}`, message)

  await publisher.publish(`${prefix}-request#/#`, feedMessage([entryOf(1)]))
  await waitFor('what came after it all', () => heard.length > 0)
  t.strictSame(heard, [entryOf(1)], 'and nothing of it was taken for an event')
  t.ok(bus.counts.unusable > 50, `${bus.counts.unusable} were counted`)
  t.ok(client.socket.connected)
  t.equal(client.heard.filter(({ name }) => name !== 'x').length, 0)
})

t.test('an entry of another release’s shape is dropped, one with more fields is taken', async (t) => {
  const { bus, heard, prefix, publisher } = await startBus(t)
  const channel = `${prefix}-request#/#`
  const [event] = entryOf(1).events
  const foreign: unknown[] = [
    'feed',
    {},
    [5],
    [{ ...entryOf(1), chapterId: '1' }],
    [{ ...entryOf(1), chapterId: 0 }],
    [{ ...entryOf(1), events: null }],
    [{ ...entryOf(1), events: [{ ...event, payload: { at: '' } }] }],
    [{ ...entryOf(1), events: [{ payload: event?.payload }] }],
    [{ ...entryOf(1), progress: undefined }],
    [{ ...entryOf(1), progress: { version: '1' } }],
    [entryOf(1), { chapter: 1 }],
  ]
  for (const entries of foreign) await publisher.publish(channel, feedMessage(entries))
  const newer = [{ ...entryOf(2), since: 'the next release' }]
  await publisher.publish(channel, feedMessage(newer))
  await waitFor('the newer one', () => heard.length > 0)
  t.strictSame(heard, newer)
  t.equal(bus.counts.unusable, foreign.length)
})

t.test('nodes of another deployment on the same Redis are not heard', async (t) => {
  const [one, same, other] = await Promise.all([startBus(t, 'a'), startBus(t, 'a'), startBus(t, 'b')])
  one.bus.publish([entryOf(1)])
  await waitFor('its own deployment to hear it', () => same.heard.length > 0)
  await other.publisher.publish(`${other.prefix}-request#/#`, feedMessage([entryOf(9)]))
  await waitFor('the marker', () => other.heard.length > 0)
  t.strictSame(other.heard, [entryOf(9)])
  t.strictSame(one.heard, [], 'nor does a node hear itself')
})

t.test('with Redis frozen, what is published takes no more memory than two seconds of it', async (t) => {
  const redis = await ownRedis(t)
  const { bus } = await startBus(t, 'frozen', redis.url)
  const entries = [entryOf(1, 'x'.repeat(20_000))]
  redis.freeze()
  t.teardown(() => redis.thaw())
  let largest = 0
  const publishing = setInterval(() => {
    for (let n = 0; n < 10; n++) bus.publish(entries)
    largest = Math.max(largest, unsentOf(bus.redis))
  }, 10)
  t.teardown(() => clearInterval(publishing))
  await waitFor('it to be noticed', () => !bus.isHearing)
  await waitFor('the publisher to give up', () => bus.counts.unsent > 0)
  const { unsent } = bus.counts
  await waitFor('much more to be published', () => bus.counts.unsent > unsent + 3000, { timeoutMs: 30_000 })
  clearInterval(publishing)
  const perSecond = 1000 * feedMessage(entries).length
  t.comment(`unsent at most ${Math.round(largest / 1e6)} MB at ${Math.round(perSecond / 1e6)} MB/s`)
  t.ok(largest < 3 * perSecond, `${largest} bytes`)
  t.ok(unsentOf(bus.redis) < 1e6, 'its buffer is empty')

  redis.thaw()
  await waitFor('Redis to be heard again', () => bus.isHearing, { timeoutMs: 30_000 })
  const before = bus.counts.unsent
  bus.publish([entryOf(2)])
  await delay(0)
  t.equal(bus.counts.unsent, before)
})

t.test('closing with Redis away leaves nothing that keeps the process', async (t) => {
  const url = `redis://127.0.0.1:${await freePort()}`
  const { bus } = await startBus(t, 'away', url)
  await waitFor('it to be noticed', () => !bus.isHearing)
  bus.publish([entryOf(1)])
  await waitFor('it to be counted', () => bus.counts.unsent > 0)
  bus.close()
  const { unsent } = bus.counts
  bus.publish([entryOf(1)])
  await waitFor('what comes later to be counted', () => bus.counts.unsent > unsent)
})

/** A node as far as Redis is concerned. */
async function startBus(t: Test, name = 'a', redisUrl = sharedRedisUrl()) {
  const prefix = `${prefixes.get(t) ?? prefixes.set(t, redisPrefix()).get(t)}-${name}`
  const http = createServer()
  const io = new Server(http) as ChapterIo
  const heard: FeedEntry[] = []
  const log = pino({ level: 'silent' }) as unknown as FastifyBaseLogger
  const bus = connectNodeBus({
    config: { url: redisUrl, prefix },
    io,
    onEntries: (entries) => heard.push(...entries),
    onReconnect: () => {},
    log,
  })
  const port = await freePort()
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const publisher = new Redis(redisUrl, { lazyConnect: true })
  t.teardown(async () => {
    publisher.disconnect()
    bus.close()
    await io.close()
  })
  if (redisUrl === sharedRedisUrl()) {
    await publisher.connect()
    // A message is heard by those who subscribed before it.
    await waitFor('the node to have subscribed', async () => {
      const [, count] = (await publisher.pubsub('NUMSUB', `${prefix}-request#/#`)) as [string, number]
      return count > 0
    })
  } else if (name === 'frozen') await waitFor('the publisher', () => bus.redis.status === 'ready')
  return { bus, heard, prefix, url: `http://127.0.0.1:${port}`, publisher }
}

function entryOf(seq: number, message = 'done'): FeedEntry {
  const payload = {
    chapter_id: 1,
    concept_id: 2,
    status: 'completed',
    message,
    seq,
    at: new Date(0).toISOString(),
  }
  return {
    chapterId: 1,
    events: [{ name: 'concept_completed', payload } as ChapterEvent],
    progress: { version: 1, update: { chapter_id: 1, progress: 33, message } },
  }
}

/** As the adapter sends `serverSideEmit('feed', entries)`. */
function feedMessage(entries: unknown): string {
  return JSON.stringify({ uid: 'other', type: 6, data: ['feed', entries] })
}

/** What waits in the client and in its socket, bytes. */
function unsentOf(redis: Redis): number {
  return (redis as unknown as { stream?: { writableLength: number } }).stream?.writableLength ?? 0
}
