import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Overrides } from '../../src/app.js'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, post } from '../support/client.js'
import { freePort } from '../support/condition.js'
import { postgresDatabase } from '../support/database.js'

const CREATE = { RATE_LIMIT_CREATE_PER_MINUTE: '2' }
const JOIN = { RATE_LIMIT_JOIN_PER_MINUTE: '2' }
const { REDIS_URL } = process.env

t.test('a client may create so many chapters a minute, and is told when to come back', async (t) => {
  const { url } = await buildTestApp(t, CREATE)
  t.match((await create(url)).headers.get('x-ratelimit-remaining'), '1')
  t.equal((await create(url)).status, 201)
  const answer = await create(url)
  t.match(answer, { status: 429, body: { code: 'rate_limited', status: 429, detail: /2 chapters a minute/ } })
  t.match(answer.headers.get('content-type'), /problem\+json/)
  const retryAfter = Number(answer.headers.get('retry-after'))
  t.ok(retryAfter >= 1 && retryAfter <= 60, `after ${retryAfter} s`)
  t.equal((await fetch(`${url}/v1/chapter/1`)).status, 200, 'nothing else is limited')
})

t.test('each token’s subject has a limit of its own, wherever it calls from', async (t) => {
  const { url } = await buildTestApp(t, { ...CREATE, JWT_SECRET })
  const statuses = async (sub: string) => {
    const all: number[] = []
    for (let n = 0; n < 3; n++)
      all.push((await create(url, bearer(await signToken({ sub })), Number(sub))).status)
    return all
  }
  t.same(await statuses('1'), [201, 201, 429])
  t.same(await statuses('2'), [201, 201, 429])
  t.equal((await create(url)).status, 401, 'who is not known is refused, not counted')
})

t.test('behind a proxy that is trusted clients are told apart by their address', async (t) => {
  const { url } = await buildTestApp(t, { ...CREATE, ...JOIN, TRUST_PROXY: '127.0.0.1' })
  const from = (address: string) => ({ 'x-forwarded-for': address })
  for (const address of ['203.0.113.1', '203.0.113.2', '2001:db8::1'])
    for (const status of [201, 201, 429]) t.equal((await create(url, from(address))).status, status, address)
  t.equal((await create(url, from('2001:db8::2'))).status, 429, 'a network of IPv6 is one client')
  t.equal(
    (await create(url, from('198.51.100.9, 203.0.113.1'))).status,
    429,
    'what a client adds is not believed',
  )
  for (const address of ['203.0.113.1', '203.0.113.2']) {
    const client = await connectSocket(t, url, { extraHeaders: from(address) })
    t.same(await joins(client, 3), ['joined', 'joined', 'rate_limited'], address)
  }

  const direct = await buildTestApp(t, CREATE)
  for (const [n, status] of [201, 201, 429].entries())
    t.equal((await create(direct.url, from(`203.0.113.${n}`))).status, status, 'unless it is trusted')
})

t.test('a client may join so many rooms a minute, over all of its connections', async (t) => {
  const { url } = await buildTestApp(t, JOIN)
  const [one, two] = [await connectSocket(t, url), await connectSocket(t, url)]
  t.same(await joins(one, 1), ['joined'])
  t.same(await joins(two, 2), ['joined', 'rate_limited'])
  t.match(await two.hears('join_failed'), {
    chapter_id: 2,
    code: 'rate_limited',
    message: /2 joins a minute/,
  })
  t.match(await two.ask('leave_chapter', { chapter_id: 1 }), { ok: true }, 'leaving is not limited')
})

t.test('while joins are counted, a leave that was sent after one still comes after it', async (t) => {
  const { url } = await buildTestApp(t, { RATE_LIMIT_JOIN_PER_MINUTE: '100' })
  const client = await connectSocket(t, url)
  await Promise.all([
    client.ask('join_chapter', { chapter_id: 1 }),
    client.ask('leave_chapter', { chapter_id: 1 }),
    client.ask('join_chapter', { chapter_id: 2 }),
  ])
  await create(url)
  await create(url)
  await client.hears('chapter_processing_started', ({ chapter_id }) => chapter_id === 2)
  t.same(client.logged(1), [])
})

t.test('without a limit nothing is counted', async (t) => {
  const { url } = await buildTestApp(t)
  t.equal((await create(url)).headers.get('x-ratelimit-limit'), null)
})

t.test(
  'nodes with one Redis count together',
  { skip: REDIS_URL ? false : 'REDIS_URL is not set' },
  async (t) => {
    const nodes = await Promise.all(
      [1, 2].map(async () => ({
        redis: connectRedis(t, String(REDIS_URL)),
        database: await postgresDatabase(t),
      })),
    )
    const prefix = `test-${randomUUID()}`
    const env = {
      ...CREATE,
      ...JOIN,
      REDIS_URL: String(REDIS_URL),
      REDIS_PREFIX: prefix,
      DATABASE_URL: String(process.env.DATABASE_URL),
    }
    const urls = []
    for (const overrides of nodes) {
      await overrides.redis.ping()
      urls.push((await buildTestApp(t, env, overrides as Overrides)).url)
    }
    const [a, b] = urls as [string, string]
    t.equal((await create(a)).status, 201)
    t.equal((await create(b)).status, 201)
    t.equal((await create(a)).status, 429)
    t.equal((await create(b)).status, 429)
    const [one, two] = [await connectSocket(t, a), await connectSocket(t, b)]
    t.same([...(await joins(one, 1)), ...(await joins(two, 1))], ['joined', 'joined'])
    t.same([...(await joins(one, 2)), ...(await joins(two, 2))].slice(1, 2), ['rate_limited'])
    const redis = nodes[0]?.redis as Redis
    const keys = await redis.keys(`${prefix}:limit:*`)
    t.same(keys.sort(), [
      `${prefix}:limit:create:address:127.0.0.1`,
      `${prefix}:limit:join:address:127.0.0.1`,
    ])
    for (const key of keys) t.ok((await redis.pttl(key)) > 0, 'every count ends')
  },
)

t.test('while Redis is away nobody is limited, and nobody waits', async (t) => {
  const silent = await silentServer(t)
  const away = await freePort()
  for (const [what, port] of [
    ['silent', silent],
    ['away', away],
  ] as const) {
    const REDIS_URL = `redis://127.0.0.1:${port}`
    const { url } = await buildTestApp(t, {
      ...CREATE,
      ...JOIN,
      REDIS_URL,
      DATABASE_URL: 'postgres://not-used',
    })
    const client = await connectSocket(t, url)
    const started = performance.now()
    for (let n = 0; n < 4; n++) t.equal((await create(url)).status, 201, what)
    t.same(await joins(client, 4), ['joined', 'joined', 'joined', 'joined'])
    // Waiting for a Redis that is silent takes two seconds each time.
    t.ok(performance.now() - started < 8 * 2000, `${Math.round(performance.now() - started)} ms`)
  }
})

function create(url: string, headers?: Record<string, string>, ownerId = 1) {
  return post(`${url}/v1/chapter/`, { ...CREATE_EXAMPLE, owner_id: ownerId }, headers)
}

async function joins(client: Awaited<ReturnType<typeof connectSocket>>, count: number): Promise<string[]> {
  const answers: string[] = []
  for (let n = 1; n <= count; n++) {
    const ack = await client.ask('join_chapter', { chapter_id: n })
    answers.push(ack.ok ? 'joined' : ack.code)
  }
  return answers
}

function connectRedis(t: Test, url: string): Redis {
  const redis = new Redis(url)
  redis.on('error', () => {})
  t.teardown(() => redis.disconnect())
  return redis
}

/** Accepts connections, says that it is ready, and answers nothing after that. */
async function silentServer(t: Test): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      if (String(data).includes('hello')) socket.write('%0\r\n+OK\r\n+OK\r\n')
      else if (String(data).includes('info')) socket.write('$9\r\nloading:0\r\n')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as { port: number }).port
}
