import t from 'tap'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, post } from '../support/client.js'

/** Each route, with what it needs to be asked. */
const ROUTES = [
  ['GET', '/v1/admin/stuck'],
  ['GET', '/v1/admin/chapter/1'],
  ['POST', '/v1/admin/chapter/1/quiz/end'],
  ['POST', '/v1/admin/chapter/1/quiz/restart'],
  ['GET', '/v1/admin/dead-letters'],
  ['POST', '/v1/admin/dead-letters/redrive', { filter: { owner_id: 404 } }],
  ['GET', '/v1/admin/redrives'],
  ['GET', '/v1/admin/redrives/1'],
  ['DELETE', '/v1/admin/redrives/1'],
  ['GET', '/v1/admin/kinds'],
  ['POST', '/v1/admin/kinds/quiz/pause'],
  ['POST', '/v1/admin/kinds/quiz/resume'],
  ['GET', '/v1/admin/deliveries'],
  ['POST', '/v1/admin/deliveries/1/5/resend'],
  ['GET', '/v1/admin/audit'],
] as const
type Inject = {
  headers?: Record<string, string>
  remoteAddress?: string
}

const open = await buildTestApp(t)
const closed = await buildTestApp(t, { JWT_SECRET })
const proxied = await buildTestApp(t, { TRUST_PROXY: 'true', CORS_ORIGIN: 'https://ops.example' })

t.test('with authentication on, operators are those whose token has the role admin', async (t) => {
  const { app } = closed
  const tokens: [name: string, status: number | 'answered', claims: Record<string, unknown> | undefined][] = [
    ['nobody', 401, undefined],
    ['an owner', 403, { sub: '1' }],
    ['an admin whose token lists chapters', 403, { sub: 'ops', role: 'admin', chapters: [1] }],
    ['an admin', 'answered', { sub: 'ops', role: 'admin' }],
  ]
  for (const [name, expected, claims] of tokens) {
    const headers = claims === undefined ? {} : bearer(await signToken(claims))
    for (const [method, url, payload] of ROUTES) {
      const { statusCode, headers: answered } = await app.inject({
        ...{ method, url, headers, remoteAddress: '203.0.113.9' },
        ...(payload === undefined ? {} : { payload }),
      })
      if (expected === 'answered')
        t.notOk([401, 403, 500].includes(statusCode), `${method} ${url}: ${statusCode}`)
      else {
        t.equal(statusCode, expected, `${name}: ${method} ${url}`)
        t.match(answered['content-type'], /problem\+json/)
      }
    }
  }
})

t.test('without authentication only this machine itself is answered', async (t) => {
  const { app } = open
  const refused: [why: string, given: Inject][] = [
    ['another address', { remoteAddress: '203.0.113.9' }],
    [
      'another address that says it forwards for this one',
      {
        remoteAddress: '203.0.113.9',
        headers: { 'x-forwarded-for': '127.0.0.1' },
      },
    ],
    ['a proxy on this machine', { headers: { 'x-forwarded-for': '203.0.113.9' } }],
    ['a proxy that says so in the standard way', { headers: { forwarded: 'for=127.0.0.1' } }],
    ['a name of another site that leads here', { headers: { host: 'evil.example:8000' } }],
    ['a page of another site', { headers: { host: 'localhost', origin: 'https://evil.example' } }],
    ['a file that was opened from disk', { headers: { host: 'localhost', origin: 'null' } }],
  ]
  for (const [method, url, payload] of ROUTES)
    for (const [why, given] of refused) {
      const answer = await app.inject({
        method,
        url,
        ...given,
        ...(payload === undefined ? {} : { payload }),
      })
      t.match(answer.json(), { status: 403, code: 'forbidden' }, `${method} ${url}: ${why}`)
    }
  for (const remoteAddress of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])
    for (const headers of [
      { host: 'localhost:8000' },
      { host: '[::1]:8000' },
      { host: '127.0.0.1:8000', origin: 'http://127.0.0.1:8000' },
      { host: 'localhost', origin: 'http://localhost:5173' },
    ])
      t.equal((await app.inject({ url: '/v1/admin/kinds', remoteAddress, headers })).statusCode, 200)
  t.same((await app.inject('/v1/admin/audit')).json().items, [], 'what was refused was not done')
})

t.test('a proxy that is trusted does not open it either', async (t) => {
  const { app } = proxied
  const headers = { 'x-forwarded-for': '127.0.0.1' }
  const answer = await app.inject({ url: '/v1/admin/kinds', remoteAddress: '203.0.113.9', headers })
  t.equal(answer.statusCode, 403)
})

t.test('an origin that CORS_ORIGIN lists may call from this machine, and another one may not', async (t) => {
  const { app } = proxied
  const codeFor = async (origin: string) =>
    (await app.inject({ url: '/v1/admin/kinds', headers: { host: 'localhost:8000', origin } })).json().code
  t.equal(await codeFor('https://ops.example'), undefined)
  t.equal(await codeFor('https://other.example'), 'origin_not_allowed')
})

t.test('the audit log says who acted, by the sub of their token', async (t) => {
  const { url } = closed
  const admin = bearer(await signToken({ sub: 'kim@example.org', role: 'admin' }))
  await post(`${url}/v1/admin/kinds/quiz/pause`, { reason: 'a test' }, { ...admin, 'x-request-id': 'req-1' })
  const response = await fetch(`${url}/v1/admin/audit`, { headers: admin })
  t.match(await response.json(), {
    items: [
      {
        actor: 'kim@example.org',
        action: 'pause',
        kind: 'quiz',
        chapter_id: null,
        details: { reason: 'a test' },
        request_id: 'req-1',
        outcome: 'done',
        problem: null,
      },
    ],
    next_cursor: null,
  })
})

t.test('an act that is refused is in the audit log too, with why', async (t) => {
  const { url } = open
  const id = await createChapter(url)
  await post(`${url}/v1/chapter/${id}/cancel`)
  const { status } = await post(`${url}/v1/admin/chapter/${id}/quiz/restart`)
  t.equal(status, 409)
  const { items } = (await (await fetch(`${url}/v1/admin/audit?chapter_id=${id}`)).json()) as {
    items: unknown
  }
  t.match(items, [
    {
      actor: 'loopback',
      action: 'restart',
      chapter_id: id,
      kind: 'quiz',
      outcome: 'refused',
      problem: /cancelled/,
    },
  ])
})
