/**
 * What holds for every route: CORS, request ids, unknown addresses, and what is not even HTTP.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { ERRORS } from '../../src/contract/problem.js'
import { buildTestApp } from '../support/app.js'
import { createChapter } from '../support/client.js'
import { refuses } from '../support/problem.js'

const { app, url } = await buildTestApp(t)
const chapterId = await createChapter(url)

t.test('pages of any origin may read answers and refusals, a file opened from disk too', async (t) => {
  const requests = [
    { method: 'GET', url: `/v1/chapter/${chapterId}` },
    { method: 'POST', url: '/v1/chapter/', payload: CREATE_EXAMPLE },
    { method: 'POST', url: '/v1/chapter/', payload: {} },
    { method: 'POST', url: '/v1/chapter/', payload: 'x', headers: { 'content-type': 'text/plain' } },
    { method: 'POST', url: '/v1/chapter/', payload: '{', headers: { 'content-type': 'application/json' } },
    { method: 'GET', url: '/v1/chapter/999999' },
    { method: 'GET', url: '/nowhere' },
    { method: 'POST', url: `/v1/chapter/${chapterId}/retry` },
  ] as const
  for (const origin of ['null', 'http://localhost:3000', 'https://example.org'])
    for (const given of requests) {
      const headers = { ...('headers' in given ? given.headers : {}), origin }
      const response = await app.inject({ ...given, headers })
      const about = `${given.method} ${given.url} from ${origin}: ${response.statusCode}`
      t.equal(response.headers['access-control-allow-origin'], '*', about)
      const exposed = String(response.headers['access-control-expose-headers']).toLowerCase().split(/, ?/)
      t.same(exposed.sort(), ['location', 'retry-after', 'x-request-id'], about)
    }
})

t.test('a preflight is answered for what the guide’s pages send', async (t) => {
  for (const path of ['/v1/chapter/', '/v1/chapter/1/retry', '/v1/chapter/1/concept-finish']) {
    const response = await app.inject({
      method: 'OPTIONS',
      url: path,
      headers: {
        origin: 'null',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,idempotency-key,authorization',
      },
    })
    t.equal(response.statusCode, 204, path)
    t.equal(response.payload, '')
    t.equal(response.headers['access-control-allow-origin'], '*')
    t.match(response.headers['access-control-allow-methods'], /POST/)
    t.match(response.headers['access-control-allow-headers'], /content-type.*idempotency-key.*authorization/)
  }
})

t.test('an OPTIONS request that is no preflight causes no fault', async (t) => {
  const response = await app.inject({ method: 'OPTIONS', url: '/v1/chapter/' })
  t.ok(response.statusCode < 300, response.payload)
})

t.test('with CORS_ORIGIN only the origins it names are let in', async (t) => {
  const { app } = await buildTestApp(t, { CORS_ORIGIN: 'https://school.example, null' })
  const allowed = async (origin: string) =>
    (await app.inject({ url: '/healthz', headers: { origin } })).headers['access-control-allow-origin']
  t.equal(await allowed('https://school.example'), 'https://school.example')
  t.equal(await allowed('null'), 'null')
  t.notOk(await allowed('https://evil.example'))
  t.notOk(await allowed('https://school.example.evil.example'))
})

t.test('a request id is given back, and made where none or a strange one is given', async (t) => {
  const idOf = async (url: string, given?: string) => {
    const headers = given === undefined ? {} : { 'x-request-id': given }
    const response = await app.inject({ url, headers })
    const id = response.headers['x-request-id']
    if (response.statusCode >= 400) t.equal(response.json().request_id, id, `${url}: header and body agree`)
    return id
  }
  for (const path of [
    '/healthz',
    `/v1/chapter/${chapterId}`,
    '/v1/chapter/abc',
    '/v1/chapter/%ZZ',
    '/nowhere',
  ]) {
    t.equal(await idOf(path, 'abc-1.2:3_4'), 'abc-1.2:3_4', path)
    t.match(await idOf(path), /^[0-9a-f-]{36}$/, path)
    for (const strange of ['', 'with blank', 'x'.repeat(129), '<script>', 'ünd'])
      t.match(await idOf(path, strange), /^[0-9a-f-]{36}$/, `${path}: ${strange.slice(0, 20)}`)
  }
})

const unknown: [method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'TRACE', url: string][] = [
  ['GET', '/nowhere'],
  ['GET', '/v1'],
  ['GET', '/v2/chapter/'],
  ['GET', '/V1/chapter/'],
  ['GET', '//v1/chapter/'],
  ['GET', '/v1/chapter/1/unknown'],
  ['POST', '/v1/chapter/1/video-finish'],
  ['POST', '/v1/chapter/1/concept-done'],
  ['PUT', '/v1/nowhere'],
  ['GET', '/../../etc/passwd'],
  ['GET', '/web/../../package.json'],
  ['GET', '/web/%2e%2e%2fpackage.json'],
]
for (const [method, path] of unknown)
  t.test(`there is nothing at ${method} ${path}`, async (t) => {
    refuses(t, await app.inject({ method, url: path }), 'route_not_found')
  })

const otherMethods: [
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'TRACE',
  url: string,
  allow: string,
][] = [
  ['GET', '/v1/chapter/1/concept-finish', 'POST'],
  ['GET', '/v1/chapter/1/concept-finish/?x=1', 'POST'],
  ['GET', '/v1/chapter/1/retry', 'POST'],
  ['POST', '/v1/chapter/1', 'DELETE, GET, HEAD'],
  ['POST', '/v1/chapter/1/learning', 'GET, HEAD'],
  ['PUT', '/v1/chapter/', 'GET, HEAD, POST'],
  ['PUT', '/v1/chapter', 'GET, HEAD, POST'],
  ['PATCH', '/v1/chapter/1', 'DELETE, GET, HEAD'],
  ['DELETE', '/v1/chapter/1/learning', 'GET, HEAD'],
  ['TRACE', '/v1/chapter/1', 'DELETE, GET, HEAD'],
  ['POST', '/healthz', 'GET, HEAD'],
  ['DELETE', '/', 'GET, HEAD'],
  ['POST', '/docs/static/index.css', 'GET, HEAD'],
]
for (const [method, path, allow] of otherMethods)
  t.test(`an address that is known says which methods it has: ${method} ${path}`, async (t) => {
    const response = await app.inject({ method, url: path })
    refuses(t, response, 'method_not_allowed')
    t.equal(response.headers.allow, allow)
  })

const malformed = [
  '/v1/chapter/%ZZ',
  '/v1/chapter/%',
  '/v1/chapter/%E0%A4%A',
  '/%ff',
  `/v1/chapter/${'1'.repeat(600)}`,
]
for (const path of malformed)
  t.test(`an address that cannot be read is refused: ${path.slice(0, 30)}`, async (t) => {
    refuses(t, await app.inject(path), 'invalid_request')
  })

const badIds = [
  'abc',
  '0',
  '-1',
  '01',
  '1.0',
  '1e0',
  '1;x=1',
  '%31%00',
  '9007199254740992',
  '1'.repeat(400),
  ' 1',
]
t.test('every route refuses an invalid id, and answers 404 to an id without a chapter', async (t) => {
  const uuid = '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f'
  const routes: [method: 'GET' | 'POST', suffix: string, payload?: object][] = [
    ['GET', ''],
    ['GET', '/learning'],
    ['GET', '/events'],
    ['POST', '/retry'],
    ['POST', '/cancel'],
    ['POST', '/concept-finish', { title: 'a', content: 'b' }],
    ['POST', '/exercise-finish', { question: 'a', answer: 'b' }],
    ['POST', '/quiz-finish', { quizzes: [{ question: 'a', correct_answer: 'b', type: 'short' }] }],
    ['POST', '/concept-start', { job_id: uuid, attempt: 1 }],
    ['POST', '/quiz-fail', { error: 'x' }],
    ['POST', '/progress', { progress: 1, message: 'x' }],
  ]
  for (const [method, suffix, payload] of routes) {
    const ask = (id: string) =>
      app.inject({ method, url: `/v1/chapter/${id}${suffix}`, ...(payload === undefined ? {} : { payload }) })
    for (const id of badIds)
      refuses(t, await ask(encodeURI(id).replace('%25', '%')), 'invalid_request', ['/params/id'])
    for (const id of ['999999', '9007199254740991']) refuses(t, await ask(id), 'chapter_not_found')
  }
})

t.test('HEAD answers as GET does, without a body', async (t) => {
  for (const path of [`/v1/chapter/${chapterId}`, '/v1/chapter/', '/healthz', '/readyz']) {
    const response = await app.inject({ method: 'HEAD', url: path })
    t.equal(response.statusCode, 200, path)
    t.equal(response.payload, '')
  }
  t.equal((await app.inject({ method: 'HEAD', url: '/v1/chapter/999999' })).statusCode, 404)
})

/** Everything the server says to these bytes, until it hangs up. */
async function say(
  bytes: string | Buffer,
): Promise<{ status: number; body: Record<string, unknown>; text: string }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.setTimeout(10_000, () => socket.destroy())
  socket.write(bytes)
  await once(socket, 'close')
  const text = Buffer.concat(chunks).toString()
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const isProblem = /content-type: application\/problem\+json/i.test(head)
  return { status: Number(text.slice(9, 12)), body: isProblem ? JSON.parse(body) : {}, text }
}

const garbage: Record<string, string | Buffer> = {
  noise: Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 167) % 256)),
  'a TLS greeting': Buffer.from('16030100a5010000a10303', 'hex'),
  'a method nobody knows': 'FROBNICATE / HTTP/1.1\r\nhost: x\r\n\r\n',
  'two lengths': 'POST /v1/chapter/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
  'a length that is no number': 'POST /v1/chapter/ HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n',
  'a length and chunks at once':
    'POST /v1/chapter/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a chunk that is none':
    'POST /v1/chapter/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  'a header with a NUL': 'GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n',
}
for (const [what, bytes] of Object.entries(garbage))
  t.test(`what is not HTTP is refused in the same shape, and the server goes on: ${what}`, async (t) => {
    const { status, body, text } = await say(bytes)
    t.equal(status, 400, text)
    t.match(body, { type: 'about:blank', status: 400, code: 'invalid_request', request_id: /\S/ }, text)
    t.equal((await app.inject('/healthz')).statusCode, 200)
  })

t.test('headers that are too large are refused in the same shape', async (t) => {
  const { status, body, text } = await say(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)
  t.equal(status, 431, text)
  t.match(body, { ...ERRORS.headers_too_large, code: 'headers_too_large' })
})

t.test('an id of eight thousand digits is refused like any other', async (t) => {
  const path = `/v1/chapter/${'9'.repeat(8000)}`
  const { status, body } = await say(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  t.equal(status, 400)
  t.match(body, { code: 'invalid_request' })
})
