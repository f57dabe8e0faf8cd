import t from 'tap'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { createChapters, failAll, waitUntilSame, watchCourse } from '../support/course-watch.js'
import { openEvents } from './sse-client.js'

const KINDS = ['concept', 'exercise', 'quiz'] as const
const NONE = { processing: 0, completed: 0, failed: 0, cancelled: 0 }

async function finishAll(url: string, chapterId: number) {
  for (const kind of KINDS) await finish(url, chapterId, kind)
}

t.test('a join gives the whole list at once, then each change, and tells when all is done', async (t) => {
  const { url } = await buildTestApp(t)
  const [one = 0, two = 0] = await createChapters(url, 1, 2)
  const watcher = await watchCourse(t, url, 1)
  t.match(watcher.lists, [
    {
      course_id: 1,
      counts: { ...NONE, processing: 2 },
      progress: 0,
      chapters: [{ chapter_id: one }, { chapter_id: two }],
    },
  ])
  await finishAll(url, one)
  await waitFor('it is told', () => watcher.counts().completed === 1)
  t.same(watcher.completions, [])
  const later = await createChapter(url, { course_id: 1, title: 'later' })
  await createChapter(url, { course_id: 2, title: 'another course' })
  await waitFor('also one made later', () => watcher.chapters().length === 3)
  await finishAll(url, later)
  await post(`${url}/v1/chapter/${two}/cancel`)
  await waitFor('the end', () => watcher.completions.length === 1)
  t.match(watcher.completions, [
    { course_id: 1, counts: { ...NONE, completed: 2, cancelled: 1 }, message: /챕터/ },
  ])
  await waitUntilSame(url, 1, [watcher])
  t.equal(watcher.outOfOrder, 0)
  const names = watcher.client.heard.map(({ name }) => name)
  t.equal(names.at(-1), 'course_completed', 'after the statuses that made it so')
})

t.test(
  'course_completed comes each time that nothing is processing any more, and not for joining',
  async (t) => {
    const { url } = await buildTestApp(t)
    const [id = 0] = await createChapters(url, 1, 1)
    const first = await watchCourse(t, url, 1)
    for (let round = 1; round <= 3; round++) {
      await failAll(url, id)
      await waitFor(`end ${round}`, () => first.completions.length === round)
      const late = await watchCourse(t, url, 1)
      await post(`${url}/v1/chapter/${id}/retry`)
      await waitFor('it runs again', () => late.counts().processing === 1)
      t.same(late.completions, [], 'who joined a course that has ended is told of no end')
      late.client.socket.disconnect()
    }
    const [another = 0] = await createChapters(url, 1, 1)
    await finishAll(url, id)
    await finishAll(url, another)
    await waitFor('the last end', () => first.completions.length === 4)
    // One that was made and has ended before anything was told of it has ended too.
    const stream = await openEvents(t, `${url}/v1/course/1`)
    await stream.hears('joined_course')
    const [quick = 0] = await createChapters(url, 1, 1)
    await finishAll(url, quick)
    await waitFor('one more', () => first.completions.length === 5)
    await stream.hears('course_completed')
    t.equal(first.completions.at(-1)?.counts.completed, 3)
  },
)

t.test('a chapter that changes all the time is told less often, and the last change always', async (t) => {
  const { url } = await buildTestApp(t)
  const [id = 0] = await createChapters(url, 1, 1)
  const watcher = await watchCourse(t, url, 1)
  const stream = await openEvents(t, `${url}/v1/course/1`)
  await stream.hears('joined_course')
  let progress = 0
  let posts = 0
  while (watcher.statuses.length < 5) {
    progress = Math.min(98.9, progress + 0.1)
    posts += 1
    await post(`${url}/v1/chapter/${id}/progress`, { progress, message: `${posts}` })
  }
  await waitFor('the last one', () => watcher.chapters()[0]?.progress === progress)
  await finishAll(url, id)
  await waitFor('the end', () => watcher.completions.length === 1)
  t.comment(`${posts} posts, ${watcher.statuses.length} statuses`)
  t.match(watcher.chapters(), [{ status: 'completed', progress: 100 }])
  await stream.hears('course_completed')
  const last = stream.events().findLast(({ event }) => event === 'chapter_status')
  t.match(last?.data, { status: 'completed', progress: 100 }, 'a stream hears the same')
})

t.test('jobs that were sent to workers are told as published', async (t) => {
  const { url } = await buildTestApp(t)
  const watcher = await watchCourse(t, url, 1)
  t.match(watcher.lists, [{ course_id: 1, counts: NONE, progress: 0, chapters: [] }], 'an empty course')
  await createChapters(url, 1, 3)
  await waitFor(
    'they are published',
    () =>
      watcher.chapters().length === 3 &&
      watcher.chapters().every(({ kinds }) => KINDS.every((kind) => kinds[kind] === 'published')),
  )
  t.equal(watcher.outOfOrder, 0)
})

t.test('joins and leaves of one course take effect in the order they were sent', async (t) => {
  const { url } = await buildTestApp(t)
  const client = await connectSocket(t, url)
  const answers = await Promise.all([
    client.ask('join_course', { course_id: 1 }),
    client.ask('leave_course', { course_id: 1 }),
    client.ask('join_course', { course_id: 2 }),
    client.ask('leave_course', { course_id: 3 }),
  ])
  t.same(
    answers,
    [1, 1, 2, 3].map((course_id) => ({ ok: true, course_id })),
  )
  await createChapters(url, 1, 1)
  await createChapters(url, 2, 1)
  await client.hears('chapter_status')
  t.same(
    client.heard.filter(({ name }) => name === 'chapter_status').map(({ payload }) => payload.course_id),
    client.heard.filter(({ name }) => name === 'chapter_status').map(() => 2),
  )
  await client.ask('join_course', { course_id: 2 })
  t.equal(
    client.heard.filter(({ name }) => name === 'joined_course').length,
    3,
    'joined again it lists again',
  )
})

t.test('an invalid join of a course is refused with a reason', async (t) => {
  const { url } = await buildTestApp(t)
  const client = await connectSocket(t, url)
  for (const payload of [undefined, null, 5, {}, { course_id: '1' }, { course_id: 0 }, { chapter_id: 1 }]) {
    const answer = await client.ask('join_course', payload)
    t.match(answer, { ok: false, code: 'invalid_request' }, JSON.stringify(payload))
  }
  t.match(await client.hears('join_failed', ({ course_id }) => course_id === 0), {
    chapter_id: null,
    code: 'invalid_request',
  })
})

t.test('courses and chapters count together against the limit of rooms', async (t) => {
  const { url } = await buildTestApp(t, { MAX_ROOMS_PER_SOCKET: '2' })
  const client = await connectSocket(t, url)
  t.match(await client.ask('join_course', { course_id: 1 }), { ok: true })
  t.match(await client.ask('join_chapter', { chapter_id: 1 }), { ok: true })
  t.match(await client.ask('join_course', { course_id: 2 }), { ok: false, code: 'too_many_rooms' })
  t.match(await client.ask('join_chapter', { chapter_id: 2 }), { ok: false, code: 'too_many_rooms' })
  t.match(await client.ask('join_course', { course_id: 1 }), { ok: true }, 'one that it is in')
  await client.ask('leave_course', { course_id: 1 })
  t.match(await client.ask('join_chapter', { chapter_id: 2 }), { ok: true })
})

t.test('joins of courses count against the limit of joins', async (t) => {
  const { url } = await buildTestApp(t, { RATE_LIMIT_JOIN_PER_MINUTE: '2' })
  const client = await connectSocket(t, url)
  t.match(await client.ask('join_course', { course_id: 1 }), { ok: true })
  t.match(await client.ask('join_chapter', { chapter_id: 1 }), { ok: true })
  t.match(await client.ask('join_course', { course_id: 2 }), { ok: false, code: 'rate_limited' })
})

t.test('each token hears of a course what its claims say', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const signed = (claims: Record<string, unknown>) => signToken(claims)
  const tokens = {
    one: await signed({ sub: '1' }),
    two: await signed({ sub: '2' }),
    admin: await signed({ sub: 'x', role: 'admin' }),
    course: await signed({ courses: [7] }),
  }
  const create = async (ownerId: number) => {
    const chapters = [{ title: `of ${ownerId}` }]
    const body = { owner_id: ownerId, chapters }
    return (await post(`${url}/v1/course/7/chapters`, body, bearer(tokens.admin))).body.chapters[0].chapter_id
  }
  const [ofOne] = [await create(1), await create(2)]
  const watch = (token: string) => watchCourse(t, url, 7, { auth: { token } })
  const [one, two, admin, course] = await Promise.all(Object.values(tokens).map(watch))
  if (!one || !two || !admin || !course) return t.fail('all join')
  t.same(
    [one, two, admin, course].map((watcher) => watcher.lists[0]?.chapters.length),
    [1, 1, 2, 2],
  )
  await create(1)
  await create(2)
  await waitFor(
    'all hear theirs',
    () =>
      one.chapters().length === 2 &&
      two.chapters().length === 2 &&
      admin.chapters().length === 4 &&
      course.chapters().length === 4,
  )
  t.ok(
    one.chapters().every(({ title }) => title === 'of 1'),
    'an owner hears of their own chapters only',
  )
  for (const { chapter_id } of one.chapters()) await finishAll(url, chapter_id)
  await waitFor('an owner’s chapters have ended', () => one.completions.length === 1)
  t.match(one.completions[0]?.counts, { completed: 2, processing: 0 })
  t.same([two.completions, admin.completions], [[], []], 'the others’ have not')

  for (const claims of [{ chapters: [ofOne] }, { courses: [8] }, { sub: '1', chapters: [ofOne] }]) {
    const client = await connectSocket(t, url, { auth: { token: await signed(claims) } })
    t.match(await client.ask('join_course', { course_id: 7 }), { ok: false, code: 'forbidden' })
    t.match(await client.hears('join_failed'), { course_id: 7, code: 'forbidden' })
  }
})

t.test('a token that is replaced changes what is heard of a course', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const admin = bearer(await signToken({ role: 'admin' }))
  for (const owner_id of [1, 2])
    await post(`${url}/v1/course/7/chapters`, { owner_id, chapters: [{ title: `of ${owner_id}` }] }, admin)
  const token = (claims: object) => signToken({ sub: '1', ...claims })
  const watcher = await watchCourse(t, url, 7, { auth: { token: await token({}) } })
  t.equal(watcher.chapters().length, 1)
  const refresh = async (claims: object) =>
    watcher.client.ask('refresh_token', { token: await token(claims) })
  t.match(await refresh({ courses: [7] }), { ok: true })
  await waitFor('it sees all of it', () => watcher.chapters().length === 2)
  t.match(await refresh({ courses: [8] }), { ok: true })
  t.match(await watcher.client.hears('join_failed'), { course_id: 7, code: 'forbidden' })
  const before = watcher.statuses.length
  await post(`${url}/v1/course/7/chapters`, { owner_id: 1, chapters: [{ title: 'unheard' }] }, admin)
  t.match(await watcher.client.ask('join_course', { course_id: 8 }), { ok: true })
  t.equal(watcher.statuses.length, before, 'out of it')
})

t.test('a stream of a course goes on until its reader leaves, and begins anew with the list', async (t) => {
  const { url, close } = await buildTestApp(t)
  const stream = await openEvents(t, `${url}/v1/course/1`)
  t.equal(stream.status, 200)
  t.match(stream.headers['content-type'], /text\/event-stream/)
  t.same((await stream.hears('joined_course')).data, {
    course_id: 1,
    counts: NONE,
    progress: 0,
    chapters: [],
  })
  const [id = 0] = await createChapters(url, 1, 1)
  await stream.hears('chapter_status')
  await finishAll(url, id)
  await stream.hears('course_completed')
  t.notOk(stream.hasEnded(), 'a course may go on')
  const again = await openEvents(t, `${url}/v1/course/1`, { 'last-event-id': '5' })
  t.match((await again.hears('joined_course')).data, { counts: { completed: 1 }, progress: 100 })
  await close()
  await Promise.all([stream.ended, again.ended])
})

t.test('the end of a token ends its stream of a course', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const token = await signToken({ courses: [7] }, { expiresInS: 2 })
  const stream = await openEvents(t, `${url}/v1/course/7`, bearer(token))
  await stream.hears('joined_course')
  await stream.ended
  const refused = await openEvents(t, `${url}/v1/course/8`, bearer(await signToken({ courses: [7] })))
  t.equal(refused.status, 403)
})

t.test('a plain client whose connection was lost is back in its courses', async (t) => {
  const { url } = await buildTestApp(t)
  const [id = 0] = await createChapters(url, 1, 1)
  const watcher = await watchCourse(t, url, 1)
  await watcher.client.ask('join_course', { course_id: 2 })
  await watcher.client.ask('leave_course', { course_id: 2 })
  watcher.client.socket.io.engine.close()
  await waitFor('it is listed again', () => watcher.lists.length === 2)
  await finishAll(url, id)
  await waitFor('and hears', () => watcher.completions.length === 1)
  t.notOk(
    watcher.client.heard.slice(-5).some(({ payload }) => payload?.course_id === 2),
    'not in one that it left',
  )
})
