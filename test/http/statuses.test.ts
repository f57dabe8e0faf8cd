/**
 * Whatever a caller sends, and whatever is away, the status says whose trouble it is.
 */
import { createHmac } from 'node:crypto'
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { bearer, JWT_SECRET } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, FINISH_BODIES } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { refuses } from '../support/problem.js'
import { openRawHttp, requestText } from '../support/raw-http.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

const HANDSHAKE = '/socket.io/?EIO=4&transport=polling'

t.test('while PostgreSQL is away every route answers 503 with Retry-After', async (t) => {
  const env = { DATABASE_STATEMENT_TIMEOUT_MS: '300' }
  const { nodes } = await startNodes(t, 1, { proxies: true, env })
  const [{ url, postgres }] = nodes as [TestNode]
  const id = await createChapter(url)
  const work = { job_id: '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f', attempt: 1 }
  const requests: [method: string, path: string, body?: object | undefined, headers?: object][] = [
    ['POST', '/v1/chapter/', CREATE_EXAMPLE],
    ['POST', '/v1/chapter/', CREATE_EXAMPLE, { 'idempotency-key': 'one' }],
    ['GET', '/v1/chapter/'],
    ['GET', '/v1/chapter/?owner_id=1&course_id=1&status=completed&limit=1'],
    ['HEAD', '/v1/chapter/'],
    ['GET', `/v1/chapter/${id}`],
    ['GET', `/v1/chapter/${id}/learning`],
    ['GET', `/v1/chapter/${id}/learning?answers=true`],
    ['GET', `/v1/chapter/${id}/events`],
    ['GET', `/v1/chapter/${id}/events`, undefined, { accept: 'text/event-stream' }],
    ['POST', `/v1/chapter/${id}/retry`],
    ['POST', `/v1/chapter/${id}/cancel`],
    ['POST', `/v1/chapter/${id}/progress`, { progress: 5, message: 'on' }],
    ...(['concept', 'exercise', 'quiz'] as const).flatMap((kind): typeof requests => [
      ['POST', `/v1/chapter/${id}/${kind}-finish`, FINISH_BODIES[kind]],
      ['POST', `/v1/chapter/${id}/${kind}-finish`, work],
      ['POST', `/v1/chapter/${id}/${kind}-start`, work],
      ['POST', `/v1/chapter/${id}/${kind}-fail`, { error: 'x', ...work }],
    ]),
  ]
  const check = async ([method, path, body, headers]: (typeof requests)[number]) => {
    const response = await fetch(url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const about = `${method} ${path} ${JSON.stringify(headers ?? {})}`
    t.equal(response.status, 503, about)
    t.match(response.headers.get('retry-after'), /^\d+$/, about)
    t.match(response.headers.get('content-type'), 'application/problem+json', about)
    const text = await response.text()
    if (method !== 'HEAD') t.match(JSON.parse(text), { code: 'unavailable' }, about)
  }
  for (const trouble of ['cut', 'stall'] as const) {
    postgres[trouble]()
    await Promise.all(requests.map(check))
    postgres.resume()
    await waitFor('it is back', async () => (await fetch(`${url}/v1/chapter/${id}`)).status === 200)
  }
})

/** Signed, whatever it says. */
function signed(payload: string, header = '{"alg":"HS256"}'): string {
  const text = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${text}.${createHmac('sha256', JWT_SECRET).update(text).digest('base64url')}`
}

t.test('a signed token with odd claims is a 401', async (t) => {
  const lines: LogLine[] = []
  const { app } = await buildTestApp(t, { JWT_SECRET }, { logger: silentLog((line) => lines.push(line)) })
  const exp = Math.floor(Date.now() / 1000) + 600
  const odd = [
    '{}',
    'null',
    '[]',
    '"text"',
    '1',
    '{',
    '',
    '\ud800',
    ...['"600"', 'null', '{}', '[]', 'true', '-1', '0', '-1e400', '1e-400'].map(
      (value) => `{"sub":"1","exp":${value}}`,
    ),
    ...[
      '""',
      '"0"',
      '"-1"',
      '"1.0"',
      '"01"',
      '" 1"',
      '"\\u0000"',
      '"9007199254740993"',
      'true',
      'null',
      '[]',
      '["1"]',
    ].map((sub) => `{"sub":${sub},"exp":${exp}}`),
    ...[
      '{"toString":null}',
      '{"toString":1,"valueOf":1}',
      '{}',
      '[]',
      '[{}]',
      'true',
      'null',
      '1e400',
    ].flatMap((sub) => [
      `{"sub":${sub},"role":"admin","exp":${exp}}`,
      `{"sub":${sub},"chapters":[1],"exp":${exp}}`,
    ]),
    ...['1', '"1"', 'null', '{}', '["1"]', '[0]', '[1.5]', '[null]', '{"length":1}'].flatMap((ids) => [
      `{"sub":"1","chapters":${ids},"exp":${exp}}`,
      `{"sub":"1","courses":${ids},"exp":${exp}}`,
    ]),
    ...['"x"', '{}', 'null', '1e400'].map((nbf) => `{"sub":"1","exp":${exp},"nbf":${nbf}}`),
  ]
  for (const payload of odd)
    for (const url of ['/v1/chapter/1', '/v1/chapter/']) {
      const { statusCode, headers } = await app.inject({ url, headers: bearer(signed(payload)) })
      t.equal(statusCode, 401, payload)
      t.match(headers['www-authenticate'], /^Bearer /)
    }
  const oddHeaders = [
    '{}',
    'null',
    '[]',
    '{"alg":"none"}',
    '{"alg":1}',
    '{"alg":"HS256","crit":["x"]}',
    '{"alg":"RS256"}',
  ]
  for (const header of oddHeaders)
    refuses(
      t,
      await app.inject({ url: '/v1/chapter/1', headers: bearer(signed(`{"sub":"1","exp":${exp}}`, header)) }),
      'unauthorized',
    )
  t.equal(
    (await app.inject({ url: '/v1/chapter/', headers: bearer(signed(`{"sub":"1","exp":${exp}}`)) }))
      .statusCode,
    200,
  )
  t.equal(
    (await app.inject({ url: '/v1/chapter/', headers: bearer(signed('{"sub":"1","exp":1e300}')) }))
      .statusCode,
    200,
  )
  t.same(
    lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
    'and nothing of it is our fault',
  )
})

t.test('PUT, DELETE and HEAD on a polling session are 405 with Allow', async (t) => {
  const { url } = await buildTestApp(t)
  const opened = await (await fetch(url + HANDSHAKE)).text()
  const session = `${HANDSHAKE}&sid=${JSON.parse(opened.slice(1)).sid}`
  for (const path of [session, HANDSHAKE, '/socket.io/'])
    for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD']) {
      const response = await fetch(url + path, { method })
      t.equal(response.status, 405, `${method} ${path}`)
      t.equal(response.headers.get('allow'), 'GET, POST, OPTIONS')
      if (method !== 'HEAD') t.match(await response.json(), { code: 'method_not_allowed' })
    }
  t.equal((await fetch(url + session, { method: 'POST', body: '40' })).status, 200, 'the session lives on')
  t.equal((await fetch(`${url}/socket.io/socket.io.esm.min.js`)).status, 200)
  t.equal((await fetch(`${url}/socket.io/socket.io.js`, { method: 'HEAD' })).status, 200)
})

t.test('a body that breaks off is logged as a refusal, not as an error', async (t) => {
  const lines: LogLine[] = []
  const { url } = await buildTestApp(t, {}, { logger: silentLog((line) => lines.push(line)) })
  for (const framing of ['content-length: 100', 'transfer-encoding: chunked'])
    for (const isRude of [true, false]) {
      const client = await openRawHttp(t, url)
      const headers = [
        'content-type: application/json',
        framing,
        `x-request-id: broken-${framing.length}-${isRude}`,
      ]
      client.send(requestText('/v1/chapter/', { method: 'POST', headers }))
      client.send(framing.startsWith('c') ? '{"title":' : '9\r\n{"title":\r\n')
      await new Promise((resolve) => setImmediate(resolve))
      if (isRude) client.socket.resetAndDestroy()
      else client.socket.destroy()
    }
  await fetch(`${url}/v1/chapter/abc`, { headers: { 'x-request-id': 'marker' } })
  await waitFor(
    'the broken ones are in the log',
    () =>
      lines.filter(({ text, fields }) => text === 'refused' && String(fields.reqId).startsWith('broken'))
        .length >= 2,
  )
  t.same(
    lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  )
})

t.test('an expectation that cannot be met is a 417', async (t) => {
  const { url } = await buildTestApp(t)
  for (const path of ['/healthz', '/v1/chapter/', HANDSHAKE, '/nowhere']) {
    const client = await openRawHttp(t, url)
    client.send(requestText(path, { headers: ['expect: a-miracle', 'connection: close'] }))
    await client.closed()
    t.same(client.statuses(), [417], path)
    t.match(client.text(), /^content-type: application\/problem\+json/im)
    t.match(client.text(), /"code":"expectation_failed"/)
  }
})

t.test('a client that waits for 100 Continue gets it', async (t) => {
  const { url } = await buildTestApp(t)
  const client = await openRawHttp(t, url)
  const body = JSON.stringify(CREATE_EXAMPLE)
  const length = `content-length: ${Buffer.byteLength(body)}`
  client.send(
    requestText('/v1/chapter/', {
      method: 'POST',
      headers: ['content-type: application/json', length, 'expect: 100-continue'],
    }),
  )
  await waitFor('it may go on', () => client.statuses().length > 0)
  client.send(body)
  await waitFor('it is answered', () => client.statuses().length > 1)
  t.same(client.statuses(), [100, 201])
})

t.test('a missing or double Host is a 400, and HTTP/1.0 needs none', async (t) => {
  const { url } = await buildTestApp(t)
  for (const path of ['/healthz', '/v1/chapter/', HANDSHAKE, '/nowhere'])
    for (const hosts of ['', 'host: a\r\nhost: b\r\n', 'Host: a\r\nHOST: a\r\n']) {
      const client = await openRawHttp(t, url)
      client.send(`GET ${path} HTTP/1.1\r\n${hosts}connection: close\r\n\r\n`)
      await client.closed()
      t.same(client.statuses(), [400], `${path} ${hosts}`)
      t.match(client.text(), /^content-type: application\/problem\+json/im)
      t.match(client.text(), /\/headers\/host/)
    }
  const old = await openRawHttp(t, url)
  old.send('GET /healthz HTTP/1.0\r\n\r\n')
  await old.closed()
  t.same(old.statuses(), [200])
})
