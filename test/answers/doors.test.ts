/**
 * The cases of the judge through the doors of the server: a worker’s own JSON, and the model’s own text. What is
 * stored, what is refused and what that costs.
 */
import t, { type Test } from 'tap'
import { createOpenAiModel } from '../../src/generator/openai.js'
import { createWorker } from '../../src/generator/worker.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'
import { scale } from '../support/scale.js'
import { eventsOf, untilPublished, viewJob } from '../support/views.js'
import { asModelText, CASES, type Case, sorted } from './cases.js'

const clock = testClock()
const queue = recordingQueue()
const { url } = await buildTestApp(t, {}, { now: clock.now, queue })

const FIELDS = {
  concept: ['title', 'content'],
  exercise: ['question', 'answer', 'difficulty'],
  quiz: ['question', 'correct_answer', 'options', 'type'],
} as const

/** What a chapter holds, with the fields of a result. */
async function resultOf(id: number, kind: Case['kind']): Promise<unknown> {
  const { body } = await request(`${url}/v1/chapter/${id}/learning?answers=true`)
  const pick = (row: Record<string, unknown>) =>
    Object.fromEntries(FIELDS[kind].map((field) => [field, row[field]]))
  return kind === 'quiz' ? { quizzes: body.quizzes.map(pick) } : pick(body[kind])
}

const chapterOf = ({ quizCount = 1, locale = 'ko' }: Case) =>
  createChapter(url, { quiz_count: quizCount, locale })

async function checkPosted(t: Test, each: Case, body: unknown): Promise<void> {
  const { about, kind, stored } = each
  const id = await chapterOf(each)
  const answer = await post(`${url}/v1/chapter/${id}/${kind}-finish`, body)
  if (stored === undefined) {
    t.match(answer, { status: 400, body: { code: 'invalid_request' } }, about)
    return
  }
  t.match(answer, { status: 200, body: { status: 'success' } }, `${about}: ${JSON.stringify(answer.body)}`)
  t.notOk('mended' in answer.body)
  t.strictSame(sorted(await resultOf(id, kind)), sorted(stored), about)
}

/** The generator, with a model’s server that answers this. */
async function checkGenerated(t: Test, each: Case): Promise<void> {
  const { about, kind, stored } = each
  const id = await chapterOf(each)
  await untilPublished(url, id)
  const [message] = queue.of(id, kind)
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const data = JSON.stringify({
    choices: [{ message: { content: asModelText(each) }, finish_reason: 'stop' }],
  })
  const model = createOpenAiModel(
    {
      ...{ baseUrl: 'http://model.invalid/v1', apiKey: undefined, model: 'm', silenceMs: 60_000 },
      ...{ maxTokens: undefined, temperature: undefined, extraBody: {} },
    },
    { log, fetch: async () => new Response(data, { headers: { 'content-type': 'application/json' } }) },
  )
  if (message === undefined) throw new Error(`no message for ${about}`)
  await createWorker({ model, log })(message, new AbortController().signal)
  if (stored !== undefined) t.strictSame(sorted(await resultOf(id, kind)), sorted(stored), about)
  else
    t.match(
      await viewJob(url, id, kind),
      { attempt: 2, error: { reason: 'invalid_result', message: /\/body/ } },
      about,
    )
}

/** All are judged in `judge.test.ts`; here each door shows with its share of them that it asks the judge. */
const STEP = scale(8, 1)

/** A few at a time: each has a chapter of its own. */
async function checkAll(door: number, check: (each: Case) => Promise<void>): Promise<void> {
  const left = CASES.filter((_, index) => index % STEP === door % STEP)
  const work = async () => {
    for (let each = left.shift(); each !== undefined; each = left.shift()) await check(each)
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

const timeout = 100_000

t.test('results are judged alike when a worker posts it as it came', { timeout }, (t) =>
  checkAll(0, (each) => checkPosted(t, each, each.given)),
)

t.test('results are judged alike when a worker posts the model’s own text', { timeout }, (t) =>
  checkAll(1, (each) => checkPosted(t, each, { raw: asModelText(each) })),
)

t.test('results are judged alike when our generator’s model wrote it', { timeout }, (t) =>
  checkAll(2, (each) => checkGenerated(t, each)),
)

t.test('the message of the next attempt says what was wrong with the last answer', async (t) => {
  const id = await createChapter(url)
  await untilPublished(url, id)
  t.equal(queue.of(id, 'concept')[0]?.previous, null)
  await post(`${url}/v1/chapter/${id}/concept-finish`, { title: '변수', content: '…', attempt: 1 })
  await post(`${url}/v1/chapter/${id}/exercise-fail`, { error: 'busy', reason: 'timeout', attempt: 1 })
  clock.advance(120_000)
  await waitFor('the second attempts are sent', () =>
    (['concept', 'exercise'] as const).every((kind) => queue.of(id, kind).length === 2),
  )
  t.match(queue.of(id, 'concept')[1], {
    attempt: 2,
    previous: { reason: 'invalid_result', error: '/body/content says nothing' },
  })
  t.match(queue.of(id, 'exercise')[1], { attempt: 2, previous: { reason: 'timeout', error: 'busy' } })
})

const bad = { question: '무엇?', options: ['사과', '감'], correct_answer: '수박' }
const good = { ...bad, correct_answer: '감' }

t.test('too few good questions cost the attempt, and say which were bad', async (t) => {
  const id = await createChapter(url, { quiz_count: 3 })
  const finish = (body: object) => post(`${url}/v1/chapter/${id}/quiz-finish`, body)
  const paths = ['/body/quizzes/0/correct_answer', '/body/quizzes/2/correct_answer', '/body/quizzes']
  for (const named of [{ attempt: 1 }, { attempt: 1 }]) {
    const { status, body } = await finish({ quizzes: [bad, good, bad], ...named })
    t.equal(status, 400)
    t.strictSame(
      body.errors.map(({ path }: { path: string }) => path),
      paths,
    )
  }
  t.match(await viewJob(url, id, 'quiz'), {
    status: 'queued',
    attempt: 2,
    error: { reason: 'invalid_result', message: /quizzes\/0\/correct_answer.*수박.*at least 2 are needed/ },
  })
  t.match(await eventsOf(url, id, 4), [{ event: 'quiz_retrying', attempt: 2 }], 'sent twice, it costs once')
  t.match((await finish({ quizzes: [good, good, bad], attempt: 2 })).body, { status: 'success' })
  t.match(await eventsOf(url, id, 5), [{ event: 'quiz_completed', quiz_count: 2 }])
  t.match((await finish({ quizzes: [bad, bad, good], attempt: 2 })).body, { status: 'duplicate' })
})

t.test('a model’s text that cannot be read costs the attempt that it names, and no other', async (t) => {
  const id = await createChapter(url)
  const finish = (body: object) => post(`${url}/v1/chapter/${id}/concept-finish`, body)
  for (const named of [{}, { attempt: 2 }])
    t.match(await finish({ raw: '{"title": "변수", "content": "끊', ...named }), { status: 400 })
  t.match(await viewJob(url, id, 'concept'), { attempt: 1, error: null })
  t.match(await finish({ raw: '{"title": "변수", "content": "끊', attempt: 1 }), {
    status: 400,
    body: { errors: [{ path: '/body/raw', message: /no complete JSON/ }] },
  })
  t.match(await viewJob(url, id, 'concept'), {
    attempt: 2,
    error: { reason: 'invalid_result', message: /no complete JSON/ },
  })
})

t.test('how many good questions are enough is a setting', async (t) => {
  const { url } = await buildTestApp(t, { QUIZ_MIN_SHARE: '1' }, { queue: recordingQueue() })
  const id = await createChapter(url, { quiz_count: 3 })
  const finish = (body: object) => post(`${url}/v1/chapter/${id}/quiz-finish`, body)
  t.equal((await finish({ quizzes: [good, good, bad] })).status, 400)
  t.equal((await finish({ quizzes: [good, good, good, bad] })).status, 200)
})

t.test('what was mended is counted by kind and by how, once', async (t) => {
  const { url } = await buildTestApp(t, {}, { queue: recordingQueue() })
  const id = await createChapter(url, { quiz_count: 2 })
  const raw = '```json\n{"title": "식", "content": "$\\sigma$"}\n```'
  for (const _ of [1, 2]) await post(`${url}/v1/chapter/${id}/concept-finish`, { raw })
  await post(`${url}/v1/chapter/${id}/exercise-finish`, { question: 'q', answer: 'a' })
  await post(`${url}/v1/chapter/${id}/quiz-finish`, {
    quizzes: [good, { ...good, correct_answer: 'B' }, good, bad],
  })
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith('chaptercast_answers_mended_total'))
  t.strictSame(
    lines.sort(),
    [
      ['concept', 'extracted'],
      ['concept', 'latex'],
      ['quiz', 'cut'],
      ['quiz', 'dropped'],
      ['quiz', 'key'],
    ].map(([kind, how]) => `chaptercast_answers_mended_total{kind="${kind}",how="${how}"} 1`),
  )
})
