/**
 * POST /v1/chapter/{id}/{kind}-finish: results as workers send them, the first of which wins.
 */
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { sorted } from '../answers/cases.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, FINISH_BODIES, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { eventNamesOf, eventsOf, finishAll, learningOf, viewChapter } from '../support/views.js'

const { url } = await buildTestApp(t)
const finishQuiz = (id: number, quizzes: unknown[], extra: object = {}) =>
  post(`${url}/v1/chapter/${id}/quiz-finish`, { quizzes, ...extra })
const short = (n: number) => ({ question: `질문 ${n}`, correct_answer: `답 ${n}`, type: 'short' })

t.test('the guide’s three bodies are taken as they stand, in any order', async (t) => {
  for (const kinds of [JOB_KINDS, JOB_KINDS.toReversed()]) {
    const id = await createChapter(url)
    for (const kind of kinds) {
      const answer = await finish(url, id, kind)
      t.equal(answer.status, 200)
      t.match(answer.body, { status: 'success', chapter_id: id, message: /\S/ })
    }
    const { status, progress, completed_at } = await viewChapter(url, id)
    t.match({ status, progress, completed_at }, { status: 'completed', progress: 100, completed_at: /Z$/ })
    t.same((await eventNamesOf(url, id, 4)).slice(-1), ['all_completed'])
  }
})

t.test('answers are shown only to those who ask for them, before completion and after', async (t) => {
  const id = await createChapter(url)
  const shown = async (query: string) => (await request(`${url}/v1/chapter/${id}/learning${query}`)).body
  for (const query of ['', '?answers=false', '?answers=true']) {
    const { concept, exercise, quizzes, status } = await shown(query)
    t.equal(status, 'processing')
    t.match(concept, { id: Number, title: null, content: null, is_complete: false })
    t.match(exercise, { id: Number, question: null, difficulty: null, is_complete: false })
    t.equal('answer' in exercise, query === '?answers=true')
    t.equal(quizzes.length, 3)
    for (const quiz of quizzes) {
      t.match(quiz, { id: Number, question: null, options: null, type: null, is_complete: false })
      t.equal('correct_answer' in quiz, query === '?answers=true')
    }
  }
  await finishAll(url, id)
  for (const query of ['', '?answers=false']) {
    const text = JSON.stringify(await shown(query))
    t.notMatch(text, /a, b = b, a/)
    t.notMatch(text, /correct_answer/)
  }
  const full = await shown('?answers=true')
  t.match(full.concept, { ...FINISH_BODIES.concept, is_complete: true })
  t.match(full.exercise, { ...FINISH_BODIES.exercise, is_complete: true })
  t.match(
    sorted({ quizzes: full.quizzes }),
    sorted({
      quizzes: FINISH_BODIES.quiz.quizzes.map((quiz) => ({ options: null, ...quiz, is_complete: true })),
    }),
    'in the order they were sent',
  )
})

t.test('each part is shown as soon as it is there', async (t) => {
  const id = await createChapter(url)
  await finish(url, id, 'exercise')
  t.match(await learningOf(url, id), {
    status: 'processing',
    progress: 33,
    concept: { is_complete: false },
    exercise: { ...FINISH_BODIES.exercise, is_complete: true },
  })
})

t.test('a callback delivered twice changes the job once', async (t) => {
  for (const kind of JOB_KINDS) {
    const id = await createChapter(url)
    await finish(url, id, kind)
    // Sending the other jobs is a write of its own, and comes when it comes.
    await waitFor('the other jobs are sent', async () =>
      (await viewChapter(url, id)).jobs.every(({ status }) => status !== 'queued'),
    )
    const before = [await learningOf(url, id), await eventsOf(url, id), await viewChapter(url, id)]
    const other = { title: 'x', content: 'x', question: 'x', answer: 'x', quizzes: [short(1)] }
    for (const again of [
      await finish(url, id, kind),
      await post(`${url}/v1/chapter/${id}/${kind}-finish`, other),
    ]) {
      t.equal(again.status, 200)
      t.match(again.body, { status: 'duplicate', chapter_id: id })
    }
    t.same([await learningOf(url, id), await eventsOf(url, id), await viewChapter(url, id)], before)
  }
})

t.test('of twenty simultaneous finishes of one job exactly one counts', async (t) => {
  const id = await createChapter(url)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      post(`${url}/v1/chapter/${id}/concept-finish`, { title: `${i}`, content: `${i}` }),
    ),
  )
  const winner = answers.findIndex(({ body }) => body.status === 'success')
  t.equal(answers.filter(({ body }) => body.status === 'duplicate').length, 19)
  t.equal((await learningOf(url, id)).concept.title, `${winner}`)
  t.same(await eventNamesOf(url, id, 4), ['concept_completed'])
})

t.test('fields nobody knows are ignored, at every depth, and never kept', async (t) => {
  const id = await createChapter(url)
  const extra = { model: 'gpt', usage: { tokens: 12 }, id: 999, chapter_id: 999, is_complete: false }
  t.match((await finish(url, id, 'concept', extra)).body, { status: 'success', chapter_id: id })
  t.match((await finish(url, id, 'exercise', extra)).body, { status: 'success' })
  t.match((await finishQuiz(id, [{ ...short(1), ...extra }], extra)).body, { status: 'success' })
  const text = JSON.stringify(await learningOf(url, id))
  t.notMatch(text, /999|tokens|gpt/)
})

t.test(
  'what a body leaves out has its default: medium, multiple, no options, the usual true and false',
  async (t) => {
    const id = await createChapter(url)
    await post(`${url}/v1/chapter/${id}/exercise-finish`, { question: 'q', answer: 'a' })
    const quizzes = [
      { question: 'q', correct_answer: 'a', options: ['a', 'b'] },
      { question: 'q', correct_answer: 'a', type: 'short' },
      { question: 'q', correct_answer: 'true', type: 'boolean', options: null },
      { question: 'q', correct_answer: 'a', type: 'short', options: [] },
    ]
    t.equal((await finishQuiz(id, quizzes)).status, 200)
    const learning = await learningOf(url, id)
    t.equal(learning.exercise.difficulty, 'medium')
    t.match(sorted({ quizzes: learning.quizzes }), {
      quizzes: [
        { type: 'multiple', options: ['a', 'b'] },
        { type: 'short', options: null },
        { type: 'boolean', options: ['거짓', '참'], correct_answer: '참' },
        { type: 'short' },
      ],
    })
  },
)

for (const [asked, sent] of [
  [3, 1],
  [3, 2],
  [3, 5],
  [1, 20],
  [20, 1],
] as const)
  t.test(
    `of ${asked} quizzes asked for, ${sent} came: that is how many there are from then on`,
    async (t) => {
      const id = await createChapter(url, { quiz_count: asked })
      const rows = (await learningOf(url, id)).quizzes.map((quiz: { id: number }) => quiz.id)
      t.equal(rows.length, asked)
      const quizzes = Array.from({ length: sent }, (_, i) => short(i))
      t.match((await finishQuiz(id, quizzes)).body, { status: 'success' })
      const learning = await learningOf(url, id)
      t.equal(learning.quiz_count, sent)
      t.match(
        learning.quizzes,
        quizzes.map((quiz) => ({ ...quiz, is_complete: true })),
      )
      t.equal(learning.quizzes.length, sent)
      const ids = learning.quizzes.map((quiz: { id: number }) => quiz.id)
      t.same(ids.slice(0, asked), rows.slice(0, sent), 'the first rows are filled, in order')
      t.equal(new Set(ids).size, sent)
      t.equal((await viewChapter(url, id)).quiz_count, sent)
      t.match(await eventsOf(url, id, 4), [{ event: 'quiz_completed', quiz_count: sent }])
    },
  )

t.test('in a cancelled chapter everything is answered, and nothing happens', async (t) => {
  const id = await createChapter(url)
  await finish(url, id, 'concept')
  await post(`${url}/v1/chapter/${id}/cancel`)
  const before = [await learningOf(url, id), await eventsOf(url, id), await viewChapter(url, id)]
  const named = { job_id: (await viewChapter(url, id)).jobs[1]?.job_id, attempt: 1 }
  for (const [path, body] of [
    ['concept-finish', FINISH_BODIES.concept],
    ['exercise-finish', FINISH_BODIES.exercise],
    ['exercise-finish', { ...FINISH_BODIES.exercise, ...named }],
    ['quiz-finish', FINISH_BODIES.quiz],
    ['exercise-fail', { error: 'x', ...named }],
    ['progress', { progress: 50, message: 'x' }],
    ['progress', { progress: 50, message: 'x', kind: 'exercise', ...named }],
  ] as const) {
    const answer = await post(`${url}/v1/chapter/${id}/${path}`, body)
    t.equal(answer.status, 200, path)
    t.match(answer.body, { status: 'ignored', chapter_id: id }, path)
    t.equal(answer.body.cancelled, path === 'progress' ? true : undefined, path)
  }
  t.match((await post(`${url}/v1/chapter/${id}/exercise-start`, named)).body, {
    run: false,
    reason: 'cancelled',
  })
  t.same([await learningOf(url, id), await eventsOf(url, id), await viewChapter(url, id)], before)
})

t.test(
  'text comes back exactly: Korean, emoji, right-to-left, 4-byte, combining and invisible',
  async (t) => {
    const text = [
      '변수와 자료형 — 한글 가각힣 ㄱㄴㄷ 가',
      '👩‍👩‍👧‍👦🏳️‍🌈 𠮷野家 𝒳 🇰🇷',
      'עברית العربية \u202eabc\u202c',
      'e\u0301 \u200b\ufeff\u00a0\u2028\u2029\u0001\u001f\u007f\ufffd\uffff',
      '<script>alert(1)</script> & "q" \'s\' \\ \\u0000 \\0 %00 `y` {{z}} $1',
      '\r\n\t\v\f trailing  ',
    ].join('\n')
    const id = await createChapter(url, { description: text, metadata: { text } })
    const socket = await connectSocket(t, url)
    await socket.ask('join_chapter', { chapter_id: id })
    await post(`${url}/v1/chapter/${id}/progress`, { progress: 5, message: text })
    t.equal((await socket.hears('progress_update', ({ progress }) => progress === 5)).message, text)
    await post(`${url}/v1/chapter/${id}/concept-finish`, { title: text, content: text })
    await post(`${url}/v1/chapter/${id}/exercise-finish`, { question: text, answer: text })
    await finishQuiz(id, [{ question: text, correct_answer: text, options: ['x', text] }])
    const learning = await learningOf(url, id)
    t.match(learning, { description: text, concept: { title: text, content: text } })
    t.same(learning.metadata, { text })
    t.match(learning.exercise, { question: text, answer: text })
    const [quiz] = learning.quizzes
    t.match(quiz, { question: text, correct_answer: text })
    t.strictSame(quiz.options.toSorted(), ['x', text].toSorted())

    const failed = await createChapter(url, { title: '🧑‍🏫 변수' })
    await socket.ask('join_chapter', { chapter_id: failed })
    await post(`${url}/v1/chapter/${failed}/quiz-fail`, { error: text, retryable: false, attempt: 1 })
    const heard = await socket.hears('quiz_failed', ({ chapter_id }) => chapter_id === failed)
    t.equal(heard.error, text)
    const logged = await eventsOf(url, failed)
    t.equal(logged.find(({ event }) => event === 'quiz_failed')?.error, text)
    t.equal(logged[0]?.title, '🧑‍🏫 변수')
  },
)
