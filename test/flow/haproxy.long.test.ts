/**
 * Any client through the load balancer of deploy/: whatever its transport and wherever its page comes from, it
 * connects, stays and hears everything, with three nodes.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { findChromium } from '../support/chromium.js'
import { createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, type Haproxy, startHaproxy } from '../support/haproxy.js'
import { type StockClient, stockClient } from '../support/stock-client.js'
import { startNodes } from '../support/three-nodes.js'

const CLIENTS = 60
/** Polling clients that are there from the beginning to the end. */
const STAYING = 20
/** Of each kind, in a page: a browser has six HTTP/1.1 connections for a host, and each that polls holds one. */
const PAGE_CLIENTS = 2
const LAST_SEQ = 8
const TRANSPORTS = {
  'default options': undefined,
  'polling only': ['polling'],
  'websocket only': ['websocket'],
} as const

const BUNDLE = join(
  dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json')),
  'dist/socket.io.min.js',
)

/** As in the guide: it may come from anywhere. */
const PAGE = `<!doctype html><meta charset="utf-8"><script>${readFileSync(BUNDLE, 'utf8')}</script><script>
const clients = []
function listen(url, chapterId, count) {
  for (const transports of [undefined, ['polling'], ['websocket']])
    for (let i = 0; i < count; i++) {
      const client = { seqs: [], connects: 0, errors: [] }
      clients.push(client)
      const socket = io(url, { forceNew: true, ...(transports && { transports }) })
      socket.on('connect', () => { client.connects++ })
      socket.on('connect_error', (error) => client.errors.push(String(error)))
      socket.once('connect', () => socket.emit('join_chapter', { chapter_id: chapterId }))
      socket.onAny((name, payload) => { if (payload.seq) client.seqs.push(payload.seq) })
    }
}
</script>`

const program = await findHaproxy()
const browser = await findChromium()
if (program === undefined) t.plan(0, 'no haproxy: install it (apt-get install haproxy)')
else await testClients(t, program)

async function testClients(t: Test, program: string): Promise<void> {
  const { nodes } = await startNodes(t, 3, { process: true })
  const proxy = await startHaproxy(
    t,
    program,
    nodes.map(({ port }) => port),
  )

  const stayingAt = await createChapter(proxy.url)
  const staying = Array.from({ length: STAYING }, () =>
    stockClient(t, proxy.url, { chapters: [stayingAt], transports: ['polling'] }),
  )
  const pings = staying.map(({ socket }) => new Promise<void>((resolve) => socket.io.once('ping', resolve)))
  await waitFor('all have joined', () => staying.every((client) => client.hasHeard(stayingAt, 4)))

  await t.test('every client from Node connects, stays and hears each event once', async (t) => {
    const before = await proxy.answers()
    for (const [kind, transports] of Object.entries(TRANSPORTS)) {
      const chapterId = await createChapter(proxy.url)
      const clients = Array.from({ length: CLIENTS }, () =>
        stockClient(t, proxy.url, {
          chapters: [chapterId],
          ...(transports === undefined ? {} : { transports: [...transports] }),
        }),
      )
      await waitFor('all have joined', () => clients.every((client) => client.hasHeard(chapterId, 4)), {
        timeoutMs: 20_000,
      })
      const spreadOver = await Promise.all(nodes.map(({ url }) => socketsAt(url)))
      t.ok(
        spreadOver.every((sockets) => sockets >= CLIENTS / 6),
        `${kind}: every node has its share`,
        { spreadOver },
      )
      await finishAtOnce(t, proxy, chapterId)
      await waitFor(
        'all have heard the end',
        () => clients.every((client) => client.hasHeard(chapterId, LAST_SEQ)),
        { timeoutMs: 20_000 },
      )
      t.same(wrongWith(clients), [], `${kind}: nothing lost, repeated or out of order`)
      if (transports === undefined)
        await waitFor('all have a websocket', () =>
          clients.every(({ socket }) => socket.io.engine.transport.name === 'websocket'),
        )
      for (const { socket } of clients) socket.disconnect()
      await waitFor('the others are gone', async () => {
        const sockets = await Promise.all(nodes.map(({ url }) => socketsAt(url)))
        return sockets.reduce((sum, count) => sum + count) === STAYING
      })
    }
    t.same(await refusals(proxy), { '4xx': before['4xx'], '5xx': before['5xx'] }, 'not one 400')
  })

  await t.test(
    'pages of another origin, and a file opened from disk, are served alike',
    {
      skip:
        browser === undefined && 'no Chromium: set CHROMIUM_PATH or install it (apt-get install chromium)',
    },
    async (t) => {
      const launched = await chromium.launch({
        executablePath: browser?.path ?? '',
        args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
      })
      t.teardown(() => launched.close())
      const addresses = { 'another origin': await serve(t, PAGE), 'a file from disk': fileOf(t, PAGE) }
      for (const [origin, address] of Object.entries(addresses)) {
        const before = await settledAnswers(proxy)
        const chapterId = await createChapter(proxy.url)
        const page = await launched.newPage()
        await page.goto(address)
        await page.evaluate(`listen(${JSON.stringify(proxy.url)}, ${chapterId}, ${PAGE_CLIENTS})`)
        await page.waitForFunction('clients.every(({ seqs }) => seqs.length === 4)', null, {
          timeout: 20_000,
        })
        await finishAtOnce(t, proxy, chapterId)
        await page.waitForFunction('clients.every(({ seqs }) => seqs.includes(8))', null, { timeout: 20_000 })
        const clients = await page.evaluate<PageClient[]>('clients')
        t.equal(clients.length, PAGE_CLIENTS * Object.keys(TRANSPORTS).length)
        for (const client of clients)
          t.same(client, { seqs: [1, 2, 3, 4, 5, 6, 7, 8], connects: 1, errors: [] }, `from ${origin}`)
        // Before the page goes: its sockets’ last requests are cut then.
        t.same(await refusals(proxy), { '4xx': before['4xx'], '5xx': before['5xx'] }, `none from ${origin}`)
        await page.close()
      }
    },
  )

  await t.test('polling clients stay beyond a ping, each with its node', async (t) => {
    await Promise.all(pings)
    await finishAtOnce(t, proxy, stayingAt)
    await waitFor('all have heard the end', () =>
      staying.every((client) => client.hasHeard(stayingAt, LAST_SEQ)),
    )
    t.same(wrongWith(staying), [])
  })
}

/** Once they stand still: requests that a page left open when it was closed count as refused, a moment later. */
function settledAnswers(proxy: {
  answers(): Promise<Record<string, number>>
}): Promise<Record<string, number>> {
  let last = ''
  return waitFor(
    'the counts of answers stand still',
    async () => {
      const answers = await proxy.answers()
      const [before, now] = [last, JSON.stringify([answers['4xx'], answers['5xx']])]
      last = now
      return before === now ? answers : undefined
    },
    { everyMs: 1000 },
  )
}

interface PageClient {
  seqs: number[]
  connects: number
  errors: string[]
}

/** At the same moment, and so on any nodes. */
async function finishAtOnce(t: Test, proxy: Haproxy, chapterId: number): Promise<void> {
  const answers = await Promise.all(JOB_KINDS.map((kind) => finish(proxy.url, chapterId, kind)))
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
}

function wrongWith(clients: readonly StockClient[]): string[] {
  return clients.flatMap((client) => [
    ...client.faults(),
    ...(client.connections === 1 ? [] : [`connected ${client.connections} times`]),
  ])
}

async function socketsAt(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^chaptercast_sockets (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
}

async function refusals(proxy: Haproxy): Promise<object> {
  const { '4xx': refused, '5xx': failed } = await proxy.answers()
  return { '4xx': refused, '5xx': failed }
}

async function serve(t: Test, html: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

function fileOf(t: Test, html: string): string {
  return pathToFileURL(join(t.testdir({ 'page.html': html }), 'page.html')).href
}
