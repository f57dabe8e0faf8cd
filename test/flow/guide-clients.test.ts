/**
 * The guide’s clients as they are written: default socket.io-client options, no acknowledgements, no cursor.
 */
import { io, type Socket } from 'socket.io-client'
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { createChapter, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { finishAll } from '../support/views.js'

const EVENTS = [
  'chapter_processing_started',
  'concept_processing',
  'exercise_processing',
  'quiz_processing',
  'concept_completed',
  'exercise_completed',
  'quiz_completed',
  'all_completed',
]

/** `socket.on(name, …)` for every event the guide names, noting what was heard. */
function listen(socket: Socket): { name: string; data: Record<string, unknown> }[] {
  const heard: { name: string; data: Record<string, unknown> }[] = []
  for (const name of ['connection_established', 'joined_chapter', ...EVENTS, 'progress_update'])
    socket.on(name, (data) => heard.push({ name, data }))
  return heard
}

t.test('the JavaScript example joins before the chapter exists and hears all of it', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = (await createChapter(url)) + 1
  const socket = io(url)
  t.teardown(() => socket.disconnect())
  const heard = listen(socket)
  socket.on('connect', () => socket.emit('join_chapter', { chapter_id: chapterId }))
  await waitFor('joined_chapter', () => heard.some(({ name }) => name === 'joined_chapter'))
  t.same(heard, [
    { name: 'connection_established', data: { status: 'connected' } },
    { name: 'joined_chapter', data: { chapter_id: chapterId } },
  ])

  t.equal(await createChapter(url), chapterId)
  await finishAll(url, chapterId)
  await waitFor('all_completed', () => heard.some(({ name }) => name === 'all_completed'))
  t.same(
    heard.map(({ name }) => name).filter((name) => EVENTS.includes(name)),
    EVENTS,
  )
  for (const { name, data } of heard.slice(1)) t.equal(data.chapter_id, chapterId, name)
})

t.test('the React example creates first, joins after, and still hears what came before', async (t) => {
  const { url } = await buildTestApp(t)
  const socket = io(url, { transports: ['websocket', 'polling'] })
  t.teardown(() => socket.disconnect())
  const heard = listen(socket)
  const response = await fetch(`${url}/v1/chapter/`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ course_id: 1, title: '테스트 챕터', description: '설명', owner_id: 1 }),
  })
  const { chapter_id } = (await response.json()) as { chapter_id: number }
  socket.emit('join_chapter', { chapter_id })
  await waitFor('quiz_processing', () => heard.some(({ name }) => name === 'quiz_processing'))
  t.same(
    heard.map(({ name }) => name),
    ['connection_established', 'joined_chapter', ...EVENTS.slice(0, 4)],
  )
  await post(`${url}/v1/chapter/${chapter_id}/progress`, {
    progress: 40,
    message: '개념 설명을 작성하고 있습니다.',
  })
  await finishAll(url, chapter_id)
  await waitFor('all_completed', () => heard.some(({ name }) => name === 'all_completed'))
  t.same(
    heard.map(({ name }) => name).filter((name) => EVENTS.includes(name)),
    EVENTS,
  )
  t.match(heard.find(({ name, data }) => name === 'progress_update' && data.progress === 40)?.data, {
    chapter_id,
    progress: 40,
    message: '개념 설명을 작성하고 있습니다.',
  })
  t.match(heard.find(({ name }) => name === 'chapter_processing_started')?.data, {
    chapter_id,
    title: '테스트 챕터',
    status: 'processing_started',
    message: /[가-힣]/,
    seq: 1,
  })
})

t.test('a client that joined twice, as React’s strict mode does, hears each event once', async (t) => {
  const { url } = await buildTestApp(t)
  const chapter_id = await createChapter(url)
  const socket = io(url)
  t.teardown(() => socket.disconnect())
  const heard = listen(socket)
  socket.on('connect', () => {
    socket.emit('join_chapter', { chapter_id })
    socket.emit('leave_chapter', { chapter_id })
    socket.emit('join_chapter', { chapter_id })
    socket.emit('join_chapter', { chapter_id })
  })
  await waitFor('three answers', () => heard.filter(({ name }) => name === 'joined_chapter').length === 3)
  const before = heard.length
  await finishAll(url, chapter_id)
  await waitFor('all_completed', () => heard.some(({ name }) => name === 'all_completed'))
  t.same(
    heard.slice(before).flatMap(({ name }) => (EVENTS.includes(name) ? name : [])),
    EVENTS.slice(4),
  )
})
