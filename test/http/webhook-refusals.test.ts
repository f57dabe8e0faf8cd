/**
 * Webhook bodies that are refused, and what that costs: an attempt when the body names the current one, else nothing.
 */
import t from 'tap'
import type { JobKind } from '../../src/contract/job.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, FINISH_BODIES, post } from '../support/client.js'
import { refuses } from '../support/problem.js'
import { recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, eventsOf, learningOf, untilPublished, viewChapter, viewJob } from '../support/views.js'

const clock = testClock()
const { app, url } = await buildTestApp(t, {}, { now: clock.now, random: () => 0.5, queue: recordingQueue() })
const chapterId = await createChapter(url)
const UUID = '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f'

const call = (path: string, payload: unknown, id = chapterId) =>
  app.inject({
    method: 'POST',
    url: `/v1/chapter/${id}/${path}`,
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify(payload),
  })

const { concept, exercise } = FINISH_BODIES
const quizWith = (fields: object) => ({
  quizzes: [{ question: 'q', correct_answer: 'a', options: ['a', 'b'], type: 'multiple', ...fields }],
})
const start = { job_id: UUID, attempt: 1 }
const fail = { error: 'x' }
const progress = { progress: 1, message: 'x' }

const refused: [path: string, about: string, body: unknown, ...paths: string[]][] = [
  ['concept-finish', 'nothing', {}, 'title', 'content'],
  ['concept-finish', 'null', null, ''],
  ['concept-finish', 'a list', [], ''],
  ['concept-finish', 'empty texts', { title: '', content: '' }, 'title', 'content'],
  ['concept-finish', 'numbers', { title: 1, content: 2 }, 'title', 'content'],
  ['concept-finish', 'nulls', { title: null, content: null }, 'title', 'content'],
  [
    'concept-finish',
    'nothing but characters that cannot be stored',
    { title: '\0', content: '\ud800' },
    'title',
    'content',
  ],
  ['concept-finish', 'a job id that is none', { ...concept, job_id: 'abc' }, 'job_id'],
  ['concept-finish', 'attempts that are none', { ...concept, attempt: 0 }, 'attempt'],
  ['concept-finish', 'an attempt as text', { ...concept, attempt: '1' }, 'attempt'],
  [
    'concept-finish',
    'an attempt and a job that are null',
    { ...concept, attempt: null, job_id: null },
    'attempt',
    'job_id',
  ],
  ['exercise-finish', 'nothing', {}, 'question', 'answer'],
  ['exercise-finish', 'another difficulty', { ...exercise, difficulty: 'impossible' }, 'difficulty'],
  ['exercise-finish', 'no difficulty but null', { ...exercise, difficulty: null }, 'difficulty'],
  ['exercise-finish', 'nothing but a NUL', { ...exercise, answer: '\0' }, 'answer'],
  ['quiz-finish', 'nothing', {}, 'quizzes'],
  ['quiz-finish', 'no quizzes', { quizzes: [] }, 'quizzes'],
  [
    'quiz-finish',
    'more quizzes than anybody reads',
    { quizzes: Array(201).fill(quizWith({}).quizzes[0]) },
    'quizzes',
  ],
  ['quiz-finish', 'an object', { quizzes: {} }, 'quizzes'],
  ['quiz-finish', 'a null among them', { quizzes: [null] }, 'quizzes/0'],
  ['quiz-finish', 'an empty quiz', { quizzes: [{}] }, 'quizzes/0/question', 'quizzes/0/correct_answer'],
  [
    'quiz-finish',
    'an answer beside the options',
    quizWith({ correct_answer: 'c' }),
    'quizzes/0/correct_answer',
  ],
  [
    'quiz-finish',
    'the same with the type left out',
    quizWith({ correct_answer: 'C', type: undefined }),
    'quizzes/0/correct_answer',
  ],
  ['quiz-finish', 'a choice without options', quizWith({ options: undefined }), 'quizzes/0/options'],
  ['quiz-finish', 'a choice with null for options', quizWith({ options: null }), 'quizzes/0/options'],
  ['quiz-finish', 'a choice of nothing', quizWith({ options: [] }), 'quizzes/0/options'],
  ['quiz-finish', 'options that are not texts', quizWith({ options: [null, 'a'] }), 'quizzes/0/options/0'],
  ['quiz-finish', '51 options', quizWith({ options: Array(51).fill('a') }), 'quizzes/0/options'],
  ['quiz-finish', 'another type', quizWith({ type: 'essay' }), 'quizzes/0/type'],
  [
    'quiz-finish',
    'an option of nothing but a NUL',
    quizWith({ options: ['a', '\0'] }),
    'quizzes/0/options/1',
  ],
  [
    'quiz-finish',
    'two bad quizzes',
    { quizzes: [...quizWith({ correct_answer: 'x' }).quizzes, ...quizWith({ options: null }).quizzes] },
    'quizzes/0/correct_answer',
    'quizzes/1/options',
  ],
  ['concept-start', 'nothing', {}, 'job_id', 'attempt'],
  ['concept-start', 'no uuid', { ...start, job_id: 'x' }, 'job_id'],
  ['concept-start', 'attempt 0', { ...start, attempt: 0 }, 'attempt'],
  ['concept-start', 'half an attempt', { ...start, attempt: 1.5 }, 'attempt'],
  ['quiz-fail', 'nothing', {}, 'error'],
  ['quiz-fail', 'an error that is no text', { error: { code: 1 } }, 'error'],
  ['quiz-fail', 'a NUL', { error: '\0' }, 'error'],
  ['quiz-fail', 'an unknown reason', { ...fail, reason: 'bad_luck' }, 'reason'],
  ['quiz-fail', 'retryable as text', { ...fail, retryable: 'false' }, 'retryable'],
  ['quiz-fail', 'a wait of nothing', { ...fail, retry_after_s: 0 }, 'retry_after_s'],
  ['quiz-fail', 'a wait of more than an hour', { ...fail, retry_after_s: 3601 }, 'retry_after_s'],
  ['progress', 'nothing', {}, 'progress', 'message'],
  ['progress', 'less than nothing', { ...progress, progress: -1 }, 'progress'],
  ['progress', 'more than all', { ...progress, progress: 100.1 }, 'progress'],
  ['progress', 'a number as text', { ...progress, progress: '50' }, 'progress'],
  ['progress', 'an unknown kind', { ...progress, kind: 'video' }, 'kind'],
  ['progress', 'null for a kind', { ...progress, kind: null }, 'kind'],
]
for (const [path, about, body, ...paths] of refused)
  t.test(`${path} is refused: ${about}`, async (t) => {
    refuses(
      t,
      await call(path, body),
      'invalid_request',
      paths.map((path) => (path === '' ? '/body' : `/body/${path}`)),
    )
  })

t.test('an answer beside the options is listed with all else that is wrong, the address too', async (t) => {
  const quizzes = [
    { question: '', correct_answer: 'c', options: ['a'] },
    null,
    { options: 1 },
    { question: 'q', correct_answer: 'a' },
  ]
  const paths = [
    'quizzes/0/question',
    'quizzes/0/correct_answer',
    'quizzes/1',
    'quizzes/2/question',
    'quizzes/2/correct_answer',
  ]
  const expected = [...paths, 'quizzes/2/options', 'quizzes/3/options', 'attempt'].map(
    (path) => `/body/${path}`,
  )
  refuses(t, await call('quiz-finish', { quizzes, attempt: 0 }), 'invalid_request', expected)
  const elsewhere = { method: 'POST', url: '/v1/chapter/x/quiz-finish', payload: { quizzes: [] } } as const
  refuses(t, await app.inject(elsewhere), 'invalid_request', ['/params/id', '/body/quizzes'])
})

t.test('an invalid address is refused as such, whatever attempt the body names', async (t) => {
  for (const id of ['0', '-1', 'x', '9007199254740992']) {
    const url = `/v1/chapter/${id}/concept-finish`
    const response = await app.inject({
      method: 'POST',
      url,
      payload: { title: '', content: 'x', attempt: 1 },
    })
    refuses(t, response, 'invalid_request', ['/params/id', '/body/title'])
  }
})

t.test('whatever was refused without naming an attempt cost nothing', async (t) => {
  await untilPublished(url, chapterId)
  t.equal((await viewChapter(url, chapterId)).last_seq, 4)
  for (const { attempt, error } of (await viewChapter(url, chapterId)).jobs)
    t.match({ attempt, error }, { attempt: 1, error: null })
  t.match(await learningOf(url, chapterId), {
    concept: { is_complete: false },
    exercise: { is_complete: false },
  })
})

const brokenBodies: Record<JobKind, object> = {
  concept: { title: 'a' },
  exercise: { question: 'q', answer: '' },
  quiz: quizWith({ correct_answer: 'c' }),
}
for (const [kind, body] of Object.entries(brokenBodies) as [JobKind, object][])
  t.test(`an invalid ${kind} that names its attempt costs that attempt, and only that one`, async (t) => {
    const id = await createChapter(url)
    await untilPublished(url, id)
    const { job_id } = await viewJob(url, id, kind)
    for (const stranger of [
      {},
      { job_id },
      { attempt: 2 },
      { job_id: UUID, attempt: 1 },
      { job_id, attempt: '1' },
    ])
      refuses(t, await call(`${kind}-finish`, { ...body, ...stranger }, id), 'invalid_request')
    t.equal((await viewChapter(url, id)).last_seq, 4, 'naming another, or none, costs nothing')

    refuses(t, await call(`${kind}-finish`, { ...body, job_id, attempt: 1 }, id), 'invalid_request')
    const [retrying, ...others] = await eventsOf(url, id, 4)
    t.match(retrying, {
      event: `${kind}_retrying`,
      status: 'retrying',
      attempt: 2,
      max_attempts: 3,
      reason: 'invalid_result',
      error: /\/body\//,
    })
    t.same(others, [])
    t.match(await viewJob(url, id, kind), {
      status: 'queued',
      attempt: 2,
      job_id,
      error: { reason: 'invalid_result' },
    })

    refuses(t, await call(`${kind}-finish`, { ...body, job_id, attempt: 1 }, id), 'invalid_request')
    t.equal((await viewChapter(url, id)).last_seq, 5, 'sent twice, it costs once')
  })

t.test('invalid results use up all attempts, and then the job has failed', async (t) => {
  const id = await createChapter(url)
  for (const attempt of [1, 2, 3]) await call('quiz-finish', { quizzes: [], attempt }, id)
  t.same(await eventNamesOf(url, id, 4), ['quiz_retrying', 'quiz_retrying', 'quiz_failed'])
  t.match(await viewJob(url, id, 'quiz'), {
    status: 'failed',
    attempt: 3,
    error: { reason: 'invalid_result' },
  })
  t.match((await post(`${url}/v1/chapter/${id}/quiz-finish`, FINISH_BODIES.quiz)).body, { status: 'success' })
})

t.test('an invalid finish of what is finished, or cancelled, is refused and changes nothing', async (t) => {
  const id = await createChapter(url)
  await call('concept-finish', concept, id)
  refuses(t, await call('concept-finish', { attempt: 1 }, id), 'invalid_request')
  await post(`${url}/v1/chapter/${id}/cancel`)
  refuses(t, await call('quiz-finish', { attempt: 1 }, id), 'invalid_request')
  t.same(await eventNamesOf(url, id, 4), ['concept_completed', 'chapter_cancelled'])
})

t.test('a webhook body has a limit of its own', async (t) => {
  const { app, url } = await buildTestApp(t, { WEBHOOK_BODY_LIMIT_BYTES: '2048' })
  const id = await createChapter(url, { description: 'x'.repeat(3000) })
  const send = (path: string, payload: object) =>
    app.inject({ method: 'POST', url: `/v1/chapter/${id}/${path}`, payload })
  const padding = (body: object) => ({ ...body, x: 'x'.repeat(2048) })
  for (const kind of ['concept', 'exercise', 'quiz'] as const) {
    refuses(t, await send(`${kind}-finish`, padding({ ...FINISH_BODIES[kind], attempt: 1 })), 'too_large')
    refuses(t, await send(`${kind}-start`, padding(start)), 'too_large')
    refuses(t, await send(`${kind}-fail`, padding({ ...fail, attempt: 1 })), 'too_large')
  }
  refuses(t, await send('progress', padding(progress)), 'too_large')
  t.equal((await viewChapter(url, id)).last_seq, 4, 'unread, it cannot count against an attempt')
  t.equal((await send('concept-finish', concept)).statusCode, 200)
})

t.test('a result of almost 1 MiB comes back whole', async (t) => {
  const id = await createChapter(url)
  const content = '가'.repeat(349_000)
  t.equal((await call('concept-finish', { title: 'a', content }, id)).statusCode, 200)
  t.equal((await learningOf(url, id)).concept.content, content)
})

t.test('of an error or a message of any length the first 2,000 characters are kept', async (t) => {
  const id = await createChapter(url)
  const long = '🧑'.repeat(50_000)
  const kept = /^(🧑){2000}…?$/u
  t.equal((await call('progress', { progress: 1, message: long }, id)).statusCode, 200)
  t.equal((await call('quiz-fail', { error: long, attempt: 1 }, id)).statusCode, 200)
  t.match((await eventsOf(url, id, 4))[0]?.error, kept)
  t.match((await viewJob(url, id, 'quiz')).error?.message, kept)
})
