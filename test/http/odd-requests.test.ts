/**
 * Requests that are HTTP, but not as any client of ours writes it: targets, versions, methods, headers and lengths.
 */
import { METHODS } from 'node:http'
import t, { type Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { openRawHttp, requestText } from '../support/raw-http.js'

const lines: LogLine[] = []
const { url, app } = await buildTestApp(t, {}, { logger: silentLog((line) => lines.push(line)) })
const id = await createChapter(url)

/** What the server says to these bytes, from the first answer on until it closes the connection. */
async function say(t: Test, bytes: string): Promise<{ statuses: number[]; text: string }> {
  const client = await openRawHttp(t, url)
  client.send(bytes)
  await client.closed()
  return { statuses: client.statuses(), text: client.text() }
}
const CLOSE = 'connection: close'
const JSON_TYPE = 'content-type: application/json'

t.test(
  'a file that is not there is 404 and no wrong method, and nothing leads out of its folder',
  async (t) => {
    for (const path of ['nowhere.js', '..%2f..%2fpackage.json']) {
      const { status, body } = await request(`${url}/docs/static/${path}`)
      t.match({ status, body }, { status: 404, body: { code: 'route_not_found' } }, path)
    }
  },
)

t.test('a known path says which methods it has, whatever body came with the wrong one', async (t) => {
  const bodies: [type: string, body: string][] = [
    ['application/json', '{'],
    ['application/json', '{"title":1}'],
    ['text/plain', 'text'],
    ['multipart/form-data', 'x'],
    ['', 'x'],
    ['application/json', ''],
  ]
  // Socket.IO has a test of its own; a tunnel and an upgrade are below.
  const others = METHODS.filter((name) => !['GET', 'HEAD', 'DELETE', 'OPTIONS', 'CONNECT'].includes(name))
  for (const method of others)
    for (const [type, body] of bodies) {
      const headers = [
        CLOSE,
        `content-length: ${body.length}`,
        ...(type === '' ? [] : [`content-type: ${type}`]),
      ]
      const { statuses, text } = await say(t, requestText(`/v1/chapter/${id}`, { method, headers }) + body)
      t.same(statuses, [405], `${method} ${type} ${body}`)
      t.match(text, /^allow: DELETE, GET, HEAD/im)
      t.match(text, /"code":"method_not_allowed"/)
    }
})

t.test('an unknown address is a 404, whatever body came with it', async (t) => {
  for (const [type, body] of [
    ['application/json', '{'],
    ['text/plain', 'x'],
  ])
    for (const method of ['POST', 'PUT', 'DELETE', 'PROPFIND']) {
      const headers = [CLOSE, `content-length: ${body?.length}`, `content-type: ${type}`]
      t.same((await say(t, requestText('/nowhere', { method, headers }) + body)).statuses, [404], method)
    }
})

t.test('a tunnel is refused, and its connection closed', async (t) => {
  const tunnel = 'CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n'
  const { statuses, text } = await say(t, tunnel)
  t.same(statuses, [405])
  t.match(text, /^allow: GET, HEAD, POST, OPTIONS/im)
  const { statuses: owed } = await say(t, requestText('/healthz').repeat(2) + tunnel)
  t.notOk(owed.includes(405), 'it lands in no other answer')
})

t.test('an address with its scheme and host is the same address', async (t) => {
  const at = async (target: string, method = 'GET', more: string[] = []) =>
    say(t, requestText(target, { method, headers: [CLOSE, ...more] }))
  const view = await at(`http://x/v1/chapter/${id}`)
  t.same(view.statuses, [200])
  t.match(view.text, /^cache-control: no-store/im, 'what is somebody’s is kept by nobody')
  t.same((await at('http://x')).statuses, [200])
  t.same((await at('HTTPS://x:8000/healthz?x=1')).statuses, [200])
  t.same((await at(`http://x/v1/chapter/${id}`, 'PUT')).statuses, [405])
  t.match((await at('http://x/socket.io/?EIO=4&transport=polling')).text, /"sid"/)
  t.same((await at('http://x/socket.io/?EIO=4&transport=polling&j=0')).statuses, [400], 'JSONP is off')
  t.same((await at('ftp://x/healthz')).statuses, [400])
  const websocket = [
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  const client = await openRawHttp(t, url)
  client.send(
    requestText('http://x/socket.io/?EIO=4&transport=websocket', {
      headers: ['connection: upgrade', ...websocket],
    }),
  )
  await waitFor('a websocket', () => client.statuses()[0] === 101)
})

t.test('an address with escapes has the same methods, and its answer is not cached', async (t) => {
  const path = `/%76%31/ch%61pter/${id}`
  const view = await say(t, requestText(path, { headers: [CLOSE] }))
  t.same(view.statuses, [200])
  t.match(view.text, /^cache-control: no-store/im)
  t.same((await say(t, requestText(path, { method: 'PUT', headers: [CLOSE] }))).statuses, [405])
})

t.test('an asterisk is no address, but may be asked for its options', async (t) => {
  for (const method of ['GET', 'POST', 'DELETE'])
    t.same((await say(t, requestText('*', { method, headers: [CLOSE] }))).statuses, [400], method)
  t.same((await say(t, requestText('*', { method: 'OPTIONS', headers: [CLOSE] }))).statuses, [204])
})

t.test('only HTTP/1.0 and HTTP/1.1 are spoken', async (t) => {
  for (const bytes of [
    'GET /\r\n\r\n',
    'GET / HTTP/1.2\r\nhost: x\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]) {
    const { statuses, text } = await say(t, bytes)
    t.same(statuses, [400], bytes)
    t.match(text, /problem\+json/)
  }
})

t.test('an expectation is a list, and HTTP/1.0 has none', async (t) => {
  const expecting = async (...lines: string[]) =>
    (await say(t, requestText('/healthz', { headers: [CLOSE, ...lines] }))).statuses.at(-1)
  t.equal(await expecting('expect: 100-continue', 'expect: 100-Continue'), 200)
  t.equal(await expecting('expect:'), 200)
  t.equal(await expecting('expect: 100-continue, a-miracle'), 417)
  t.equal(await expecting('expect: 200-ok'), 417)
  t.same((await say(t, 'GET /healthz HTTP/1.0\r\nexpect: a-miracle\r\n\r\n')).statuses, [200])
})

t.test('thousands of small headers are refused, because Node would drop some of them', async (t) => {
  for (const headers of [
    'a:\r\n'.repeat(15_000),
    `${'a:\r\n'.repeat(3000)}host: x\r\n`,
    'a: b\r\n'.repeat(1500),
  ]) {
    const { statuses, text } = await say(t, `GET /healthz HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n${headers}\r\n`)
    t.same(statuses, [431])
    t.match(text, /"code":"headers_too_large"/)
  }
  const some = 'a: b\r\n'.repeat(500)
  t.same((await say(t, `GET /healthz HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n${some}\r\n`)).statuses, [200])
})

t.test('a length beyond every limit is a 413 and no fault of the node', async (t) => {
  const post = (length: string) =>
    say(
      t,
      requestText('/v1/chapter/', {
        method: 'POST',
        headers: [JSON_TYPE, CLOSE, `content-length: ${length}`],
      }),
    )
  for (const length of ['1048577', '99999999999', '9007199254740993'])
    t.same((await post(length)).statuses, [413], length)
  t.same((await post('9'.repeat(30))).statuses, [400])
  const client = await openRawHttp(t, url)
  client.send(requestText('/v1/chapter/', { headers: ['content-length: 99999999999'] }))
  await waitFor('a list', () => client.statuses()[0] === 200)
})

t.test('bodies in chunks of odd sizes are read, and broken ones refused', async (t) => {
  const body = JSON.stringify(CREATE_EXAMPLE)
  const post = (chunks: string) =>
    say(
      t,
      `${requestText('/v1/chapter/', { method: 'POST', headers: [JSON_TYPE, CLOSE, 'transfer-encoding: chunked'] })}${chunks}`,
    )
  const bytes = [...Buffer.from(body)].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('')
  const length = Buffer.byteLength(body).toString(16)
  if (/^[\x20-\x7e]*$/.test(body)) t.same((await post(`${bytes}0\r\n\r\n`)).statuses, [201], 'a byte each')
  t.same(
    (await post(`0000${length};a=b;c="d"\r\n${body}\r\n0\r\nx: y\r\n\r\n`)).statuses,
    [201],
    'with a trailer',
  )
  for (const broken of [
    '-1\r\nx\r\n',
    'ffffffffffffffffff\r\nx',
    `1;${'a'.repeat(40_000)}\r\n{\r\n0\r\n\r\n`,
    '1\r\n{}\r\n',
  ])
    t.same((await post(broken)).statuses, [400], broken.slice(0, 20))
})

t.test('a request that was told it came too late is not done when its rest comes', async (t) => {
  const slow = await buildTestApp(t)
  slow.app.server.headersTimeout = 100
  slow.app.server.requestTimeout = 200
  const body = JSON.stringify(CREATE_EXAMPLE)
  const client = await openRawHttp(t, slow.url)
  const headers = [JSON_TYPE, `content-length: ${Buffer.byteLength(body)}`]
  client.send(requestText('/v1/chapter/', { method: 'POST', headers }) + body.slice(0, 10))
  await waitFor('it is refused', () => client.statuses()[0] === 408, { timeoutMs: 20_000 })
  client.send(body.slice(10))
  await client.closed()
  t.same((await request(`${slow.url}/v1/chapter/`)).body.items, [])
})

t.test('the refusal of bytes that are not HTTP is not taken for an answer that is still due', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const client = await openRawHttp(t, url)
    client.send(requestText('/healthz').repeat(5))
    await waitFor('an answer', () => client.statuses().length > 0)
    client.send('noise\r\n\r\n')
    await client.closed()
    const statuses = client.statuses()
    t.notOk(statuses.includes(400) && statuses.length < 6, `the refusal is the last: ${statuses}`)
  }
})

t.test('the client’s script is not sent again to who has it, however that is written', async (t) => {
  const path = '/socket.io/socket.io.esm.min.js'
  const tag = (await fetch(`${url}${path}`)).headers.get('etag') ?? ''
  const known = async (asked: string) =>
    (await say(t, requestText(path, { headers: [CLOSE, `if-none-match: ${asked}`] }))).statuses[0]
  for (const asked of [tag, `W/${tag}`, '*', `"x", W/${tag}`]) t.equal(await known(asked), 304, asked)
  for (const asked of ['"x"', '""', 'W/"x", "y"']) t.equal(await known(asked), 200, asked)
})

t.test('none of it was a fault', async (t) => {
  t.equal((await app.inject('/healthz')).statusCode, 200)
  t.same(
    lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  )
})
