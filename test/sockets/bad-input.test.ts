import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, type RecordingSocket } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { openPolling, openRawSocket } from './raw-socket.js'

type Tap = Parameters<typeof connectSocket>[0]

/** A server, a client that misbehaves, and one in a room that is to be served throughout. */
async function serve(t: Tap) {
  const { url, app } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const bad = await connectSocket(t, url, { transports: ['websocket'] })
  const good = await connectSocket(t, url)
  await good.ask('join_chapter', { chapter_id: chapterId })
  const isServed = async () => {
    await finish(url, chapterId, 'concept')
    await good.hears('concept_completed')
    t.same(good.logged().length, 5, 'the other client is served')
  }
  return { url, app, chapterId, bad, isServed }
}
const refusals = ({ heard }: RecordingSocket) => heard.filter(({ name }) => name === 'join_failed')

const NOT_AN_ID = {
  'no payload': undefined,
  null: null,
  text: 'chapter 1',
  'a number': 1,
  'a list': [{ chapter_id: 1 }],
  'an empty object': {},
  'an id as text': { chapter_id: '1' },
  'no id': { chapter_id: null },
  'half an id': { chapter_id: 1.5 },
  'a negative id': { chapter_id: -1 },
  zero: { chapter_id: 0 },
  'an id beyond 2^53': { chapter_id: 2 ** 53 },
  'an id beyond any integer': { chapter_id: 1e300 },
  'an infinite id, which is null on the wire': { chapter_id: Number.POSITIVE_INFINITY },
  'an object as id': { chapter_id: { valueOf: 1 } },
  'a list as id': { chapter_id: [1] },
  'truth as id': { chapter_id: true },
  bytes: Buffer.from('chapter 1'),
  'bytes as id': { chapter_id: Buffer.from('1') },
}
const NOT_A_CURSOR = {
  'half a cursor': 1.5,
  'a negative cursor': -1,
  text: '3',
  null: null,
  huge: 1e300,
  list: [1],
}

t.test('a join with a bad payload is refused, in its answer and as join_failed', async (t) => {
  const { bad, isServed } = await serve(t)
  const cases = [
    ...Object.entries(NOT_AN_ID),
    ...Object.entries(NOT_A_CURSOR).map(([name, after_seq]) => [name, { chapter_id: 7, after_seq }] as const),
  ]
  for (const [name, payload] of cases) {
    const ack = await bad.ask('join_chapter', payload)
    t.match(ack, { ok: false, code: 'invalid_request', message: /payload/ }, name)
    const failed = refusals(bad).at(-1)?.payload
    t.same(failed, { chapter_id: failed.chapter_id, code: ack.code, message: ack.message }, name)
    t.ok(failed.chapter_id === null || Number.isSafeInteger(failed.chapter_id), name)
  }
  t.equal(refusals(bad).length, cases.length)
  t.match(
    await bad.ask('join_chapter', { chapter_id: 7, colour: 'red' }),
    { ok: true },
    'unknown fields are ignored',
  )
  await isServed()
})

t.test('a leave with a bad payload is refused in its answer', async (t) => {
  const { bad, isServed } = await serve(t)
  for (const [name, payload] of Object.entries(NOT_AN_ID))
    t.match(await bad.ask('leave_chapter', payload), { ok: false, code: 'invalid_request' }, name)
  t.same(refusals(bad), [])
  await isServed()
})

t.test('an acknowledgement that is not a function is never called', async (t) => {
  const { bad, chapterId, isServed } = await serve(t)
  const { socket } = bad
  for (const name of ['join_chapter', 'leave_chapter', 'refresh_token'])
    for (const rest of [[5], ['text'], [null], [{}], [[]], [{}, 5], []]) {
      socket.emit(name, { chapter_id: chapterId }, ...rest)
      socket.emit(name, ...rest)
    }
  const answer = await new Promise((resolve) => socket.emit('join_chapter', resolve))
  t.match(answer, { ok: false, code: 'invalid_request' }, 'an answer may be asked for without a payload')
  const last = await new Promise((resolve) =>
    socket.emit('join_chapter', { chapter_id: chapterId }, 5, resolve),
  )
  t.match(last, { ok: true }, 'or after too much of it')
  await isServed()
})

t.test('a token is taken while none is needed', async (t) => {
  const { bad, isServed } = await serve(t)
  for (const payload of [{ token: 'a.b.c' }, {}, null, undefined, 5])
    t.same(await bad.ask('refresh_token', payload), { ok: true })
  await isServed()
})

t.test('events that the server does not know are ignored', async (t) => {
  const { bad, isServed } = await serve(t)
  for (const name of [
    'error',
    'join',
    '__proto__',
    'constructor',
    'toString',
    '',
    'all_completed',
    'x'.repeat(9000),
  ])
    bad.socket.emit(name, { chapter_id: 1 })
  t.same(await bad.ask('refresh_token', {}), { ok: true })
  t.ok(bad.socket.connected)
  await isServed()
})

t.test('two thousand joins at once are all answered, and other clients do not wait', async (t) => {
  const { bad, chapterId, isServed } = await serve(t)
  const answers: { ok: boolean; code?: string }[] = []
  const take = (answer: { ok: boolean; code?: string }) => answers.push(answer)
  for (let index = 0; index < 2000; index++)
    bad.socket.emit('join_chapter', { chapter_id: chapterId + index }, take)
  await isServed()
  await waitFor('all are answered', () => answers.length === 2000, { timeoutMs: 60_000 })
  t.equal(answers.filter(({ ok }) => ok).length, 100)
  t.equal(answers.filter(({ code }) => code === 'too_many_rooms').length, 1900)
  t.equal(refusals(bad).length, 1900)
})

t.test('thousands of joins and leaves of one chapter are bounded as well', async (t) => {
  const { bad, chapterId, isServed } = await serve(t)
  const answers: { ok: boolean; code?: string }[] = []
  const take = (answer: { ok: boolean; code?: string }) => answers.push(answer)
  for (let index = 0; index < 1500; index++)
    for (const name of ['join_chapter', 'leave_chapter'])
      bad.socket.emit(name, { chapter_id: chapterId }, take)
  await isServed()
  await waitFor('all are answered', () => answers.length === 3000, { timeoutMs: 60_000 })
  t.ok(answers.every(({ ok, code }) => ok || code === 'too_many_requests'))
  t.ok(answers.some(({ ok }) => ok))
})

t.test('a payload that is too large ends its connection, and no other', async (t) => {
  const { url, app, bad, isServed } = await serve(t)
  const polls = await connectSocket(t, url, { transports: ['polling'], reconnection: false })
  for (const { socket } of [bad, polls]) {
    socket.io.reconnection(false)
    const ended = new Promise((resolve) => socket.once('disconnect', resolve))
    socket.emit('join_chapter', { chapter_id: 1, filler: 'x'.repeat(20_000) })
    t.match(await ended, /transport (close|error)/)
  }
  await waitFor('only the other is left', () => app.io.sockets.sockets.size === 1)
  await isServed()
})

t.test('what is not Socket.IO ends its connection, and no other', async (t) => {
  const { app, bad, isServed } = await serve(t)
  bad.socket.io.reconnection(false)
  const ended = new Promise((resolve) => bad.socket.once('disconnect', resolve))
  bad.socket.io.engine.write('2{"not":"an event"}')
  await ended
  await waitFor('only the other is left', () => app.io.sockets.sockets.size === 1)
  await isServed()
})

t.test('a client that says hello a hundred times at once gets one place, or none', async (t) => {
  const { url, app, chapterId, isServed } = await serve(t)
  const before = app.io.sockets.sockets.size
  const first = await openPolling(url)
  await first.send('40')
  const [, pid] = /"pid":"([^"]+)"/.exec(await first.poll()) ?? []
  await first.send(`42["join_chapter",{"chapter_id":${chapterId}}]`)
  await first.poll()
  for (const hello of ['40', `40{"pid":"${pid}"}`]) {
    const again = await openPolling(url)
    await again.send(Array(100).fill(hello).join('\x1e'))
    // Over, or still open with one socket: which it is depends on how quickly the first was admitted.
    await again.poll()
    t.ok(app.io.sockets.sockets.size <= before + 2, `${app.io.sockets.sockets.size} sockets`)
  }
  await isServed()
})

t.test('what a client says in the wrong order or place ends its own connection at most', async (t) => {
  const { url, isServed } = await serve(t)
  const packets = [
    ...[
      '43999999999["x"]',
      '430[]',
      '43["x"]',
      '45999999999-["x"]',
      '459-["x",{"_placeholder":true,"num":0}]',
    ],
    ...[
      '42["disconnect"]',
      '42["connect"]',
      '42["newListener",1]',
      '42[1]',
      '42[null]',
      '42[]',
      '42{}',
      '42',
      '4',
    ],
    ...[
      '',
      '9',
      '1',
      '2probe',
      '3',
      '5',
      '6',
      '44{"message":"x"}',
      '40/x,{}',
      '40[]',
      '40null',
      '41',
      '41/x,',
    ],
    ...[
      `42["join_chapter",${'['.repeat(7000)}${']'.repeat(7000)}]`,
      '42999999999999999999["join_chapter",{}]',
    ],
  ]
  for (const isConnected of [true, false])
    for (const packet of packets) {
      const raw = await openRawSocket(t, url)
      if (isConnected) raw.socket.send('40')
      raw.socket.send(packet)
      raw.socket.send(Buffer.from([0, 1, 2]))
      raw.socket.send('42["join_chapter",{"chapter_id":1}]')
    }
  await isServed()
})
