import t from 'tap'
import { connectChapters } from '../../src/client/index.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'

t.test('with SOCKET_TRANSPORTS=websocket polling is refused, and websockets work', async (t) => {
  const { url } = await buildTestApp(t, { SOCKET_TRANSPORTS: 'websocket' })
  const polled = await fetch(`${url}/socket.io/?EIO=4&transport=polling`)
  t.equal(polled.status, 400)
  t.match(await polled.json(), { code: 0, message: 'Transport unknown' })

  const chapterId = await createChapter(url)
  const client = await connectSocket(t, url, { transports: ['websocket'] })
  await client.ask('join_chapter', { chapter_id: chapterId })
  await finish(url, chapterId, 'concept')
  await client.hears('concept_completed')
})

t.test('with SOCKET_TRANSPORTS=websocket chaptercast-client needs no option', async (t) => {
  const { url } = await buildTestApp(t, { SOCKET_TRANSPORTS: 'websocket' })
  const chapterId = await createChapter(url)
  const chapters = connectChapters(url)
  t.teardown(() => chapters.close())
  const watch = chapters.watch(chapterId)
  t.teardown(watch.subscribe(() => {}))
  await finish(url, chapterId, 'concept')
  await waitFor('the concept is there', () => watch.snapshot.jobs.concept.status === 'completed')
})

t.test('polling and websockets are taken unless SOCKET_TRANSPORTS says otherwise', async (t) => {
  const { url } = await buildTestApp(t)
  for (const transport of ['polling', 'websocket']) await connectSocket(t, url, { transports: [transport] })
})
