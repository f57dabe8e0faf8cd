/**
 * Text and numbers are kept as they were sent, or refused; headers mean what RFC 9110 says.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { refuses } from '../support/problem.js'

const { app, url } = await buildTestApp(t)

const create = (body: string) =>
  app.inject({
    method: 'POST',
    url: '/v1/chapter/',
    headers: { 'content-type': 'application/json' },
    payload: body,
  })
const withMetadata = (metadata: string) =>
  create(`${JSON.stringify(CREATE_EXAMPLE).slice(0, -1)},"metadata":${metadata}}`)

const CHANGED = [
  '1e400',
  '-1e400',
  '1e-400',
  '9007199254740993',
  '-9007199254740993',
  '12345678901234567890',
  '1152921504606846976',
  '9007199254740993.0',
  '900719925474099.3e1',
  '3.14159265358979323846',
  '0.1000000000000000055511151231257827',
  '9'.repeat(500),
  `1${'0'.repeat(500)}1`,
]
t.test('a number in metadata that cannot be kept exactly is refused, not changed', async (t) => {
  for (const number of CHANGED) {
    const problem = refuses(t, await withMetadata(`{"a":[{"b/c":${number}}]}`), 'invalid_request', [
      '/body/metadata/a/0/b~1c',
    ])
    t.notMatch(JSON.stringify(problem), number.slice(0, 12), 'and it is not quoted')
  }
  refuses(t, await withMetadata('{"a":9007199254740993,"b":[1,1e999]}'), 'invalid_request', [
    '/body/metadata/a',
    '/body/metadata/b/1',
  ])
})

t.test('a number that is kept exactly is shown again as it was, however it is written', async (t) => {
  const numbers = ['0', '-0.5', '1.0', '1E2', '10e-1', '0.1', '1.50', '9007199254740991', '9007199254740992']
  numbers.push('1e21', '1.7976931348623157e308', '5e-324', '0.30000000000000004', '100000000000000000000')
  for (const number of numbers) {
    const response = await withMetadata(`{"n":${number},"text":"9007199254740993 and \\"1e400\\""}`)
    t.equal(response.statusCode, 201, number)
    const { metadata } = (await app.inject(`/v1/chapter/${response.json().chapter_id}`)).json()
    t.equal(metadata.n, Number(number))
    t.equal(metadata.text, '9007199254740993 and "1e400"')
  }
})

t.test('many numbers that change are told of without delay', async (t) => {
  // CPU time: what else the machine does must not count.
  const before = process.cpuUsage()
  const response = await withMetadata(`{"n":[${Array(40_000).fill('9007199254740993').join()}]}`)
  refuses(t, response, 'invalid_request')
  refuses(t, await withMetadata(`{"n":1${'0'.repeat(900_000)}1}`), 'invalid_request')
  t.ok(process.cpuUsage(before).user < 5_000_000)
})

t.test('a webhook may carry such numbers in fields that nobody reads', async (t) => {
  const { chapter_id } = (await withMetadata('{}')).json()
  const payload = '{"title":"a","content":"b","usage":{"tokens":1e400,"id":12345678901234567890}}'
  const headers = { 'content-type': 'application/json' }
  const finish = await app.inject({
    method: 'POST',
    url: `/v1/chapter/${chapter_id}/concept-finish`,
    headers,
    payload,
  })
  t.equal(finish.statusCode, 200, finish.payload)
})

t.test('a problem holds no half characters and quotes nothing of a body', async (t) => {
  const secret = 'top-secret-of-a-caller'
  const broken = [
    `{"title":${secret}}`,
    `{"title":"${secret}"`,
    `{"title":"${secret}",}`,
    `{"title":"${secret}" "x"}`,
    `"${secret}`,
    `${secret}`,
    `{"a":"😀"😀}`,
    `😀`,
    `{"${secret}":tru}`,
    `{"a":1}${secret}`,
    `{"a":"${'x'.repeat(50_000)}",${secret}}`,
  ]
  for (const body of broken) {
    const problem = refuses(t, await create(body), 'invalid_json', ['/body'])
    t.notMatch(JSON.stringify(problem), secret)
    t.notMatch(JSON.stringify(problem), /top-se|\\ud[89a-f]|😀|xxxx/i, JSON.stringify(problem))
  }
  const where = refuses(t, await create('{"title": }'), 'invalid_json')
  t.match(where.detail, /unexpected token at position 10$/)
  t.match(refuses(t, await create('{"title": "a"'), 'invalid_json').detail, /ends too early/)

  const names = ['"\\ud800"', '"a\\udfffb"', `"${'x'.repeat(188)}😀😀"`, `"${'x'.repeat(189)}😀😀"`]
  for (const name of names) {
    const unknown = await create(`{${name}:1,${JSON.stringify(CREATE_EXAMPLE).slice(1)}`)
    t.notMatch(refuses(t, unknown, 'invalid_request') && unknown.payload, /\\ud[89a-f]/i)
    t.ok(unknown.payload.isWellFormed())
    t.notMatch((await withMetadata(`{${name}:{"b":1e400}}`)).payload, /\\ud[89a-f]/i)
  }
})

t.test('server-sent events are for those who ask for them', async (t) => {
  const { chapter_id } = (await withMetadata('{}')).json()
  await app.inject({ method: 'POST', url: `/v1/chapter/${chapter_id}/cancel` })
  const typeFor = async (accept: string) =>
    String(
      (await app.inject({ url: `/v1/chapter/${chapter_id}/events`, headers: { accept } })).headers[
        'content-type'
      ],
    ).split(';')[0]
  for (const accept of [
    'text/event-stream',
    'Text/Event-Stream; q=1.0',
    'text/html, text/event-stream;q=0.5, */*;q=0.1',
    'text/event-stream, application/json',
    'application/json;q=0.5, text/event-stream',
  ])
    t.equal(await typeFor(accept), 'text/event-stream', accept)
  for (const accept of [
    'text/event-stream;q=0',
    'text/event-stream; q=0.0, application/json',
    'application/json, text/event-stream;q=0.5',
    'application/json;x="text/event-stream"',
    'text/event-stream-of-mine',
    '*/*',
    'text/*',
    '',
  ])
    t.equal(await typeFor(accept), 'application/json', accept)
})

t.test('answers have the right content type, and private ones are not cached', async (t) => {
  const { chapter_id } = (await withMetadata('{}')).json()
  const paths = [
    `/v1/chapter/${chapter_id}`,
    `/v1/chapter/${chapter_id}/learning`,
    '/v1/chapter/',
    '/v1/chapter/0',
  ]
  paths.push(`/v1/chapter/${chapter_id}/events`, '/v1/chapter/999999', '/nowhere', '/v1/chapter/%ZZ')
  for (const path of paths) {
    const { headers } = await app.inject(path)
    t.equal(headers['x-content-type-options'], 'nosniff', path)
    t.equal(headers['cache-control'], 'no-store', path)
  }
  const created = await withMetadata('{}')
  t.match(created.headers, { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  for (const path of [
    '/healthz',
    '/readyz',
    '/metrics',
    '/docs',
    '/docs/json',
    '/docs/static/index.css',
    '/',
  ])
    t.equal((await app.inject(path)).headers['x-content-type-options'], 'nosniff', path)
  const poll = await fetch(`${url}/socket.io/?EIO=4&transport=polling`)
  t.equal(poll.headers.get('x-content-type-options'), 'nosniff')
  t.equal(poll.headers.get('cache-control'), 'no-store')
})
