import t from 'tap'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { openEvents } from './sse-client.js'

const ALL = [1, 2, 3, 4, 5, 6, 7, 8]
const KINDS = ['concept', 'exercise', 'quiz'] as const

t.test('a stream tells what there is, then what happens, and ends with the chapter', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const stream = await openEvents(t, `${url}/v1/chapter/${chapterId}/events`)
  t.equal(stream.status, 200)
  t.equal(stream.headers['content-type'], 'text/event-stream; charset=utf-8')
  t.match(stream.headers['cache-control'], /no-cache/)
  t.equal(stream.headers['access-control-allow-origin'], '*')
  await stream.hears('quiz_processing')
  t.same(stream.ids(), [1, 2, 3, 4])
  t.match(
    stream.text(),
    /^retry: \d+\n\nid: 1\nevent: chapter_processing_started\ndata: \{.*"seq":1.*\}\n\nid: 2\n/,
  )

  for (const kind of KINDS) await finish(url, chapterId, kind)
  await stream.ended
  t.same(stream.ids(), ALL)
  t.equal(stream.events().at(-1)?.event, 'all_completed')
  const { body } = await request(`${url}/v1/chapter/${chapterId}/events`)
  const logged = stream.events().filter(({ id }) => id !== undefined)
  t.same(
    logged.map(({ event, data }) => ({ event, data })),
    body.events,
    'as the list has them',
  )
})

t.test('a stream tells the latest progress, and how it goes on, without an id', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const report = (progress: number) =>
    post(`${url}/v1/chapter/${chapterId}/progress`, { progress, message: '쓰는 중' })
  await report(30)
  const stream = await openEvents(t, `${url}/v1/chapter/${chapterId}/events?after=4`)
  t.match(await stream.hears('progress_update'), {
    id: undefined,
    data: { progress: 30, message: '쓰는 중' },
  })
  await report(50)
  await waitFor('the next', () => stream.events().length === 2)
  t.match(stream.events()[1], { id: undefined, event: 'progress_update', data: { progress: 50 } })
  for (const kind of KINDS) await finish(url, chapterId, kind)
  await stream.ended
  t.same(
    stream
      .events()
      .slice(-2)
      .map(({ event }) => event),
    ['progress_update', 'all_completed'],
  )
})

t.test('a reader that comes back with Last-Event-ID or `after` misses and repeats nothing', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  for (const kind of KINDS) await finish(url, chapterId, kind)
  const path = `${url}/v1/chapter/${chapterId}/events`
  const cases: [query: string, lastEventId: string | undefined, ids: number[]][] = [
    ['', undefined, ALL],
    ['?after=0', undefined, ALL],
    ['?after=5', undefined, [6, 7, 8]],
    ['', '6', [7, 8]],
    ['?after=2', '7', [8]],
    ['?after=5', 'what', [6, 7, 8]],
    ['?after=5', '-1', [6, 7, 8]],
    ['', '', ALL],
    ['?after=99', undefined, ALL],
    ['', '999999999999999', ALL],
  ]
  for (const [query, lastEventId, ids] of cases) {
    const stream = await openEvents(
      t,
      path + query,
      lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    )
    t.equal(stream.status, 200)
    await stream.ended
    t.same(stream.ids(), ids, `${query} ${lastEventId}`)
  }
})

t.test('where the chapter has ended and nothing follows there is no content', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  await post(`${url}/v1/chapter/${chapterId}/cancel`)
  const stream = await openEvents(t, `${url}/v1/chapter/${chapterId}/events`, { 'last-event-id': '5' })
  t.equal(stream.status, 204)
  t.equal(stream.headers['access-control-allow-origin'], '*')
  await stream.ended
  t.equal(stream.text(), '')
})

t.test('a retried chapter is streamed on', async (t) => {
  const { url } = await buildTestApp(t, { GENERATION_MAX_ATTEMPTS: '1' })
  const chapterId = await createChapter(url)
  const fail = (kind: string) =>
    post(`${url}/v1/chapter/${chapterId}/${kind}-fail`, { error: 'refused', retryable: false })
  await waitFor('all are published', async () => {
    const { body } = await request(`${url}/v1/chapter/${chapterId}`)
    return body.jobs.every(({ status }: { status: string }) => status === 'published')
  })
  for (const kind of KINDS) await fail(kind)
  const first = await openEvents(t, `${url}/v1/chapter/${chapterId}/events`)
  await first.ended
  t.equal(first.events().at(-1)?.event, 'chapter_failed')
  await post(`${url}/v1/chapter/${chapterId}/retry`)
  const second = await openEvents(t, `${url}/v1/chapter/${chapterId}/events`)
  for (const kind of KINDS) await finish(url, chapterId, kind)
  await second.ended
  t.equal(second.events().at(-1)?.event, 'all_completed', 'the end of the first run does not end the stream')
  t.same(
    second.ids(),
    Array.from({ length: second.ids().length }, (_, index) => index + 1),
  )
})

t.test('a chapter that does not exist, or a bad cursor, is refused', async (t) => {
  const { url } = await buildTestApp(t)
  for (const headers of [{ accept: 'text/event-stream' }, { accept: 'application/json' }]) {
    const unknown = await request(`${url}/v1/chapter/77/events`, 'GET', undefined, headers)
    t.match(unknown, { status: 404, body: { code: 'chapter_not_found' } })
    t.match(unknown.headers.get('content-type'), /application\/problem\+json/)
    const chapterId = await createChapter(url)
    for (const after of ['-1', '1.5', 'x', '1e999', ''])
      t.match(
        await request(`${url}/v1/chapter/${chapterId}/events?after=${after}`, 'GET', undefined, headers),
        {
          status: 400,
          body: { code: 'invalid_request' },
        },
      )
  }
})

t.test('a stream opened at any moment while the chapter is written misses nothing', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = await Promise.all(Array.from({ length: 6 }, () => createChapter(url)))
  const streams: Promise<{ after: number; ids: number[] }>[] = []
  const open = async (chapterId: number, after: number) => {
    const stream = await openEvents(t, `${url}/v1/chapter/${chapterId}/events?after=${after}`)
    await stream.ended
    return { after, ids: stream.ids() }
  }
  await Promise.all(
    chapters.map(async (chapterId) => {
      for (const kind of KINDS) {
        const finished = finish(url, chapterId, kind)
        let isFinished = false
        void finished.then(() => {
          isFinished = true
        })
        for (let count = 0; count < 12 && !isFinished; count++) {
          streams.push(open(chapterId, count % 5))
          await new Promise((resolve) => setImmediate(resolve))
        }
        await finished
      }
    }),
  )
  const outcomes = await Promise.all(streams)
  t.ok(outcomes.length >= 36, `${outcomes.length} streams`)
  t.same(
    outcomes.filter(({ after, ids }) => ids.join() !== ALL.slice(after).join()),
    [],
  )
})

t.test('the list of events has a cursor, the end of the log, and its deletion', async (t) => {
  const clock = testClock()
  const env = { EVENT_RETENTION_MS: '60000', GENERATION_TIMEOUT_MS: '3600000' }
  const { url } = await buildTestApp(t, env, { now: clock.now })
  const chapterId = await createChapter(url)
  const list = async (query = '') => (await request(`${url}/v1/chapter/${chapterId}/events${query}`)).body
  const seqs = async (query?: string) =>
    (await list(query)).events.map(({ data }: { data: { seq: number } }) => data.seq)
  t.match(await list('?after=3'), {
    events: [{ event: 'quiz_processing', data: { chapter_id: chapterId, quiz_count: 3, seq: 4 } }],
    last_seq: 4,
  })
  for (const [query, expected] of [
    ['', [1, 2, 3, 4]],
    ['?after=0', [1, 2, 3, 4]],
    ['?after=2', [3, 4]],
    ['?after=4', []],
    ['?after=99', [1, 2, 3, 4]],
  ] as const)
    t.same(await seqs(query), expected, query)
  t.same(await Promise.all(['?after=3', '?after=2', '?after=99', '?after=0'].map(seqs)), [
    [4],
    [3, 4],
    [1, 2, 3, 4],
    [1, 2, 3, 4],
  ])

  for (const kind of KINDS) await finish(url, chapterId, kind)
  t.equal((await list()).expired, undefined)
  clock.advance(60_001)
  await waitFor('the log is deleted', async () => (await list()).expired)
  t.same(await list(), { events: [], last_seq: 8, expired: true })
  t.equal((await openEvents(t, `${url}/v1/chapter/${chapterId}/events`)).status, 204)
})

t.test('HEAD is answered at once, and leaves nothing open', async (t) => {
  const { url } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const response = await fetch(`${url}/v1/chapter/${chapterId}/events`, {
    method: 'HEAD',
    headers: { accept: 'text/event-stream' },
  })
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /text\/event-stream/)
})
