/**
 * Text so far on one node: what a worker posts, what it is answered, what clients read along.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openEmbeddedDatabase } from '../../src/store/database.js'
import { buildTestApp, testClock } from '../support/app.js'
import { connectSocket, createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { copyEmbeddedDatabase } from '../support/embedded.js'
import { postPartial, readPartials, workOf } from '../support/partial.js'

t.test('everybody in the room reads along while a concept is written', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: id })

  const first = await postPartial(url, id, 'concept', { text: '변수는 ' }, work)
  t.strictSame(first.body, { status: 'success', chapter_id: id, length: 4 })
  t.same(await client.hears('concept_partial'), { chapter_id: id, attempt: 1, offset: 0, text: '변수는 ' })
  t.match(
    await client.hears('concept_started'),
    { attempt: 1 },
    'the first text is a sign that the attempt began',
  )

  const second = await postPartial(url, id, 'concept', { text: '값에 붙이는 ', offset: 4 }, work)
  t.equal(second.body.length, 11)
  t.same(await client.hears('concept_partial', ({ offset }) => offset === 4), {
    chapter_id: id,
    attempt: 1,
    offset: 4,
    text: '값에 붙이는 ',
  })

  const late = await connectSocket(t, url)
  await late.ask('join_chapter', { chapter_id: id })
  await late.hears('concept_partial')
  t.same(readPartials(late.heard, id, 'concept'), { content: '변수는 값에 붙이는 ', attempt: 1, faults: [] })
  const names = late.heard.map(({ name }) => name)
  t.ok(names.indexOf('concept_partial') > names.indexOf('concept_started'), 'after the replay')

  await postPartial(url, id, 'concept', { text: '변수는 값에 붙이는 이름입니다.' }, work)
  await finish(url, id, 'concept')
  for (const { heard, hears } of [client, late]) {
    await hears('concept_completed')
    const before = heard.slice(
      0,
      heard.findIndex(({ name }) => name === 'concept_completed'),
    )
    t.same(
      readPartials(before, id, 'concept'),
      { content: '변수는 값에 붙이는 이름입니다.', attempt: 1, faults: [] },
      'the last text comes before the end',
    )
  }
  const tooLate = await postPartial(url, id, 'concept', { text: 'more' }, work)
  t.match(tooLate.body, { status: 'ignored', length: 0, cancelled: true })

  const after = await connectSocket(t, url)
  await after.ask('join_chapter', { chapter_id: id })
  await after.hears('concept_completed')
  await client.ask('leave_chapter', { chapter_id: id })
  await client.ask('join_chapter', { chapter_id: id })
  for (const { heard } of [after, client])
    t.notOk(
      heard
        .slice(heard.findLastIndex(({ name }) => name === 'joined_chapter'))
        .some(({ name }) => name === 'concept_partial'),
      'with the result the text so far is gone',
    )
  const { body } = await request(`${url}/v1/chapter/${id}/events`)
  t.notMatch(JSON.stringify(body), 'partial', 'nothing of it is in the log')
})

t.test(
  'a text that is appended at another length is ignored, and the worker is told where to go on',
  async (t) => {
    const { url } = await buildTestApp(t)
    const id = await createChapter(url)
    const work = await workOf(url, id, 'exercise')
    const say = async (body: object) => (await postPartial(url, id, 'exercise', body, work)).body
    t.match(await say({ text: 'abc', offset: 5 }), { status: 'ignored', length: 0 })
    t.match(await say({ text: 'abc', offset: 0 }), { status: 'success', length: 3 })
    t.match(await say({ text: 'c', offset: 2 }), { status: 'ignored', length: 3 })
    t.match(await say({ text: 'de', offset: 3 }), { status: 'success', length: 5 })
    t.match(await say({ text: 'ab' }), { status: 'success', length: 2 }, 'a worker may go back')
    t.match(await say({ text: '', offset: 2 }), { status: 'success', length: 2 })
  },
)

t.test('a worker that goes back takes its readers back to where both texts are the same', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: id })
  const reads = (text: string) =>
    waitFor(`the reader has ${text}`, () => readPartials(client.heard, id, 'concept').content === text)
  for (const text of ['one two', 'one', 'one 😀', 'one 😁', 'new', '']) {
    await postPartial(url, id, 'concept', { text }, work)
    await reads(text)
  }
  t.same(
    client.heard
      .filter(({ name }) => name === 'concept_partial')
      .map(({ payload }) => [payload.offset, payload.text]),
    [
      [0, 'one two'],
      [3, ''],
      [3, ' 😀'],
      [4, '😁'],
      [0, 'new'],
      [0, ''],
    ],
  )
})

t.test('half a character waits for its other half, and what cannot be stored is mended', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: id })
  const parts = ['a\0b\ud83d', '\ude00c\ude00', '\ud83d', 'x', 'end']
  let offset = 0
  for (const text of parts) {
    const { body } = await postPartial(url, id, 'concept', { text, offset }, work)
    offset += text.length
    t.match(body, { status: 'success', length: offset })
  }
  const whole = parts.join('').replaceAll('\0', '').toWellFormed()
  await waitFor('all is there', () => readPartials(client.heard, id, 'concept').content === whole)
  for (const { payload } of client.heard) t.ok((payload.text ?? '').isWellFormed())
})

t.test(
  'questions arrive one by one and whole, without their answers, in the order of their options',
  async (t) => {
    const { url } = await buildTestApp(t)
    const id = await createChapter(url)
    const work = await workOf(url, id, 'quiz')
    const client = await connectSocket(t, url)
    await client.ask('join_chapter', { chapter_id: id })
    const quizzes = [
      {
        question: 'Which one is an integer?',
        options: ['"42"', '42', '4.2'],
        type: 'multiple',
        correct_answer: '42',
      },
      {
        question: 'Is it?',
        type: 'boolean',
        options: ['True', 'False'],
        correct_answer: 'True',
        explanation: 'so',
      },
      { question: 'Name it', type: 'short', options: null, correct_answer: 'secret' },
    ]
    for (const count of [1, 2, 3]) {
      const { body } = await postPartial(url, id, 'quiz', { quizzes: quizzes.slice(0, count) }, work)
      t.match(body, { status: 'success', length: count })
      await waitFor('it is heard', () => readPartials(client.heard, id, 'quiz').content?.length === count)
    }
    const updates = client.heard.filter(({ name }) => name === 'quiz_partial').map(({ payload }) => payload)
    t.same(
      updates.map(({ offset, quizzes }) => [offset, quizzes.length]),
      [
        [0, 1],
        [1, 1],
        [2, 1],
      ],
    )
    t.notMatch(JSON.stringify(updates), /correct_answer|secret|explanation/)
    await post(`${url}/v1/chapter/${id}/quiz-finish`, { quizzes })
    const { body } = await request(`${url}/v1/chapter/${id}/learning`)
    const shown = readPartials(
      client.heard.filter(({ name }) => name === 'quiz_partial'),
      id,
      'quiz',
    ).content as object[]
    t.same(
      (shown as { options?: string[] }[]).map(({ options }) => options ?? null),
      body.quizzes.map(({ options }: { options: string[] | null }) => options),
      'what is stored looks as what was read along',
    )
  },
)

t.test('text counts only when it names the current work', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  const bare = await post(`${url}/v1/chapter/${id}/concept-partial`, { text: 'a' })
  t.match(bare, { status: 200, body: { status: 'ignored', length: 0 } })
  const other = await postPartial(url, id, 'concept', { text: 'a' }, { ...work, attempt: 2 })
  t.match(other.body, { status: 'ignored', length: 0 })
  const torn = await postPartial(url, id, 'concept', { text: 'a', attempt: 3 }, work)
  t.match(torn.body, { status: 'ignored', length: 0 }, 'the body must agree with the address')
  const inBody = await post(`${url}/v1/chapter/${id}/concept-partial`, { text: 'a', ...work })
  t.match(inBody.body, { status: 'success', length: 1 })
  t.equal((await postPartial(url, 999_999, 'concept', { text: 'a' }, work)).status, 404)
  const { body } = await request(`${url}/v1/chapter/${id}`)
  t.match(body.jobs[0], { kind: 'concept', status: 'published' })
})

t.test('text that is malformed or too long is refused, and costs nothing', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const concept = await workOf(url, id, 'concept')
  const quiz = await workOf(url, id, 'quiz')
  const say = (body: object) => postPartial(url, id, 'concept', body, concept)
  for (const body of [
    {},
    { text: 1 },
    { text: 'a', offset: -1 },
    { text: 'a', offset: 'x' },
    { quizzes: [] },
  ])
    t.equal((await say(body)).status, 400, JSON.stringify(body))
  for (const body of [{ text: 'a' }, { quizzes: {} }, { quizzes: [1] }, { quizzes: [{ question: null }] }])
    t.equal((await postPartial(url, id, 'quiz', body, quiz)).status, 400, JSON.stringify(body))
  t.match(await say({ text: 'x'.repeat(65_536) }), { status: 200, body: { length: 65_536 } })
  t.match(await say({ text: 'x'.repeat(65_537) }), { status: 413, body: { code: 'too_large' } })
  t.match(await say({ text: 'x', offset: 65_536 }), { status: 413 })
  t.match(await say({ text: '가'.repeat(21_846) }), { status: 413 }, 'in bytes')
  const { body } = await request(`${url}/v1/chapter/${id}`)
  t.same(
    body.jobs.map(({ attempt, status }: { attempt: number; status: string }) => [attempt, status]),
    [
      [1, 'published'],
      [1, body.jobs[1].status],
      [1, body.jobs[2].status],
    ],
  )
})

t.test('with a new attempt the text begins anew', async (t) => {
  const { url } = await buildTestApp(t, { GENERATION_RETRY_BASE_MS: '1', GENERATION_RETRY_MAX_MS: '1' })
  const id = await createChapter(url)
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: id })
  const first = await workOf(url, id, 'concept')
  await postPartial(url, id, 'concept', { text: 'the first try' }, first)
  await client.hears('concept_partial')
  await post(`${url}/v1/chapter/${id}/concept-fail`, { error: 'no', ...first })
  await client.hears('concept_retrying')
  t.match((await postPartial(url, id, 'concept', { text: 'the first try goes on' }, first)).body, {
    status: 'ignored',
  })
  const late = await connectSocket(t, url)
  await late.ask('join_chapter', { chapter_id: id })
  const second = await workOf(url, id, 'concept')
  t.equal(second.attempt, 2)
  t.match((await postPartial(url, id, 'concept', { text: 'x', offset: 13 }, second)).body, {
    status: 'ignored',
    length: 0,
  })
  await postPartial(url, id, 'concept', { text: 'the second' }, second)
  for (const { heard, hears } of [client, late]) {
    await hears('concept_partial', ({ attempt }) => attempt === 2)
    t.same(readPartials(heard, id, 'concept'), { content: 'the second', attempt: 2, faults: [] })
  }
  t.notMatch(JSON.stringify(late.heard.filter(({ name }) => name === 'concept_partial')), 'first')
})

t.test('a cancelled chapter tells a worker that going on is useless', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  await postPartial(url, id, 'concept', { text: 'a' }, work)
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.match((await postPartial(url, id, 'concept', { text: 'ab' }, work)).body, {
    status: 'ignored',
    cancelled: true,
  })
})

t.test('text renews the deadline, and its heartbeat is no write of the chapter', async (t) => {
  const clock = testClock()
  const { url } = await buildTestApp(t, { GENERATION_TIMEOUT_MS: '600000' }, { now: clock.now })
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  await postPartial(url, id, 'concept', { text: 'a' }, work)
  for (const kind of ['exercise', 'quiz'] as const) await finish(url, id, kind)
  const view = async () => (await request(`${url}/v1/chapter/${id}`)).body
  const before = await view()
  clock.advance(500_000)
  await postPartial(url, id, 'concept', { text: 'ab' }, work)
  await waitFor('the deadline has moved', async () => {
    return Date.parse((await view()).jobs[0].deadline_at) === clock.now() + 600_000
  })
  clock.advance(500_000)
  await postPartial(url, id, 'concept', { text: 'ab' }, work)
  await waitFor('it has moved again, without a new text', async () => {
    return Date.parse((await view()).jobs[0].deadline_at) === clock.now() + 600_000
  })
  const after = await view()
  t.equal(after.jobs[0].attempt, 1)
  t.equal(after.last_seq, before.last_seq)
  t.equal(after.updated_at, before.updated_at)
})

t.test('a stream of server-sent events has the text so far and what follows, without an id', async (t) => {
  const { url } = await buildTestApp(t)
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  await postPartial(url, id, 'concept', { text: 'one ' }, work)
  const response = await fetch(`${url}/v1/chapter/${id}/events`, { headers: { accept: 'text/event-stream' } })
  let text = ''
  const reading = (async () => {
    for await (const bytes of response.body ?? []) text += Buffer.from(bytes).toString()
  })()
  await waitFor('the text so far', () => text.includes('"text":"one "'))
  await postPartial(url, id, 'concept', { text: 'two', offset: 4 }, work)
  await waitFor('what follows', () => text.includes('"text":"two"'))
  await finish(url, id, 'concept')
  await post(`${url}/v1/chapter/${id}/cancel`)
  await reading
  const frames = text.split('\n\n').filter((frame) => frame.includes('event: concept_partial'))
  t.same(
    frames.map((frame) => frame.split('\n')),
    [
      ['event: concept_partial', `data: {"chapter_id":${id},"attempt":1,"offset":0,"text":"one "}`],
      ['event: concept_partial', `data: {"chapter_id":${id},"attempt":1,"offset":4,"text":"two"}`],
    ],
  )
})

t.test('the embedded database keeps the text over a restart, and forgets it with the result', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'chaptercast-text-'))
  const dataDir = join(folder, 'data')
  await copyEmbeddedDatabase(dataDir)
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const open = async () => buildTestApp(t, {}, { database: await openEmbeddedDatabase(dataDir) })
  const first = await open()
  const id = await createChapter(first.url)
  const work = await workOf(first.url, id, 'concept')
  await postPartial(first.url, id, 'concept', { text: 'kept ' }, work)
  await postPartial(first.url, id, 'concept', { text: 'whole', offset: 5 }, work)
  await first.close()

  const { url } = await open()
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: id })
  t.match(await client.hears('concept_partial'), { attempt: 1, offset: 0, text: 'kept whole' })
  t.match((await postPartial(url, id, 'concept', { text: '!', offset: 10 }, work)).body, { length: 11 })
  await client.hears('concept_partial', ({ offset, text }) => offset === 10 && text === '!')
  await finish(url, id, 'concept')
  const late = await connectSocket(t, url)
  await late.ask('join_chapter', { chapter_id: id })
  await late.hears('concept_completed')
  t.notOk(late.heard.some(({ name }) => name === 'concept_partial'))
})
