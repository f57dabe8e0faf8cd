/**
 * Connections of clients that send what no browser does: what they leave behind, and what they cost.
 */
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { trackConnections } from '../../src/http/connections.js'
import { createHttpServer } from '../../src/http/server.js'
import { buildTestApp, type TestApp } from '../support/app.js'
import { waitFor } from '../support/condition.js'
import { openFiles } from '../support/open-files.js'
import { openRawHttp, requestText } from '../support/raw-http.js'
import { scale } from '../support/scale.js'

async function connectionsOf({ app }: TestApp): Promise<number> {
  return promisify(app.server.getConnections.bind(app.server))()
}

/** Without a connection of its own. */
async function createQuietly({ app }: TestApp, fields: object = {}): Promise<number> {
  const payload = { ...CREATE_EXAMPLE, ...fields }
  return (await app.inject({ method: 'POST', url: '/v1/chapter/', payload })).json().chapter_id
}

function leavesNothing(testApp: TestApp): Promise<unknown> {
  return waitFor('the server has no connection left', async () => (await connectionsOf(testApp)) === 0)
}

/** One for all tests that need no settings; each leaves it without a connection. */
const testApp = await buildTestApp(t)

const H2C = [
  'connection: Upgrade, HTTP2-Settings',
  'upgrade: h2c',
  'http2-settings: AAMAAABkAAQCAAAAAAIAAAAA',
]

t.test('an upgrade that is not ours is ignored and the request answered as HTTP/1.1', async (t) => {
  const upgrades: Record<string, string[]> = {
    'h2c, as curl --http2 and Java ask for': H2C,
    'a websocket to another address': [
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
    ],
    TLS: ['connection: upgrade', 'upgrade: TLS/1.0'],
    several: ['connection: upgrade', 'upgrade: h2c, websocket'],
  }
  for (const [what, headers] of Object.entries(upgrades))
    for (const isUsed of [false, true]) {
      const client = await openRawHttp(t, testApp.url)
      if (isUsed) client.send(requestText('/healthz'))
      client.send(requestText('/healthz', { headers }))
      await client.closed()
      t.same(client.statuses(), isUsed ? [200, 200] : [200], what)
    }
  await leavesNothing(testApp)
})

t.test('a client that sends more in the same packet learns that it must ask again', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  client.send(requestText('/healthz', { headers: H2C }) + requestText('/readyz') + requestText('/nowhere'))
  await client.closed()
  t.same(client.statuses(), [200])
  t.match(client.text(), /^connection: close/im)
})

t.test('bytes after a request with Connection: close cost none of the answers that are owed', async (t) => {
  const [asked, last] = [
    requestText('/openapi.json'),
    requestText('/openapi.json', { headers: ['connection: close'] }),
  ]
  const alone = await openRawHttp(t, testApp.url)
  alone.send(asked + asked + last)
  await alone.closed()
  const rests: Record<string, string> = {
    'one letter': 'x',
    'more requests': requestText('/nowhere').repeat(100),
    'more than one read': 'x'.repeat(2_000_000),
  }
  for (const [what, rest] of Object.entries(rests))
    for (const isSentLater of [false, true]) {
      const client = await openRawHttp(t, testApp.url)
      client.send(asked + asked + last + (isSentLater ? '' : rest))
      if (isSentLater) {
        await waitFor('the first answer begins', () => client.statuses().length > 0)
        client.send(rest)
      }
      await client.closed()
      t.same(client.statuses(), [200, 200, 200], what)
      t.equal(client.socket.bytesRead, alone.socket.bytesRead, `${what}: every byte of them`)
    }
  await leavesNothing(testApp)
})

t.test('bytes after the body of a request with Connection: close do not hide its answer', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  const body = '{"title":""}'
  const headers = ['connection: close', 'content-type: application/json', `content-length: ${body.length}`]
  client.send(`${requestText('/v1/chapter/', { method: 'POST', headers })}${body}${'y'.repeat(50_000)}`)
  await client.closed()
  t.same(client.statuses(), [400])
  t.match(client.text(), /"code":"invalid_request"|"code":"validation/)
  await leavesNothing(testApp)
})

t.test('the body of a request that asks for another protocol is read like any other', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  const body = '{"title":""}'
  const headers = [...H2C, 'content-type: application/json', `content-length: ${body.length}`]
  client.send(requestText('/v1/chapter/', { method: 'POST', headers }) + body)
  await waitFor('the answer', () => client.statuses().length > 0)
  t.same(client.statuses(), [400])
  t.match(client.text(), '/body/title')
})

t.test('Socket.IO’s path is upgraded to a websocket and to nothing else', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  client.send(requestText('/socket.io/?EIO=4&transport=polling', { headers: H2C }))
  await waitFor('the session is opened by polling', () => /"sid"/.test(client.text()))
  t.same(client.statuses(), [200])
  client.socket.destroy()
  await leavesNothing(testApp)
})

t.test('an upgrade on a used connection leaves nothing behind', async (t) => {
  const upgrades = [H2C, ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13']]
  for (const headers of upgrades)
    for (const path of [
      '/healthz',
      '/socket.io/?EIO=4&transport=websocket',
      '/socket.io/?EIO=9&transport=nothing',
    ]) {
      const client = await openRawHttp(t, testApp.url)
      client.send(requestText('/healthz'))
      await waitFor('the first answer', () => client.statuses().length === 1)
      client.send(requestText(path, { headers }))
      await waitFor(
        'the second answer, or the end',
        () => client.statuses().length === 2 || client.socket.readableEnded,
      )
      client.socket.end()
      await leavesNothing(testApp)
    }
  t.pass('every connection was given back')
})

t.test('an upgrade in the middle of another answer closes the connection', async (t) => {
  const id = await createQuietly(testApp)
  const client = await openRawHttp(t, testApp.url)
  client.send(requestText(`/v1/chapter/${id}/events`, { headers: ['accept: text/event-stream'] }))
  await waitFor('the stream is open', () => client.text().includes('chapter_processing_started'))
  const headers = [
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  client.send(requestText('/socket.io/?EIO=4&transport=websocket', { headers }))
  await client.closed()
  t.same(client.statuses(), [200], 'nothing was said within the stream')
  await leavesNothing(testApp)
})

t.test('two hundred downloads asked for at once and then left give every file back', async (t) => {
  for (const path of ['/docs/static/swagger-ui-bundle.js', '/web/vendor/marked.js', '/docs/json'])
    for (const isRude of [true, false]) {
      const client = await openRawHttp(t, testApp.url)
      client.socket.pause()
      client.send(requestText(path).repeat(200))
      await waitFor('the first answer has begun', async () => client.socket.bytesWritten > 0)
      if (isRude) client.socket.resetAndDestroy()
      else client.socket.destroy()
      await leavesNothing(testApp)
    }
  await waitFor('no file that was served is open', () => openFiles().length === 0)
})

t.test('a request that arrives too slowly gets 408, and its connection is given back', async (t) => {
  const testApp = await buildTestApp(t)
  testApp.app.server.headersTimeout = 100
  testApp.app.server.requestTimeout = 200
  for (const bytes of [
    'GET /healthz HTTP/1.1\r\nhost: x\r\n',
    'POST /v1/chapter/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"title"',
  ]) {
    // It does not close its own side, whatever the server does.
    const client = await openRawHttp(t, testApp.url)
    client.socket.allowHalfOpen = true
    client.send(bytes)
    await client.closed()
    t.same(client.statuses(), [408], bytes)
    t.match(client.text(), /"code":"request_timeout"/)
    await leavesNothing(testApp)
  }
})

t.test('what is not HTTP is answered once and its connection given back, whoever closes it', async (t) => {
  for (const bytes of ['noise\r\n\r\n', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`]) {
    const client = await openRawHttp(t, testApp.url)
    client.socket.allowHalfOpen = true
    client.send(bytes)
    await waitFor('it is refused', () => client.statuses().length > 0)
    client.send('and more noise\r\n\r\n')
    await leavesNothing(testApp)
    t.equal(client.statuses().length, 1)
  }
})

t.test('an event stream that is left while it is being opened leaves no room behind', async (t) => {
  const testApp = await buildTestApp(t)
  const id = await createQuietly(testApp)
  for (let count = 0; count < 50; count += 1) {
    const client = await openRawHttp(t, testApp.url)
    client.send(requestText(`/v1/chapter/${id}/events`, { headers: ['accept: text/event-stream'] }))
    if (count % 2 === 0) client.socket.resetAndDestroy()
    else client.socket.destroy()
  }
  await leavesNothing(testApp)
  await waitFor('no room is open', async () => {
    const { payload } = await testApp.app.inject('/metrics')
    return /^chaptercast_rooms 0$/m.test(payload)
  })
})

/** Many more than the answers that fit into the buffers of a connection. */
const ASKED = scale(80, 277)

/** Chapters whose list is an answer of a megabyte; the path of that list. */
async function bigList(testApp: TestApp): Promise<string> {
  const metadata = { text: 'x'.repeat(8000) }
  await Promise.all(Array.from({ length: 100 }, () => createQuietly(testApp, { owner_id: 7, metadata })))
  return '/v1/chapter/?owner_id=7&limit=100'
}

function serverSockets({ app }: TestApp): Socket[] {
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => sockets.push(socket))
  return sockets
}

t.test('what a client pipelines is answered in order, and costs one answer at a time', async (t) => {
  const testApp = await buildTestApp(t)
  const path = await bigList(testApp)
  const sockets = serverSockets(testApp)
  const client = await openRawHttp(t, testApp.url)
  client.socket.pause()
  client.send(requestText(path).repeat(ASKED))
  const [socket] = await waitFor('an answer waits for its reader', () => {
    const unread = sockets.filter(({ writableLength }) => writableLength > 0)
    return unread.length > 0 && unread
  })
  const { payload } = await testApp.app.inject('/metrics')
  const [, answered] =
    /http_request_seconds_count\{route="\/v1\/chapter\/",method="GET",status="200"\} (\d+)/.exec(payload) ??
    []
  t.ok(Number(answered ?? 0) < 60, `${answered} were answered that nobody has read`)
  t.ok((socket?.writableLength ?? 0) < 2e6, `${socket?.writableLength} bytes wait`)
  client.socket.resume()
  await waitFor('all are answered', () => client.statuses().length === ASKED, {
    timeoutMs: 60_000,
    everyMs: 200,
  })
  t.same(new Set(client.statuses()), new Set([200]))
  client.socket.destroy()
  await leavesNothing(testApp)
})

t.test('every request of one packet is answered, in order, wherever one with a body stands', async (t) => {
  const body = '{}'
  const requests = {
    health: { text: requestText('/healthz'), status: 200 },
    unknown: { text: requestText('/nowhere'), status: 404 },
    poll: { text: requestText('/socket.io/?EIO=4&transport=polling&sid=nobody'), status: 400 },
    invalid: {
      text: `${requestText('/v1/chapter/', { method: 'POST', headers: ['content-type: application/json', 'content-length: 2'] })}${body}`,
      status: 400,
    },
    misplaced: {
      text: `${requestText('/nowhere', { method: 'POST', headers: ['transfer-encoding: chunked'] })}2\r\n${body}\r\n0\r\n\r\n`,
      status: 404,
    },
  }
  const names = Object.keys(requests) as (keyof typeof requests)[]
  for (const first of names)
    for (const second of names)
      for (const third of names) {
        const asked = [first, second, third, 'health' as const]
        const client = await openRawHttp(t, testApp.url)
        client.send(asked.map((name) => requests[name].text).join(''))
        await waitFor(`${asked}: every answer`, () => client.statuses().length === asked.length)
        const wanted = asked.map((name) => requests[name].status)
        t.same(client.statuses(), wanted, String(asked))
        client.socket.destroy()
      }
  await leavesNothing(testApp)
})

t.test(
  'of requests without end on one connection a thousand are answered, and then it is closed',
  async (t) => {
    const client = await openRawHttp(t, testApp.url)
    client.send(requestText('/readyz').repeat(1500))
    await client.closed()
    const statuses = client.statuses()
    t.equal(statuses.pop(), 503, 'the last one is refused')
    t.same(new Set(statuses), new Set([200]))
    t.ok(statuses.length >= 1000)
    t.match(client.text(), /retry-after: 1/i)
    await leavesNothing(testApp)
  },
)

t.test('when many do not read their answers the slowest are cut, and others are served', async (t) => {
  const testApp = await buildTestApp(t, { MAX_WAITING_BYTES: '8000000' })
  const path = await bigList(testApp)
  const clients = await Promise.all(Array.from({ length: 60 }, () => openRawHttp(t, testApp.url)))
  for (const client of clients) {
    client.socket.pause()
    client.send(requestText(path).repeat(50))
  }
  await waitFor('some are cut', async () => (await connectionsOf(testApp)) < 60)
  await waitFor('another client is served', async () => {
    const { statusCode, headers } = await testApp.app.inject(path)
    if (statusCode === 503) t.match(headers['retry-after'], /^\d+$/)
    return statusCode === 200
  })
  t.equal((await testApp.app.inject('/healthz')).statusCode, 200)
})

t.test('bodies beyond what the node may hold are refused before they are read', async (t) => {
  const testApp = await buildTestApp(t, { MAX_WAITING_BYTES: '2000000' })
  const headers = ['content-type: application/json', 'content-length: 900000']
  const text = requestText('/v1/chapter/', { method: 'POST', headers })
  const held = await Promise.all([openRawHttp(t, testApp.url), openRawHttp(t, testApp.url)])
  for (const client of held) client.send(text)
  const refused = await openRawHttp(t, testApp.url)
  await waitFor('one more is refused', async () => {
    if (refused.statuses().length === 0) refused.send(text)
    return refused.statuses()[0] === 503
  })
  t.match(refused.text(), /retry-after: 1/i)
  for (const client of held) client.socket.destroy()
  await waitFor('room is made when they are gone', async () => {
    const { statusCode } = await testApp.app.inject({
      method: 'POST',
      url: '/v1/chapter/',
      payload: CREATE_EXAMPLE,
    })
    return statusCode === 201
  })
})

t.test('clients that leave before their answer take up no room for others', async (t) => {
  const testApp = await buildTestApp(t, { MAX_WAITING_BYTES: '2000000' })
  const path = await bigList(testApp)
  for (let count = 0; count < 40; count += 1) {
    const client = await openRawHttp(t, testApp.url)
    client.send(requestText(path))
    if (count % 2 === 0) client.socket.resetAndDestroy()
    else client.socket.destroy()
  }
  await leavesNothing(testApp)
  await waitFor('their answers are given up', async () => (await testApp.app.inject(path)).statusCode === 200)
  const both = await Promise.all([testApp.app.inject(path), testApp.app.inject(path)])
  t.same(
    both.map(({ statusCode }) => statusCode),
    [200, 200],
  )
})

t.test('what streams and sockets hold counts towards the same total, and the slowest go first', async (t) => {
  const config = { corsOrigin: '*', logFormat: 'json', logLevel: 'silent', trustProxy: false } as const
  const server = await createHttpServer({ config, isClosing: () => false })
  const app = server as unknown as FastifyInstance
  t.teardown(() => app.close())
  const connections = trackConnections(app, { refuse: () => undefined, maxUnsentBytes: 1000 })
  const cut: string[] = []
  const held = { little: 400, much: 900 }
  const readers = (['little', 'much'] as const).map((name) => ({
    get unsentBytes() {
      return held[name]
    },
    cut() {
      cut.push(name)
      held[name] = 0
    },
  }))
  connections.watch(() => readers)
  await waitFor('one is cut', () => cut.length > 0)
  t.same(cut, ['much'])
  held.little = 1001
  await waitFor('the other is cut when it alone is too much', () => cut.length > 1)
  t.same(cut, ['much', 'little'])
})

t.test('an error never lands inside another answer: the connection is closed instead', async (t) => {
  const id = await createQuietly(testApp)
  const stream = requestText(`/v1/chapter/${id}/events`, { headers: ['accept: text/event-stream'] })
  const poll = requestText('/socket.io/?EIO=4&transport=polling')
  for (const noise of ['noise\r\n\r\n', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`]) {
    const reader = await openRawHttp(t, testApp.url)
    reader.send(stream)
    await waitFor('the stream is open', () => reader.text().includes('chapter_processing_started'))
    reader.send(noise)
    await reader.closed()
    t.same(reader.statuses(), [200], 'within an open event stream')
    t.notMatch(reader.text(), 'problem+json')

    const poller = await openRawHttp(t, testApp.url)
    poller.send(poll)
    await waitFor('the session is open', () => /"sid"/.test(poller.text()))
    const sid = /"sid":"([^"]+)"/.exec(poller.text())?.[1]
    poller.send(requestText(`/socket.io/?EIO=4&transport=polling&sid=${sid}`) + noise)
    await poller.closed()
    t.same(poller.statuses(), [200], 'before a poll that waits is answered')

    const pipeliner = await openRawHttp(t, testApp.url)
    pipeliner.send(requestText('/docs/static/swagger-ui-bundle.js').repeat(3) + noise)
    await pipeliner.closed()
    t.notOk(
      pipeliner.statuses().some((status) => status !== 200),
      'within a pipelined answer',
    )
  }
  await leavesNothing(testApp)
})

t.test('what is refused after an answer is answered by itself', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  client.send(requestText('/healthz'))
  await waitFor('the first answer', () => client.statuses().length === 1)
  client.send('noise\r\n\r\n')
  await client.closed()
  t.same(client.statuses(), [200, 400])
  await leavesNothing(testApp)
})
