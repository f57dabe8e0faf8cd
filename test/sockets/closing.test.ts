import { once } from 'node:events'
import { Agent, get as getHttp, request as requestHttp } from 'node:http'
import { connect } from 'node:net'
import postgres from 'postgres'
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp, type TestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, request } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { connectPostgres, postgresUrl } from '../support/database.js'
import { joinAndStopPolling, joinAndStopReading, openPolling, openRawSocket } from './raw-socket.js'
import { openEvents } from './sse-client.js'

type Tap = Parameters<typeof connectSocket>[0]

/** Without a deadline of the server's own, what holds a close does so for half a minute, or for ever. */
const SOON_MS = 20_000

async function closesSoon({ close }: TestApp): Promise<void> {
  await waitFor('the server is closed', () => close().then(() => true), { timeoutMs: SOON_MS })
}

for (const transport of ['websocket', 'polling'])
  t.test(
    `when a server closes, its clients (${transport}) come back to the next one by themselves`,
    async (t) => {
      const [port, database] = [String(await freePort()), await postgresUrl(t)]
      const node = () => buildTestApp(t, { PORT: port }, { database: connectPostgres(t, database) })
      const first = await node()
      const { url } = first
      const chapterId = await createChapter(url)
      const client = await connectSocket(t, url, { transports: [transport], auth: { resume: false } })
      let lastSeq = 0
      client.socket.onAny((_name, payload) => {
        lastSeq = payload.seq ?? lastSeq
      })
      const join = () => client.ask('join_chapter', { chapter_id: chapterId, after_seq: lastSeq })
      await join()
      const reasons: string[] = []
      client.socket.on('disconnect', (reason) => reasons.push(reason))
      client.socket.on('connect', join)

      await closesSoon(first)
      await waitFor('the client is told', () => reasons.length > 0)
      t.same(reasons, ['transport close'], 'not "io server disconnect", after which it would stay away')
      await node()
      await finish(url, chapterId, 'concept')
      await client.hears('concept_completed')
      t.same(
        client.heard.flatMap(({ payload }) => payload.seq ?? []),
        [1, 2, 3, 4, 5],
      )
    },
  )

const WAYS = {
  websocket: joinTooLate,
  'websocket, by a process that stands still': (t: Tap, server: TestApp, join: string) =>
    joinTooLate(t, server, join, 700),
  polling: joinAfterTheLastPoll,
}
for (const [way, joinLate] of Object.entries(WAYS))
  t.test(`a join (${way}) that was on its way when its node closed is not lost`, async (t) => {
    const database = await postgresUrl(t)
    const node = () => buildTestApp(t, {}, { database: connectPostgres(t, database) })
    const [first, second] = await Promise.all([node(), node()])
    const chapterId = await createChapter(first.url)
    const join = `42["join_chapter",{"chapter_id":${chapterId}}]`
    const pid = await joinLate(t, first, join)

    const again = await openRawSocket(t, second.url)
    again.socket.send(`40{"pid":"${pid}"}`)
    await waitFor('it is in the room', () =>
      again.packets.some((packet) => packet.includes('joined_chapter')),
    )
    await waitFor('and is told', () => again.packets.some((packet) => packet.includes('quiz_processing')))
  })

t.test('joins that wait for the log when their node closes are not lost', async (t) => {
  const database = await postgresUrl(t)
  const node = () => buildTestApp(t, {}, { database: connectPostgres(t, database) })
  const [first, second] = await Promise.all([node(), node()])
  const chapters = [await createChapter(first.url), await createChapter(first.url)]
  const { socket, packets } = await openRawSocket(t, first.url)
  socket.send('40')
  await waitFor('it is connected', () => packets.some((packet) => packet.startsWith('40')))
  const holder = postgres(database, { max: 1, onnotice() {} })
  t.teardown(() => holder.end())
  await holder.begin(async (sql) => {
    await sql`lock table event`
    // One is being read, the next gathers behind it.
    for (const id of chapters) socket.send(`42["join_chapter",{"chapter_id":${id}}]`)
    void first.close()
    await once(socket, 'close')
  })
  await first.close()

  const again = await openRawSocket(t, second.url)
  again.socket.send(`40{"pid":"${pidOf(packets.join())}"}`)
  for (const id of chapters)
    await waitFor(`chapter ${id} is joined`, () =>
      again.packets.some((packet) => packet.includes(`joined_chapter",{"chapter_id":${id},`)),
    )
})

/** Sent before the client has seen that the server closes its websocket. @returns the session’s id */
async function joinTooLate(t: Tap, server: TestApp, join: string, standstillMs = 0): Promise<string> {
  const { socket, packets } = await openRawSocket(t, server.url)
  socket.send('40')
  await waitFor('it is connected', () => packets.some((packet) => packet.startsWith('40')))
  const [{ conn }] = server.app.io.sockets.sockets.values() as unknown as [{ conn: EngineConnection }]
  socket.pause()
  void server.close()
  await waitFor('its websocket is being closed', () => conn.transport.socket.readyState === socket.CLOSING)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, standstillMs)
  socket.send(join)
  socket.resume()
  await once(socket, 'close')
  // A stock client comes back half a second later at the earliest.
  await server.close()
  return pidOf(packets.join('\n'))
}

/** Posted when the last poll was answered with the end, which the client has not seen. */
async function joinAfterTheLastPoll(_t: Tap, server: TestApp, join: string): Promise<string> {
  const session = await openPolling(server.url)
  await session.send('40')
  let heard = ''
  while (!heard.includes('connection_established')) heard += await session.poll()
  const last = session.poll()
  void server.close()
  t.equal(await last, '1', 'the end')
  t.equal(await session.send(join), 'ok')
  await server.close()
  return pidOf(heard)
}

interface EngineConnection {
  transport: { socket: { readyState: number } }
}

function pidOf(packets: string): string {
  return /"pid":"([^"]+)"/.exec(packets)?.[1] ?? ''
}

t.test('a hundred clients are told quickly', async (t) => {
  const server = await buildTestApp(t)
  const clients = await Promise.all(
    Array.from({ length: 100 }, () =>
      connectSocket(t, server.url, { transports: ['websocket'], reconnection: false }),
    ),
  )
  const reasons = clients.map(({ socket }) => new Promise((resolve) => socket.once('disconnect', resolve)))
  await closesSoon(server)
  t.same([...new Set(await Promise.all(reasons))], ['transport close'])
})

t.test('while a server closes it refuses new sessions, and tells load balancers', async (t) => {
  const server = await buildTestApp(t)
  const { url, app } = server
  await joinAndStopPolling(url, await createChapter(url))
  // What waits for a client that does not poll gives the time to ask.
  app.io.local.emit('progress_update', { chapter_id: 1, progress: 1, message: '' })
  const statusOf = async (path: string) => (await fetch(url + path)).status
  t.equal(await statusOf('/readyz'), 200)
  const closing = closesSoon(server)
  await waitFor('it says so', async () => (await statusOf('/readyz')) === 503)
  t.equal(await statusOf('/socket.io/?EIO=4&transport=polling'), 403, 'which clients try again')
  t.equal(await statusOf('/v1/chapter/1'), 503)
  await closing
})

const HOLDERS: Record<string, (t: Tap, server: TestApp) => Promise<unknown>> = {
  'a client that stopped reading': async (t, { url, app }) => {
    const raw = await joinAndStopReading(t, url, await createChapter(url))
    app.io.local.emit('progress_update', { chapter_id: 1, progress: 1, message: 'x'.repeat(10_000_000) })
    return raw
  },
  'a client that stopped polling': async (_t, { url, app }) => {
    await joinAndStopPolling(url, await createChapter(url))
    app.io.local.emit('progress_update', { chapter_id: 1, progress: 1, message: 'x'.repeat(10_000) })
  },
  'a session that never connected to a namespace': (t, { url }) => openRawSocket(t, url),
  'a session that left its namespace': async (t, { url, app }) => {
    const raw = await openRawSocket(t, url)
    raw.socket.send('40')
    await waitFor('it is connected', () => app.io.sockets.sockets.size === 1)
    raw.socket.send('41')
    await waitFor('it has left', () => app.io.sockets.sockets.size === 0)
  },
  'a connection on which nothing was ever said': async (t, { url }) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    await request(`${url}/healthz`)
  },
  'half a request': async (t, { url }) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    socket.write(
      'POST /v1/chapter/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    )
    await request(`${url}/healthz`)
  },
  'an answer on a connection that is kept alive': async (t, { url }) => {
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    getHttp(`${url}/healthz`, { agent }, (response) => response.resume()).on('error', () => {})
    const create = requestHttp(`${url}/v1/chapter/`, {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    create.on('response', (response) => response.resume()).on('error', () => {})
    create.end(JSON.stringify(CREATE_EXAMPLE))
    await once(create, 'finish')
  },
}

// Side by side: each waits for the server’s deadline.
t.jobs = Object.keys(HOLDERS).length
for (const [holder, hold] of Object.entries(HOLDERS))
  t.test(`${holder} does not hold a closing server for long`, { buffered: true }, async (t) => {
    const server = await buildTestApp(t)
    await hold(t, server)
    await closesSoon(server)
  })

t.test('streams of server-sent events end when the server closes', async (t) => {
  const server = await buildTestApp(t)
  const stream = await openEvents(t, `${server.url}/v1/chapter/${await createChapter(server.url)}/events`)
  await stream.hears('quiz_processing')
  await closesSoon(server)
  await stream.ended
  t.same(stream.ids(), [1, 2, 3, 4])
})
