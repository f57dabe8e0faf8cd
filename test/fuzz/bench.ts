/**
 * Hostile inputs at every boundary of one server, on the embedded database: HTTP requests by the router and by the
 * byte, socket packets, tokens, messages from Kafka, and from Redis where `redis-server` is on the PATH. The same seed
 * gives the same inputs in the same order.
 *
 * A fault is an uncaught error, a 5xx, a refusal that is no problem+json, a message from Kafka that throws, a
 * connection that is left open, or a server that does not answer.
 */
import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { readMessage } from '../../src/generator/message.js'
import { type Database, openEmbeddedDatabase } from '../../src/store/database.js'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { findBinary } from '../support/binaries.js'
import { FINISH_BODIES } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { generationMessageOf } from '../support/kafka.js'
import { CHUNKS, corrupt, IDS, LENGTHS, mutate, randomFrom, spoil, TARGETS_OF_REQUESTS } from './random.js'

export interface FuzzOptions {
  seed: number
  seconds: number
  /** Ends earlier when so many were sent. */
  inputs?: number
  say: (line: string) => void
  /** An embedded one in memory unless given. */
  database?: Database
}

/** What was sent last is the likeliest cause. */
export class Fault extends Error {
  override readonly name = 'Fault'
}

export const TARGETS = ['http', 'wire', 'socket', 'token', 'kafka', 'redis'] as const
export type Counts = Record<(typeof TARGETS)[number], number>

/** Of one request by the byte, until the server has closed the connection, ms. */
const WIRE_MS = 10_000

export interface Bench {
  /** @throws {Fault} */
  run(): Promise<Counts>
  /** For a fault that is noticed elsewhere. */
  last(): string
}

export function createBench({ seed, seconds, inputs = Infinity, say, ...given }: FuzzOptions): Bench {
  let last = 'nothing yet'
  return { run, last: () => `seed ${seed}, after ${last.slice(0, 1000)}` }

  async function run(): Promise<Counts> {
    const random = randomFrom(seed)
    const counts: Counts = { http: 0, wire: 0, socket: 0, token: 0, kafka: 0, redis: 0 }
    const statuses = new Map<number, number>()
    const ends: (() => unknown)[] = []
    const fault = (what: string, error?: unknown): never => {
      throw new Fault(`${what} (seed ${seed}) after ${last.slice(0, 1000)}`, { cause: error })
    }
    const redisPort = await startRedis(say, ends)
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
    const database = given.database ?? (await openEmbeddedDatabase('memory'))
    const app = await buildApp(config, { database })
    await app.listen({ host: '127.0.0.1', port })
    const url = `http://127.0.0.1:${port}`
    const token = await signToken({ sub: '1', role: 'admin' })
    const redis = redisPort === undefined ? undefined : new Redis(redisPort, '127.0.0.1')
    redis?.on('error', () => {})

    const KINDS = ['concept', 'exercise', 'quiz'] as const
    const id = () => (random.next() < 0.7 ? random.pick(['1', '2', '3']) : random.pick(IDS))

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
      const good = /-finish|-fail|-start|progress|retry|cancel|chapter\/$/.test(path) ? 'POST' : 'GET'
      const method =
        random.next() < 0.85 ? good : random.pick(['POST', 'GET', 'PUT', 'DELETE', 'HEAD'] as const)
      const bodies = [
        CREATE_EXAMPLE,
        FINISH_BODIES[kind],
        { error: 'x', attempt: 1 },
        { progress: 50, message: 'x' },
      ]
      const payload = spoil(random, random.pick(bodies))
      const headers: Record<string, string> = {
        'content-type': random.next() < 0.9 ? 'application/json' : random.pick(['text/plain', '/', '']),
        authorization: `Bearer ${random.next() < 0.8 ? token : corrupt(random, token).toString('base64url')}`,
        accept: random.pick(['*/*', 'text/html', ';q=0', 'application/json']),
        'idempotency-key': random.pick(['', 'k', 'ü', 'k'.repeat(300)]),
        traceparent: random.pick(['', '00-0-0-0', 'x'.repeat(200)]),
        'last-event-id': random.pick(['', '-1', '1e9', '9'.repeat(30)]),
      }
      last = `${method} ${path} ${JSON.stringify(headers)} ${payload.toString('latin1')}`
      const body = method === 'GET' || method === 'HEAD' ? {} : { payload }
      const response = await app.inject({ method, url: path, headers, ...body })
      const { statusCode } = response
      if (statusCode >= 500) fault(`an answer ${statusCode}`)
      if (
        statusCode >= 400 &&
        !String(response.headers['content-type']).startsWith('application/problem+json')
      )
        fault(`a refusal ${statusCode} that is no problem`)
      counts.http += 1
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
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
      if (socket.readyState === WebSocket.OPEN)
        socket.send(random.next() < 0.2 ? corrupt(random, text) : text)
      counts.socket += 1
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
      counts.token += 1
    }

    function kafka(): void {
      const text = spoil(random, generationMessageOf()).toString()
      last = `message ${text}`
      try {
        readMessage(random.next() < 0.02 ? null : text)
      } catch (error) {
        fault('a message from Kafka threw', error)
      }
      counts.kafka += 1
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
      counts.redis += 1
    }

    async function wire(): Promise<void> {
      const part = (good: string, others: readonly string[]) =>
        random.next() < 0.7 ? good : random.pick(others)
      const json = spoil(random, CREATE_EXAMPLE).toString('latin1')
      const bytes = Array.from({ length: random.pick([1, 1, 2, 5]) }, () => {
        const method = part('POST', ['GET', 'CONNECT', 'OPTIONS', 'PRI', 'QUERY', 'get', ''])
        const target = part('/v1/chapter/', TARGETS_OF_REQUESTS)
        const chunked = random.next() < 0.3
        const body = chunked ? part(`${json.length.toString(16)}\r\n${json}\r\n0\r\n\r\n`, CHUNKS) : json
        const headers = [
          part('host: x', ['', 'host: a\r\nhost: b', 'host:', 'host: \xff']),
          part('content-type: application/json', [
            'content-type: x',
            'content-type: application/json; charset=x',
            '',
          ]),
          chunked ? 'transfer-encoding: chunked' : `content-length: ${part(String(json.length), LENGTHS)}`,
          part('x: y', [
            'expect: 100-continue',
            'expect: x',
            'upgrade: h2c\r\nconnection: upgrade',
            'a:\r\n'.repeat(1200),
          ]),
        ].filter((line) => line !== '')
        return `${method} ${target} ${part('HTTP/1.1', ['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', ''])}\r\n${headers.join('\r\n')}\r\n\r\n${body}`
      }).join('')
      const text = random.next() < 0.3 ? corrupt(random, bytes) : Buffer.from(bytes, 'latin1')
      last = JSON.stringify(text.toString('latin1'))
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      let heard = ''
      socket.on('data', (data) => {
        heard += data.toString('latin1')
      })
      const closed = new Promise((resolve) => socket.once('close', resolve))
      // Some leave at once, others say no more and read what comes.
      if (random.next() < 0.3) socket.write(text, () => socket.destroy())
      else socket.end(text)
      const late = setTimeout(() => socket.destroy(new Error('late')), WIRE_MS)
      await closed
      clearTimeout(late)
      if (/^HTTP\/1\.1 5(?!03)\d\d /m.test(heard)) fault(`an answer ${heard.slice(0, 200)}`)
      counts.wire += 1
    }

    const until = performance.now() + seconds * 1000
    try {
      for (let sent = 0; sent < inputs && performance.now() < until; sent += 1) {
        const sort = random.next()
        if (sort < 0.3) await http()
        else if (sort < 0.4) await wire()
        else if (sort < 0.7) await packet()
        else if (sort < 0.8) await badToken()
        else if (sort < 0.9) kafka()
        else await bus()
        if (random.next() < 0.01) {
          if (!(await isHealthy(url))) fault('not healthy')
        }
      }
      socket?.terminate()
      const connections = promisify(app.server.getConnections.bind(app.server))
      await waitFor('connections to be given back', async () => (await connections()) === 0, {
        timeoutMs: 20_000,
      })
      say(
        `answers ${[...statuses]
          .sort(([a], [b]) => a - b)
          .map(([status, count]) => `${status}: ${count}`)
          .join(', ')}`,
      )
      return counts
    } finally {
      socket?.terminate()
      redis?.disconnect()
      await app.close()
      for (const end of ends) end()
    }
  }
}

/** On a connection of its own, which does not stay open. */
function isHealthy(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const request = get(`${url}/healthz`, { agent: false, timeout: 10_000 }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200))
    })
    request.on('timeout', () => request.destroy(new Error('no answer in 10 s'))).on('error', reject)
  })
}

async function startRedis(say: FuzzOptions['say'], ends: (() => unknown)[]): Promise<number | undefined> {
  const path = findBinary(['redis-server'])
  if (path === undefined) {
    say('no redis-server on the PATH: its messages are not tried')
    return undefined
  }
  const free = await freePort()
  const server = spawn(
    path,
    ['--port', String(free), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore' },
  )
  ends.push(() => server.kill())
  process.once('exit', () => server.kill())
  const probe = new Redis(free, '127.0.0.1')
  probe.on('error', () => {})
  await waitFor('Redis to answer', async () => (await probe.ping()) === 'PONG')
  probe.disconnect()
  return free
}
