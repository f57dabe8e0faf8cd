/**
 * What `npm start` does with nothing configured: the sample generator answers over the server’s own webhooks.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, post } from '../support/client.js'
import { readPartials } from '../support/partial.js'
import { eventNamesOf, eventsOf, learningOf, viewChapter } from '../support/views.js'

const env = { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0', GENERATION_RETRY_BASE_MS: '0' }
const { url } = await buildTestApp(t, env)

const watched = async (t: Test, fields: object, url: string) => {
  const socket = await connectSocket(t, url)
  const id = await createChapter(url, fields)
  await socket.ask('join_chapter', { chapter_id: id })
  return { id, socket }
}
const steered = (sample: object) => ({ metadata: { sample } })

for (const locale of ['ko', 'en'])
  t.test(`a chapter in "${locale}" comes by itself, complete, once and in order`, async (t) => {
    const { id, socket } = await watched(t, { locale, quiz_count: 4, title: 'Variables 변수' }, url)
    await socket.hears('all_completed')
    const names = socket.logged(id)
    t.same(names, await eventNamesOf(url, id))
    t.same(
      [...names].sort(),
      [
        'all_completed',
        'chapter_processing_started',
        ...JOB_KINDS.flatMap((kind) => [`${kind}_completed`, `${kind}_processing`, `${kind}_started`]),
      ].sort(),
    )
    t.same(
      socket.heard.flatMap(({ payload }) => payload.seq ?? []),
      names.map((_, i) => i + 1),
    )
    for (const kind of JOB_KINDS)
      t.ok(
        names.indexOf(`${kind}_started`) < names.indexOf(`${kind}_completed`),
        `${kind} started before it completed`,
      )
    const learning = await learningOf(url, id)
    t.match(learning, {
      status: 'completed',
      progress: 100,
      locale,
      concept: { is_complete: true },
      exercise: { is_complete: true },
    })
    t.equal(learning.quizzes.length, 4)
    for (const { type, options, correct_answer } of learning.quizzes)
      if (type === 'multiple') t.ok(options.includes(correct_answer))
    t.match(learning.concept.content, locale === 'ko' ? /[가-힣]/ : /\w{3}/)
  })

t.test('everybody reads along while the sample is written, and nobody is shown an answer', async (t) => {
  const { id, socket } = await watched(t, steered({ delay_ms: 1500 }), url)
  await socket.hears('all_completed')
  const learning = await learningOf(url, id)
  for (const kind of JOB_KINDS) {
    const end = socket.heard.findIndex(({ name }) => name === `${kind}_completed`)
    const { content, faults } = readPartials(socket.heard.slice(0, end), id, kind)
    t.same(faults, [], kind)
    if (kind === 'concept') t.ok(learning.concept.content.startsWith(content))
    if (kind === 'exercise') t.ok(learning.exercise.question.startsWith(content))
    t.ok((content?.length ?? 0) > 0, `${kind} was read along`)
  }
  t.notMatch(JSON.stringify(socket.heard), 'correct_answer')
})

t.test('twenty chapters at once are all completed, each exactly once', async (t) => {
  const socket = await connectSocket(t, url)
  const ids = await Promise.all(Array.from({ length: 20 }, () => createChapter(url)))
  await Promise.all(ids.map((id) => socket.ask('join_chapter', { chapter_id: id })))
  for (const id of ids) await socket.hears('all_completed', ({ chapter_id }) => chapter_id === id)
  for (const id of ids) {
    const seqs = socket.heard.flatMap(({ payload }) => (payload.chapter_id === id && payload.seq) || [])
    t.same(
      seqs,
      Array.from({ length: 11 }, (_, i) => i + 1),
    )
  }
})

t.test('a kind told to fail twice succeeds the third time', async (t) => {
  const { id, socket } = await watched(t, steered({ fail: ['quiz'], times: 2 }), url)
  await socket.hears('all_completed')
  const quiz = (await eventsOf(url, id)).filter(({ event }) => event.startsWith('quiz'))
  t.same(
    quiz.map(({ event }) => event),
    [
      'quiz_processing',
      ...['quiz_started', 'quiz_retrying', 'quiz_started', 'quiz_retrying', 'quiz_started'],
      'quiz_completed',
    ],
  )
  t.same(
    quiz.flatMap(({ attempt }) => attempt ?? []),
    [1, 2, 2, 3, 3],
  )
  t.match(quiz[2], { reason: 'model_error', error: /\S/ })
})

t.test('a kind told to hang is timed out and tried again', async (t) => {
  const { url } = await buildTestApp(t, { ...env, GENERATION_TIMEOUT_MS: '1500' })
  const { id, socket } = await watched(t, steered({ hang: ['concept'], times: 1 }), url)
  await socket.hears('all_completed')
  t.same(
    (await eventNamesOf(url, id)).filter((name) => name.startsWith('concept')),
    [
      'concept_processing',
      'concept_started',
      'concept_timeout',
      'concept_retrying',
      'concept_started',
      'concept_completed',
    ],
  )
})

t.test('a failure that is not retryable fails the chapter; a retry begins the attempts anew', async (t) => {
  const { id, socket } = await watched(t, steered({ fail: ['exercise'], retryable: false }), url)
  t.match(await socket.hears('chapter_failed'), { failed: ['exercise'] })
  t.equal((await post(`${url}/v1/chapter/${id}/retry`)).status, 202)
  await socket.hears('chapter_failed', ({ seq }) => seq > 12)
  t.equal((await eventNamesOf(url, id)).filter((name) => name === 'chapter_failed').length, 2, 'once a run')
  t.match(await viewChapter(url, id), { status: 'failed', progress: 66 })
})

t.test('a cancel stops the generator in the middle, and nothing follows', async (t) => {
  const { id, socket } = await watched(t, steered({ hang: ['concept', 'exercise', 'quiz'], times: 100 }), url)
  await socket.hears('concept_started')
  t.equal((await post(`${url}/v1/chapter/${id}/cancel`)).status, 202)
  await socket.hears('chapter_cancelled')
  // A marker: a later chapter is worked on and completed, this one hears nothing any more.
  const marker = await watched(t, {}, url)
  await marker.socket.hears('all_completed')
  t.equal((await eventNamesOf(url, id)).at(-1), 'chapter_cancelled')
})
