import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, FINISH_BODIES, finish, post, request } from '../support/client.js'
import { DATABASES } from '../support/database.js'
import { eventsOf, finishAll, learningOf, viewChapter, viewJob } from '../support/views.js'

const quizOf = (count: number, mark: string) => ({
  quizzes: Array.from({ length: count }, (_, index) => ({
    question: `${mark} ${index + 1}`,
    correct_answer: mark,
    type: 'short',
  })),
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(`${name}: revisions are listed, read and brought back, whatever their size`, async (t) => {
    const { url } = await buildTestApp(t, {}, { database: await open(t) })
    const id = await createChapter(url)
    const at = (path: string) => `${url}/v1/chapter/${id}/quiz/${path}`
    const list = async () => (await request(at('revisions'))).body.revisions
    t.same(await list(), [])
    await finishAll(url, id, ['concept', 'exercise'])
    await finish(url, id, 'quiz', quizOf(2, 'first'))
    t.match(await list(), [{ revision: 1, instruction: null, is_current: true }])
    await post(at('regenerate'), { instruction: 'more of them' })
    t.match(await list(), [{ revision: 1, is_current: true }], 'while it is written the old one is current')
    await finish(url, id, 'quiz', quizOf(5, 'second'))
    const [first, second, ...none] = await list()
    t.same(none, [])
    t.match(first, { revision: 1, instruction: null, is_current: false })
    t.match(second, { revision: 2, instruction: 'more of them', is_current: true })
    const completed = (await eventsOf(url, id)).filter(({ event }) => event === 'quiz_completed')
    t.same(
      [first.created_at, second.created_at],
      completed.map((event) => event.at),
      'when they were stored',
    )

    t.same((await request(at('revisions/1'))).body, {
      ...first,
      quizzes: [1, 2].map((n) => ({ question: `first ${n}`, options: null, type: 'short' })),
    })
    t.match((await request(at('revisions/2?answers=true'))).body.quizzes[4], { correct_answer: 'second' })

    const socket = await connectSocket(t, url)
    await socket.ask('join_chapter', { chapter_id: id })
    const answer = await post(at('restore'), { revision: 1 })
    t.match(answer, { status: 200, body: { chapter_id: id, kind: 'quiz', revision: 3, status: 'completed' } })
    t.match(await socket.hears('quiz_completed', ({ revision }) => revision === 3), { quiz_count: 2 })
    const learning = await learningOf(url, id)
    t.match(learning, { quiz_count: 2, status: 'completed' })
    t.same(
      learning.quizzes.map(({ question, correct_answer, revision }: Record<string, unknown>) => [
        ...[question, correct_answer, revision],
      ]),
      [1, 2].map((n) => [`first ${n}`, 'first', 3]),
    )
    t.match(await list(), [
      { revision: 1, is_current: false },
      { revision: 2, instruction: 'more of them', is_current: false },
      { revision: 3, instruction: null, is_current: true },
    ])
    t.match((await post(at('restore'), { revision: 2 })).body, { revision: 4 })
    t.match(await learningOf(url, id), { quiz_count: 5 })
    t.match((await list()).at(-1), { revision: 4, instruction: 'more of them' })
    t.equal((await learningOf(url, id)).quizzes.length, 5)
  })

t.test('each kind comes back as it was', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  await finishAll(url, id)
  const before = await learningOf(url, id)
  const other = {
    concept: { title: 'x', content: 'y' },
    exercise: { question: 'x', answer: 'y', difficulty: 'hard' },
    quiz: quizOf(1, 'z'),
  }
  for (const kind of ['concept', 'exercise', 'quiz'] as const) {
    await post(`${url}/v1/chapter/${id}/${kind}/regenerate`)
    await finish(url, id, kind, other[kind])
    await post(`${url}/v1/chapter/${id}/${kind}/restore`, { revision: 1 })
  }
  const strip = (value: object) =>
    JSON.parse(JSON.stringify(value, (key, inner) => (['id', 'revision'].includes(key) ? undefined : inner)))
  const { concept, exercise, quizzes } = await learningOf(url, id)
  t.same(strip([concept, exercise, quizzes]), strip([before.concept, before.exercise, before.quizzes]))
  t.match(await viewJob(url, id, 'quiz'), {
    status: 'completed',
    revision: 3,
    content_revision: 3,
    error: null,
  })
})

t.test(
  'the current revision is brought back without a change, and one that is not there is not found',
  async (t) => {
    const { url } = await buildTestApp(t)
    const id = await createChapter(url)
    await finishAll(url, id)
    const { last_seq } = await viewChapter(url, id)
    const restore = (revision: unknown) => post(`${url}/v1/chapter/${id}/concept/restore`, { revision })
    t.match(await restore(1), { status: 200, body: { revision: 1, last_seq } })
    t.match(await restore(2), { status: 404, body: { code: 'revision_not_found' } })
    for (const [revision, code] of [
      [0, 'too_small'],
      ['1', 'not_a_number'],
      [undefined, 'required'],
      [2 ** 40, 'too_large'],
    ] as const)
      t.match(await restore(revision), { status: 400, body: { errors: [{ code }] } })
    t.match(await request(`${url}/v1/chapter/${id}/concept/revisions/7`), { status: 404 })
    t.match(await request(`${url}/v1/chapter/999/concept/revisions`), {
      status: 404,
      body: { code: 'chapter_not_found' },
    })
    t.match(await viewChapter(url, id), { last_seq })
  },
)

t.test('nothing is brought back while a part is written, or after a cancel', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  await finishAll(url, id)
  await post(`${url}/v1/chapter/${id}/quiz/regenerate`)
  await finish(url, id, 'quiz')
  await post(`${url}/v1/chapter/${id}/concept/regenerate`)
  t.equal((await post(`${url}/v1/chapter/${id}/quiz/restore`, { revision: 1 })).status, 409)
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.equal((await post(`${url}/v1/chapter/${id}/quiz/restore`, { revision: 1 })).status, 409)
})

t.test('a revision that failed is not among them, and the next one has another number', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  await finishAll(url, id)
  await post(`${url}/v1/chapter/${id}/concept/regenerate`)
  const { job_id, attempt } = await viewJob(url, id, 'concept')
  await post(`${url}/v1/chapter/${id}/concept-fail`, { error: 'x', retryable: false, job_id, attempt })
  await post(`${url}/v1/chapter/${id}/concept/regenerate`)
  await finish(url, id, 'concept', { title: 'new', content: 'new' })
  const { body } = await request(`${url}/v1/chapter/${id}/concept/revisions`)
  t.same(
    body.revisions.map(({ revision }: { revision: number }) => revision),
    [1, 3],
  )
  t.match((await request(`${url}/v1/chapter/${id}/concept/revisions/1`)).body.concept, FINISH_BODIES.concept)
})

t.test(
  'a finish and the wish for another one that arrive together keep the text that came first',
  async (t) => {
    const { url } = await buildTestApp(t)
    for (let round = 0; round < 10; round += 1) {
      const id = await createChapter(url)
      await finishAll(url, id, ['concept', 'exercise'])
      const [, again] = await Promise.all([
        finish(url, id, 'quiz', quizOf(1, 'first')),
        post(`${url}/v1/chapter/${id}/quiz/regenerate`),
      ])
      if (again.status === 409) await post(`${url}/v1/chapter/${id}/quiz/regenerate`)
      await finish(url, id, 'quiz', quizOf(1, 'second'))
      const { body } = await request(`${url}/v1/chapter/${id}/quiz/revisions/1`)
      t.match(body, { quizzes: [{ question: 'first 1' }] })
      t.match((await learningOf(url, id)).quizzes, [{ question: 'second 1' }])
    }
  },
)

t.test('two who bring something back at once get a revision each', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  await finishAll(url, id)
  const at = (path: string) => `${url}/v1/chapter/${id}/concept/${path}`
  await post(at('regenerate'))
  await finish(url, id, 'concept', { title: 'two', content: 'two' })
  const answers = await Promise.all([
    post(at('restore'), { revision: 1 }),
    post(at('restore'), { revision: 1 }),
  ])
  t.same(
    answers.map(({ status }) => status),
    [200, 200],
  )
  t.same(answers.map(({ body }) => body.revision).sort(), [3, 4])
  const { body } = await request(at('revisions'))
  t.equal(body.revisions.length, 4)
  for (const revision of [1, 3, 4])
    t.match((await request(at(`revisions/${revision}`))).body.concept, FINISH_BODIES.concept)
  t.match((await request(at('revisions/2'))).body.concept, { title: 'two' })
})
