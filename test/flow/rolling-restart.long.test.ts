/**
 * Leaving and joining: every node is replaced in turn under load, and nobody loses an event or a request; a lone node
 * ends quickly, and its sockets are back when it is.
 */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, FINISH_BODIES, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postgresDatabase } from '../support/database.js'
import { copyEmbeddedDatabase } from '../support/embedded.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { type StockClient, spread, stockClient, tell } from '../support/stock-client.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { underLoad } from '../support/watch.js'

/** As many as asked for: `TEST_SOCKETS=1000 TEST_NUMBERS=1 npm test -- test/flow/rolling-restart.long.test.ts`. */
const CLIENTS = Number(process.env.TEST_SOCKETS ?? 60)
/** As in docker-compose.yml. */
const DRAIN_DELAY_MS = 2500
const SHUTDOWN_TIMEOUT_MS = 10_000
const PAUSE_MS = 50

const program = await findHaproxy()
await t.test(
  'a rolling restart of all nodes under load loses no event and no request',
  { skip: program === undefined && 'no haproxy: install it (apt-get install haproxy)' },
  (t) => testRollingRestart(t, program ?? ''),
)

await t.test(
  'a lone node ends in time, and its sockets are back in their rooms when it is back',
  async (t) => {
    const dataDir = join(t.testdir({}), 'data')
    await copyEmbeddedDatabase(dataDir)
    const { nodes } = await startNodes(t, 1, {
      process: true,
      redisUrl: false,
      env: { DATABASE_URL: '', DATA_DIR: dataDir },
    })
    const [node] = nodes as [TestNode]
    const chapterId = await createChapter(node.url)
    const clients = ['websocket', 'polling', undefined].flatMap((transport) =>
      Array.from({ length: 10 }, () =>
        stockClient(t, node.url, {
          chapters: [chapterId],
          ...(transport === undefined ? {} : { transports: [transport] }),
        }),
      ),
    )
    await waitFor('all are in', () => clients.every((client) => client.hasHeard(chapterId, 4)))
    const { tookMs, code } = await leave(node)
    t.equal(code, 0, 'it left before its time was up')
    tell(`a lone node left in ${Math.round(tookMs)} ms`)

    await node.start()
    for (const kind of JOB_KINDS) t.equal((await finish(node.url, chapterId, kind)).status, 200)
    await waitFor('all hear the end', () => clients.every((client) => client.hasHeard(chapterId, 8)), {
      timeoutMs: 20_000,
    })
    t.same(
      clients.flatMap((client) => client.faults()),
      [],
    )
  },
)

await t.test('a request that is never answered does not hold a node beyond its time', async (t) => {
  const settings = { HOST: '127.0.0.1', LOG_LEVEL: 'silent', GENERATOR: 'off' }
  const config = readConfig({ ...settings, PORT: '0', DRAIN_DELAY_MS: '2000', SHUTDOWN_TIMEOUT_MS: '4000' })
  const app = await buildApp(config, { database: await postgresDatabase(t) })
  const isAsked = new Promise<void>((resolve) => {
    app.get('/never', () => new Promise(() => resolve()))
  })
  const url = await app.listen({ host: config.host, port: config.port })
  const asking = fetch(`${url}/never`).catch(() => 'cut')
  await isAsked
  await app.close()
  t.equal(await asking, 'cut')
})

async function testRollingRestart(t: Test, program: string): Promise<void> {
  const { nodes } = await startNodes(t, 3, {
    process: true,
    env: {
      DRAIN_DELAY_MS: `${DRAIN_DELAY_MS}`,
      SHUTDOWN_TIMEOUT_MS: `${SHUTDOWN_TIMEOUT_MS}`,
      // A job that fails is tried again at once: a chapter that has events for as long as the test wants.
      GENERATION_MAX_ATTEMPTS: '100',
      GENERATION_RETRY_BASE_MS: '0',
    },
  })
  const ports = nodes.map(({ port }) => port)
  const proxy = await startHaproxy(t, program, ports)
  const requests = counted()

  const longLived = await Promise.all([0, 1, 2].map(() => createChapter(proxy.url)))
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    stockClient(t, proxy.url, {
      chapters: longLived,
      // Default options, but for some that can do one of both only.
      ...(index % 6 === 4
        ? { transports: ['polling'] }
        : index % 6 === 5
          ? { transports: ['websocket'] }
          : {}),
    }),
  )
  await waitFor('all are in', () =>
    clients.every((client) => longLived.every((id) => client.hasHeard(id, 4))),
  )

  const failing = underLoad(async (n) => {
    await delay(PAUSE_MS)
    const id = longLived[n % 3]
    for (const kind of JOB_KINDS)
      await requests.post(`${proxy.url}/v1/chapter/${id}/${kind}-fail`, { error: 'try again' })
  })
  const short = new Map<number, StockClient>()
  const creating = underLoad(async (n) => {
    await delay(PAUSE_MS)
    const answer = await requests.post(`${proxy.url}/v1/chapter/`, {
      course_id: 1,
      owner_id: 1,
      title: `${n}`,
    })
    const id = answer?.body.chapter_id
    if (id === undefined) return
    const client = clients[n % CLIENTS] as StockClient
    short.set(id, client)
    await client.join(id)
    await Promise.all(
      JOB_KINDS.map((kind) =>
        requests.post(`${proxy.url}/v1/chapter/${id}/${kind}-finish`, FINISH_BODIES[kind]),
      ),
    )
  }, 2)

  const streams = longLived.map((id) => eventSource(`${proxy.url}/v1/chapter/${id}/events`))
  for (const node of nodes) {
    const slow = await beginSlowRequest(node.url)
    const leaving = leave(node)
    await waitFor(
      'it takes no connections any more',
      () =>
        fetch(node.url).then(
          () => false,
          () => true,
        ),
      {
        timeoutMs: SHUTDOWN_TIMEOUT_MS,
      },
    )
    t.equal(await slow.finish(), 201, 'what was in flight is answered')
    const { tookMs, code } = await leaving
    t.equal(code, 0, 'it left before its time was up')
    tell(`a node left in ${Math.round(tookMs)} ms`)
    await node.start()
    await waitFor('HAProxy sends to it', () => proxy.isUp(node.port), { everyMs: 50 })
  }
  await Promise.all([creating.stop(), failing.stop()])

  for (const [index, id] of longLived.entries()) {
    await requests.post(`${proxy.url}/v1/chapter/${id}/cancel`)
    const { last_seq: last } = await (await fetch(`${proxy.url}/v1/chapter/${id}`)).json()
    await waitFor(
      'everyone has heard everything',
      () => clients.every((client) => client.hasHeard(id, last)),
      { timeoutMs: 20_000 },
    )
    const seqs = await streams[index]
    t.same(
      seqs,
      Array.from({ length: last }, (_, before) => before + 1),
      'server-sent events, each once',
    )
    tell(`chapter ${id} had ${last} events`)
  }
  await waitFor(
    'every new chapter was heard to its end',
    () => [...short].every(([id, client]) => client.heardAt(id, 8) !== undefined),
    { timeoutMs: 20_000 },
  )

  t.same(
    clients.flatMap((client) => client.faults()),
    [],
    'nothing lost or out of order, and nothing twice on one connection',
  )
  t.ok(
    clients.every(({ connections }) => connections > 1),
    'everyone had to move',
  )
  t.same(requests.failures, [], `none of ${requests.count} requests failed`)
  tell(`${requests.count} requests, ${short.size} chapters, ${requests.failures.length} failures`)
  tell(`away: ${spread(clients.flatMap(({ awayMs }) => awayMs))}`)
  tell(`repeated by replay: ${clients.reduce((sum, { repeated }) => sum + repeated, 0)}`)
  tell(`HAProxy answered ${JSON.stringify(await proxy.answers())}`)
  for (const { socket } of clients) socket.disconnect()
}

/** SIGTERM, and how it went. */
async function leave(node: TestNode): Promise<{ tookMs: number; code: number | null }> {
  const since = performance.now()
  await node.stop()
  return { tookMs: performance.now() - since, code: node.child.exitCode }
}

/** Has sent its head, and was told to go on, when this resolves; its body comes with `finish`. */
async function beginSlowRequest(url: string): Promise<{ finish(): Promise<number | undefined> }> {
  const body = JSON.stringify({ course_id: 1, owner_id: 1, title: 'slow' })
  const sent = request(`${url}/v1/chapter/`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' },
  })
  sent.flushHeaders()
  await once(sent, 'continue')
  return {
    async finish() {
      sent.end(body)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      response.resume()
      return response.statusCode
    },
  }
}

/** As a browser’s: comes back with what it heard last whenever the stream ends; resolves to all seqs at the end. */
async function eventSource(url: string): Promise<number[]> {
  const seqs: number[] = []
  for (;;) {
    const headers = { accept: 'text/event-stream', 'last-event-id': `${seqs.at(-1) ?? 0}` }
    const response = await fetch(url, { headers })
    if (response.status === 204) return seqs
    if (response.status !== 200) throw new Error(`a stream was answered ${response.status}`)
    for (const [, seq] of (await response.text()).matchAll(/^id: (\d+)$/gm)) seqs.push(Number(seq))
  }
}

/** Requests without a second try; those that failed are listed. */
function counted() {
  const failures: string[] = []
  let count = 0
  return {
    failures,
    get count() {
      return count
    },
    async post(url: string, body?: unknown) {
      count += 1
      const what = new URL(url).pathname
      try {
        const answer = await post(url, body)
        if (answer.status >= 400) failures.push(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`)
        return answer
      } catch (error) {
        failures.push(`${what}: ${(error as Error).cause ?? error}`)
        return undefined
      }
    },
  }
}
