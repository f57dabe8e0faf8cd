import { Writable } from 'node:stream'
import fastify from 'fastify'
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { whatIsOpen } from '../../src/http/auth.js'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { type Answer, FINISH_BODIES, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'

const SECRETS = { old: 'the-old-webhook-secret', new: 'the-new-webhook-secret' }

/** Routes of clients, as what they do with a chapter. */
const ACTIONS = {
  create: (url, _id, headers) => post(`${url}/v1/chapter/`, { ...CREATE_EXAMPLE, owner_id: 1 }, headers),
  read: (url, id, headers) => request(`${url}/v1/chapter/${id}`, 'GET', undefined, headers),
  learn: (url, id, headers) => request(`${url}/v1/chapter/${id}/learning`, 'GET', undefined, headers),
  events: (url, id, headers) => request(`${url}/v1/chapter/${id}/events`, 'GET', undefined, headers),
  stream: async (url, id, headers) => {
    const stop = new AbortController()
    const response = await fetch(`${url}/v1/chapter/${id}/events`, {
      headers: { ...headers, accept: 'text/event-stream' },
      signal: stop.signal,
    })
    const body = response.ok ? undefined : await response.json()
    stop.abort()
    return { status: response.status, headers: response.headers, body }
  },
  retry: (url, id, headers) => post(`${url}/v1/chapter/${id}/retry`, undefined, headers),
  cancel: (url, id, headers) => post(`${url}/v1/chapter/${id}/cancel`, undefined, headers),
} satisfies Record<string, (url: string, id: number, headers: Record<string, string>) => Promise<Answer>>
type Action = keyof typeof ACTIONS

const READS: Action[] = ['read', 'learn', 'events', 'stream']
const ALL = Object.keys(ACTIONS) as Action[]

t.test('each token may do with owner 1’s chapter in course 7 what its claims say', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const owner = bearer(await signToken({ sub: '1' }))
  const id = await createOwned(url, owner, 7)
  const tokens: Record<string, [claims: Record<string, unknown>, allowed: Action[]]> = {
    owner: [{ sub: '1' }, ALL],
    'another owner': [{ sub: '2' }, []],
    admin: [{ sub: 'backoffice', role: 'admin' }, ALL],
    'lists the chapter': [{ sub: '2', chapters: [id] }, READS],
    'lists another chapter': [{ chapters: [id + 1] }, []],
    'lists the course': [{ courses: [7] }, READS],
    'lists another course': [{ courses: [8] }, []],
    'owner, lists the chapter': [{ sub: '1', chapters: [id] }, READS],
    'owner, lists another course': [{ sub: '1', courses: [8] }, []],
  }
  for (const [name, [claims, allowed]] of Object.entries(tokens)) {
    const headers = bearer(await signToken(claims))
    // A cancelled chapter cannot be: each has one of its own to cancel and retry.
    for (const action of ALL) {
      const chapter = action === 'cancel' || action === 'retry' ? await createOwned(url, owner, 7) : id
      const { status, body } = await ACTIONS[action](url, chapter, headers)
      if (allowed.includes(action)) t.notOk([401, 403].includes(status), `${name} may ${action}: ${status}`)
      else
        t.match({ status, code: body?.code }, { status: 403, code: 'forbidden' }, `${name} may not ${action}`)
    }
  }
})

t.test('without a valid token no client request is answered, whatever else is wrong with it', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const expired = bearer(await signToken({ sub: '1' }, { expiresInS: -60 }))
  const cases: [headers: Record<string, string>, code: string, challenge: string][] = [
    [{}, 'unauthorized', 'Bearer realm="chaptercast"'],
    [{ authorization: 'Basic YTpi' }, 'unauthorized', 'Bearer realm="chaptercast"'],
    [bearer('nonsense'), 'unauthorized', 'Bearer realm="chaptercast", error="invalid_token"'],
    [expired, 'token_expired', 'Bearer realm="chaptercast", error="invalid_token"'],
  ]
  for (const [headers, code, challenge] of cases) {
    for (const [name, act] of Object.entries(ACTIONS)) {
      const answer = await act(url, 404_404, headers)
      t.match(answer, { status: 401, body: { code, status: 401 } }, `${name}: ${code}`)
      t.equal(answer.headers.get('www-authenticate'), challenge)
      t.match(answer.headers.get('content-type'), /problem\+json/)
    }
    t.match(await request(`${url}/v1/chapter/`, 'GET', undefined, headers), { status: 401 }, 'list')
    t.match(await post(`${url}/v1/chapter/`, '{"broken', headers), { status: 401 }, 'before the body is read')
  }
  const inAddress = await signToken({ sub: '1' })
  t.equal((await request(`${url}/v1/chapter/?token=${inAddress}`)).status, 401, 'never from an address')
  for (const path of ['/healthz', '/readyz', '/docs/json', '/'])
    t.equal((await fetch(`${url}${path}`)).status, 200, `${path} is open`)
  const preflight = await fetch(`${url}/v1/chapter/`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  })
  t.equal(preflight.status, 204, 'a browser may ask whether it may send a token')
  t.match(preflight.headers.get('access-control-allow-headers'), /authorization/)
})

t.test('a chapter that does not exist is unknown, one of somebody else’s is forbidden', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const headers = bearer(await signToken({ sub: '1' }))
  for (const action of ALL.filter((name) => name !== 'create'))
    t.match(await ACTIONS[action](url, 404_404, headers), {
      status: 404,
      body: { code: 'chapter_not_found' },
    })
})

t.test('a client lists its own chapters, or those that its token names', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const tokens = {
    one: bearer(await signToken({ sub: '1' })),
    two: bearer(await signToken({ sub: '2' })),
    admin: bearer(await signToken({ role: 'admin' })),
  }
  const a = await createOwned(url, tokens.one, 7)
  const b = await createOwned(url, tokens.one, 8)
  const c = await createOwned(url, tokens.two, 8, 2)
  const list = async (claims: Record<string, unknown>, query = '') => {
    const headers = bearer(await signToken(claims))
    const { status, body } = await request(`${url}/v1/chapter/${query}`, 'GET', undefined, headers)
    return status === 200 ? body.items.map((item: { chapter_id: number }) => item.chapter_id) : body.code
  }
  t.same(await list({ sub: '1' }), [b, a])
  t.same(await list({ sub: '1' }, '?course_id=8'), [b])
  t.same(await list({ sub: '1' }, '?owner_id=2'), 'forbidden')
  t.same(await list({ role: 'admin' }), [c, b, a])
  t.same(await list({ role: 'admin' }, '?owner_id=2'), [c])
  t.same(await list({ courses: [8] }), [c, b])
  t.same(await list({ courses: [8] }, '?course_id=8&owner_id=2'), [c])
  t.same(await list({ courses: [8] }, '?course_id=7'), 'forbidden')
  t.same(await list({ chapters: [a], courses: [9] }), [a])
  t.same(await list({ chapters: [] }), [])
})

t.test('a stream of events ends with the token', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const id = await createOwned(url, bearer(await signToken({ sub: '1' })), 7)
  // Clocks may differ by five seconds, which a token is good for after its end.
  const short = bearer(await signToken({ sub: '1' }, { expiresInS: -3.5 }))
  const response = await fetch(`${url}/v1/chapter/${id}/events`, {
    headers: { ...short, accept: 'text/event-stream' },
  })
  t.equal(response.status, 200)
  const text = await response.text()
  t.equal(text.match(/^id: /gm)?.length, 4, 'what there was came, and then the end')
})

t.test('webhooks need one of the secrets, and clients’ tokens are none', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET, WEBHOOK_SECRET: `${SECRETS.old}, ${SECRETS.new}` })
  const token = bearer(await signToken({ role: 'admin' }))
  const id = await createOwned(url, token, 7)
  const webhooks: Record<string, object> = {
    'concept-finish': FINISH_BODIES.concept,
    'exercise-finish': FINISH_BODIES.exercise,
    'quiz-start': { job_id: 'none', attempt: 1 },
    'quiz-fail': { error: 'no' },
    progress: { progress: 5, message: '…' },
  }
  for (const [name, body] of Object.entries(webhooks)) {
    const address = `${url}/v1/chapter/${id}/${name}`
    for (const headers of [{}, token, bearer('wrong'), bearer(`${SECRETS.old},${SECRETS.new}`)]) {
      const answer = await post(address, body, headers)
      t.match(answer, { status: 401, body: { code: 'unauthorized' } }, name)
      t.match(answer.headers.get('www-authenticate'), /^Bearer realm="chaptercast"/)
    }
    t.equal((await post(address, '{"broken', bearer('wrong'))).status, 401, 'before the body is read')
    t.equal((await post(`${url}/v1/chapter/404404/${name}`, body)).status, 401, 'and for unknown chapters')
    for (const secret of Object.values(SECRETS))
      t.not((await post(address, body, bearer(secret))).status, 401)
  }
  const { body } = await request(`${url}/v1/chapter/${id}`, 'GET', undefined, token)
  t.equal(body.progress > 0, true, 'what came with a secret counted')
  t.equal((await request(`${url}/v1/chapter/${id}`, 'GET', undefined, bearer(SECRETS.new))).status, 401)
})

t.test('the generator in the process knows the secret', async (t) => {
  const { url } = await buildTestApp(t, {
    GENERATOR: 'sample',
    GENERATOR_DELAY_MS: '0',
    WEBHOOK_SECRET: `${SECRETS.old},${SECRETS.new}`,
  })
  const id = await createOwned(url, {}, 7)
  await waitFor('the chapter is complete', async () => {
    return (await request(`${url}/v1/chapter/${id}`)).body.status === 'completed'
  })
})

t.test('no secret is logged, and open access is warned of once', async (t) => {
  const log = capture()
  const closed = await buildTestApp(t, { JWT_SECRET, WEBHOOK_SECRET: SECRETS.old }, { logger: log.logger })
  const token = await signToken({ sub: '1', name: 'Alice-in-the-claims' })
  const expired = await signToken({ sub: '1', name: 'Alice-in-the-claims' }, { expiresInS: -60 })
  const id = await createOwned(closed.url, bearer(token), 7)
  for (const credentials of [token, expired, `${token}x`, SECRETS.old, 'wrong-secret-of-a-stranger']) {
    await ACTIONS.read(closed.url, id, bearer(credentials))
    await post(`${closed.url}/v1/chapter/${id}/concept-finish`, {}, bearer(credentials))
  }
  t.match(log.text(), /refused/, 'refusals are logged')
  for (const secret of [
    'eyJ',
    'Alice',
    SECRETS.old,
    'wrong-secret',
    JWT_SECRET,
    token.split('.')[2] as string,
  ])
    t.notMatch(log.text(), secret)
  t.notMatch(log.text(), /Anyone who reaches/)

  const opened = capture()
  await buildTestApp(t, {}, { logger: opened.logger })
  const said = await waitFor('what is open is said', () =>
    opened.lines().some(({ msg }) => /is at http/.test(String(msg))) ? opened.lines() : undefined,
  )
  const warnings = said.filter(({ level }) => level === 40)
  t.equal(warnings.length, 1)
  t.match(warnings[0]?.msg, /JWT_SECRET.*WEBHOOK_SECRET/)
})

t.test('what is open names the settings that close it', async (t) => {
  const jwt = { secret: JWT_SECRET, jwksUrl: undefined, issuer: undefined, audience: undefined }
  t.equal(whatIsOpen({ jwt, webhookSecrets: ['x'] }), undefined)
  t.match(whatIsOpen({ jwt: undefined, webhookSecrets: ['x'] }), /^(?!.*WEBHOOK_SECRET).*JWT_SECRET/)
  t.match(whatIsOpen({ jwt, webhookSecrets: [] }), /^(?!.*JWT_SECRET).*WEBHOOK_SECRET/)
})

t.test('the API’s description says where credentials are needed', async (t) => {
  const { url } = await buildTestApp(t)
  const { body } = await request(`${url}/docs/json`)
  t.same(Object.keys(body.components.securitySchemes), ['clientToken', 'webhookSecret'])
  for (const [path, methods] of Object.entries<Record<string, { security?: object[]; responses: object }>>(
    body.paths,
  ))
    for (const { security, responses } of Object.values(methods)) {
      if (!path.startsWith('/v1/')) t.equal(security, undefined, path)
      else {
        const scheme = /-(start|finish|fail|partial)$|progress$/.test(path) ? 'webhookSecret' : 'clientToken'
        t.same(security?.[0], { [scheme]: [] }, path)
        t.ok('401' in responses, path)
      }
    }
})

async function createOwned(
  url: string,
  headers: Record<string, string>,
  courseId: number,
  ownerId = 1,
): Promise<number> {
  const fields = { ...CREATE_EXAMPLE, course_id: courseId, owner_id: ownerId }
  const { body } = await post(`${url}/v1/chapter/`, fields, headers)
  return body.chapter_id
}

/** A logger that keeps what it was given. */
function capture() {
  let text = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk
      done()
    },
  })
  return {
    // What the server would make for itself.
    logger: fastify({ logger: { level: 'trace', stream } }).log,
    text: () => text,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { level: number; msg: string }),
  }
}
