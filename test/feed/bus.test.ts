import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { mock } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ChapterEvent } from '../../src/contract/event.js'
import { type CourseEntry, courseEntryOf as makeCourseEntry } from '../../src/domain/course.js'
import { createBus } from '../../src/feed/bus.js'
import type { FeedEntry } from '../../src/feed/feed.js'
import { connectRedis, type RedisConnections } from '../../src/feed/redis.js'
import { created } from '../support/chapters.js'
import { freePort, waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { asking, ownRedis, redisPrefix, sharedRedisUrl } from '../support/redis.js'

const LONG = { timeoutMs: 30_000 }

t.test('an entry reaches the nodes that subscribed to its chapter, and no other node', async (t) => {
  const prefix = redisPrefix()
  const [sender, one, both] = [
    await startNode(t, { prefix }),
    await startNode(t, { prefix }),
    await startNode(t, { prefix }),
  ]
  await Promise.all([
    sender.bus.subscribe(1),
    one.bus.subscribe(1),
    both.bus.subscribe(1),
    both.bus.subscribe(2),
  ])
  sender.bus.publish([entryOf(1, 5), entryOf(2, 6), entryOf(3, 7)])
  // A marker for each: it was sent after the others, over the same connection.
  sender.bus.publish([entryOf(1, 8)])
  await waitFor('the markers', () =>
    [one, both].every(({ heard }) => heard.at(-1)?.events[0]?.payload.seq === 8),
  )
  t.strictSame(one.heard, [entryOf(1, 5), entryOf(1, 8)])
  t.strictSame(both.heard, [entryOf(1, 5), entryOf(2, 6), entryOf(1, 8)])
  t.strictSame(sender.heard, [], 'a node does not hear itself')
  t.strictSame(
    [one, both].map(({ bus: { counts } }) => ({ unusable: counts.unusable, received: counts.received })),
    [
      { unusable: 0, received: 2 },
      { unusable: 0, received: 3 },
    ],
    'and receives nothing that it has no room for',
  )
})

t.test('nodes of another deployment on the same Redis are not heard', async (t) => {
  const [here, there] = [redisPrefix(), redisPrefix()]
  const one = await startNode(t, { prefix: here })
  const same = await startNode(t, { prefix: here })
  const other = await startNode(t, { prefix: there })
  await Promise.all([one, same, other].map(({ bus }) => bus.subscribe(1)))
  one.bus.publish([entryOf(1, 1)])
  await waitFor('its own deployment to hear it', () => same.heard.length > 0)
  await other.publish(`${there}:feed:1`, JSON.stringify(entryOf(1, 9)))
  await waitFor('the marker', () => other.heard.length > 0)
  t.strictSame(other.heard, [entryOf(1, 9)])
})

t.test('a channel is left a while after its room closed, and kept when the room opens again', async (t) => {
  const { bus, isSubscribed } = await startNode(t, { lingerMs: 100 })
  await Promise.all([bus.subscribe(1), bus.subscribe(2)])
  bus.unsubscribe(1)
  bus.unsubscribe(2)
  t.ok(await isSubscribed(1), 'not at once')
  await bus.subscribe(1)
  await waitFor('the other one to be left', async () => !(await isSubscribed(2)))
  t.ok(await isSubscribed(1))
})

t.test('whenever a room opens again, what is committed afterwards is heard', async (t) => {
  const prefix = redisPrefix()
  const sender = await startNode(t, { prefix })
  const { bus, heard } = await startNode(t, { prefix, lingerMs: 4 })
  let heardTwice = 0
  for (let seq = 1; seq <= 150; seq++) {
    await bus.subscribe(1)
    sender.bus.publish([entryOf(1, seq)])
    await waitFor(`event ${seq}`, () => heard.some(({ events }) => events[0]?.payload.seq === seq), {
      everyMs: 1,
    })
    bus.unsubscribe(1)
    // Around the moment at which the channel is left.
    await delay(Math.random() * 12)
  }
  for (const { events } of heard)
    heardTwice += heard.filter((other) => other.events[0]?.payload.seq === events[0]?.payload.seq).length - 1
  t.equal(heardTwice, 0)
})

t.test('a message on a channel that was left makes the node leave it again', async (t) => {
  const { bus, redis, heard, isSubscribed, publish } = await startNode(t)
  // As a reconnect would bring it back.
  await redis.subscriber.subscribe(`${bus.prefix}:feed:7`)
  t.ok(await isSubscribed(7))
  await publish(`${bus.prefix}:feed:7`, JSON.stringify(entryOf(7, 1)))
  await waitFor('the channel to be left', async () => !(await isSubscribed(7)))
  t.strictSame(heard, [])
})

t.test('text so far comes in the order in which it was told, and only of a known shape', async (t) => {
  const prefix = redisPrefix()
  const sender = await startNode(t, { prefix })
  const { bus, heard, texts, publish } = await startNode(t, { prefix })
  await bus.subscribe(1)
  const text = {
    ...({ kind: 'concept' } as const),
    ...{ jobId: 'a', attempt: 1, stamp: 2, follows: 1, length: 4, half: '\ud83d' },
    ...{ offset: 1, content: 'x😀' },
  } as const
  sender.bus.publishText(1, text)
  sender.bus.publish([entryOf(1, 1)])
  await waitFor('the entry', () => heard.length === 1)
  t.same(texts, [[1, text]])
  const bad = [
    ...[{}, null, 7, { ...text, kind: 'other' }, { ...text, stamp: -1 }, { ...text, content: 5 }],
    ...[
      { ...text, content: [{ question: 'x' }] },
      { ...text, kind: 'quiz' },
      { ...text, half: 5 },
    ],
  ]
  const entry = { chapterId: 1, events: [], progress: null }
  for (const each of bad) await publish(`${bus.prefix}:feed:1`, JSON.stringify({ ...entry, text: each }))
  await waitFor('all of them', () => bus.counts.unusable === bad.length)
  t.equal(texts.length, 1)
})

t.test('rooms that open at once are a few commands to Redis, not one each', async (t) => {
  const redis = await ownRedis(t)
  const { bus } = await startNode(t, { url: redis.url })
  const calls = async () =>
    Number(/cmdstat_subscribe:calls=(\d+)/.exec(await asking(redis.url, (r) => r.info('commandstats')))?.[1])
  const before = await calls()
  await Promise.all(Array.from({ length: 2500 }, (_, index) => bus.subscribe(index + 1)))
  t.ok((await calls()) - before <= 4, `${(await calls()) - before} commands`)
  const channels = await asking(redis.url, (r) => r.pubsub('CHANNELS', `${bus.prefix}:feed:*`))
  t.equal((channels as string[]).length, 2500)
})

t.test('a lost connection is made again with all its channels, and may have missed something', async (t) => {
  const redis = await ownRedis(t)
  const prefix = redisPrefix()
  const sender = await startNode(t, { prefix, url: redis.url })
  const { bus, missed, heard, isSubscribed } = await startNode(t, { prefix, url: redis.url })
  await Promise.all([bus.subscribe(1), bus.subscribe(2)])
  await waitFor('the first connection to be over with', () => missed.length > 0)
  missed.length = 0
  await asking(redis.url, (r) => r.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))
  await waitFor('it to be told', () => missed.includes('all'))
  t.ok((await isSubscribed(1)) && (await isSubscribed(2)), 'by then the channels are subscribed')
  sender.bus.publish([entryOf(1, 1), entryOf(2, 2)])
  await waitFor('both chapters to be heard', () => heard.length === 2)
})

t.test('a join does not wait for a Redis that is away, and is told when its room is heard', async (t) => {
  const redis = await ownRedis(t)
  await redis.stop()
  const { bus, missed, heard } = await startNode(t, { url: redis.url })
  await bus.subscribe(1)
  t.strictSame(missed, [])
  await redis.start()
  await waitFor('the room to be heard', () => missed.includes(1), LONG)
  const sender = await startNode(t, { prefix: bus.prefix, url: redis.url })
  sender.bus.publish([entryOf(1, 1)])
  await waitFor('the entry', () => heard.length > 0)
})

t.test('a join waits a moment for a frozen Redis, and is told when its room is heard', async (t) => {
  const redis = await ownRedis(t)
  const { bus, missed, heard } = await startNode(t, { url: redis.url })
  redis.freeze()
  t.teardown(() => redis.thaw())
  const from = performance.now()
  await bus.subscribe(1)
  const waitedMs = performance.now() - from
  t.ok(waitedMs >= 490, `${Math.round(waitedMs)} ms`)
  t.notOk(missed.includes(1))
  const again = performance.now()
  await waitFor('it to be noticed', () => !bus.isHearing, LONG)
  await bus.subscribe(2)
  t.ok(performance.now() - again < 10_000)
  redis.thaw()
  await waitFor('both rooms to be heard', () => missed.includes(1) && missed.includes(2), LONG)
  const sender = await startNode(t, { prefix: bus.prefix, url: redis.url })
  sender.bus.publish([entryOf(1, 1), entryOf(2, 2)])
  await waitFor('the entries', () => heard.length === 2)
})

t.test('a frozen Redis is noticed by the missing heartbeat, and so is that it is back', async (t) => {
  const redis = await ownRedis(t)
  const { bus, missed, lines } = await startNode(t, { url: redis.url })
  t.ok(bus.isHearing && bus.isComplete)
  redis.freeze()
  t.teardown(() => redis.thaw())
  await waitFor('it to be noticed', () => !bus.isHearing, LONG)
  t.notOk(bus.isComplete)
  t.ok(lines.some(({ level, text }) => level === 'warn' && /does not deliver/.test(text)))
  missed.length = 0
  redis.thaw()
  await waitFor('it to be heard again', () => bus.isHearing, LONG)
  await waitFor('what was missed to be asked for', () => missed.includes('all'), LONG)
  t.ok(bus.isComplete)
})

t.test('a node that cannot publish says so in the next heartbeat that it can send', async (t) => {
  const prefix = redisPrefix()
  const sender = await startNode(t, { prefix })
  const { bus, missed, heard } = await startNode(t, { prefix })
  await bus.subscribe(1)
  await waitFor('the first connection to be over with', () => missed.length > 0)
  sender.redis.publisher.disconnect()
  await waitFor('the publisher to be away', () => sender.redis.publisher.status === 'end')
  const { unsent } = sender.bus.counts
  sender.bus.publish([entryOf(1, 1)])
  t.equal(sender.bus.counts.unsent, unsent + 1)
  missed.length = 0
  await sender.redis.publisher.connect()
  await waitFor('it to be told', () => missed.includes('all'))
  t.strictSame(heard, [])
})

t.test('with Redis frozen, what is published takes no more memory than two seconds of it', async (t) => {
  const redis = await ownRedis(t)
  const { bus, redis: connections } = await startNode(t, { url: redis.url })
  const { publisher } = connections
  await waitFor('the publisher', () => publisher.status === 'ready')
  const entry = entryOf(1, 1, 'x'.repeat(20_000))
  redis.freeze()
  t.teardown(() => redis.thaw())
  let largest = 0
  const publishing = setInterval(() => {
    for (let n = 0; n < 10; n++) bus.publish([entry])
    largest = Math.max(largest, unsentOf(publisher))
  }, 10)
  t.teardown(() => clearInterval(publishing))
  await waitFor('it to be noticed', () => !bus.isHearing, LONG)
  await waitFor('the publisher to give up', () => bus.counts.unsent > 0, LONG)
  const { unsent } = bus.counts
  await waitFor('much more to be published', () => bus.counts.unsent > unsent + 3000, LONG)
  clearInterval(publishing)
  const perSecond = 1000 * JSON.stringify(entry).length
  t.comment(`unsent at most ${Math.round(largest / 1e6)} MB at ${Math.round(perSecond / 1e6)} MB/s`)
  t.ok(largest < 3 * perSecond, `${largest} bytes`)
  t.ok(unsentOf(publisher) < 1e6, 'its buffer is empty')

  redis.thaw()
  await waitFor('Redis to be heard again', () => bus.isHearing && publisher.status === 'ready', LONG)
  const before = bus.counts.unsent
  bus.publish([entryOf(1, 2)])
  await publisher.ping()
  t.equal(bus.counts.unsent, before)
})

t.test('closing with Redis away leaves nothing that keeps the process', async (t) => {
  const { bus, redis } = await startNode(t, { url: `redis://127.0.0.1:${await freePort()}` })
  await bus.subscribe(1)
  await waitFor('it to be noticed', () => !bus.isHearing, LONG)
  bus.close()
  redis.close()
  const { unsent } = bus.counts
  bus.publish([entryOf(1, 1)])
  t.equal(bus.counts.unsent, unsent + 1, 'what comes later is counted')
})

t.test('whatever stands on the bus’s channels ends nothing and is taken for no event', async (t) => {
  const { bus, heard, missed, publishRaw, lines } = await startNode(t)
  await bus.subscribe(1)
  await waitFor('the first connection to be over with', () => missed.length > 0)
  missed.length = 0
  const id = randomUUID()
  const texts = [
    '',
    'garbage',
    id,
    `${id}{`,
    `${id}null`,
    `${id}[]`,
    `${id}5`,
    `${id}"text"`,
    '{}',
    'null',
    id.slice(1),
  ]
  const messages = [
    ...texts.map((text) => Buffer.from(text)),
    Buffer.from([0xc1]),
    Buffer.alloc(70_000, 0x93),
    Buffer.concat([Buffer.from(id), Buffer.alloc(70_000, 0xff)]),
    Buffer.from(`${id}${'['.repeat(50_000)}`),
  ]
  for (const channel of [`${bus.prefix}:feed:1`, `${bus.prefix}:nodes`])
    for (const message of messages) await publishRaw(channel, message)
  await publishRaw(`${bus.prefix}:feed:1`, id + JSON.stringify(entryOf(1, 1)))
  await waitFor('what came after it all', () => heard.length > 0)
  t.strictSame(heard, [entryOf(1, 1)])
  t.ok(bus.counts.unusable >= 2 * (messages.length - 5), `${bus.counts.unusable} were counted`)
  t.ok(lines.filter(({ level }) => level === 'warn').length >= bus.counts.unusable)
})

t.test('an entry of another release’s shape is dropped, one with more fields is taken', async (t) => {
  const { bus, heard, publish } = await startNode(t)
  await bus.subscribe(1)
  const [event] = entryOf(1, 1).events
  const foreign: unknown[] = [
    'feed',
    {},
    [entryOf(1, 1)],
    { ...entryOf(1, 1), chapterId: '1' },
    { ...entryOf(1, 1), chapterId: 0 },
    { ...entryOf(1, 1), events: null },
    { ...entryOf(1, 1), events: [{ ...event, payload: { at: '' } }] },
    { ...entryOf(1, 1), events: [{ ...event, payload: { seq: 0 } }] },
    { ...entryOf(1, 1), events: [{ payload: event?.payload }] },
    ...['disconnect', 'connect_error', 'connect', 'error', 'newListener', '__proto__', ''].map((name) => ({
      ...entryOf(1, 1),
      events: [{ ...event, name }],
    })),
    { ...entryOf(1, 1), progress: undefined },
    { ...entryOf(1, 1), progress: { version: '1' } },
    { ...entryOf(1, 1), progress: { version: 1, update: null } },
  ]
  for (const entry of foreign) await publish(`${bus.prefix}:feed:1`, JSON.stringify(entry))
  const newer = { ...entryOf(1, 2), since: 'the next release' }
  await publish(`${bus.prefix}:feed:1`, JSON.stringify(newer))
  await waitFor('the newer one', () => heard.length > 0)
  t.strictSame(heard, [newer])
  t.equal(bus.counts.unusable, foreign.length)
})

t.test('heartbeats of more nodes than there can be are not all remembered', async (t) => {
  const { bus, missed, publishRaw } = await startNode(t)
  await waitFor('the first connection to be over with', () => missed.length > 0)
  for (const about of ['5', 'true', '"text"', '[]', 'null'])
    await publishRaw(`${bus.prefix}:nodes`, randomUUID() + about)
  await waitFor('what is no heartbeat was counted', () => bus.counts.unusable === 5)
  for (let node = 0; node < 1100; node += 1) await publishRaw(`${bus.prefix}:nodes`, `${randomUUID()}{}`)
  await waitFor('some were too many', () => bus.counts.unusable > 50)
  t.ok(bus.counts.unusable < 200, `${bus.counts.unusable} of 1100 were passed over`)
  t.ok(bus.isHearing)
})

t.test('a heartbeat of a later release, which says more, is a heartbeat', async (t) => {
  const { bus, missed, publish } = await startNode(t)
  await waitFor('the first connection to be over with', () => missed.length > 0)
  missed.length = 0
  await publish(`${bus.prefix}:nodes`, JSON.stringify({ failed: true, load: 0.5 }))
  await waitFor('it to be understood', () => missed.includes('all'))
})

t.test('a silent node makes the others ask the log, until it is heard again or forgotten', async (t) => {
  const { bus, missed, hear, pass } = silentNode(t)
  hear('other', {})
  pass(2)
  t.ok(bus.isComplete, 'a heartbeat or two may be late')
  pass(1)
  t.notOk(bus.isComplete)
  t.ok(bus.isHearing, 'it hears itself')
  missed.length = 0
  hear('other', {})
  t.ok(bus.isComplete)
  t.strictSame(missed, ['all'], 'what it wrote meanwhile may not have come')

  pass(300)
  t.notOk(bus.isComplete)
  pass(1)
  t.ok(bus.isComplete, 'a node that is dead is not waited for for ever')
})

t.test('a node that is late by less than that has missed nothing', async (t) => {
  const { missed, hear, pass } = silentNode(t)
  hear('other', {})
  pass(1)
  hear('other', {})
  t.strictSame(missed, [])
})

t.test('a node that leaves is not waited for', async (t) => {
  const { bus, missed, hear, pass } = silentNode(t)
  hear('other', {})
  hear('other', { leaving: true })
  pass(10)
  t.ok(bus.isComplete)
  t.strictSame(missed, [])
})

t.test('a node that does not hear itself connects again, and again after as long', async (t) => {
  const { bus, subscriber, pass } = silentNode(t, { isDeaf: true })
  pass(2)
  t.ok(bus.isHearing)
  t.equal(subscriber.disconnects, 0)
  pass(1)
  t.notOk(bus.isHearing)
  t.equal(subscriber.disconnects, 1)
  pass(1)
  t.equal(subscriber.disconnects, 1, 'a new connection has a moment')
  pass(1)
  t.equal(subscriber.disconnects, 2)
  subscriber.status = 'reconnecting'
  pass(4)
  t.equal(subscriber.disconnects, 2, 'one that is connecting is left alone')
})

t.test('a closed bus says goodbye and sends no other heartbeat', async (t) => {
  const { bus, sent, pass } = silentNode(t)
  pass(2)
  bus.close()
  pass(5)
  t.match(sent, [
    ['test:nodes', {}],
    ['test:nodes', {}],
    ['test:nodes', { leaving: true }],
  ])
  t.equal(sent.length, 3)
})

t.test('a node is told of the courses that it has open, and the others know which they are', async (t) => {
  const prefix = redisPrefix()
  const [sender, one] = [await startNode(t, { prefix }), await startNode(t, { prefix })]
  const heard: CourseEntry[] = []
  one.bus.listenToCourses({ onEntry: (entry) => heard.push(entry), onMissed() {} })
  t.ok(sender.bus.hasCourse(6), 'until everybody had a turn to say so, anybody may have it')
  await one.bus.openCourse(5)
  await waitFor('it to be known that nobody has 6', () => !sender.bus.hasCourse(6), LONG)
  t.ok(sender.bus.hasCourse(5))
  await waitFor('that others are meant', () => !one.bus.hasCourse(5), LONG)
  sender.bus.publishCourses([courseEntryOf(6), courseEntryOf(5)])
  await waitFor('it to be heard', () => heard.length > 0)
  t.strictSame(heard, [courseEntryOf(5)])

  await one.publish(`${prefix}:course:5`, JSON.stringify({ ...courseEntryOf(5), chapter: {} }))
  await waitFor('another shape to be dropped', () => one.bus.counts.unusable === 1)
  t.ok(one.bus.isCourseComplete)
  await one.publish(`${prefix}:nodes`, JSON.stringify({}))
  await waitFor('a node of an earlier release', () => !one.bus.isCourseComplete)
  t.ok(one.bus.isComplete, 'which tells of its chapters, and of no course')

  one.bus.closeCourse(5)
  await waitFor('it to be known', () => !sender.bus.hasCourse(5), LONG)
})

function courseEntryOf(courseId: number): CourseEntry {
  const { state } = created({ courseId })
  return makeCourseEntry(state)
}

interface NodeOptions {
  url?: string
  prefix?: string
  lingerMs?: number
}

/** A node as far as Redis is concerned; of a Redis that answers, once its subscription is there. */
async function startNode(
  t: Test,
  { url = sharedRedisUrl(), prefix = redisPrefix(), lingerMs }: NodeOptions = {},
) {
  const lines: LogLine[] = []
  const log = silentLog((line) => lines.push(line))
  const redis = connectRedis({ url }, log)
  const nodeId = randomUUID()
  const bus = createBus({ redis, prefix, nodeId, log, ...(lingerMs === undefined ? {} : { lingerMs }) })
  const heard: FeedEntry[] = []
  /** Chapters of which something may have been missed. */
  const missed: (number | 'all')[] = []
  const texts: unknown[] = []
  bus.listen({
    onEntry: (entry) => heard.push(entry),
    onText: (chapterId, message) => texts.push([chapterId, message]),
    onMissed: (chapterId) => missed.push(chapterId ?? 'all'),
  })
  t.teardown(() => {
    bus.close()
    redis.close()
  })
  const isThere = await asking(url, (r) => r.ping()).catch(() => undefined)
  const subscribers = (channel: string) =>
    asking(url, async (r) => Number(((await r.pubsub('NUMSUB', channel)) as unknown[])[1]))
  if (isThere) {
    await waitFor('the publisher', () => redis.publisher.status === 'ready')
    await waitFor('the subscription', async () => (await subscribers(`${prefix}:nodes`)) > 0)
  }
  const publishRaw = (channel: string, message: string | Buffer) =>
    asking(url, (r) => r.publish(channel, message))
  return {
    bus: Object.assign(bus, { prefix }),
    redis,
    heard,
    texts,
    missed,
    lines,
    isSubscribed: async (chapterId: number) => (await subscribers(`${prefix}:feed:${chapterId}`)) > 0,
    publishRaw,
    /** As a node that nobody knows yet. */
    publish: (channel: string, body: string) => publishRaw(channel, randomUUID() + body),
  }
}

/** A bus under a clock that only the test moves, whose Redis repeats its heartbeats and is otherwise silent. */
function silentNode(t: Test, { isDeaf = false } = {}) {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const sent: [channel: string, body: unknown][] = []
  const nodeId = randomUUID()
  const idOf = (name: string) => name.padEnd(nodeId.length)
  const subscriber = Object.assign(new EventEmitter(), {
    status: 'ready',
    disconnects: 0,
    subscribe: async () => 1,
    unsubscribe: async () => 1,
    disconnect() {
      subscriber.disconnects += 1
    },
  })
  const receive = (channel: string, message: string) =>
    subscriber.emit('messageBuffer', Buffer.from(channel), Buffer.from(message))
  const publisher = {
    status: 'ready',
    pipeline() {
      const pipeline = {
        publish(channel: string, message: string) {
          sent.push([channel, JSON.parse(message.slice(nodeId.length))])
          if (!isDeaf) receive(channel, message)
          return pipeline
        },
        exec: async () => [[null, 1]],
      }
      return pipeline
    },
  }
  const redis = { publisher, subscriber, close() {} } as unknown as RedisConnections
  const bus = createBus({ redis, prefix: 'test', nodeId, log: silentLog() })
  const missed: (number | 'all')[] = []
  bus.listen({ onEntry() {}, onMissed: (chapterId) => missed.push(chapterId ?? 'all') })
  t.teardown(() => bus.close())
  return {
    bus,
    missed,
    sent,
    subscriber,
    /** A heartbeat of that node. */
    hear: (name: string, heartbeat: object) => receive('test:nodes', idOf(name) + JSON.stringify(heartbeat)),
    /** So many heartbeats are due. */
    pass(beats: number) {
      for (let beat = 0; beat < beats; beat++) mock.timers.tick(1000)
    },
  }
}

function entryOf(chapterId: number, seq: number, message = 'done'): FeedEntry {
  const payload = {
    chapter_id: chapterId,
    concept_id: 2,
    status: 'completed',
    message,
    seq,
    at: new Date(0).toISOString(),
  }
  return {
    chapterId,
    events: [{ name: 'concept_completed', payload } as ChapterEvent],
    progress: { version: 1, update: { chapter_id: chapterId, progress: 33, message } },
  }
}

/** What waits in the client’s socket, bytes. */
function unsentOf(redis: Redis): number {
  return (redis as unknown as { stream?: { writableLength: number } }).stream?.writableLength ?? 0
}
