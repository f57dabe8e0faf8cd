/**
 * What may stand in a request’s body and content type, whatever the route: JSON as UTF-8, and nothing else.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { refuses } from '../support/problem.js'

const { app } = await buildTestApp(t)
const EXAMPLE = JSON.stringify(CREATE_EXAMPLE)
const JSON_TYPE = { 'content-type': 'application/json' }

const send = (payload: string | Buffer | undefined, headers: Record<string, string> = JSON_TYPE) =>
  app.inject({
    method: 'POST',
    url: '/v1/chapter/',
    headers,
    ...(payload === undefined ? {} : { payload }),
  })

for (const body of ['null', '[]', `[${EXAMPLE}]`, '"text"', '1', 'true', ''])
  t.test(`a body that is not an object is refused: ${JSON.stringify(body).slice(0, 20)}`, async (t) => {
    refuses(t, await send(body), 'invalid_request', ['/body'])
  })

t.test('a missing body is refused, whatever the content type says', async (t) => {
  refuses(t, await send(undefined, {}), 'invalid_request', ['/body'])
  refuses(t, await send(undefined), 'invalid_request', ['/body'])
})

const broken: Record<string, string | Buffer> = {
  blanks: ' \n',
  'an open brace': '{',
  'half a request': EXAMPLE.slice(0, -5),
  'a missing value': '{"title":}',
  'a comma too many': '{"title":"a",}',
  'single quotes': "{'title':'a'}",
  'a comment': '{"title":"a"/* b */}',
  NaN: '{"course_id":NaN}',
  'two documents': `${EXAMPLE}${EXAMPLE}`,
  'a raw line break in a text': '{"title":"a\nb"}',
  'bytes that are not UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  'Korean in EUC-KR': Buffer.concat([
    Buffer.from('{"title":"'),
    Buffer.from([0xb0, 0xa1]),
    Buffer.from('"}'),
  ]),
  'a surrogate encoded as CESU-8': Buffer.concat([
    Buffer.from('{"title":"'),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from('"}'),
  ]),
  'UTF-16': Buffer.from(EXAMPLE, 'utf16le'),
}
for (const [what, body] of Object.entries(broken))
  t.test(`a body that is not JSON is refused: ${what}`, async (t) => {
    refuses(t, await send(body), 'invalid_json', ['/body'])
  })

for (const body of [
  `{"__proto__":{"title":"x"},${EXAMPLE.slice(1)}`,
  `{"constructor":{"prototype":{"title":"x"}},${EXAMPLE.slice(1)}`,
  `${EXAMPLE.slice(0, -1)},"metadata":{"a":[{"__proto__":null}]}}`,
])
  t.test(`a body that reaches for prototypes is refused: ${body.slice(0, 40)}`, async (t) => {
    const problem = refuses(t, await send(body), 'invalid_json', ['/body'])
    t.match(problem.detail, /__proto__/, 'it says what is wrong with it')
    t.equal(({} as { title?: string }).title, undefined)
  })

t.test('of two fields with the same name the last counts, as in every JSON parser', async (t) => {
  const response = await send(`${EXAMPLE.slice(0, -1)},"title":"the last"}`)
  t.equal(response.statusCode, 201)
  t.equal((await app.inject(`/v1/chapter/${response.json().chapter_id}`)).json().title, 'the last')
})

t.test('a byte order mark before the body does no harm', async (t) => {
  t.equal((await send(`\ufeff${EXAMPLE}`)).statusCode, 201)
})

t.test('numbers are judged by their value, not by how they are written', async (t) => {
  t.equal((await send('{"course_id":1.0,"owner_id":10e-1,"title":"a"}')).statusCode, 201)
  refuses(t, await send('{"course_id":9007199254740993,"owner_id":1e400,"title":"a"}'), 'invalid_request', [
    '/body/course_id',
    '/body/owner_id',
  ])
})

for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8'])
  t.test(`taken as content type: ${type}`, async (t) => {
    t.equal((await send(EXAMPLE, { 'content-type': type })).statusCode, 201)
  })

for (const type of [
  undefined,
  'text/plain',
  'text/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/ld+json',
  'application/jsonp',
  'application/json garbage',
  ';;',
  '*/*',
])
  t.test(`refused as content type: ${type ?? 'none'}`, async (t) => {
    refuses(
      t,
      await send(EXAMPLE, type === undefined ? {} : { 'content-type': type }),
      'unsupported_media_type',
    )
  })

t.test('a body over 1 MiB is refused before it is read as JSON', async (t) => {
  refuses(t, await send('{'.repeat(1_048_577)), 'too_large')
  const padded = `${EXAMPLE}${' '.repeat(1_048_576 - Buffer.byteLength(EXAMPLE))}`
  t.equal((await send(padded)).statusCode, 201, 'exactly 1 MiB is not too large')
})

t.test('a body nested a hundred thousand levels deep is refused like any other', async (t) => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const inMetadata = await send(`${EXAMPLE.slice(0, -1)},"metadata":{"a":${deep}}}`)
  t.match(refuses(t, inMetadata, 'invalid_request').detail, /nested deeper than 500 levels/)
  refuses(t, await send(`${EXAMPLE.slice(0, -1)},"x":${deep}}`), 'invalid_request', ['/body'])
})

t.test('of a thousand unknown fields a hundred are listed: the answer stays small', async (t) => {
  const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i]))
  const body = JSON.stringify({ ...CREATE_EXAMPLE, ...fields })
  t.equal(refuses(t, await send(body), 'invalid_request').errors?.length, 100)
})

t.test('what is wrong with the JSON is said, and where', async (t) => {
  t.match(refuses(t, await send('{"title": }'), 'invalid_json').detail, /^\/body is not valid JSON: .*token/)
})
