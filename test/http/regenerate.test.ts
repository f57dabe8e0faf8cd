import t, { type Test } from 'tap'
import { buildTestApp } from '../support/app.js'
import { createChapter, FINISH_BODIES, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { DATABASES } from '../support/database.js'
import { recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, eventsOf, finishAll, learningOf, viewChapter, viewJob } from '../support/views.js'

const BETTER = { title: '더 나은 글', content: '# 더 나은 글' }

async function completed(t: Test, env: Record<string, string> = {}) {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, env, { queue })
  const id = await createChapter(url)
  await finishAll(url, id)
  return { url, id, queue, at: (path: string) => `${url}/v1/chapter/${id}/${path}` }
}

for (const [name, open] of Object.entries(DATABASES))
  t.test(
    `${name}: a part is written again, and the worker is told the wish and what there was`,
    async (t) => {
      const queue = recordingQueue()
      const { url } = await buildTestApp(t, {}, { queue, database: await open(t) })
      const id = await createChapter(url)
      await finishAll(url, id)
      const instruction = '예를 더 쉽게'
      for (const kind of ['concept', 'exercise', 'quiz'] as const) {
        const answer = await post(`${url}/v1/chapter/${id}/${kind}/regenerate`, {
          instruction: ` ${instruction} `,
        })
        t.match(answer, { status: 202, body: { chapter_id: id, status: 'processing', kind, revision: 2 } })
        const message = await waitFor('the message', () =>
          queue.of(id, kind).find(({ revision }) => revision === 2),
        )
        const { current, attempt, callback, ...value } = message
        t.match(value, { instruction, previous: null })
        t.equal(attempt, 1)
        const keys = (result: object) =>
          JSON.stringify(result).match(/"(answer|content|correct_answer)":"[^"]*"/g)
        t.same(keys(current ?? {}), keys(FINISH_BODIES[kind]), 'what there was, answers included')
        t.match((await post(callback.finish_url.replace(/^.*(?=\/v1)/, url), FINISH_BODIES[kind])).body, {
          status: 'success',
        })
        t.match(await viewChapter(url, id), { status: 'completed', progress: 100 })
      }
      t.same((await eventNamesOf(url, id)).slice(-3), [
        'quiz_regenerating',
        'quiz_completed',
        'all_completed',
      ])
      t.match((await eventsOf(url, id)).at(-2), { revision: 2 })
      const learning = await learningOf(url, id)
      t.match(
        [learning.concept.revision, learning.exercise.revision, learning.quizzes[0].revision],
        [2, 2, 2],
      )
      const [first] = queue.of(id, 'concept')
      t.match(first, { revision: 1, instruction: null, current: null })
    },
  )

t.test('the old text is read until the new one is stored', async (t) => {
  const { url, id, at } = await completed(t)
  await post(at('concept/regenerate'))
  t.match(await learningOf(url, id), {
    status: 'processing',
    concept: { ...FINISH_BODIES.concept, revision: 1 },
  })
  t.match(await viewJob(url, id, 'concept'), { revision: 2, content_revision: 1 })
  await finish(url, id, 'concept', BETTER)
  t.match((await learningOf(url, id)).concept, { ...BETTER, revision: 2 })
  t.match(await viewJob(url, id, 'concept'), { status: 'completed', revision: 2, content_revision: 2 })
})

t.test('the old text stays for good when the new one fails', async (t) => {
  const { url, id, at } = await completed(t)
  await post(at('concept/regenerate'))
  const { job_id, attempt } = await viewJob(url, id, 'concept')
  await post(at('concept-fail'), { error: 'no idea', retryable: false, job_id, attempt })
  t.match((await eventsOf(url, id)).slice(-2), [
    { event: 'concept_failed', kept: true },
    { event: 'all_completed' },
  ])
  t.match(await viewChapter(url, id), { status: 'completed', progress: 100 })
  t.match((await learningOf(url, id)).concept, { ...FINISH_BODIES.concept, revision: 1 })
  const job = await viewJob(url, id, 'concept')
  t.match(job, { status: 'completed', revision: 1, content_revision: 1, error: { message: 'no idea' } })
  t.match(job.history, [
    { revision: 1, attempt: 1, outcome: 'completed', reason: null },
    { revision: 2, attempt: 1, job_id, outcome: 'failed', reason: 'model_error', error: 'no idea' },
  ])
  t.equal((await post(at('retry'))).status, 409)
  t.match((await post(at('concept/regenerate'))).body, { revision: 3 })
})

t.test('attempts that fail, time out or are late are in the history of a job', async (t) => {
  const { url } = await buildTestApp(t, { GENERATION_RETRY_BASE_MS: '0' }, { queue: recordingQueue() })
  const id = await createChapter(url)
  const work = async () => {
    const { job_id, attempt } = await viewJob(url, id, 'quiz')
    return { job_id, attempt }
  }
  t.same((await viewJob(url, id, 'quiz')).history, [])
  const first = await work()
  await post(`${url}/v1/chapter/${id}/quiz-start`, first)
  await post(`${url}/v1/chapter/${id}/quiz-fail`, { error: 'once', ...first })
  const second = await work()
  await finish(url, id, 'quiz', second)
  const { history } = await viewJob(url, id, 'quiz')
  t.match(history, [
    { ...first, outcome: 'failed', reason: 'model_error', error: 'once' },
    { ...second, outcome: 'completed', started_at: null, reason: null, error: null },
  ])
  t.ok(history.every(({ ended_at }) => ended_at !== null))
  t.ok(history[0]?.started_at)
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.match((await viewJob(url, id, 'concept')).history, [{ attempt: 1, outcome: 'cancelled' }])
})

t.test('a history is bounded in length', async (t) => {
  const { url, id, at } = await completed(t)
  for (let round = 0; round < 23; round += 1) {
    await post(at('quiz/regenerate'))
    await finish(url, id, 'quiz')
  }
  const { history } = await viewJob(url, id, 'quiz')
  t.equal(history.length, 20)
  t.match(history.at(-1), { revision: 24, outcome: 'completed' })
  t.equal(
    (await request(at('quiz/revisions'))).body.revisions.length,
    21,
    'the current one, and 20 before it',
  )
})

t.test('a chapter that is at work, cancelled or unknown is not written again', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  t.equal((await post(`${url}/v1/chapter/${id}/concept/regenerate`)).status, 409)
  await finish(url, id, 'concept')
  t.equal((await post(`${url}/v1/chapter/${id}/concept/regenerate`)).status, 409, 'others still run')
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.equal((await post(`${url}/v1/chapter/${id}/concept/regenerate`)).status, 409)
  t.equal((await post(`${url}/v1/chapter/999/concept/regenerate`)).status, 404)
  t.equal((await post(`${url}/v1/chapter/${id}/poem/regenerate`)).status, 400)
})

t.test('an instruction is text of 1 to 2,000 characters, or none', async (t) => {
  const { at } = await completed(t)
  for (const [body, code] of [
    [{ instruction: '' }, 'too_short'],
    [{ instruction: '   ' }, 'too_short'],
    [{ instruction: 'x'.repeat(2001) }, 'too_long'],
    [{ instruction: 5 }, 'wrong_type'],
    [{ instruction: 'a\0' }, 'not_storable'],
    [{ wish: 'x' }, 'unknown_field'],
    [[], 'wrong_type'],
  ] as const) {
    const answer = await post(at('concept/regenerate'), body)
    t.match(answer, { status: 400, body: { errors: [{ code }] } }, JSON.stringify(body).slice(0, 40))
  }
  t.equal((await post(at('concept/regenerate'), { instruction: '한'.repeat(2000) })).status, 202)
})

t.test('results and failures of the earlier job change nothing in the new run', async (t) => {
  const { url, id, at } = await completed(t)
  const old = await viewJob(url, id, 'concept')
  const named = { job_id: old.job_id, attempt: old.attempt }
  await post(at('concept/regenerate'))
  const { last_seq } = await viewChapter(url, id)
  t.match((await finish(url, id, 'concept', { ...BETTER, ...named })).body, { status: 'duplicate' })
  const byAddress = at(`concept-finish?job_id=${old.job_id}&attempt=1`)
  t.match((await post(byAddress, BETTER)).body, { status: 'duplicate' })
  t.match((await post(at('concept-fail'), { error: 'late', ...named })).body, { status: 'ignored' })
  t.match((await post(at('concept-start'), named)).body, { run: false, reason: 'superseded' })
  t.match((await post(byAddress, 'nonsense', { 'content-type': 'application/json' })).status, 400)
  t.match(await viewChapter(url, id), { last_seq, status: 'processing' })
})

t.test('a part that failed is written again with an instruction', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, {}, { queue })
  const id = await createChapter(url)
  await finishAll(url, id, ['concept', 'exercise'])
  const { job_id, attempt } = await viewJob(url, id, 'quiz')
  await post(`${url}/v1/chapter/${id}/quiz-fail`, { error: 'no', retryable: false, job_id, attempt })
  t.match(await viewChapter(url, id), { status: 'failed' })
  t.equal((await post(`${url}/v1/chapter/${id}/quiz/regenerate`, { instruction: 'easier' })).status, 202)
  const again = await waitFor('its message', () => queue.messages.find(({ revision }) => revision === 2))
  t.match(again, { instruction: 'easier', current: null, attempt: 1, previous: null })
  await finish(url, id, 'quiz')
  t.match(await viewChapter(url, id), { status: 'completed' })
  t.match((await request(`${url}/v1/chapter/${id}/quiz/revisions`)).body.revisions, [
    { revision: 2, instruction: 'easier', is_current: true },
  ])
})

t.test(
  'another attempt at a new revision is told the same wish, and why the one before failed',
  async (t) => {
    const { url, id, queue, at } = await completed(t, { GENERATION_RETRY_BASE_MS: '0' })
    await post(at('exercise/regenerate'), { instruction: 'harder' })
    const { job_id, attempt } = await viewJob(url, id, 'exercise')
    await post(at('exercise-fail'), { error: 'overloaded', job_id, attempt })
    const second = await waitFor('the second attempt', () =>
      queue.messages.find(({ revision, attempt: which }) => revision === 2 && which === 2),
    )
    t.match(second, {
      ...{ job_id, instruction: 'harder', current: FINISH_BODIES.exercise },
      previous: { reason: 'model_error', error: 'overloaded' },
    })
  },
)

t.test('a dead letter of a new revision has what its message had', async (t) => {
  const { url, id, queue, at } = await completed(t)
  await post(at('concept/regenerate'), { instruction: 'shorter' })
  const { job_id, attempt } = await viewJob(url, id, 'concept')
  await post(at('concept-fail'), { error: 'no', retryable: false, job_id, attempt })
  await waitFor('the letter', () => queue.letters.length > 0)
  t.match(queue.letters, [
    { revision: 2, instruction: 'shorter', current: FINISH_BODIES.concept, error: 'no', job_id },
  ])
})

t.test('content that is too large for a message is not sent along', async (t) => {
  const { url, id, queue, at } = await completed(t)
  await post(at('concept/regenerate'))
  await finish(url, id, 'concept', { content: '가'.repeat(120_000) })
  await post(at('concept/regenerate'))
  const message = await waitFor('its message', () => queue.messages.find(({ revision }) => revision === 3))
  t.equal(message.current, null)
})

t.test('cancelled while a part is written again, the old text stays', async (t) => {
  const { url, id, at } = await completed(t)
  await post(at('concept/regenerate'))
  t.equal((await post(at('cancel'))).status, 202)
  t.equal((await post(at('cancel'))).status, 200)
  t.match((await finish(url, id, 'concept', BETTER)).body, { status: 'ignored' })
  t.match(await learningOf(url, id), {
    status: 'cancelled',
    concept: { ...FINISH_BODIES.concept, revision: 1 },
  })
})
