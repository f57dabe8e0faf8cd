import { decodeJwt } from 'jose'
import t from 'tap'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp, testClock } from '../support/app.js'
import { connectSocket, FINISH_BODIES, post, request } from '../support/client.js'

const CREATE = { course_id: 42, title: 'x', owner_id: 6 }

async function school(t: Parameters<typeof buildTestApp>[0], env: Record<string, string> = {}) {
  const claims = {
    ...(env.JWT_ISSUER ? { iss: env.JWT_ISSUER } : {}),
    ...(env.JWT_AUDIENCE ? { aud: env.JWT_AUDIENCE } : {}),
  }
  const app = await buildTestApp(t, { JWT_SECRET, ...env })
  const { url } = app
  const owner = bearer(await signToken({ sub: '6', ...claims }))
  const stranger = bearer(await signToken({ sub: '7', ...claims }))
  const admin = bearer(await signToken({ sub: 'boss', role: 'admin', ...claims }))
  const create = async (fields: object, who: Record<string, string>) =>
    (await post(`${url}/v1/chapter/`, { ...CREATE, ...fields }, who)).body.chapter_id as number
  const id = await create({}, owner)
  for (const kind of ['concept', 'exercise', 'quiz'] as const)
    await post(`${url}/v1/chapter/${id}/${kind}-finish`, FINISH_BODIES[kind])
  return {
    ...app,
    id,
    owner,
    stranger,
    admin,
    create,
    at: (path: string) => `${url}/v1/chapter/${id}/${path}`,
  }
}

t.test('an owner gives a token that watches one chapter, and nothing else', async (t) => {
  const { url, id, owner, at, create } = await school(t, {
    JWT_ISSUER: 'school',
    JWT_AUDIENCE: 'chaptercast',
  })
  const { status, body } = await post(at('watch-token'), undefined, owner)
  t.equal(status, 201)
  const claims = decodeJwt(body.token)
  t.match(claims, { chapters: [id], iss: 'school', aud: 'chaptercast' })
  t.notOk('answers' in claims || 'sub' in claims)
  t.equal(Date.parse(body.expires_at), (claims.exp ?? 0) * 1000)
  t.ok(Math.abs(Date.parse(body.expires_at) - Date.now() - 3_600_000) < 60_000, 'an hour unless asked')
  const watcher = bearer(body.token)
  t.equal((await request(at('learning'), 'GET', undefined, watcher)).status, 200)
  t.equal((await request(`${url}/v1/chapter/${id}`, 'GET', undefined, watcher)).status, 200)
  t.equal((await request(at('events'), 'GET', undefined, watcher)).status, 200)
  const socket = await connectSocket(t, url, { auth: { token: body.token } })
  t.match(await socket.ask('join_chapter', { chapter_id: id }), { ok: true, status: 'completed' })
  const other = await create({}, owner)
  t.equal((await request(`${url}/v1/chapter/${other}`, 'GET', undefined, watcher)).status, 403)
  t.match(await socket.ask('join_chapter', { chapter_id: other }), { ok: false, code: 'forbidden' })
  for (const path of ['retry', 'cancel', 'concept/regenerate', 'watch-token'])
    t.equal((await post(at(path), undefined, watcher)).status, 403, path)
  t.equal((await post(at('concept/restore'), { revision: 1 }, watcher)).status, 403)
  t.equal((await post(`${url}/v1/course/42/watch-token`, {}, watcher)).status, 403)
  t.equal((await fetch(`${url}/v1/chapter/${id}`, { method: 'DELETE', headers: watcher })).status, 403)
})

t.test('answers and earlier revisions are for the owner, an admin, or a token that says so', async (t) => {
  const { id, url, owner, admin, stranger, at } = await school(t)
  const plain = bearer((await post(at('watch-token'), {}, owner)).body.token)
  const { body } = await post(at('watch-token'), { answers: true }, owner)
  t.equal(decodeJwt(body.token).answers, true)
  const full = bearer(body.token)
  const course = bearer((await post(`${url}/v1/course/42/watch-token`, { answers: true }, admin)).body.token)
  const issued = bearer(await signToken({ chapters: [id] }))
  for (const path of ['learning?answers=true', 'concept/revisions', 'concept/revisions/1']) {
    const statuses = async (who: Record<string, string>) =>
      (await request(at(path), 'GET', undefined, who)).status
    for (const who of [owner, admin, full, course]) t.equal(await statuses(who), 200, path)
    for (const who of [plain, issued, stranger]) t.equal(await statuses(who), 403, path)
  }
  t.match((await request(at('learning?answers=true'), 'GET', undefined, full)).body.exercise, {
    answer: FINISH_BODIES.exercise.answer,
  })
  const shown = (await request(at('learning'), 'GET', undefined, plain)).body
  t.notOk('answer' in shown.exercise || 'correct_answer' in shown.quizzes[0])
  t.equal((await post(at('concept/restore'), { revision: 1 }, full)).status, 403, 'it still only reads')
})

t.test(
  'a course’s token shows the chapters of the owner who gave it, and an admin’s shows all',
  async (t) => {
    const { url, id, owner, stranger, admin, create } = await school(t)
    const path = `${url}/v1/course/42/watch-token`
    t.equal((await post(path, {}, stranger)).status, 403, 'no chapter of theirs is in it')
    const theirs = await create({ owner_id: 7 }, stranger)
    const { body } = await post(path, { ttl_s: 60 }, owner)
    t.match(decodeJwt(body.token), { courses: [42] })
    const watcher = bearer(body.token)
    const later = await create({}, owner)
    const elsewhere = await create({ course_id: 43 }, owner)
    const statusOf = async (chapter: number, who: Record<string, string>) =>
      (await request(`${url}/v1/chapter/${chapter}`, 'GET', undefined, who)).status
    t.same(
      await Promise.all([id, later, elsewhere, theirs].map((each) => statusOf(each, watcher))),
      [200, 200, 403, 403],
    )
    const listed = async (who: Record<string, string>) =>
      (await request(`${url}/v1/chapter/?course_id=42`, 'GET', undefined, who)).body.items.map(
        ({ chapter_id }: { chapter_id: number }) => chapter_id,
      )
    t.same(await listed(watcher), [later, id])
    const all = bearer((await post(path, {}, admin)).body.token)
    t.same(await listed(all), [later, theirs, id])
    t.equal(await statusOf(theirs, all), 200)
  },
)

t.test('only the owner and an admin give tokens, of a chapter that is there', async (t) => {
  const { url, stranger, admin, at } = await school(t)
  t.equal((await post(at('watch-token'), {}, stranger)).status, 403)
  t.equal((await post(at('watch-token'), {}, admin)).status, 201)
  t.equal((await post(`${url}/v1/chapter/999/watch-token`, {}, admin)).status, 404)
  t.equal((await post(at('watch-token'), {})).status, 401)
  for (const [body, code] of [
    [{ ttl_s: 59 }, 'too_small'],
    [{ ttl_s: 86_401 }, 'too_large'],
    [{ ttl_s: '60' }, 'not_a_number'],
    [{ answers: 'yes' }, 'wrong_type'],
    [{ role: 'admin' }, 'unknown_field'],
  ] as const)
    t.match(await post(at('watch-token'), body, admin), { status: 400, body: { errors: [{ code }] } })
})

t.test('a token ends when it says', async (t) => {
  const clock = testClock(Date.now())
  const { url } = await buildTestApp(t, { JWT_SECRET }, { now: clock.now })
  const owner = bearer(await signToken({ sub: '6' }))
  const { body } = await post(`${url}/v1/chapter/`, CREATE, owner)
  const path = `${url}/v1/chapter/${body.chapter_id}`
  const watcher = bearer((await post(`${path}/watch-token`, { ttl_s: 60 }, owner)).body.token)
  t.equal((await request(path, 'GET', undefined, watcher)).status, 200)
  clock.advance(70_000)
  t.match(await request(path, 'GET', undefined, watcher), { status: 401, body: { code: 'token_expired' } })
})

t.test('a server without a key of its own gives no tokens', async (t) => {
  const open = await buildTestApp(t)
  const foreign = await buildTestApp(t, { JWT_JWKS_URL: 'http://127.0.0.1:9/keys' })
  for (const path of ['/v1/chapter/1/watch-token', '/v1/course/1/watch-token'])
    t.match(await post(`${open.url}${path}`), { status: 409, body: { code: 'tokens_off' } })
  t.not((await post(`${foreign.url}/v1/chapter/1/watch-token`)).status, 201)
})

t.test('a list that narrows a course cannot be read as none', async (t) => {
  const { at } = await school(t)
  for (const courses_of of ['6', 0, null, [6]])
    t.equal(
      (
        await request(
          at('learning'),
          'GET',
          undefined,
          bearer(await signToken({ courses: [42], courses_of })),
        )
      ).status,
      401,
    )
})
