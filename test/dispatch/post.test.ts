/** The connection to a service of the user’s: what is one whole answer, and what is none. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { brokenBecause, createPoster, type PostRequest, retryAfterMsOf } from '../../src/dispatch/post.js'
import { freePort, waitFor } from '../support/condition.js'

const never = new AbortController().signal

t.test('connections are kept and used again', async (t) => {
  const { post, sockets } = await service(t, (request, response) => {
    request.resume().on('end', () => response.end('ok'))
  })
  for (let i = 0; i < 5; i += 1) t.match(await post(), { status: 200, isCut: false })
  t.equal(sockets.size, 1)
})

t.test(
  'an idle connection that the peer closed meanwhile costs nothing: the request is sent again',
  async (t) => {
    let count = 0
    const { post, sockets } = await service(t, (request, response) => {
      request.resume().on('end', () => {
        count += 1
        // As a peer does that closes what was idle: nothing is answered.
        if (count === 2) request.socket.resetAndDestroy()
        else response.end('ok')
      })
    })
    t.match(await post(), { status: 200 })
    t.match(await post(), { status: 200 })
    t.equal(count, 3)
    t.equal(sockets.size, 2)
  },
)

t.test('a fresh connection that breaks is no answer', async (t) => {
  const { post } = await service(t, (request) => request.socket.destroy())
  await t.rejects(post(), { code: 'ECONNRESET' })
})

t.test('half an answer is none', async (t) => {
  const { post } = await service(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half')
    setImmediate(() => response.destroy())
  })
  await t.rejects(post())
})

t.test('an answer is read up to its bound, and the rest is not', async (t) => {
  const { post } = await service(t, (_request, response) => {
    response.writeHead(200)
    const more = () => {
      while (response.write('x'.repeat(1000)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  })
  const { body, isCut } = await post({ maxBytes: 5000 })
  t.equal(body.length, 5000)
  t.ok(isCut)
})

t.test('a redirect is an answer, and is not followed', async (t) => {
  const seen: (string | undefined)[] = []
  const { post } = await service(t, (request, response) => {
    seen.push(request.url)
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  t.match(await post(), { status: 307 })
  t.same(seen, ['/path?token=1'])
})

t.test(
  'a change of protocol that was not asked for is an answer, and its connection is closed',
  async (t) => {
    const { post, sockets } = await service(t, (request) => {
      request.socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      )
    })
    t.match(await post(), { status: 101, isCut: false })
    await waitFor('the connection is closed', () => [...sockets].every((socket) => socket.destroyed))
  },
)

t.test('an aborted request ends with the reason, before and after its answer begins', async (t) => {
  for (const isBegun of [false, true]) {
    const abort = new AbortController()
    const { post, sockets } = await service(t, (_request, response) => {
      if (isBegun) response.writeHead(200).write('begun')
      setImmediate(() => abort.abort(new Error('not wanted')))
    })
    await t.rejects(post({ signal: abort.signal }), { message: 'not wanted' })
    await waitFor('the connection is closed', () => [...sockets].every((socket) => socket.destroyed))
  }
})

t.test('nobody there, and an address that is none, are no answers', async (t) => {
  const poster = createPoster()
  t.teardown(() => poster.close())
  const to = (url: string) =>
    poster
      .post({ url, headers: {}, body: '', maxBytes: 10, signal: never })
      .then(() => 'answered', brokenBecause)
  t.equal(await to(`http://127.0.0.1:${await freePort()}/secret`), 'ECONNREFUSED')
  t.equal(await to('http://no-such-host.invalid/secret').then((why) => /^E/.test(why)), true)
  const garbage = createTcpServer((socket) => socket.end('no HTTP\r\n\r\n')).listen(0, '127.0.0.1')
  t.teardown(() => garbage.close())
  await once(garbage, 'listening')
  t.match(await to(`http://127.0.0.1:${(garbage.address() as AddressInfo).port}/secret`), /^HPE_/)
})

t.test('Retry-After is seconds or a date, and at most an hour', async (t) => {
  const now = Date.parse('2026-01-31T09:00:00Z')
  const of = (value?: string) => retryAfterMsOf(value === undefined ? {} : { 'retry-after': value }, now)
  t.equal(of(), 0)
  t.equal(of('20'), 20_000)
  t.equal(of('Sat, 31 Jan 2026 09:02:00 GMT'), 120_000)
  t.equal(of('Sat, 31 Jan 2026 08:00:00 GMT'), 0)
  t.equal(of('soon'), 0)
  t.equal(of('-5'), 0)
  t.equal(of('99999999'), 3_600_000)
})

async function service(t: Test, listener: RequestListener) {
  const sockets = new Set<Socket>()
  const server = createServer(listener)
    .on('connection', (socket) => sockets.add(socket))
    .listen(0, '127.0.0.1')
  await once(server, 'listening')
  const poster = createPoster()
  t.teardown(() => {
    poster.close()
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/path?token=1`
  const post = (options: Partial<PostRequest> = {}) =>
    poster.post({ url, headers: {}, body: '{}', maxBytes: 100, signal: never, ...options })
  return { post, sockets }
}
