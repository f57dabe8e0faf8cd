import { once } from 'node:events'
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, post } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'

/** A token is good for five seconds after its end, since clocks differ. */
const TOLERANCE_S = 5
const endsIn = (seconds: number) => ({ expiresInS: seconds - TOLERANCE_S })

t.test('a connect without a good token is refused, and says why', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const cases: [auth: Record<string, unknown>, code: string][] = [
    [{}, 'unauthorized'],
    [{ token: 'nonsense' }, 'unauthorized'],
    [{ token: 42 }, 'unauthorized'],
    [{ token: null }, 'unauthorized'],
    [{ token: await signToken({ sub: 'alice' }) }, 'unauthorized'],
    [{ token: await signToken({ sub: '1' }, { expiresInS: -60 }) }, 'token_expired'],
    [{ token: await signToken({ sub: '1' }, { notBeforeInS: 60 }) }, 'unauthorized'],
  ]
  for (const transport of ['websocket', 'polling'] as const)
    for (const [auth, code] of cases) {
      const { error, socket } = await refusal(t, url, auth, transport)
      t.match(error, { message: /token/i, data: { code, message: error.message } }, `${transport}: ${code}`)
      t.equal(socket.active, false, 'and the client stays away')
    }
})

t.test('a client joins its own chapters, and those that its token names', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const id = await createOwned(url, 7)
  const tokens: Record<string, [claims: Record<string, unknown>, isAllowed: boolean]> = {
    owner: [{ sub: '1' }, true],
    'another owner': [{ sub: '2' }, false],
    admin: [{ role: 'admin' }, true],
    'lists the chapter': [{ sub: '2', chapters: [id] }, true],
    'lists the course': [{ courses: [7] }, true],
    'owner, lists another course': [{ sub: '1', courses: [8] }, false],
  }
  for (const [name, [claims, isAllowed]] of Object.entries(tokens)) {
    const client = await connectSocket(t, url, { auth: { token: await signToken(claims) } })
    const ack = await client.ask('join_chapter', { chapter_id: id })
    if (isAllowed) {
      t.match(ack, { ok: true, chapter_id: id, last_seq: 4 }, name)
      continue
    }
    t.match(ack, { ok: false, code: 'forbidden' }, name)
    t.match(await client.hears('join_failed'), { chapter_id: id, code: 'forbidden' })
    t.notOk(
      client.heard.some(({ payload }) => payload?.seq !== undefined),
      'nothing of the chapter is told',
    )
    t.match(await client.ask('join_chapter', { chapter_id: 404_404 }), { code: 'chapter_not_found' })
  }
})

t.test('with a token, a chapter that does not exist yet cannot be joined', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  for (const claims of [{ sub: '1' }, { role: 'admin' }, { chapters: [1] }]) {
    const client = await connectSocket(t, url, { auth: { token: await signToken(claims) } })
    t.match(await client.ask('join_chapter', { chapter_id: 1 }), { ok: false, code: 'chapter_not_found' })
  }
  const open = await buildTestApp(t)
  const client = await connectSocket(t, open.url)
  t.match(await client.ask('join_chapter', { chapter_id: 1 }), { ok: true, chapter_id: 1 })
  t.same(await client.ask('refresh_token', { token: 'whatever' }), { ok: true })
  t.equal(await createChapter(open.url), 1)
  await client.hears('chapter_processing_started')
})

t.test('a connection ends with its token, and the client stays away until it has a new one', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  for (const transports of [['websocket'], ['polling']]) {
    let token = await signToken({ sub: '1' }, endsIn(1))
    const auth = (give: (data: object) => void) => give({ token })
    const { socket, hears, heard } = await connectSocket(t, url, { auth, transports })
    const ended = next(socket, 'disconnect')
    t.match(await hears('token_expired'), { message: /expired/ })
    t.equal(await ended, 'io server disconnect')
    t.equal(socket.active, false)
    t.equal(heard.at(-1)?.name, 'token_expired', 'nothing came after')

    token = await signToken({ sub: '1' })
    socket.connect()
    await waitFor('the client is back', () => socket.connected)
  }
})

t.test('a token that is refreshed in time keeps the connection and its rooms', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const id = await createOwned(url, 7)
  const client = await connectSocket(t, url, { auth: { token: await signToken({ sub: '1' }, endsIn(1.5)) } })
  const witness = await connectSocket(t, url, { auth: { token: await signToken({ sub: '1' }, endsIn(1.5)) } })
  await client.ask('join_chapter', { chapter_id: id })
  t.same(await client.ask('refresh_token', { token: await signToken({ sub: '1' }) }), { ok: true })
  await witness.hears('token_expired')
  await finish(url, id, 'concept')
  await client.hears('concept_completed')
  t.ok(client.socket.connected)
})

t.test('a refresh that is refused says why, and leaves the token that was', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const id = await createOwned(url, 7)
  const client = await connectSocket(t, url, { auth: { token: await signToken({ sub: '1' }) } })
  const cases: [payload: unknown, code: string][] = [
    [{ token: 'nonsense' }, 'unauthorized'],
    [{ token: 5 }, 'unauthorized'],
    [{}, 'unauthorized'],
    [null, 'unauthorized'],
    ['text', 'unauthorized'],
    [{ token: await signToken({ sub: '1' }, { expiresInS: -60 }) }, 'token_expired'],
    [{ token: await signToken({ sub: '2' }) }, 'forbidden'],
    [{ token: await signToken({ role: 'admin' }) }, 'forbidden'],
  ]
  for (const [payload, code] of cases)
    t.match(await client.ask('refresh_token', payload), { ok: false, code, message: /./ }, code)
  t.match(await client.ask('join_chapter', { chapter_id: id }), { ok: true })
})

t.test('a refresh to fewer rights takes the connection out of rooms that it may not be in', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const [kept, lost] = [await createOwned(url, 7), await createOwned(url, 8)]
  const sign = (courses: number[]) => signToken({ sub: 'pupil', courses })
  const client = await connectSocket(t, url, { auth: { token: await sign([7, 8]) } })
  for (const chapter_id of [kept, lost])
    t.match(await client.ask('join_chapter', { chapter_id }), { ok: true })

  t.same(await client.ask('refresh_token', { token: await sign([7]) }), { ok: true })
  t.match(await client.hears('join_failed'), { chapter_id: lost, code: 'forbidden' })
  await finish(url, lost, 'concept')
  await finish(url, kept, 'concept')
  await client.hears('concept_completed', ({ chapter_id }) => chapter_id === kept)
  t.notOk(client.logged(lost).includes('concept_completed'))
  t.match(await client.ask('join_chapter', { chapter_id: lost }), { ok: false, code: 'forbidden' })

  t.same(await client.ask('refresh_token', { token: await sign([8]) }), { ok: true })
  t.match(await client.ask('join_chapter', { chapter_id: lost, after_seq: 4 }), { ok: true })
  t.same(client.logged(lost).slice(-1), ['concept_completed'], 'and back with more')
})

t.test('of several refreshes the one asked for last holds', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const id = await createOwned(url, 7)
  const sign = (courses: number[]) => signToken({ sub: 'pupil', courses })
  const client = await connectSocket(t, url, { auth: { token: await sign([]) } })
  const tokens = await Promise.all([sign([8]), sign([9]), sign([7])])
  const acks = await Promise.all(tokens.map((token) => client.ask('refresh_token', { token })))
  t.same(acks, [{ ok: true }, { ok: true }, { ok: true }])
  t.match(await client.ask('join_chapter', { chapter_id: id }), { ok: true })
})

t.test(
  'while the issuer’s keys cannot be fetched a client keeps trying, and comes in when they can',
  async (t) => {
    const port = await freePort()
    const { url } = await buildTestApp(t, { JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks.json` })
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const token = await signToken({ sub: '1' }, { algorithm: 'ES256', key: privateKey, kid: 'a' })
    const answer = await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, bearer(token))
    t.match(answer, { status: 503, body: { code: 'unavailable' } })
    t.equal(answer.headers.get('retry-after'), '5')

    const socket = io(url, { forceNew: true, auth: { token } })
    t.teardown(() => socket.disconnect())
    let refused = false
    socket.on('connect_error', () => {
      refused = true
    })
    const issuer = createServer((_request, response) => {
      void exportJWK(publicKey).then((key) => response.end(JSON.stringify({ keys: [{ ...key, kid: 'a' }] })))
    }).listen(port, '127.0.0.1')
    await once(issuer, 'listening')
    t.teardown(() => {
      issuer.close()
      issuer.closeAllConnections()
    })
    await waitFor('the client is in', () => socket.connected)
    t.notOk(refused)
    t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, bearer(token))).status, 201)
  },
)

async function refusal(
  t: Test,
  url: string,
  auth: Record<string, unknown>,
  transport: 'websocket' | 'polling',
): Promise<{ error: Error & { data?: unknown }; socket: Socket }> {
  const socket = io(url, { forceNew: true, auth, transports: [transport] })
  t.teardown(() => socket.disconnect())
  return { error: await next(socket, 'connect_error'), socket }
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the event brings
function next(socket: Socket, name: string): Promise<any> {
  return new Promise((resolve) => socket.once(name, resolve))
}

async function createOwned(url: string, courseId: number): Promise<number> {
  const headers = bearer(await signToken({ sub: '1' }))
  const { body } = await post(`${url}/v1/chapter/`, { ...CREATE_EXAMPLE, course_id: courseId }, headers)
  return body.chapter_id
}
