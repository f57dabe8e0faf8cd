/**
 * What operators see and do, over HTTP on PostgreSQL. The test is the worker; the clock stands still until it is moved.
 */
import t from 'tap'
import type { AdminChapter, DeadLetterView, Redrive, StuckJob } from '../../src/contract/admin.js'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { noticeReceiver } from '../support/receiver.js'
import { recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, finishAll, viewJob } from '../support/views.js'

const clock = testClock(Date.now())
const queue = recordingQueue()
const receiver = await noticeReceiver(t)
const { url, app } = await buildTestApp(t, { NOTIFY_URL: receiver.url }, { now: clock.now, queue })
const admin = `${url}/v1/admin`

const get = async (path: string) => (await request(`${admin}${path}`)).body
const callback = (id: number, kind: JobKind, what: string, body: object) =>
  post(`${url}/v1/chapter/${id}/${kind}-${what}`, body)
const failForGood = (id: number, kind: JobKind, reason = 'model_error') =>
  callback(id, kind, 'fail', { error: 'no answer', reason, retryable: false, attempt: 1 })
const sent = (id: number, kind: JobKind, count = 1) =>
  waitFor(
    'it is sent',
    async () => queue.of(id, kind).length >= count && (await viewJob(url, id, kind)).status === 'published',
  )
/** A chapter of an owner of its own, whose jobs are sent. */
let owners = 1000
async function make(fields: object = {}): Promise<{ id: number; owner: number }> {
  owners += 1
  const id = await createChapter(url, { owner_id: owners, ...fields })
  for (const kind of JOB_KINDS) await sent(id, kind)
  return { id, owner: owners }
}
const stuckOf = async (owner: number, more = '') =>
  (await get(`/stuck?owner_id=${owner}${more}`)).items as StuckJob[]

t.test('stuck jobs are listed with the reason and the time', async (t) => {
  const { id, owner } = await make()
  t.same(await stuckOf(owner), [], 'just sent')
  const sentAt = new Date(clock.now()).toISOString()
  clock.advance(60_000)
  const { job_id } = await viewJob(url, id, 'quiz')
  await callback(id, 'quiz', 'start', { job_id, attempt: 1 })
  await callback(id, 'exercise', 'fail', {
    error: 'x',
    reason: 'rate_limited',
    retry_after_s: 600,
    attempt: 1,
  })
  t.match(await stuckOf(owner), [
    { chapter_id: id, kind: 'concept', why: 'no_worker_started', since_at: sentAt, status: 'published' },
    { chapter_id: id, kind: 'exercise', why: 'waiting_for_retry', error: { reason: 'rate_limited' } },
  ])
  clock.advance(120_000)
  t.match(await stuckOf(owner, '&why=silent'), [{ kind: 'quiz', why: 'silent', attempt: 1 }])
  t.match(await stuckOf(owner, '&why=silent&silent_s=121'), [])
  t.match(await stuckOf(owner, '&kind=concept'), [{ kind: 'concept' }])
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.same(await stuckOf(owner), [])
})

t.test('stuck jobs come the oldest chapter first, page by page, each once', async (t) => {
  const course = 77_001
  const ids = []
  for (let n = 0; n < 3; n++) ids.push((await make({ course_id: course })).id)
  clock.advance(61_000)
  const seen: string[] = []
  for (let cursor = ''; ; ) {
    const page = await get(`/stuck?course_id=${course}&limit=2${cursor}`)
    seen.push(...page.items.map(({ chapter_id, kind }: StuckJob) => `${chapter_id} ${kind}`))
    if (page.next_cursor === null) break
    cursor = `&cursor=${page.next_cursor}`
  }
  t.same(
    seen,
    ids.flatMap((id) => JOB_KINDS.map((kind) => `${id} ${kind}`)),
  )
})

t.test('a hanging attempt that is ended by hand has failed, and the next one comes', async (t) => {
  const { id } = await make()
  const before = await viewJob(url, id, 'quiz')
  const { status, body } = await post(`${admin}/chapter/${id}/quiz/end`, { error: 'The worker hangs' })
  t.equal(status, 202)
  t.match(body, { chapter_id: id, kind: 'quiz', job: { status: 'queued', attempt: 2 } })
  t.match(body.job.history, [{ attempt: 1, outcome: 'failed', reason: 'timeout', error: 'The worker hangs' }])
  const late = { error: 'x', job_id: before.job_id, attempt: 1 }
  t.match((await callback(id, 'quiz', 'fail', late)).body, { status: 'ignored' })
  t.match((await post(`${admin}/chapter/${id}/quiz/end`, { retryable: false })).body.job, {
    status: 'failed',
  })
  t.match(await post(`${admin}/chapter/${id}/quiz/end`), { status: 409, body: { code: 'wrong_state' } })
  t.match(await post(`${admin}/chapter/9999999/quiz/end`), {
    status: 404,
    body: { code: 'chapter_not_found' },
  })
  const actions = (await get(`/audit?chapter_id=${id}`)).items
  t.match(actions, [
    { action: 'end', outcome: 'refused' },
    { action: 'end', outcome: 'done', details: { retryable: false } },
    { action: 'end', outcome: 'done', details: { error: 'The worker hangs' } },
  ])
})

t.test('a hanging attempt that is started anew is sent again at once, and costs none', async (t) => {
  const { id } = await make()
  const before = await viewJob(url, id, 'concept')
  const { status, body } = await post(`${admin}/chapter/${id}/concept/restart`)
  t.equal(status, 202)
  t.match(body, { job: { attempt: 1 }, message: /sent anew/ })
  t.not(body.job.job_id, before.job_id)
  await sent(id, 'concept', 2)
  t.match(queue.of(id, 'concept'), [{ job_id: before.job_id }, { job_id: body.job.job_id, attempt: 1 }])
  t.match((await finish(url, id, 'concept', { job_id: before.job_id, attempt: 1 })).body, {
    status: 'success',
  })
})

t.test('the story of a chapter has its jobs, log, revisions, notices, dead letters and acts', async (t) => {
  const { id, owner } = await make()
  await finishAll(url, id, ['concept', 'exercise'])
  await failForGood(id, 'quiz', 'refused')
  clock.advance(1000)
  await post(`${admin}/chapter/${id}/quiz/restart`)
  await failForGood(id, 'quiz', 'model_error')
  const story = (await waitFor('both notices', async () => {
    const told = (await get(`/chapter/${id}`)) as AdminChapter
    return told.deliveries.length === 2 && told.deliveries.every(({ state }) => state === 'delivered') && told
  })) as AdminChapter
  t.match(story.chapter, { chapter_id: id, owner_id: owner, status: 'failed' })
  t.match(
    story.jobs.map(({ kind, status, why }) => ({ kind, status, why })),
    [
      { kind: 'concept', status: 'completed', why: null },
      { kind: 'exercise', status: 'completed', why: null },
      { kind: 'quiz', status: 'failed', why: null },
    ],
  )
  t.match(story.jobs[2]?.history, [{ reason: 'refused' }, { reason: 'model_error' }])
  t.same(
    story.events.map(({ event }) => event),
    await eventNamesOf(url, id),
  )
  t.match(story.revisions, { concept: [{ revision: 1, is_current: true }], quiz: [] })
  t.notOk('answer' in story.content.exercise, 'no answers unless they are asked for')
  t.match(story.dead_letters, [{ kind: 'quiz', reason: 'model_error', message: { chapter_id: id } }])
  t.match(story.audit, [{ action: 'restart', outcome: 'done', kind: 'quiz' }])
  const full = (await get(`/chapter/${id}?answers=true`)) as AdminChapter
  t.type(full.content.exercise.answer, 'string')
  t.match(await request(`${admin}/chapter/9999999`), { status: 404, body: { code: 'chapter_not_found' } })
})

t.test('dead letters say what was asked and what came back, the latest first', async (t) => {
  const course = 77_002
  const { id: first } = await make({ course_id: course })
  await failForGood(first, 'quiz', 'refused')
  clock.advance(1000)
  const between = new Date(clock.now()).toISOString()
  const { id: second, owner } = await make({ course_id: course })
  await failForGood(second, 'concept', 'model_error')
  await failForGood(second, 'quiz', 'refused')
  const of = async (filter: string) =>
    ((await get(`/dead-letters?course_id=${course}${filter}`)).items as DeadLetterView[]).map(
      ({ chapter_id, kind }) => `${chapter_id} ${kind}`,
    )
  t.same(await of(''), [`${second} quiz`, `${second} concept`, `${first} quiz`])
  t.same(await of('&kind=quiz'), [`${second} quiz`, `${first} quiz`])
  t.same(await of('&reason=model_error'), [`${second} concept`])
  t.same(await of(`&owner_id=${owner}&reason=refused`), [`${second} quiz`])
  t.same(await of(`&from=${between}`), [`${second} quiz`, `${second} concept`])
  t.same(await of(`&to=${between}`), [`${first} quiz`])
  const page = await get(`/dead-letters?course_id=${course}&limit=2`)
  t.same(await of(`&limit=2&cursor=${page.next_cursor}`), [`${first} quiz`])
  t.match(page.items[0], {
    reason: 'refused',
    error: 'no answer',
    attempts: [{ attempt: 1, outcome: 'failed', reason: 'refused' }],
    message:
      queue.of(second, 'quiz')[0]?.callback === undefined
        ? {}
        : { callback: queue.of(second, 'quiz')[0]?.callback },
  })
  await post(`${url}/v1/chapter/${first}/retry`)
  t.same(await of(''), [`${second} quiz`, `${second} concept`], 'what is tried again is no dead letter')
})

const whenDone = (id: number) =>
  waitFor('the redrive is done', async () => {
    clock.advance(1000)
    const redrive = (await get(`/redrives/${id}`)) as Redrive
    return redrive.status !== 'running' && redrive
  })

t.test('one dead letter can be redriven, and another of its chapter stays', async (t) => {
  const { id } = await make()
  await failForGood(id, 'concept')
  await failForGood(id, 'quiz')
  const { job_id } = await viewJob(url, id, 'quiz')
  const { status, body, headers } = await post(`${admin}/dead-letters/redrive`, { ids: [job_id] })
  t.equal(status, 202)
  t.equal(headers.get('location'), `/v1/admin/redrives/${body.redrive_id}`)
  t.match(await whenDone(body.redrive_id), { redriven: 1, skipped: 0, ids: [job_id], actor: 'loopback' })
  await sent(id, 'quiz', 2)
  t.match(await viewJob(url, id, 'concept'), { status: 'failed' })
  const again = await post(`${admin}/dead-letters/redrive`, { ids: [job_id] })
  t.match(await whenDone(again.body.redrive_id), { redriven: 0, skipped: 1 }, 'not a second time')
  t.match((await get(`/audit?chapter_id=${id}`)).items, [
    { action: 'retry', outcome: 'done', kind: 'quiz', details: { redrive_id: body.redrive_id } },
  ])
})

t.test(
  'dead letters are redriven by filter, the oldest first and no more than asked for, at their rate',
  async (t) => {
    const course = 77_003
    const ids: number[] = []
    for (let n = 0; n < 4; n++) {
      const { id } = await make({ course_id: course })
      await failForGood(id, 'quiz', n === 0 ? 'refused' : 'unavailable')
      clock.advance(10)
      ids.push(id)
    }
    const filter = { course_id: course, kind: 'quiz', reason: 'unavailable' }
    const { body } = await post(`${admin}/dead-letters/redrive`, { filter, rate_per_s: 1, limit: 2 })
    const first = await waitFor('the first is redriven', async () => {
      const redrive = await get(`/redrives/${body.redrive_id}`)
      return redrive.redriven > 0 && redrive
    })
    t.match(
      first,
      { status: 'running', redriven: 1 },
      'the clock stands still, so one second’s share is done',
    )
    t.match(await whenDone(body.redrive_id), { status: 'done', redriven: 2, skipped: 0, filter })
    const statuses = await Promise.all(
      ids.map(async (id) => (await viewJob(url, id, 'quiz')).status === 'failed'),
    )
    t.same(statuses, [true, false, false, true])
    t.match((await get('/redrives?limit=1')).items, [{ redrive_id: body.redrive_id }])
  },
)

t.test('a redrive that is cancelled starts nothing more, and says what it did', async (t) => {
  const course = 77_004
  for (let n = 0; n < 3; n++) await failForGood((await make({ course_id: course })).id, 'quiz')
  const { body } = await post(`${admin}/dead-letters/redrive`, {
    filter: { course_id: course },
    rate_per_s: 1,
  })
  const path = `/v1/admin/redrives/${body.redrive_id}`
  await waitFor(
    'the first is redriven',
    async () => (await get(`/redrives/${body.redrive_id}`)).redriven === 1,
  )
  const cancelled = await app.inject({ method: 'DELETE', url: path })
  t.match(cancelled.json(), { status: 'cancelled', redriven: 1 })
  // A later one is done to its end meanwhile: so this one had its time.
  clock.advance(60_000)
  const later = await post(`${admin}/dead-letters/redrive`, { filter: { course_id: 404 } })
  await whenDone(later.body.redrive_id)
  t.match(await get(`/redrives/${body.redrive_id}`), { status: 'cancelled', redriven: 1 })
  t.equal((await get(`/dead-letters?course_id=${course}`)).items.length, 2)
  t.match((await app.inject({ method: 'DELETE', url: path })).json(), { status: 'cancelled' })
  t.match((await app.inject({ method: 'DELETE', url: '/v1/admin/redrives/9999' })).json(), {
    code: 'redrive_not_found',
  })
})

t.test('a redrive needs either a filter or ids', async (t) => {
  const { job_id } = await viewJob(url, (await make()).id, 'quiz')
  for (const body of [
    undefined,
    {},
    { ids: [] },
    { ids: [job_id], filter: {} },
    { filter: { status: 'failed' } },
  ])
    t.match(await post(`${admin}/dead-letters/redrive`, body), { status: 400 }, JSON.stringify(body))
})

t.test('a notice that was delivered can be seen, and is sent again when an operator asks', async (t) => {
  const { id } = await make()
  await finishAll(url, id)
  const path = `/deliveries?chapter_id=${id}`
  const delivered = await waitFor('it is delivered', async () => {
    const [delivery] = (await get(path)).items
    return delivery?.state === 'delivered' && delivery
  })
  t.match(delivered, { type: 'chapter.completed', attempts: 1, last_status: 204, due_at: null })
  t.match((await get(`${path}&state=failed`)).items, [])
  const ofChapter = () => receiver.of(id).length
  const before = ofChapter()
  const { status } = await post(`${admin}/deliveries/${id}/${delivered.seq}/resend`)
  t.equal(status, 202)
  await waitFor('it came again', () => ofChapter() === before + 1)
  t.match(await post(`${admin}/deliveries/${id}/1/resend`), {
    status: 404,
    body: { code: 'delivery_not_found' },
  })
})

t.test('a cursor of another list, or an invented one, is refused', async (t) => {
  const { body } = await request(`${admin}/audit?limit=1`)
  for (const [list, cursor] of [
    ['stuck', body.next_cursor],
    ['dead-letters', 'bm9uc2Vuc2U'],
    ['deliveries', '%00'],
    ['redrives', 'x'],
    ['audit', Buffer.from('audit|1.5').toString('base64url')],
  ])
    t.match(await request(`${admin}/${list}?cursor=${cursor}`), { status: 400 }, `${list} ${cursor}`)
})

t.test(
  'a time that no database can hold is refused, in a filter, in a redrive and in a cursor',
  async (t) => {
    for (const time of [
      '',
      'yesterday',
      '1',
      '2026-13-01T00:00:00Z',
      '0000-01-01T00:00:00Z',
      '9999-12-31T23:59:59-01:00',
    ]) {
      for (const name of ['from', 'to']) {
        t.match(
          await request(`${admin}/dead-letters?${name}=${encodeURIComponent(time)}`),
          { status: 400, body: { errors: [{ path: `/query/${name}`, message: /^must be a time/ }] } },
          `${name} ${time}`,
        )
        t.match(
          await post(`${admin}/dead-letters/redrive`, { filter: { [name]: time } }),
          { status: 400, body: { errors: [{ path: `/body/filter/${name}`, message: /^must be a time/ }] } },
          `a redrive ${name} ${time}`,
        )
      }
    }
    for (const time of ['0001-01-01T00:00:00Z', '2026-01-31t09:00:00.1234+14:00', '9999-12-31T23:59:59.999Z'])
      t.match(await request(`${admin}/dead-letters?from=${encodeURIComponent(time)}`), { status: 200 }, time)
    for (const at of ['9007199254740991', '-9007199254740991', '8640000000000001', '1e3', '0x10', ' 1', ''])
      for (const cursor of [`dead-letters|${at}|1|quiz`, `deliveries|${at}|1|1`])
        t.match(
          await request(
            `${admin}/${cursor.split('|')[0]}?cursor=${Buffer.from(cursor).toString('base64url')}`,
          ),
          { status: 400 },
          cursor,
        )
  },
)
