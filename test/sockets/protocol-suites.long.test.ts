/**
 * The public test suites of Engine.IO v4 and Socket.IO v5 (socketio/engine.io-protocol and socketio/socket.io-protocol,
 * `test-suite/`), written anew against this server. What had to be adapted:
 *
 * - The suites want a server that echoes `message` and tells `auth`; this one answers `leave_chapter`, and tells
 *   `connection_established`. So an echo is an acknowledgement here, and a packet with binary attachments is refused
 *   (no payload of ours has any) rather than sent back.
 * - There is one namespace. A custom one is refused as an unknown one is.
 * - Path `/socket.io/`, the default intervals (25 s and 20 s) and 16,000 bytes instead of the suites’ own. The heartbeat
 *   is tried on a server of its own whose intervals are as short as the suites’.
 * - PUT and DELETE on the path, and a second poll while one is open, may be any 4xx.
 */
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { buildTestApp } from '../support/app.js'
import { waitFor } from '../support/condition.js'

const { url, app } = await buildTestApp(t)
const polling = `${url}/socket.io/?EIO=4&transport=polling`
const websocket = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`
const [PING_INTERVAL, PING_TIMEOUT] = [300, 200]

interface Client {
  socket: WebSocket
  /** Everything but heartbeats, in the order it came. */
  packets: (string | Buffer)[]
  isClosed: () => boolean
}

function open(t: Test, address: string): Client {
  const socket = new WebSocket(address)
  t.teardown(() => socket.terminate())
  const packets: (string | Buffer)[] = []
  let isClosed = false
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) packets.push(data)
    else if (String(data) !== '2') packets.push(String(data))
  })
  socket.on('close', () => {
    isClosed = true
  })
  socket.on('error', () => {})
  return { socket, packets, isClosed: () => isClosed }
}

async function openSession(t: Test): Promise<Client> {
  const client = open(t, websocket)
  await waitFor('the handshake', () => client.packets.shift())
  return client
}

async function connect(t: Test): Promise<Client> {
  const client = await openSession(t)
  client.socket.send('40')
  await waitFor('both first packets', () => client.packets.length === 2)
  client.packets.length = 0
  return client
}

async function pollingSession(): Promise<string> {
  const opened = await (await fetch(polling)).text()
  return `${polling}&sid=${JSON.parse(opened.slice(1)).sid}`
}

const statusOf = async (address: string, method = 'GET', body?: string) =>
  (await fetch(address, { method, ...(body === undefined ? {} : { body }) })).status
const isClosed = (client: Client) => waitFor('the connection to be closed', client.isClosed)
const next = (client: Client) => waitFor('a packet', () => client.packets.shift())
const LEAVE = ['leave_chapter', { chapter_id: 7 }]
const LEFT = [{ ok: true, chapter_id: 7 }]

t.test('Engine.IO: a session is opened over both transports', async (t) => {
  const opened = await fetch(polling)
  t.equal(opened.status, 200)
  const client = open(t, websocket)
  for (const [text, upgrades] of [
    [await opened.text(), ['websocket']],
    [String(await next(client)), []],
  ] as const) {
    t.equal(text[0], '0')
    const { sid, ...rest } = JSON.parse(text.slice(1))
    t.type(sid, 'string')
    t.strictSame(rest, {
      upgrades: [...upgrades],
      pingInterval: 25_000,
      pingTimeout: 20_000,
      maxPayload: 16_000,
    })
  }
})

t.test('Engine.IO: a handshake with another version, transport or method is refused', async (t) => {
  for (const query of ['transport=polling', 'EIO=abc&transport=polling', 'EIO=4', 'EIO=4&transport=abc']) {
    t.equal(await statusOf(`${url}/socket.io/?${query}`), 400, query)
    await isClosed(
      open(t, `${url.replace('http', 'ws')}/socket.io/?${query.replace('polling', 'websocket')}`),
    )
  }
  for (const method of ['POST', 'PUT']) {
    const status = await statusOf(polling, method)
    t.ok(status >= 400 && status < 500, `${method}: ${status}`)
  }
})

t.test('Engine.IO: one packet, several, and a binary one are taken over long-polling', async (t) => {
  const session = await pollingSession()
  const push = async (body: string) => {
    const answer = await fetch(session, { method: 'POST', body })
    t.equal(answer.status, 200)
    t.equal(await answer.text(), 'ok')
  }
  const poll = async () => (await (await fetch(session)).text()).split('\x1e')
  const heard: string[] = []
  const hears = async (count: number) => {
    while (heard.length < count) heard.push(...(await poll()).filter((packet) => packet !== '2'))
    return heard.splice(0)
  }
  await push('40')
  t.match((await hears(2))[1], /^42\["connection_established"/)
  const leave = (id: number) => `42${id}${JSON.stringify(LEAVE)}`
  await push(leave(0))
  t.strictSame(await hears(1), [`430${JSON.stringify(LEFT)}`])
  await push([1, 2, 3].map(leave).join('\x1e'))
  t.strictSame(
    await hears(3),
    [1, 2, 3].map((id) => `43${id}${JSON.stringify(LEFT)}`),
  )
  await push('4519-["leave_chapter",{"_placeholder":true,"num":0}]\x1ebAQIDBA=='.replace('4519-', '451-9'))
  t.match(await hears(1), [/^439\[{"ok":false/])
})

t.test('Engine.IO: an invalid packet closes its session over both transports', async (t) => {
  const session = await pollingSession()
  await fetch(session, { method: 'POST', body: 'abc' }).catch(() => {})
  t.equal(await statusOf(session), 400)
  const client = await openSession(t)
  client.socket.send('abc')
  await isClosed(client)
})

t.test('Engine.IO: two polls of one session at once close it', async (t) => {
  const session = await pollingSession()
  const polls = [fetch(session), fetch(`${session}&t=burst`)]
  const statuses = (await Promise.all(polls)).map(({ status }) => status).sort()
  t.equal(statuses[0], 200)
  t.ok((statuses[1] ?? 0) >= 400)
  t.equal(await statusOf(session), 400)
})

t.test('Engine.IO: a close packet closes the session over both transports', async (t) => {
  const session = await pollingSession()
  const polled = fetch(session)
  await statusOf(session, 'POST', '1')
  t.equal(await (await polled).text(), '6')
  t.equal(await statusOf(session), 400)
  const client = await openSession(t)
  client.socket.send('1')
  await isClosed(client)
})

t.test(
  'Engine.IO: an upgrade takes the session over, and the sid is good for nothing else then',
  async (t) => {
    const session = await pollingSession()
    const sid = new URL(session).searchParams.get('sid')
    const client = open(t, `${websocket}&sid=${sid}`)
    await waitFor('it is open', () => client.socket.readyState === WebSocket.OPEN)
    client.socket.send('2probe')
    t.equal(await next(client), '3probe')
    const polled = await fetch(session)
    t.equal(await polled.text(), '6', 'a poll that is open ends')
    client.socket.send('5')
    client.socket.send('40')
    t.match(await next(client), /^40/)
    t.equal(await statusOf(session), 400)
    await isClosed(open(t, `${websocket}&sid=${sid}`))
    client.socket.send(`421${JSON.stringify(LEAVE)}`)
    await waitFor('an answer', () => client.packets.includes(`431${JSON.stringify(LEFT)}`))
  },
)

t.test('Engine.IO: heartbeats keep a session, and a client that answers none is closed', async (t) => {
  const { opts } = app.io.engine as unknown as { opts: { pingInterval: number; pingTimeout: number } }
  const usual = { ...opts }
  t.teardown(() => Object.assign(opts, usual))
  Object.assign(opts, { pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, connectTimeout: 60_000 })
  const session = await pollingSession()
  for (let beat = 0; beat < 3; beat++) {
    t.equal(await (await fetch(session)).text(), '2')
    t.equal(await statusOf(session, 'POST', '3'), 200)
  }
  await waitFor('the silent session to be closed', async () => (await statusOf(session)) === 400)
  const client = open(t, websocket)
  let beats = 0
  client.socket.on('message', (data) => {
    if (String(data) !== '2') return
    beats += 1
    if (beats <= 3) client.socket.send('3')
  })
  await isClosed(client)
  t.ok(beats >= 4, `${beats} heartbeats`)
})

t.test('Socket.IO: a client connects to the main namespace, with a payload or without', async (t) => {
  for (const packet of ['40', '40{"token":"123"}']) {
    const client = await openSession(t)
    client.socket.send(packet)
    const { sid, pid, ...rest } = JSON.parse(String(await next(client)).slice(2))
    t.type(sid, 'string')
    t.type(pid, 'string')
    t.strictSame(rest, {})
    t.equal(await next(client), '42["connection_established",{"status":"connected"}]')
  }
})

t.test('Socket.IO: another namespace is refused, and the main one goes on', async (t) => {
  const client = await connect(t)
  for (const namespace of ['/random', '/custom']) {
    client.socket.send(`40${namespace},{"token":"abc"}`)
    t.equal(await next(client), `44${namespace},{"message":"Invalid namespace"}`)
  }
  client.socket.send(`421${JSON.stringify(LEAVE)}`)
  t.equal(await next(client), `431${JSON.stringify(LEFT)}`)
})

t.test('Socket.IO: an invalid packet closes the connection, before and after its handshake', async (t) => {
  for (const packet of ['4abc', '42{}', '42abc["leave_chapter",{}]']) {
    for (const client of [await openSession(t), await connect(t)]) {
      client.socket.send(packet)
      await isClosed(client)
    }
  }
})

t.test('Socket.IO: a connection without a handshake is closed', { timeout: 90_000 }, async (t) => {
  const client = await openSession(t)
  await waitFor('it to be closed', client.isClosed, { timeoutMs: 60_000, everyMs: 50 })
})

t.test('Socket.IO: a client leaves the main namespace and may come back', async (t) => {
  const client = await connect(t)
  client.socket.send('41')
  client.socket.send('40')
  t.match(await next(client), /^40{"sid"/)
  t.notOk(client.isClosed())
})

t.test(
  'Socket.IO: events are answered, with text, with binary attachments, and without an ack',
  async (t) => {
    const client = await connect(t)
    client.socket.send(`42456${JSON.stringify(LEAVE)}`)
    t.equal(await next(client), `43456${JSON.stringify(LEFT)}`)
    client.socket.send('452-789["leave_chapter",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    client.socket.send(Uint8Array.from([1, 2, 3]))
    client.socket.send(Uint8Array.from([4, 5, 6]))
    t.match(await next(client), /^43789\[{"ok":false,"code":"invalid_request"/)
    client.socket.send('42["message",1,"2",{"3":[true]}]')
    client.socket.send(`421${JSON.stringify(LEAVE)}`)
    t.equal(await next(client), `431${JSON.stringify(LEFT)}`, 'an unknown event is ignored')
  },
)
