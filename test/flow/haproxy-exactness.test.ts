/**
 * What the load balancer changes of requests and answers: nothing that a client or a node can tell.
 */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { createChapter, post, request } from '../support/client.js'
import { CONFIG, findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openRawHttp, requestText } from '../support/raw-http.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

/** Of each request, or of one hop only. */
const OWN_HEADERS = /^(date|x-request-id|connection|keep-alive|transfer-encoding): /i
const OWN_FIELDS =
  /"(request_id|chapter_id|concept_id|exercise_id|quiz_ids|created_at)":("[^"]*"|\[[^\]]*\]|\d+)/g

const get = (path: string, ...headers: string[]) =>
  requestText(path, { headers: ['connection: close', ...headers] })

const send = (method: string, path: string, body = '', ...headers: string[]) => {
  const length = `content-length: ${Buffer.byteLength(body)}`
  const all = ['connection: close', 'content-type: application/json', length, ...headers]
  return requestText(path, { method, headers: all }) + body
}

const createWith = (metadata: string) =>
  send('POST', '/v1/chapter/', `${JSON.stringify(CREATE_EXAMPLE).slice(0, -1)},"metadata":${metadata}}`)

const ENCODINGS = ['gzip', 'gzip;q=0', 'gzip;q=0, br;q=0, *;q=0.5', 'identity', 'br', 'xgzip', '*', '']
const ACCEPTS = [
  'text/event-stream',
  'text/event-stream;q=0',
  'application/json;q=0.5, text/event-stream',
  '',
]

/** By what it is about. `chapter` has ended; `tags` are those of the scripts. */
function cases(chapter: string, tags: Record<string, string>): Record<string, string[]> {
  const forms = (tag: string) => {
    const strong = tag.replace(/^W\//, '')
    return [
      '*',
      tag,
      strong,
      `W/${strong}`,
      `"other", ${tag}`,
      `"x",${tag}`,
      '"x"',
      'W/"x"',
      tag.replaceAll('"', ''),
    ]
  }
  return {
    'numbers that cannot be kept': [
      ...['1e400', '9007199254740993', '0.1000000000000000055511151231257827'].map((n) =>
        createWith(`[${n}]`),
      ),
      createWith('{"text":"\\u0000"}'),
    ],
    'text that is kept': [createWith('{"n":0.30000000000000004,"text":"9007199254740993 😀 \\"1e400\\""}')],
    'bodies that are refused': [
      ...['{"title":}', '"secret', '{"a":"😀"😀}', '{"\\ud800":1}', '[]', ''].map((body) =>
        send('POST', '/v1/chapter/', body),
      ),
      send('POST', '/v1/chapter/', '{}', 'content-encoding: gzip'),
      send('POST', '/v1/chapter/', '{}', 'expect: 100-continue'),
      send('POST', '/v1/chapter/', '{}', 'expect: a-miracle'),
    ],
    'Accept-Encoding': ['/', '/web/page.js', '/docs/static/index.css', '/v1/chapter/?limit=2'].flatMap(
      (path) => ENCODINGS.map((encoding) => get(path, `accept-encoding: ${encoding}`)),
    ),
    'If-None-Match': Object.entries(tags).flatMap(([path, tag]) =>
      forms(tag).map((form) => get(path, `if-none-match: ${form}`)),
    ),
    Accept: ACCEPTS.map((accept) => get(`${chapter}/events`, `accept: ${accept}`)),
    addresses: [
      ...[
        '/healthz',
        chapter,
        `${chapter}/learning`,
        '/v1/chapter/',
        '/v1/chapter/0',
        '/nowhere',
        '/v1/chapter/%ZZ',
      ],
      ...[`/%76%31/ch%61pter/0`, `http://x${chapter}`, '//healthz', '/v1/../healthz', '/healthz?a=%00&b=c'],
      ...[
        '/socket.io',
        '/socket.io/',
        '/socket.io/?EIO=3&transport=polling',
        '/socket.io/?EIO=4&transport=polling&j=0',
      ],
    ].map((path) => get(path)),
    methods: [
      ...['HEAD', 'PUT', 'PATCH', 'PROPFIND', 'TRACE'].map((method) => send(method, chapter)),
      get('*'),
      requestText('example.com:443', {
        method: 'CONNECT',
        host: 'example.com:443',
        headers: ['connection: close'],
      }),
      'GET /healthz HTTP/1.0\r\n\r\n',
    ],
    headers: [
      get('/nowhere', 'x-request-id: mine', 'cookie: a=b; c', 'te: trailers', 'forwarded: for=192.0.2.1'),
      get('/nowhere', ...Array<string>(90).fill('a: b')),
      get('/healthz', `x: ${'a'.repeat(14_000)}`),
    ],
  }
}

/** The answer to a request after which the connection is closed. */
async function answerOf(t: Test, url: string, asked: string) {
  const client = await openRawHttp(t, url)
  client.send(asked)
  await client.closed()
  const text = client.text().replace('HTTP/1.1 100 Continue\r\n\r\n', '')
  const end = text.indexOf('\r\n\r\n')
  const [status, ...headers] = text.slice(0, end).split('\r\n')
  const sent = text.slice(end + 4)
  const body = headers.some((line) => /^transfer-encoding: chunked/i.test(line)) ? joinChunks(sent) : sent
  return {
    status,
    headers: headers
      .filter((line) => !OWN_HEADERS.test(line))
      .map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()))
      .map((line) => line.replace(/^(location: .*)\d+$/, '$1…')),
    body: body.replaceAll(OWN_FIELDS, '"$1":…'),
  }
}

/** Where a body is cut into chunks is every hop’s own business. */
function joinChunks(chunks: string): string {
  const end = chunks.indexOf('\r\n')
  const length = Number.parseInt(chunks.slice(0, end), 16)
  if (!(length > 0)) return ''
  const start = end + 2
  return chunks.slice(start, start + length) + joinChunks(chunks.slice(start + length + 2))
}

const program = await findHaproxy()
if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else {
  const { nodes } = await startNodes(t, 1)
  const [{ url: direct, port }] = nodes as [TestNode]
  const { url } = await startHaproxy(t, program, [port])

  t.test('through the load balancer an answer is what the node said, to the letter', async (t) => {
    const id = await createChapter(url)
    await post(`${url}/v1/chapter/${id}/cancel`)
    const tags: Record<string, string> = {}
    for (const path of ['/web/page.js', '/socket.io/socket.io.esm.min.js'])
      tags[path] = (await fetch(direct + path)).headers.get('etag') ?? ''
    for (const [what, requests] of Object.entries(cases(`/v1/chapter/${id}`, tags)))
      for (const text of requests) {
        const [said, came] = await Promise.all([direct, url].map((door) => answerOf(t, door, text)))
        t.same(came, said, `${what}: ${text.slice(0, 200)}`)
      }
  })

  t.test(
    'numbers and letters that came through the load balancer are stored as they were sent',
    async (t) => {
      const metadata = {
        n: 0.30000000000000004,
        most: 9007199254740992,
        text: '😀 é 9007199254740993',
        '\u007f': [-0.5],
      }
      const id = await createChapter(url, { metadata })
      for (const door of [direct, url]) {
        const view = await request(`${door}/v1/chapter/${id}`)
        t.same(view.body.metadata, metadata)
        t.equal(view.headers.get('cache-control'), 'no-store')
        t.equal(view.headers.get('x-content-type-options'), 'nosniff')
      }
    },
  )

  t.test(
    'a client is told how long the load balancer keeps its connection, not how long a node would',
    async (t) => {
      const [, keptS] = /timeout http-keep-alive (\d+)s/.exec(readFileSync(CONFIG, 'utf8')) ?? []
      t.equal((await fetch(`${url}/healthz`)).headers.get('keep-alive'), `timeout=${keptS}`)
    },
  )
}
