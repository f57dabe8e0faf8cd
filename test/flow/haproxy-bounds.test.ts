/**
 * What strangers cost a node behind the load balancer: nothing when they have gone, and little while they are there.
 */
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { createChapter, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openFiles } from '../support/open-files.js'
import { openRawHttp, type RawHttp, requestText } from '../support/raw-http.js'
import { longChapter } from '../support/slow-reading.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

const MAX_WAITING_BYTES = 8_000_000
/** Of streams of so many bytes a node holds more, although the system’s own buffers take some MB of each. */
const STREAMS = 3
const STREAM_EVENTS = 700
const STREAM_EVENT_BYTES = 20_000
/** Many more answers than fit into the buffers of the connections. */
const ASKED = 40
const NOISE = ['noise\r\n\r\n', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`]
const H2C = [
  'connection: Upgrade, HTTP2-Settings',
  'upgrade: h2c',
  'http2-settings: AAMAAABkAAQCAAAAAAIAAAAA',
]
const WEBSOCKET = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13']
const WEBSOCKET_KEY = 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=='
const SOCKET_PATH = '/socket.io/?EIO=4&transport=websocket'

const program = await findHaproxy()
if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else await testBounds(program)

async function testBounds(program: string): Promise<void> {
  const { nodes, databaseUrl } = await startNodes(t, 1, {
    env: { MAX_WAITING_BYTES: String(MAX_WAITING_BYTES) },
  })
  const [{ app, port, log }] = nodes as [TestNode]
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const { url } = await startHaproxy(t, program, [port], (config) =>
    config
      // Else the system would hold for HAProxy what the node should.
      .replace(/^global$/m, 'global\n  tune.rcvbuf.server 65536')
      // A connection that it keeps to use again is none that a client left behind.
      .replaceAll(/server (node\d) ("[^"]+")/g, 'server $1 $2 pool-purge-delay 100ms'),
  )
  const id = await createChapter(url)
  const streamOf = (chapterId: number) =>
    requestText(`/v1/chapter/${chapterId}/events`, { headers: ['accept: text/event-stream'] })

  const connections = () => promisify(app.server.getConnections.bind(app.server))()
  const metric = async (pattern: RegExp) =>
    Number(pattern.exec((await app.inject('/metrics')).payload)?.[1] ?? 0)
  async function leavesNothing(what: string): Promise<void> {
    // Sooner than a node’s next word on a quiet stream (15 s), by which it would learn of it anyway.
    const soon = { timeoutMs: 12_000 }
    await waitFor(`${what}: the node has no connection left`, async () => (await connections()) === 0, soon)
    await waitFor(`${what}: no room is open`, async () => (await metric(/^chaptercast_rooms (\d+)$/m)) === 0)
    await waitFor(`${what}: no file is open`, () => openFiles().length === 0)
  }
  const bothWays: Record<string, (client: RawHttp) => unknown> = {
    closed: ({ socket }) => socket.destroy(),
    reset: ({ socket }) => socket.resetAndDestroy(),
  }

  t.test('behind the load balancer too an upgrade on a used connection leaves nothing behind', async (t) => {
    for (const headers of [H2C, WEBSOCKET, [...WEBSOCKET, WEBSOCKET_KEY]])
      for (const path of ['/healthz', SOCKET_PATH, '/socket.io/?EIO=9&transport=nothing']) {
        const client = await openRawHttp(t, url)
        client.send(requestText('/healthz'))
        await waitFor('the first answer', () => client.statuses().length === 1)
        client.send(requestText(path, { headers }))
        await waitFor('the second', () => client.statuses().length === 2 || client.socket.readableEnded)
        client.socket.end()
        await leavesNothing(`${headers[1]} ${path}`)
      }
  })

  t.test('behind the load balancer too what was asked for and then left is given up', async (t) => {
    const ASKED_FOR: Record<string, string> = {
      'two hundred downloads': requestText('/docs/static/swagger-ui-bundle.js').repeat(200),
      'two hundred scripts': requestText('/web/vendor/marked.js').repeat(200),
      'an event stream that is being opened': streamOf(id),
      'half a body': `${requestText('/v1/chapter/', { method: 'POST', headers: ['content-type: application/json', 'content-length: 900000'] })}{"a`,
    }
    for (const [what, bytes] of Object.entries(ASKED_FOR))
      for (const [how, leave] of Object.entries(bothWays)) {
        const clients = await Promise.all(Array.from({ length: 10 }, () => openRawHttp(t, url)))
        clients.forEach((client, index) => {
          client.socket.pause()
          client.send(bytes)
          if (index % 2 === 0) leave(client)
        })
        await waitFor('the others are at the node', async () => (await connections()) > 0)
        for (const client of clients) leave(client)
        await leavesNothing(`${what}, ${how}`)
      }
  })

  t.test(
    'behind the load balancer too a body that comes too slowly gets 408, and its connection is given back',
    async (t) => {
      const { headersTimeout, requestTimeout } = app.server
      t.teardown(() => Object.assign(app.server, { headersTimeout, requestTimeout }))
      Object.assign(app.server, { headersTimeout: 100, requestTimeout: 200 })
      const headers = ['content-type: application/json', 'content-length: 100']
      const client = await openRawHttp(t, url)
      client.socket.allowHalfOpen = true
      client.send(`${requestText('/v1/chapter/', { method: 'POST', headers })}{"title"`)
      await waitFor('it is refused', () => client.statuses().length > 0)
      t.same(client.statuses(), [408])
      t.match(client.text(), /"code":"request_timeout"/)
      await leavesNothing('while the client is still there')
    },
  )

  t.test(
    'behind the load balancer too what a client pipelines is answered in order, one at a time',
    async (t) => {
      const path = await bigList(url)
      const client = await openRawHttp(t, url)
      client.socket.pause()
      client.send((requestText(path) + requestText('/nowhere')).repeat(ASKED))
      const answered = () =>
        metric(/http_request_seconds_count\{route="\/v1\/chapter\/",method="GET",status="200"\} (\d+)/)
      await waitFor('the first is answered', answered)
      // As many of others meanwhile: what was to be answered to this one would have been, too.
      for (let count = 0; count < ASKED; count += 1) await request(`${url}/v1/chapter/${id}`)
      t.ok((await answered()) < ASKED / 2, `${await answered()} were answered that nobody has read`)
      const held = [...sockets].reduce((sum, { writableLength }) => sum + writableLength, 0)
      t.ok(held < 1e6, `${held} bytes wait`)
      client.socket.resume()
      await waitFor('all are answered', () => client.statuses().length === 2 * ASKED, { everyMs: 50 })
      t.same(client.statuses(), Array(ASKED).fill([200, 404]).flat())
      client.socket.destroy()
      await leavesNothing('a pipeline')
    },
  )

  t.test(
    'behind the load balancer too streams that nobody reads count towards what the node may hold',
    async (t) => {
      const long = await longChapter(url, databaseUrl, STREAM_EVENTS, STREAM_EVENT_BYTES)
      const clients = await Promise.all(Array.from({ length: STREAMS }, () => openRawHttp(t, url)))
      for (const client of clients) {
        client.socket.pause()
        client.send(streamOf(long))
      }
      await waitFor('the slowest are cut', () => log.some(({ msg }) => msg.endsWith('the slowest were cut')))
      await waitFor('they are gone', () => sockets.size < STREAMS)
      t.equal((await request(`${url}/v1/chapter/${id}`)).status, 200, 'others are served')
      for (const client of clients) client.socket.destroy()
      await leavesNothing('streams')
    },
  )

  t.test('behind the load balancer too an error never lands inside another answer', async (t) => {
    for (const noise of NOISE) {
      const chapterId = await createChapter(url)
      const reader = await openRawHttp(t, url)
      reader.send(streamOf(chapterId))
      await waitFor('the stream is open', () => reader.text().includes('chapter_processing_started'))
      reader.send(noise)
      await post(`${url}/v1/chapter/${chapterId}/cancel`)
      await reader.closed()
      t.match(
        reader.text(),
        /\nevent: chapter_cancelled\n.*\n\n\r\n0\r\n\r\nHTTP\/1\.1 400 /,
        'after the stream',
      )
      t.same(reader.statuses(), [200, 400])

      const pipeliner = await openRawHttp(t, url)
      pipeliner.send(requestText(`/v1/chapter/${id}`).repeat(3) + noise)
      await pipeliner.closed()
      const parts = pipeliner.text().split(/(?=HTTP\/1\.1 )/)
      t.equal(parts.length, 4, 'each has its answer')
      t.match(parts.pop(), /^HTTP\/1\.1 400 /)
      for (const answer of parts) {
        const [head = '', body = ''] = answer.split('\r\n\r\n')
        t.match(head, /^HTTP\/1\.1 200 /)
        t.equal(body.length, Number(/^content-length: (\d+)/im.exec(head)?.[1]), 'a whole answer')
      }
    }
    await leavesNothing('noise')
  })
}

/** Chapters whose list is an answer of half a megabyte; the path of that list. */
async function bigList(url: string): Promise<string> {
  const metadata = { text: 'x'.repeat(8000) }
  await Promise.all(Array.from({ length: 60 }, () => createChapter(url, { owner_id: 7, metadata })))
  return '/v1/chapter/?owner_id=7&limit=100'
}
