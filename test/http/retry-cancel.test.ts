/**
 * POST …/retry and …/cancel: when a client may ask for them, and what they do.
 */
import t from 'tap'
import type { JobKind } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { refuses } from '../support/problem.js'
import { eventNamesOf, eventsOf, finishAll, viewChapter, viewJob } from '../support/views.js'

const { app, url } = await buildTestApp(t)

const ask = (
  id: number,
  what: 'retry' | 'cancel',
  given: { payload?: string; headers?: Record<string, string> } = {},
) => app.inject({ method: 'POST', url: `/v1/chapter/${id}/${what}`, ...given })
const failForGood = (id: number, ...kinds: JobKind[]) =>
  Promise.all(
    kinds.map((kind) =>
      post(`${url}/v1/chapter/${id}/${kind}-fail`, { error: 'x', retryable: false, attempt: 1 }),
    ),
  )

/** Chapters in every state, by what they are like. */
const states = {
  'processing, nothing failed': async () => createChapter(url),
  'processing, one failed': async () => {
    const id = await createChapter(url)
    await failForGood(id, 'quiz')
    return id
  },
  'failed, all of it': async () => {
    const id = await createChapter(url)
    await failForGood(id, 'concept', 'exercise', 'quiz')
    return id
  },
  'failed, one of three': async () => {
    const id = await createChapter(url)
    await failForGood(id, 'quiz')
    await finishAll(url, id, ['concept', 'exercise'])
    return id
  },
  completed: async () => {
    const id = await createChapter(url)
    await finishAll(url, id)
    return id
  },
  'completed by a late result': async () => {
    const id = await createChapter(url)
    await failForGood(id, 'concept', 'exercise', 'quiz')
    await finishAll(url, id)
    return id
  },
  cancelled: async () => {
    const id = await createChapter(url)
    await ask(id, 'cancel')
    return id
  },
  'cancelled, with a failed job': async () => {
    const id = await createChapter(url)
    await failForGood(id, 'quiz')
    await ask(id, 'cancel')
    return id
  },
}
const answers: Record<keyof typeof states, { retry: number; cancel: number }> = {
  'processing, nothing failed': { retry: 409, cancel: 202 },
  'processing, one failed': { retry: 202, cancel: 202 },
  'failed, all of it': { retry: 202, cancel: 409 },
  'failed, one of three': { retry: 202, cancel: 409 },
  completed: { retry: 409, cancel: 409 },
  'completed by a late result': { retry: 409, cancel: 409 },
  cancelled: { retry: 409, cancel: 200 },
  'cancelled, with a failed job': { retry: 409, cancel: 200 },
}

for (const [state, make] of Object.entries(states))
  for (const what of ['retry', 'cancel'] as const) {
    const status = answers[state as keyof typeof states][what]
    t.test(`${what} of a chapter that is ${state}: ${status}`, async (t) => {
      const id = await make()
      const before = await viewChapter(url, id)
      const response = await ask(id, what)
      t.equal(response.statusCode, status, response.payload)
      const after = await viewChapter(url, id)
      if (status === 202) {
        const { status, last_seq } = after
        t.match(response.json(), { chapter_id: id, status: what === 'retry' ? 'processing' : 'cancelled' })
        t.equal(status, response.json().status)
        t.equal(response.json().last_seq, before.last_seq + 1)
        t.ok(last_seq >= before.last_seq + 1)
        t.match((await eventsOf(url, id, before.last_seq))[0], {
          event: what === 'retry' ? 'chapter_retrying' : 'chapter_cancelled',
          status: what === 'retry' ? 'retrying' : 'cancelled',
          message: /\S/,
        })
        return
      }
      if (status === 409) refuses(t, response, 'wrong_state')
      else t.match(response.json(), { chapter_id: id, status: 'cancelled', last_seq: before.last_seq })
      t.equal(after.last_seq, before.last_seq, 'nothing was logged')
      t.equal(after.status, before.status)
    })
  }

t.test('a retry starts every failed job again under a new id, and only those', async (t) => {
  const id = await createChapter(url)
  await finish(url, id, 'concept')
  await failForGood(id, 'exercise', 'quiz')
  const before = await viewChapter(url, id)
  await ask(id, 'retry')
  const after = await viewChapter(url, id)
  t.same(after.jobs[0], before.jobs[0], 'what is completed stays as it is')
  for (const [i, kind] of [
    [1, 'exercise'],
    [2, 'quiz'],
  ] as const) {
    t.match(after.jobs[i], { kind, attempt: 1, progress: 0, error: null })
    t.not(after.jobs[i]?.job_id, before.jobs[i]?.job_id)
  }
  t.equal(after.progress, 33)
})

t.test('of two simultaneous retries one counts', async (t) => {
  const id = await states['failed, all of it']()
  const statuses = (await Promise.all([ask(id, 'retry'), ask(id, 'retry'), ask(id, 'retry')])).map(
    ({ statusCode }) => statusCode,
  )
  t.same(statuses.sort(), [202, 409, 409])
  t.equal((await eventNamesOf(url, id)).filter((name) => name === 'chapter_retrying').length, 1)
})

t.test(
  'a result from before the retry still counts, and what the retry runs is then a duplicate',
  async (t) => {
    const id = await createChapter(url)
    const old = await viewJob(url, id, 'quiz')
    await failForGood(id, 'concept', 'exercise', 'quiz')
    await ask(id, 'retry')
    t.match((await finish(url, id, 'quiz', { job_id: old.job_id, attempt: 1 })).body, { status: 'success' })
    t.match((await finish(url, id, 'quiz')).body, { status: 'duplicate' })
  },
)

t.test('a cancelled chapter has no running job and no deadline', async (t) => {
  const id = await createChapter(url)
  await finish(url, id, 'concept')
  await ask(id, 'cancel')
  const { jobs, status, completed_at } = await viewChapter(url, id)
  t.same(
    jobs.map(({ status }) => status),
    ['completed', 'cancelled', 'cancelled'],
  )
  t.same(
    jobs.map(({ deadline_at }) => deadline_at),
    [null, null, null],
  )
  t.match({ status, completed_at }, { status: 'cancelled', completed_at: null })
})

t.test('neither needs a body, nor minds one, as long as it is JSON', async (t) => {
  const headers = { 'content-type': 'application/json' }
  for (const given of [
    {},
    { headers },
    { headers, payload: '' },
    { headers, payload: '{}' },
    { headers, payload: 'null' },
  ]) {
    t.equal(
      (await ask(await states['failed, all of it'](), 'retry', given)).statusCode,
      202,
      JSON.stringify(given),
    )
    t.equal((await ask(await createChapter(url), 'cancel', given)).statusCode, 202, JSON.stringify(given))
  }
  const id = await createChapter(url)
  refuses(t, await ask(id, 'cancel', { headers, payload: '{' }), 'invalid_json')
  refuses(
    t,
    await ask(id, 'cancel', { headers: { 'content-type': 'text/plain' }, payload: 'x' }),
    'unsupported_media_type',
  )
  t.equal((await viewChapter(url, id)).status, 'processing')
})

t.test('a slash at the end changes nothing', async (t) => {
  const id = await states['failed, all of it']()
  t.equal((await app.inject({ method: 'POST', url: `/v1/chapter/${id}/retry/` })).statusCode, 202)
  t.equal((await app.inject({ method: 'POST', url: `/v1/chapter/${id}/cancel/` })).statusCode, 202)
})
