/**
 * A chapter is erased: its rooms on every node hear of it and are empty, nothing of it is left, and whoever comes late
 * is told that there is none.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { openEvents } from '../sockets/sse-client.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { embeddedDatabase } from '../support/database.js'
import { scale } from '../support/scale.js'
import { startNodes } from '../support/three-nodes.js'
import { eventNamesOf, finishAll, viewJob } from '../support/views.js'
import { query } from '../support/watch.js'

const erase = async (url: string, id: number) =>
  (await fetch(`${url}/v1/chapter/${id}`, { method: 'DELETE' })).status

const TABLES = [
  'concept',
  'exercise',
  'quiz',
  'job',
  'event',
  'dead_letter',
  'idempotency_key',
  'attempt',
  'revision',
]

async function nothingLeft(t: Test, databaseUrl: string): Promise<void> {
  for (const table of ['chapter', ...TABLES]) {
    const [row] = await query<{ count: string }>(databaseUrl, `select count(*) from ${table}`)
    t.equal(Number(row?.count), 0, table)
  }
}

t.test('every room hears of it, on any node, and nothing is left', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 3)
  const urls = nodes.map(({ url }) => url)
  const [url = ''] = urls
  const key = { 'idempotency-key': 'one' }
  const create = () => post(`${url}/v1/chapter/`, { course_id: 1, owner_id: 1, title: 'x' }, key)
  const id = (await create()).body.chapter_id as number
  await finishAll(url, id)
  await post(`${url}/v1/chapter/${id}/quiz/regenerate`, { instruction: 'again' })
  const work = await viewJob(url, id, 'quiz')
  await post(`${url}/v1/chapter/${id}/quiz-fail`, { error: 'x', job_id: work.job_id, attempt: 1 })
  const sockets = await Promise.all(urls.map((each) => connectSocket(t, each)))
  for (const socket of sockets) t.match(await socket.ask('join_chapter', { chapter_id: id }), { ok: true })
  const streams = await Promise.all(urls.map((each) => openEvents(t, `${each}/v1/chapter/${id}/events`)))
  for (const stream of streams) await stream.hears('quiz_processing')

  t.equal(await erase(urls[1] ?? '', id), 204)
  for (const socket of sockets) {
    t.match(await socket.hears('chapter_deleted'), { chapter_id: id, message: '챕터가 삭제되었습니다.' })
    t.equal(socket.logged(id).at(-1), 'chapter_cancelled', 'what ran was cancelled first')
  }
  for (const stream of streams) await stream.ended
  await waitFor('rooms are empty', () =>
    nodes.every(({ app }) => !app.io.sockets.adapter.rooms.has(`chapter_${id}`)),
  )
  await nothingLeft(t, databaseUrl)
  await waitFor('sessions forget it', async () => {
    const rooms = await query(databaseUrl, 'select * from session_room')
    return rooms.length === 0
  })
  for (const each of urls) {
    t.equal(await erase(each, id), 404)
    t.equal((await request(`${each}/v1/chapter/${id}`)).status, 404)
    t.match(await finish(each, id, 'quiz'), { status: 404, body: { code: 'chapter_not_found' } })
    t.equal((await post(`${each}/v1/chapter/${id}/progress`, { progress: 5, message: 'x' })).status, 404)
    t.equal((await post(`${each}/v1/chapter/${id}/quiz/regenerate`)).status, 404)
  }
  t.match(await sockets[0]?.ask('join_chapter', { chapter_id: id }), { ok: true, chapter_id: id })
  t.notOk((await sockets[1]?.ask('join_chapter', { chapter_id: id }))?.status)
  const again = await create()
  t.equal(again.status, 201, 'the same key makes another one')
  t.not(again.body.chapter_id, id)
})

t.test('nodes that do not hear each other find out by themselves', async (t) => {
  const { nodes } = await startNodes(t, 2, { redisUrl: false })
  const [here = '', there = ''] = nodes.map(({ url }) => url)
  const id = await createChapter(here)
  const unborn = id + 1
  const socket = await connectSocket(t, there)
  await socket.ask('join_chapter', { chapter_id: id })
  await socket.ask('join_chapter', { chapter_id: unborn })
  const stream = await openEvents(t, `${there}/v1/chapter/${id}/events`)
  await stream.hears('quiz_processing')
  t.equal(await erase(here, id), 204)
  t.match(await socket.hears('chapter_deleted'), { chapter_id: id })
  await stream.ended
  t.equal(await createChapter(here), unborn)
  await socket.hears('chapter_processing_started', ({ chapter_id }) => chapter_id === unborn)
  t.equal(socket.heard.filter(({ name }) => name === 'chapter_deleted').length, 1, 'and of that one only')
})

t.test('under fire of webhooks and joins nothing fails, and nothing is left', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 3)
  const urls = nodes.map(({ url }) => url)
  const at = (n: number) => urls[n % urls.length] ?? ''
  const sockets = await Promise.all(urls.map((each) => connectSocket(t, each)))
  const statuses = new Set<number>()
  const asked: unknown[] = []
  for (let round = 0; round < scale(8, 30); round += 1) {
    const id = await createChapter(at(round))
    await Promise.all([
      ...JOB_KINDS.map(async (kind, index) => {
        statuses.add((await finish(at(round + index), id, kind)).status)
        statuses.add((await post(`${at(round)}/v1/chapter/${id}/${kind}/regenerate`)).status)
        statuses.add((await finish(at(index), id, kind)).status)
      }),
      ...sockets.map(async (socket) => asked.push(await socket.ask('join_chapter', { chapter_id: id }))),
      erase(at(round + 1), id).then((status) => statuses.add(status)),
      erase(at(round + 2), id).then((status) => statuses.add(status)),
      post(`${at(round)}/v1/chapter/${id}/progress`, { progress: 50, message: 'x' }).then(({ status }) =>
        statuses.add(status),
      ),
    ])
    await erase(at(round), id)
  }
  t.same(
    [...statuses].filter((status) => ![200, 202, 204, 404, 409].includes(status)),
    [],
  )
  t.ok(asked.every((answer) => (answer as { ok: boolean }).ok))
  await nothingLeft(t, databaseUrl)
  await waitFor('rooms are empty, or wait for a chapter that is not there', () =>
    sockets.every(({ heard }) => {
      const joined = new Map<number, boolean>()
      for (const { name, payload } of heard) {
        if (name === 'joined_chapter') joined.set(payload.chapter_id, payload.status !== undefined)
        if (name === 'chapter_deleted') joined.set(payload.chapter_id, false)
      }
      return ![...joined.values()].includes(true)
    }),
  )
  for (const { heard } of sockets) {
    const seqs = new Map<number, number>()
    for (const { payload } of heard) {
      if (payload?.seq === undefined) continue
      t.ok(payload.seq > (seqs.get(payload.chapter_id) ?? 0))
      seqs.set(payload.chapter_id, payload.seq)
    }
  }
})

t.test('a chapter that is over is erased without another word', async (t) => {
  const { nodes } = await startNodes(t, 1, { redisUrl: false })
  const [url = ''] = nodes.map((node) => node.url)
  const id = await createChapter(url)
  await finishAll(url, id)
  const socket = await connectSocket(t, url)
  await socket.ask('join_chapter', { chapter_id: id })
  const names = await eventNamesOf(url, id)
  t.equal(await erase(url, id), 204)
  await socket.hears('chapter_deleted')
  t.same(socket.logged(id), names)
  t.equal(await erase(url, 999), 404)
  const preflight = await fetch(`${url}/v1/chapter/${id}`, {
    method: 'OPTIONS',
    headers: { origin: 'http://example.com', 'access-control-request-method': 'DELETE' },
  })
  t.match(preflight.headers.get('access-control-allow-methods'), /DELETE/)
})

t.test('with nothing but npm start a chapter is erased, and its rooms hear of it', async (t) => {
  const { url } = await buildTestApp(t, {}, { database: await embeddedDatabase(t) })
  const id = await createChapter(url)
  const other = await createChapter(url)
  await finish(url, id, 'quiz')
  const socket = await connectSocket(t, url)
  await socket.ask('join_chapter', { chapter_id: id })
  t.equal(await erase(url, id), 204)
  await socket.hears('chapter_deleted')
  t.equal(await erase(url, id), 404)
  t.equal((await request(`${url}/v1/chapter/${other}`)).status, 200, 'the others stay')
})
