/**
 * Which work a callback is about: its address names it, and no word of a worker is lost, however it is said.
 */
import t from 'tap'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, FINISH_BODIES } from '../support/client.js'
import { refuses } from '../support/problem.js'
import { type RecordingQueue, recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, eventsOf, learningOf, untilPublished, viewChapter, viewJob } from '../support/views.js'

const SECRET = 'a-secret-of-the-webhooks'
const clock = testClock()
const open = await start({})
const closed = await start({ WEBHOOK_SECRET: SECRET })

async function start(env: Record<string, string>) {
  const queue = recordingQueue()
  const { app, url } = await buildTestApp(t, env, { now: clock.now, random: () => 0.5, queue })
  return { app, url, queue }
}

async function published({ url, queue }: { url: string; queue: RecordingQueue }, kind: JobKind) {
  const id = await createChapter(url)
  await untilPublished(url, id)
  const [message] = queue.of(id, kind)
  if (message === undefined) throw new Error(`no message for the ${kind} of chapter ${id}`)
  const path = (name: 'start' | 'finish' | 'fail' | 'progress') => {
    const { pathname, search } = new URL(message.callback[`${name}_url`])
    return `${pathname}${search}`
  }
  return { id, message, path }
}

function send(app: typeof open.app, url: string, payload: unknown, headers: Record<string, string> = {}) {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const all = { 'content-type': 'application/json', authorization: `Bearer ${SECRET}`, ...headers }
  return app.inject({
    method: 'POST',
    url,
    headers: all,
    ...(payload === undefined ? {} : { payload: text }),
  })
}

t.test('a worker that only posts to the addresses it was given has named its work', async (t) => {
  for (const kind of JOB_KINDS) {
    const { id, message, path } = await published(open, kind)
    for (const name of ['start', 'finish', 'fail', 'progress'] as const)
      t.match(path(name), `?job_id=${message.job_id}&attempt=1`)
    t.match((await send(open.app, path('start'), {})).json(), { run: true })
    t.match((await send(open.app, path('progress'), { progress: 5, message: 'x', kind })).json(), {
      status: 'success',
    })
    t.match((await send(open.app, path('fail'), { error: 'x' })).json(), { status: 'success' })
    t.match(await viewJob(open.url, id, kind), { attempt: 2, error: { reason: 'model_error', message: 'x' } })
    t.match((await send(open.app, path('fail'), { error: 'again' })).json(), { status: 'ignored' })
    t.match(
      (await send(open.app, path('finish'), FINISH_BODIES[kind])).json(),
      { status: 'success' },
      'late, it counts',
    )
  }
})

t.test('a body that names other work than its address is ignored', async (t) => {
  const other = '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f'
  const { id, message, path } = await published(open, 'concept')
  for (const named of [{ attempt: 2 }, { job_id: other }, { job_id: other, attempt: 1 }]) {
    const finish = await send(open.app, path('finish'), { ...FINISH_BODIES.concept, ...named })
    t.match(
      [finish.statusCode, finish.json()],
      [200, { status: 'ignored', chapter_id: id, message: /other work/ }],
    )
    t.match((await send(open.app, path('finish'), { title: '', ...named })).json(), { status: 'ignored' })
    t.match((await send(open.app, path('fail'), { error: 'x', ...named })).json(), { status: 'ignored' })
    t.match((await send(open.app, path('progress'), { progress: 1, message: 'x', ...named })).json(), {
      status: 'ignored',
    })
    t.match((await send(open.app, path('start'), { job_id: message.job_id, attempt: 1, ...named })).json(), {
      run: false,
      reason: 'superseded',
    })
  }
  t.equal((await viewChapter(open.url, id)).last_seq, 4)
  const same = { job_id: message.job_id.toUpperCase(), attempt: 1 }
  t.match((await send(open.app, path('finish'), { ...FINISH_BODIES.concept, ...same })).json(), {
    status: 'success',
  })
})

t.test('a bare list and a bare text are results, also where the address names the work', async (t) => {
  const quiz = await published(open, 'quiz')
  t.match((await send(open.app, quiz.path('finish'), FINISH_BODIES.quiz.quizzes)).json(), {
    status: 'success',
  })
  const concept = await published(open, 'concept')
  const text = JSON.stringify(JSON.stringify(FINISH_BODIES.concept))
  t.match((await send(open.app, concept.path('finish'), text)).json(), { status: 'success' })
  t.match((await learningOf(open.url, concept.id)).concept, FINISH_BODIES.concept)
})

const UNREADABLE: [
  about: string,
  payload: string | undefined,
  headers: Record<string, string>,
  code: string,
][] = [
  ['no JSON', '{"title": "변수", "content": ', {}, 'invalid_json'],
  ['another media type', 'title=x', { 'content-type': 'text/plain' }, 'unsupported_media_type'],
  ['a form', 'title=x', { 'content-type': 'application/x-www-form-urlencoded' }, 'unsupported_media_type'],
  ['too much', JSON.stringify({ title: 'x', content: 'x'.repeat(1_100_000) }), {}, 'too_large'],
  ['nothing', undefined, {}, 'invalid_request'],
  ['an empty object', '{}', {}, 'invalid_request'],
  ['a text that is no result', '"Sorry"', {}, 'invalid_request'],
]

t.test(
  'a result that cannot be read is its attempt’s failure at once, and the chapter does not wait',
  async (t) => {
    for (const [about, payload, headers, code] of UNREADABLE) {
      const { id, path } = await published(open, 'concept')
      for (const _ of [1, 2]) {
        const answer = await send(open.app, path('finish'), payload, headers)
        t.equal(answer.json().code, code, about)
      }
      t.match(
        await viewJob(open.url, id, 'concept'),
        { status: 'queued', attempt: 2, error: { reason: 'invalid_result' } },
        about,
      )
      t.same(await eventNamesOf(open.url, id, 4), ['concept_retrying'], `${about}: sent twice, it costs once`)
    }
  },
)

t.test('without a webhook secret, an unreadable result that names no work costs no attempt', async (t) => {
  const { id, path } = await published(open, 'concept')
  const bare = path('finish').split('?')[0] ?? ''
  for (const [, payload, headers] of UNREADABLE) await send(open.app, bare, payload, headers)
  t.equal((await viewChapter(open.url, id)).last_seq, 4)
})

t.test(
  'with a webhook secret, an unreadable result that names no work costs the published attempt',
  async (t) => {
    for (const [about, payload, headers] of UNREADABLE) {
      const { id, path } = await published(closed, 'concept')
      const bare = path('finish').split('?')[0] ?? ''
      refuses(
        t,
        await send(closed.app, bare, payload, { ...headers, authorization: 'Bearer other' }),
        'unauthorized',
      )
      t.equal((await viewJob(closed.url, id, 'concept')).attempt, 1, 'a stranger’s costs nothing')
      await send(closed.app, bare, payload, headers)
      t.match(await viewJob(closed.url, id, 'concept'), { status: 'queued', attempt: 2 }, about)
      await send(closed.app, bare, payload, headers)
      t.equal((await viewJob(closed.url, id, 'concept')).attempt, 2, 'an attempt that waits is nobody’s yet')
    }
  },
)

t.test('a failure that names its work counts, whatever its details look like', async (t) => {
  const cases: [body: unknown, job: object, retryAt?: number][] = [
    [{ error: { message: 'boom', code: 1 } }, { reason: 'model_error', message: 'boom' }],
    [{ error: { code: 1 } }, { reason: 'model_error', message: '{"code":1}' }],
    [{ error: ['a', 2] }, { message: '["a",2]' }],
    [{ error: 429 }, { message: '429' }],
    [{ error: 'a\0b\ud83d' }, { message: 'ab\ufffd' }],
    [{ error: null }, { message: 'no reason was given' }],
    [{}, { message: 'no reason was given' }],
    [undefined, { message: 'no reason was given' }],
    [{ error: 'x', reason: 'bad_luck' }, { reason: 'model_error' }],
    [{ error: 'x', reason: 'rate_limited' }, { reason: 'rate_limited' }],
    [{ error: 'x', reason: 7, retryable: 'yes' }, { reason: 'model_error' }],
    [{ error: 'x', retry_after_s: 99_999 }, { message: 'x' }, 3600],
    [{ error: 'x', retry_after_s: '40' }, { message: 'x' }, 40],
    [{ error: 'x', retry_after_s: 'soon' }, { message: 'x' }],
    [{ error: 'x', retry_after_s: -5 }, { message: 'x' }],
  ]
  for (const [body, error, retryAfterS] of cases) {
    const { id, path } = await published(open, 'exercise')
    const answer = await send(open.app, path('fail'), body)
    t.match([answer.statusCode, answer.json()], [200, { status: 'success' }], JSON.stringify(body))
    // A busy model costs no attempt.
    const attempt = 'reason' in error && error.reason === 'rate_limited' ? 1 : 2
    t.match(await viewJob(open.url, id, 'exercise'), { attempt, error }, JSON.stringify(body))
    const [retrying] = await eventsOf(open.url, id, 4)
    const waitS = (Date.parse(String(retrying?.retry_at)) - clock.now()) / 1000
    if (retryAfterS !== undefined) t.equal(waitS, retryAfterS)
    else t.ok(waitS < 60, `${waitS} s`)
  }
  const final = await published(open, 'exercise')
  await send(open.app, final.path('fail'), { error: 'x', retryable: 'false' })
  t.match(await viewJob(open.url, final.id, 'exercise'), { status: 'failed', attempt: 1 })
})

t.test('a failure that cannot be read is a failure all the same', async (t) => {
  const { id, path } = await published(open, 'quiz')
  const answer = await send(open.app, path('fail'), 'out of memory', { 'content-type': 'text/plain' })
  refuses(t, answer, 'unsupported_media_type')
  t.match(await viewJob(open.url, id, 'quiz'), { attempt: 2, error: { reason: 'model_error' } })
})

t.test('progress with half an emoji counts', async (t) => {
  const { path } = await published(open, 'concept')
  const answer = await send(open.app, path('progress'), {
    progress: 30,
    message: '쓰는 중 \ud83d\0',
    kind: 'concept',
  })
  t.match([answer.statusCode, answer.json()], [200, { status: 'success' }])
})

t.test('100 % is said only at the end', async (t) => {
  const { id, path } = await published(open, 'concept')
  for (const more of [{ kind: 'concept' }, {}])
    t.match((await send(open.app, path('progress'), { progress: 100, message: 'x', ...more })).json(), {
      status: 'success',
    })
  const { progress, jobs } = await viewChapter(open.url, id)
  t.equal(progress, 99)
  t.equal(jobs.find(({ kind }) => kind === 'concept')?.progress, 99)
  for (const kind of JOB_KINDS) await send(open.app, `/v1/chapter/${id}/${kind}-finish`, FINISH_BODIES[kind])
  t.equal((await viewChapter(open.url, id)).progress, 100)
})
