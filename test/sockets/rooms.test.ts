import t from 'tap'
import { buildTestApp, testClock } from '../support/app.js'
import {
  connectSocket,
  createChapter,
  finish,
  post,
  type RecordingSocket,
  request,
} from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { untilPublished } from '../support/views.js'

const CREATED = ['chapter_processing_started', 'concept_processing', 'exercise_processing', 'quiz_processing']
const seqsOf = ({ heard }: RecordingSocket, chapterId?: number) =>
  heard
    .filter(({ payload }) => payload.seq && (!chapterId || payload.chapter_id === chapterId))
    .map(({ payload }) => payload.seq)
const namesOf = ({ heard }: RecordingSocket) => heard.map(({ name }) => name)
/** Packets of a connection keep their order: what was sent to it before was heard when this is answered. */
const marker = (client: RecordingSocket) => client.ask('refresh_token', { token: 'marker' })

t.test(
  'a client hears where the chapter stands, what it missed, the progress, then what happens',
  async (t) => {
    const { url } = await buildTestApp(t)
    const chapterId = await createChapter(url)
    await untilPublished(url, chapterId)
    await post(`${url}/v1/chapter/${chapterId}/progress`, { progress: 20, message: 'Outlining' })
    await post(`${url}/v1/chapter/${chapterId}/progress`, {
      progress: 60,
      message: 'Writing',
      kind: 'concept',
    })
    const client = await connectSocket(t, url)
    const ack = await client.ask('join_chapter', { chapter_id: chapterId })
    await finish(url, chapterId, 'concept')
    await client.hears('progress_update', ({ kind_progress }) => kind_progress === 100)

    t.same(namesOf(client), [
      'connection_established',
      'joined_chapter',
      ...CREATED,
      'concept_started',
      'progress_update',
      'concept_completed',
      'progress_update',
    ])
    const [established, joined] = client.heard
    t.same(established?.payload, { status: 'connected' })
    t.same(joined?.payload, { chapter_id: chapterId, status: 'processing', progress: 20, last_seq: 5 })
    t.same(ack, { ok: true, ...joined?.payload })
    t.match(client.heard[7]?.payload, {
      progress: 20,
      message: 'Writing',
      kind: 'concept',
      kind_progress: 60,
    })
  },
)

t.test('a client that comes back with after_seq hears what it missed and no more', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, chapterId, kind)
  for (let after = 0; after <= 8; after++) {
    const client = await connectSocket(t, url)
    const ack = await client.ask('join_chapter', { chapter_id: chapterId, after_seq: after })
    await marker(client)
    t.same(seqsOf(client), [1, 2, 3, 4, 5, 6, 7, 8].slice(after), `after ${after}`)
    t.same(ack, { ok: true, chapter_id: chapterId, status: 'completed', progress: 100, last_seq: 8 })
    client.socket.disconnect()
  }
})

t.test('a cursor from another life of the chapter is reset, and everything is replayed', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  for (const after of [5, Number.MAX_SAFE_INTEGER]) {
    const client = await connectSocket(t, url)
    const ack = await client.ask('join_chapter', { chapter_id: chapterId, after_seq: after })
    t.match(ack, { ok: true, last_seq: 4, reset: true })
    t.match(await client.hears('joined_chapter'), { last_seq: 4, reset: true })
    await marker(client)
    t.same(seqsOf(client), [1, 2, 3, 4])
  }
})

t.test('a chapter may be joined before it exists, and is heard from its first event on', async (t) => {
  const { url } = await buildTestApp(t)
  const next = (await createChapter(url)) + 1
  const client = await connectSocket(t, url)
  t.same(await client.ask('join_chapter', { chapter_id: next }), { ok: true, chapter_id: next })
  t.same(await client.hears('joined_chapter'), { chapter_id: next })
  t.equal(await createChapter(url), next)
  await client.hears('quiz_processing')
  t.same(client.logged(next), CREATED)
  const again = await client.ask('join_chapter', { chapter_id: next })
  t.match(
    again,
    { ok: true, status: 'processing', last_seq: 4 },
    'joined again it tells where the chapter stands',
  )
})

t.test('joining a room one is in replays nothing', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: chapterId })
  await finish(url, chapterId, 'concept')
  const ack = await client.ask('join_chapter', { chapter_id: chapterId, after_seq: 0 })
  t.match(ack, { ok: true, last_seq: 5 })
  await finish(url, chapterId, 'exercise')
  await client.hears('exercise_completed')
  t.same(seqsOf(client), [1, 2, 3, 4, 5, 6])
  t.equal(namesOf(client).filter((name) => name === 'joined_chapter').length, 2)
})

t.test('joins and leaves take effect in the order sent, without waiting for answers', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const of = { chapter_id: chapterId }

  const stays = await connectSocket(t, url)
  for (const name of ['join_chapter', 'leave_chapter', 'join_chapter']) stays.socket.emit(name, of)
  const leaves = await connectSocket(t, url)
  for (const name of ['join_chapter', 'join_chapter', 'leave_chapter']) leaves.socket.emit(name, of)
  await Promise.all([marker(stays), marker(leaves)])
  t.same(await leaves.ask('leave_chapter', of), { ok: true, ...of }, 'leaving twice is leaving')
  await stays.hears('joined_chapter')
  await waitFor('the second join', () => seqsOf(stays).length === 8)

  await finish(url, chapterId, 'concept')
  await Promise.all([stays.hears('concept_completed'), marker(leaves)])
  t.same(seqsOf(stays), [1, 2, 3, 4, 1, 2, 3, 4, 5])
  t.same(seqsOf(leaves), [1, 2, 3, 4])
  t.same(namesOf(leaves).filter((name) => name === 'joined_chapter').length, 2)
})

t.test('who left hears nothing more, and others hear on', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const [stays, leaves] = [await connectSocket(t, url), await connectSocket(t, url)]
  for (const client of [stays, leaves]) await client.ask('join_chapter', { chapter_id: chapterId })
  t.same(await leaves.ask('leave_chapter', { chapter_id: chapterId }), { ok: true, chapter_id: chapterId })
  await finish(url, chapterId, 'concept')
  await stays.hears('concept_completed')
  await marker(leaves)
  t.same(seqsOf(leaves), [1, 2, 3, 4])
  t.match(await leaves.ask('join_chapter', { chapter_id: chapterId, after_seq: 4 }), {
    ok: true,
    last_seq: 5,
  })
  await marker(leaves)
  t.same(seqsOf(leaves), [1, 2, 3, 4, 5], 'and comes back without a gap')
})

t.test(
  'a room that everybody left is left by the feed as well, and joined again misses nothing',
  async (t) => {
    const { url } = await buildTestApp(t)
    const chapterId = await createChapter(url)
    const client = await connectSocket(t, url)
    for (const [after, kind] of [
      [0, 'concept'],
      [4, 'exercise'],
      [5, 'quiz'],
    ] as const) {
      await client.ask('join_chapter', { chapter_id: chapterId, after_seq: after })
      await client.ask('leave_chapter', { chapter_id: chapterId })
      await finish(url, chapterId, kind)
    }
    await client.ask('join_chapter', { chapter_id: chapterId, after_seq: 6 })
    await client.hears('all_completed')
    t.same(seqsOf(client), [1, 2, 3, 4, 5, 6, 7, 8])
  },
)

t.test('clients of one room have cursors of their own', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  await finish(url, chapterId, 'concept')
  const clients = await Promise.all([0, 3, 5].map(() => connectSocket(t, url)))
  await Promise.all(
    clients.map((client, index) =>
      client.ask('join_chapter', { chapter_id: chapterId, after_seq: [0, 3, 5][index] }),
    ),
  )
  await finish(url, chapterId, 'exercise')
  await Promise.all(clients.map((client) => client.hears('exercise_completed')))
  t.same(
    clients.map((client) => seqsOf(client)),
    [[1, 2, 3, 4, 5, 6], [4, 5, 6], [6]],
  )
})

t.test('one connection may be in a hundred chapters; for one more it leaves one first', async (t) => {
  const { url } = await buildTestApp(t)
  const first = await createChapter(url)
  const client = await connectSocket(t, url)
  const join = (chapterId: number) => client.ask('join_chapter', { chapter_id: chapterId })
  const acks = await Promise.all(Array.from({ length: 100 }, (_, index) => join(first + index)))
  t.ok(acks.every(({ ok }) => ok))

  const refused = await join(first + 100)
  t.match(refused, { ok: false, code: 'too_many_rooms', message: String })
  t.match(await client.hears('join_failed'), { chapter_id: first + 100, code: 'too_many_rooms' })
  t.match(await join(first), { ok: true }, 'a room it is in may be joined again')

  client.socket.emit('leave_chapter', { chapter_id: first + 99 })
  t.match(await join(first + 100), { ok: true }, 'the answer to the leave need not be awaited')
  t.match(await join(first + 99), { ok: false, code: 'too_many_rooms' })
  await finish(url, first, 'concept')
  await client.hears('concept_completed')
})

for (const transport of ['polling', 'websocket'])
  t.test(`a client that speaks ${transport} only hears the whole chapter`, async (t) => {
    const { url } = await buildTestApp(t)
    const chapterId = await createChapter(url)
    const client = await connectSocket(t, url, { transports: [transport] })
    t.match(await client.ask('join_chapter', { chapter_id: chapterId }), { ok: true })
    for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, chapterId, kind)
    await client.hears('all_completed')
    t.same(seqsOf(client), [1, 2, 3, 4, 5, 6, 7, 8])
    t.equal(client.socket.io.engine.transport.name, transport)
  })

t.test('a client that disconnects while it joins leaves nothing behind', async (t) => {
  const { url, app } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const stays = await connectSocket(t, url)
  for (let round = 0; round < 20; round++) {
    const goes = await connectSocket(t, url, { transports: ['websocket'] })
    for (let other = 0; other < 10; other++)
      goes.socket.emit('join_chapter', { chapter_id: chapterId + other })
    await goes.ask('refresh_token', { token: '' })
    goes.socket.disconnect()
  }
  await waitFor('they are gone', () => app.io.sockets.sockets.size === 1)
  t.match(await stays.ask('join_chapter', { chapter_id: chapterId }), { ok: true })
  t.same(
    [...app.io.sockets.adapter.rooms.keys()].filter((room) => room.startsWith('chapter_')),
    [`chapter_${chapterId}`],
  )
  await finish(url, chapterId, 'concept')
  await stays.hears('concept_completed')
  t.same(seqsOf(stays), [1, 2, 3, 4, 5])
})

t.test('a chapter whose log was deleted is joined without a replay', async (t) => {
  const clock = testClock()
  const env = { EVENT_RETENTION_MS: '60000', GENERATION_TIMEOUT_MS: '3600000' }
  const { url } = await buildTestApp(t, env, { now: clock.now })
  const chapterId = await createChapter(url)
  const stays = await connectSocket(t, url)
  await stays.ask('join_chapter', { chapter_id: chapterId })
  for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, chapterId, kind)
  clock.advance(60_001)
  const list = await waitFor('the log is deleted', async () => {
    const { body } = await request(`${url}/v1/chapter/${chapterId}/events`)
    return body.expired && body
  })
  t.same(list, { events: [], last_seq: 8, expired: true })

  for (const after of [0, 5, 8]) {
    const client = await connectSocket(t, url)
    const ack = await client.ask('join_chapter', { chapter_id: chapterId, after_seq: after })
    await marker(client)
    t.same(ack, {
      ok: true,
      chapter_id: chapterId,
      status: 'completed',
      progress: 100,
      last_seq: 8,
      expired: true,
    })
    t.same({ ok: true, ...(await client.hears('joined_chapter')) }, ack)
    t.same(seqsOf(client), [])
  }
  t.same(seqsOf(stays), [1, 2, 3, 4, 5, 6, 7, 8])
})
