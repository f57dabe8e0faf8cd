/**
 * /healthz and /readyz: whether the process lives, and whether it should be sent work.
 */
import t from 'tap'
import type { Database } from '../../src/store/database.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postgresDatabase } from '../support/database.js'
import { recordingQueue } from '../support/recording-queue.js'

t.test('a node that serves is alive and ready', async (t) => {
  const { url } = await buildTestApp(t)
  t.match(await request(`${url}/healthz`), { status: 200, body: { status: 'ok' } })
  t.match(await request(`${url}/readyz`), {
    status: 200,
    body: { status: 'ready', dependencies: { database: 'ok' } },
  })
})

t.test('a database that fails or hangs is told of, and the node stays ready', async (t) => {
  const database: Database = await postgresDatabase(t)
  for (const ping of [() => Promise.reject(new Error('away')), () => new Promise<void>(() => {})]) {
    const { url } = await buildTestApp(t, {}, { database: { ...database, ping, close: async () => {} } })
    t.match(await request(`${url}/readyz`), {
      status: 200,
      body: { status: 'ready', dependencies: { database: 'degraded' } },
    })
    t.equal((await request(`${url}/healthz`)).status, 200)
  }
})

t.test('a node that is leaving finishes what it began, says so, and refuses the rest', async (t) => {
  // Its queue does not let go before the test says so: the node is draining meanwhile.
  let letGo = () => {}
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const queue = { ...recordingQueue(), close: () => held }
  const { url, close } = await buildTestApp(t, {}, { queue })
  const id = await createChapter(url)
  const socket = await connectSocket(t, url)
  await socket.ask('join_chapter', { chapter_id: id })
  const closing = close()
  await waitFor('it is draining', async () => (await request(`${url}/readyz`)).status === 503)
  t.match((await request(`${url}/readyz`)).body, { status: 'draining' })
  t.equal((await request(`${url}/healthz`)).status, 200, 'it is alive')
  for (const refused of [
    await post(`${url}/v1/chapter/`, { course_id: 1, owner_id: 1, title: 'x' }),
    await request(`${url}/v1/chapter/${id}`),
    await finish(url, id, 'concept'),
  ]) {
    t.match(refused, { status: 503, body: { code: 'unavailable', status: 503, request_id: /\S/ } })
    t.match(refused.headers.get('retry-after'), /^\d+$/)
    t.match(refused.headers.get('content-type'), /^application\/problem\+json/)
  }
  letGo()
  await closing
  await waitFor('the socket is let go', () => !socket.socket.connected)
  t.ok(socket.socket.active, 'and will come back by itself')
})
