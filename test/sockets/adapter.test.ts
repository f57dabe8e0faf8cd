import { once } from 'node:events'
import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { encode } from 'notepack.io'
import { Server } from 'socket.io'
import t, { type Test } from 'tap'
import { connectRedis } from '../../src/feed/redis.js'
import { attachRedisAdapter } from '../../src/sockets/adapter.js'
import type { ChapterIo } from '../../src/sockets/chapter-io.js'
import { connectSocket, type RecordingSocket } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { ownRedis, redisPrefix, sharedRedisUrl } from '../support/redis.js'

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
/** As `@socket.io/redis-emitter` has it. */
const REMOTE_DISCONNECT = 4

t.test('what one node emits to a room or to everybody reaches the sockets of both', async (t) => {
  const [one, other] = await twoNodes(t)
  await other.join('chapter_1')
  emit(one.io.to('chapter_1'), 'for the room')
  emit(one.io, 'for all')
  await Promise.all([one.client.hears('for all'), other.client.hears('for all')])
  t.strictSame(namesOf(other.client), ['for the room', 'for all'])
  t.strictSame(namesOf(one.client), ['for all'])
})

t.test('one node disconnects the sockets of a room on both, and those alone', async (t) => {
  const [one, other] = await twoNodes(t)
  const beside = await connectSocket(t, other.url, { reconnection: false })
  await one.join('chapter_1')
  await other.join('chapter_1')
  one.io.in('chapter_1').disconnectSockets()
  await waitFor('both to be out', () => !one.client.socket.connected && !other.client.socket.connected)
  emit(one.io, 'marker')
  await beside.hears('marker')
  one.io.disconnectSockets(true)
  await waitFor('everybody to be out', () => !beside.socket.connected)
})

t.test('another program’s emitter reaches the sockets of both nodes', async (t) => {
  const [one, other] = await twoNodes(t)
  await other.join('chapter_1')
  const emitter = await emitterOf(t, one.prefix)
  await emitter.emit('for the room', ['chapter_1'])
  await emitter.emit('for several', ['chapter_1', 'chapter_2'])
  await emitter.emit('for all', [])
  await Promise.all([one.client.hears('for all'), other.client.hears('for all')])
  t.strictSame(namesOf(other.client), ['for the room', 'for several', 'for all'])
  t.strictSame(namesOf(one.client), ['for all'])
  await emitter.disconnect(['chapter_1'])
  await waitFor('the room to be empty', () => !other.client.socket.connected)
  t.ok(one.client.socket.connected)
  await emitter.disconnect([])
  await waitFor('everybody to be out', () => !one.client.socket.connected)
})

t.test('no message on the adapter’s channels ends the process or disconnects anybody', async (t) => {
  const { prefix, client, lines } = await startNode(t)
  const emitter = await emitterOf(t, prefix)
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
    for (const message of [...bytes, ...requests]) await emitter.redis.publish(`${prefix}${channel}`, message)

  await emitter.emit('marker', [])
  await client.hears('marker')
  t.ok(client.socket.connected)
  t.strictSame(
    namesOf(client).filter((name) => name !== 'x'),
    ['marker'],
  )
  const warnings = lines.filter(({ text }) => /could not be used/.test(text))
  t.ok(warnings.length > 50, `${warnings.length} were told of`)
})

t.test('the feed’s messages are not the adapter’s business', async (t) => {
  const { prefix, client, lines, redis } = await startNode(t)
  await redis.subscriber.subscribe(`${prefix}:feed:1`, `${prefix}:nodes`)
  const emitter = await emitterOf(t, prefix)
  for (const channel of [`${prefix}:feed:1`, `${prefix}:nodes`])
    for (const message of ['{"chapterId":1}', '{"type":4,"opts":{"rooms":[],"except":[]}}', 'garbage'])
      await emitter.redis.publish(channel, message)
  await emitter.emit('marker', [])
  await client.hears('marker')
  t.strictSame(lines, [])
  t.strictSame(namesOf(client), ['marker'])
})

t.test('with Redis away an emit reaches this node’s sockets, and ends nothing', async (t) => {
  const redis = await ownRedis(t)
  const [one, other] = await twoNodes(t, redis.url)
  await redis.stop()
  await waitFor('the publisher to notice', () => one.redis.publisher.status !== 'ready')
  emit(one.io, 'while it is away')
  one.io.in('nobody').disconnectSockets()
  await one.client.hears('while it is away')
  await redis.start()
  await waitFor('both to be reached again', async () => {
    emit(one.io, 'afterwards')
    return other.client.heard.some(({ name }) => name === 'afterwards')
  })
  t.notOk(namesOf(other.client).includes('while it is away'))
})

async function twoNodes(t: Test, url?: string) {
  const prefix = redisPrefix()
  return Promise.all([startNode(t, prefix, url), startNode(t, prefix, url)])
}

/** A node with nothing but Socket.IO, and a client that is connected to it. */
async function startNode(t: Test, prefix = redisPrefix(), redisUrl = sharedRedisUrl()) {
  const http = createServer()
  const io = new Server(http) as ChapterIo
  const lines: LogLine[] = []
  const log = silentLog((line) => lines.push(line))
  const redis = connectRedis({ url: redisUrl }, log)
  attachRedisAdapter(io, redis, prefix, log)
  const port = await freePort()
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await io.close()
    redis.close()
  })
  await waitFor('the publisher', () => redis.publisher.status === 'ready')
  // A message is heard by those who subscribed before it.
  await waitFor('the node to have subscribed', () => redis.subscriber.status === 'ready')
  await redis.subscriber.ping()
  const url = `http://127.0.0.1:${port}`
  const client = await connectSocket(t, url, { reconnection: false })
  const join = async (room: string) => {
    for (const socket of io.of('/').sockets.values())
      if (socket.id === client.socket.id) await socket.join(room)
  }
  return { io, prefix, redis, url, client, lines, join }
}

/** What `@socket.io/redis-emitter` writes. */
async function emitterOf(t: Test, prefix: string) {
  const redis = new Redis(sharedRedisUrl())
  t.teardown(() => redis.disconnect())
  return {
    redis,
    emit(name: string, rooms: string[]) {
      const channel = `${prefix}#/#${rooms.length === 1 ? `${rooms[0]}#` : ''}`
      const packet = { type: 2, data: [name], nsp: '/' }
      return redis.publish(channel, encode(['emitter', packet, { rooms, flags: {}, except: [] }]))
    },
    disconnect(rooms: string[]) {
      const request = { type: REMOTE_DISCONNECT, opts: { rooms, except: [] }, close: false }
      return redis.publish(`${prefix}-request#/#`, JSON.stringify(request))
    },
  }
}

/** Of any name: what crosses nodes here is in no catalogue. */
function emit(target: object, name: string): void {
  ;(target as { emit(name: string): boolean }).emit(name)
}

function namesOf(client: RecordingSocket): string[] {
  return client.heard.map(({ name }) => name)
}
