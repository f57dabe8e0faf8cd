/**
 * `npm run fuzz -- --seed N --seconds 60`: hostile inputs at every boundary of one server, on the embedded database.
 * HTTP bodies and headers, socket packets, tokens, messages from Kafka, and from Redis where `redis-server` is on the
 * PATH. The same seed gives the same inputs in the same order. Ends with 1 at the first fault: an uncaught error, a
 * 5xx, a message from Kafka that throws, or a server that does not answer; and says the seed and the input.
 */
import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { readMessage } from '../../src/generator/message.js'
import { openEmbeddedDatabase } from '../../src/store/database.js'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { findBinary } from '../support/binaries.js'
import { FINISH_BODIES } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { generationMessageOf } from '../support/kafka.js'
import { corrupt, mutate, randomFrom, spoil } from './random.js'

const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string' } } })
const seed = Number(values.seed ?? 1)
const seconds = Number(values.seconds ?? 60)
const random = randomFrom(seed)
const counts: Record<string, number> = { http: 0, socket: 0, token: 0, kafka: 0, redis: 0 }
let last = 'nothing yet'

const fault = (what: string, error?: unknown): never => {
  console.error(`${what} (seed ${seed}) after ${last.slice(0, 1000)}`, error ?? '')
  process.exit(1)
}
process.on('uncaughtException', (error) => fault('uncaught exception', error))
process.on('unhandledRejection', (error) => fault('unhandled rejection', error))

const redisPort = await startRedis()
const port = await freePort()
const config = readConfig({
  HOST: '127.0.0.1',
  PORT: String(port),
  GENERATOR: 'off',
  LOG_LEVEL: 'silent',
  JWT_SECRET,
  // Never connected to: the database is given below. A Redis wants one to be set.
  ...(redisPort === undefined
    ? {}
    : { REDIS_URL: `redis://127.0.0.1:${redisPort}`, DATABASE_URL: 'postgres://127.0.0.1/x' }),
})
const app = await buildApp(config, { database: await openEmbeddedDatabase('memory') })
await app.listen({ host: '127.0.0.1', port })
const url = `http://127.0.0.1:${port}`
const token = await signToken({ sub: '1', role: 'admin' })
const redis = redisPort === undefined ? undefined : new Redis(redisPort, '127.0.0.1')
redis?.on('error', () => {})

const KINDS = ['concept', 'exercise', 'quiz'] as const
const id = () => random.pick(['1', '2', '3', '0', '-1', 'x', '%00', '%ZZ', '9007199254740993', "1'--"])

async function http(): Promise<void> {
  const kind = random.pick(KINDS)
  const path = random.pick([
    '/v1/chapter/',
    ...[
      '',
      '/learning',
      '/events',
      `/${kind}-finish`,
      `/${kind}-fail`,
      `/${kind}-start`,
      '/progress',
      '/retry',
      '/cancel',
    ].map((rest) => `/v1/chapter/${id()}${rest}`),
    '/readyz',
    '/nothing',
  ])
  const method = random.pick(['POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'HEAD'] as const)
  const bodies = [
    CREATE_EXAMPLE,
    FINISH_BODIES[kind],
    { error: 'x', attempt: 1 },
    { progress: 50, message: 'x' },
  ]
  const payload = spoil(random, random.pick(bodies))
  const headers: Record<string, string> = {
    'content-type': random.pick(['application/json', 'application/json', 'text/plain', '/', '']),
    authorization: `Bearer ${random.next() < 0.8 ? token : corrupt(random, token).toString('base64url')}`,
    accept: random.pick(['*/*', 'text/html', ';q=0', 'application/json']),
    'idempotency-key': random.pick(['', 'k', 'ü', 'k'.repeat(300)]),
    traceparent: random.pick(['', '00-0-0-0', 'x'.repeat(200)]),
    'last-event-id': random.pick(['', '-1', '1e9', '9'.repeat(30)]),
  }
  last = `${method} ${path} ${JSON.stringify(headers)} ${payload.toString('latin1')}`
  const body = method === 'GET' || method === 'HEAD' ? {} : { payload }
  const { statusCode } = await app.inject({ method, url: path, headers, ...body })
  if (statusCode >= 500) fault(`an answer ${statusCode}`)
  counts.http = (counts.http ?? 0) + 1
}

let socket: WebSocket | undefined
async function packet(): Promise<void> {
  if (socket === undefined || socket.readyState > WebSocket.OPEN) {
    socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`)
    socket.on('error', () => {})
    const opened = socket
    await new Promise((resolve) => opened.once('open', resolve).once('close', resolve))
    if (random.next() < 0.9) socket.send(`40${JSON.stringify({ token })}`)
  }
  const event = [
    random.pick(['join_chapter', 'leave_chapter', 'refresh_token', 'x', '__proto__']),
    { chapter_id: 1, after_seq: 0 },
  ]
  const text = `${random.pick(['42', '421', '42', '451-', '459-', '40', '41', '43', '2', '5', '6'])}${
    random.next() < 0.7 ? JSON.stringify(mutate(random, event)) : JSON.stringify(event)
  }`
  last = text
  if (socket.readyState === WebSocket.OPEN) socket.send(random.next() < 0.2 ? corrupt(random, text) : text)
  counts.socket = (counts.socket ?? 0) + 1
}

async function badToken(): Promise<void> {
  const claims = mutate(random, { sub: '1', role: 'admin', chapters: [1], courses: [2], nbf: 1, iat: 1 })
  const isObject = typeof claims === 'object' && claims !== null && !Array.isArray(claims)
  const signed = isObject ? await signToken(claims as Record<string, unknown>).catch(() => token) : token
  const given =
    random.next() < 0.7
      ? signed
      : corrupt(random, signed)
          .toString('latin1')
          .replace(/[^\x20-\x7e]/g, '.')
  last = `token ${JSON.stringify(claims)}`
  const { statusCode } = await app.inject({
    url: '/v1/chapter/1',
    headers: { authorization: `Bearer ${given}` },
  })
  if (statusCode >= 500) fault(`a token was answered ${statusCode}`)
  counts.token = (counts.token ?? 0) + 1
}

function kafka(): void {
  const text = spoil(random, generationMessageOf()).toString()
  last = `message ${text}`
  try {
    readMessage(random.next() < 0.02 ? null : text)
  } catch (error) {
    fault('a message from Kafka threw', error)
  }
  counts.kafka = (counts.kafka ?? 0) + 1
}

async function bus(): Promise<void> {
  if (redis === undefined) return
  const channels = (await redis.pubsub('CHANNELS', '*')) as string[]
  const channel = random.pick([...channels, 'chaptercast#/#', 'chaptercast#/#x#', 'chaptercast'])
  const message = spoil(random, [
    { chapterId: 1, events: [{ name: 'x', payload: { seq: 1 } }], progress: null },
  ])
  last = `${channel} ${message.toString('latin1')}`
  await redis.publish(channel, message)
  counts.redis = (counts.redis ?? 0) + 1
}

const until = performance.now() + seconds * 1000
while (performance.now() < until) {
  const sort = random.next()
  if (sort < 0.35) await http()
  else if (sort < 0.7) await packet()
  else if (sort < 0.8) await badToken()
  else if (sort < 0.9) kafka()
  else await bus()
  if (random.next() < 0.01 && !(await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) })).ok)
    fault('not healthy')
}
const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
console.log(`seed ${seed}: ${Math.round((total * 60) / seconds)} inputs a minute, no fault`, counts)
process.exit(0)

async function startRedis(): Promise<number | undefined> {
  const path = findBinary(['redis-server'])
  if (path === undefined) {
    console.log('no redis-server on the PATH: its messages are not tried')
    return undefined
  }
  const free = await freePort()
  const server = spawn(
    path,
    ['--port', String(free), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore' },
  )
  process.on('exit', () => server.kill())
  const probe = new Redis(free, '127.0.0.1')
  probe.on('error', () => {})
  await waitFor('Redis to answer', async () => (await probe.ping()) === 'PONG')
  probe.disconnect()
  return free
}
