/** A body that will be refused is refused quickly: a megabyte of anything must not hold the others up. */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { createChapter } from '../support/client.js'
import { embeddedDatabase } from '../support/database.js'
import { tell } from '../support/stock-client.js'

const LIMIT_MS = 50
/** The quickest of several is what it costs: in CPU time, for other processes may hold this machine up. */
const ROUNDS = 12
const BYTES = 1_048_000

const list = (item: string, rest = '') => {
  const count = Math.floor((BYTES - rest.length) / (item.length + 1))
  return `[${Array(count).fill(item).join(',')}${rest === '' ? '' : `,${rest}`}]`
}
const fields = (count: number, value: string, prefix = '') =>
  `{${Array.from({ length: count }, (_, index) => `"${prefix}${index}":${value}`).join(',')}}`
const nested = (open: string, close: string) => {
  const depth = Math.floor((BYTES - 200) / (open.length + close.length))
  return `${open.repeat(depth)}0${close.repeat(depth)}`
}
const create = (name: string, value: string) =>
  JSON.stringify({ ...CREATE_EXAMPLE, [name]: '@' }).replace('"@"', value)

const CREATES: Record<string, string> = {
  'a title': create('title', JSON.stringify('x'.repeat(BYTES - 500))),
  'a title of emoji': create('title', JSON.stringify('🧑'.repeat(BYTES / 4 - 500))),
  'metadata with many fields': create('metadata', fields(85_000, '0')),
  'metadata with many names that hold a NUL': create('metadata', fields(60_000, '0', '\\u0000')),
  'metadata with many texts that hold a NUL': create(
    'metadata',
    `{"a":${list('"\\u0000"').slice(0, -2000)}]}`.replace(/,[^,]*\]\}$/, ']}'),
  ),
  'metadata with many numbers': create('metadata', `{"a":${list('0').slice(0, -1001)}0]}`),
  'metadata with half a character at its end': create(
    'metadata',
    `{"a":${list('0').slice(0, -2001)}0,"\\ud800"]}`,
  ),
  'metadata that is nested': create('metadata', `{"a":${nested('[', ']').slice(500, -500)}}`),
  'metadata that is nested in fields': create('metadata', `${nested('{"a":', '}').slice(500 * 5, -500)}`),
  'many unknown fields': fields(85_000, '0'),
  'a list': list('0'),
  'a list of objects': list('{}'),
  'nested lists': nested('[', ']'),
  'a body that breaks off': nested('[', ']').slice(0, BYTES / 2 + 100),
  'JSON that is wrong at its end': `${list('0').slice(0, -1)},}`,
  'a field __proto__ at its end': list('{}', '{"__proto__":1}'),
  spaces: ' '.repeat(BYTES),
}
const FINISHES: Record<string, string> = {
  'many questions': `{"quizzes":${list('0').slice(0, -501)}0]}`,
  'many objects as questions': `{"quizzes":${list('{}')
    .slice(0, -501)
    .replace(/,[^,]*$/, '')}]}`,
  'many options': `{"quizzes":[{"question":"a","correct_answer":"b","options":${list('""')
    .slice(0, -501)
    .replace(/,[^,]*$/, '')}]}]}`,
  'a text as questions': `{"quizzes":${JSON.stringify('x'.repeat(BYTES - 100))}}`,
  'a model’s text of brackets': JSON.stringify({ raw: '['.repeat(BYTES - 100) }),
  'a model’s text of lists': JSON.stringify({ raw: nested('[', ']').slice(500, -500) }),
  'a model’s text of quotes': JSON.stringify({ raw: '"'.repeat(BYTES / 2 - 100) }),
  'a model’s text of backslashes': JSON.stringify({ raw: '\\'.repeat(BYTES / 2 - 100) }),
  'a model’s text of escaped quotes': JSON.stringify({ raw: `{"a":"${'\\"'.repeat(BYTES / 4 - 100)}` }),
  'a model’s text of long texts in single quotes': JSON.stringify({
    raw: `{"a": b ${`'${'x '.repeat(11_000)}`.repeat(46)}}`,
  }),
  'a model’s text of short texts in single quotes': JSON.stringify({
    raw: `${`{"a": b ${`'${'x '.repeat(25)}`.repeat(1000)}} `.repeat(20)}`,
  }),
  'a model’s text of line breaks': JSON.stringify({ raw: `{"a":"${'\n'.repeat(BYTES / 2 - 100)}"` }),
  'a model’s text of spaces before something broken': JSON.stringify({
    raw: `{"a":"b" ${'x'.repeat(BYTES - 100)}}`,
  }),
  'a model’s text of a list of objects': JSON.stringify({ raw: `[${'{},'.repeat(BYTES / 3 - 100)}{}]` }),
  'fields that each hold a bracket': fields(25_000, `"{${'x'.repeat(20)}"`, 'f'),
  'fields that each hold broken JSON': fields(25_000, '"{\\"title\\":1}"', 'f'),
  'a name of a megabyte': `{"${'x́'.repeat(BYTES / 3 - 10)}":1}`,
  backspaces: JSON.stringify({ title: '', content: '\b'.repeat(BYTES / 2 - 100) }),
  'a model’s text that begins again and again': JSON.stringify({
    raw: '{"title":"a",'.repeat(BYTES / 17 - 9),
  }),
}

t.test(`a body of 1 MB that is refused costs less than ${LIMIT_MS} ms`, { timeout: 300_000 }, async (t) => {
  const { app, url } = await buildTestApp(t, {}, { database: await embeddedDatabase(t) })
  const id = await createChapter(url)
  const cases = [
    ...Object.entries(CREATES).map(([name, body]) => [name, '/v1/chapter/', body] as const),
    ...Object.entries(FINISHES).map(([name, body]) => [name, `/v1/chapter/${id}/quiz-finish`, body] as const),
  ]
  for (const [name, path, payload] of cases) {
    t.ok(payload.length > 500_000 && payload.length <= 1_048_576, `${name}: ${payload.length} bytes`)
    let quickest = Number.POSITIVE_INFINITY
    for (let round = 0; round < ROUNDS && quickest >= LIMIT_MS; round++) {
      const before = process.cpuUsage()
      const { statusCode, body } = await app.inject({
        method: 'POST',
        url: path,
        headers: { 'content-type': 'application/json' },
        payload,
      })
      const { user, system } = process.cpuUsage(before)
      quickest = Math.min(quickest, (user + system) / 1000)
      t.equal(statusCode, 400, name)
      t.ok(body.length < 50_000, `${name}: the answer has ${body.length} bytes`)
    }
    tell(`${name}: ${quickest.toFixed(1)} ms`)
    t.ok(quickest < LIMIT_MS, `${name} took ${quickest.toFixed(1)} ms`)
  }
})
