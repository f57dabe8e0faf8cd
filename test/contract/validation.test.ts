import { type TSchema, Type } from '@sinclair/typebox'
import t from 'tap'
import { QuizFinish } from '../../src/contract/callback.js'
import { ChapterCreate, ChapterListQuery, ChapterParams } from '../../src/contract/chapter.js'
import type { Violation } from '../../src/contract/problem.js'
import { stringEnum } from '../../src/contract/scalar.js'
import { compileCheck } from '../../src/contract/validation.js'
import { InvalidRequestError } from '../../src/errors.js'

/** A check, of whose violations only place and text are of interest. */
const compiled = (...schema: Parameters<typeof compileCheck>) => {
  const check = compileCheck(...schema)
  return (value: unknown) => check(value).map(({ path, message }) => ({ path, message }))
}
const check = compiled(ChapterCreate)
const VALID = { course_id: 1, owner_id: 1, title: 'x' }
const NUL = 'holds a NUL character (U+0000), which cannot be stored'
const SURROGATE = 'holds an unpaired surrogate, which cannot be stored'

const pathsOf = (value: unknown) => check(value).map(({ path }) => path)

t.test('every violation is listed, each with the place and what is wrong', async (t) => {
  t.same(check({ course_id: '1', title: '', description: null, locale: 'fr', quiz_count: 21, nonsense: 1 }), [
    { path: '/body/owner_id', message: 'is required' },
    { path: '/body/nonsense', message: 'is not a known field' },
    { path: '/body/course_id', message: 'must be integer' },
    { path: '/body/title', message: 'must NOT have fewer than 1 characters' },
    { path: '/body/description', message: 'must be string' },
    { path: '/body/locale', message: 'must be one of ko, en' },
    { path: '/body/quiz_count', message: 'must be <= 20' },
  ])
})

/** Keyword of JSON Schema, a schema that has it, a value that breaks it, and what is said of that. */
const KEYWORDS: Record<string, [schema: TSchema, value: unknown, said: Partial<Violation>]> = {
  required: [Type.Object({ a: Type.String() }), {}, { path: '/body/a', code: 'required' }],
  additionalProperties: [
    Type.Object({}, { additionalProperties: false }),
    { a: 1 },
    { path: '/body/a', code: 'unknown_field' },
  ],
  'type of text': [Type.String(), 1, { code: 'wrong_type' }],
  'type of an object': [Type.Object({}), [], { code: 'wrong_type' }],
  'type of an integer': [Type.Integer(), 1.5, { code: 'not_a_number' }],
  'type of a number': [Type.Number(), '1', { code: 'not_a_number' }],
  enum: [stringEnum(['a', 'b']), 'c', { code: 'not_one_of', limit: ['a', 'b'] }],
  const: [Type.Literal('a'), 'c', { code: 'not_one_of', limit: ['a'] }],
  minLength: [Type.String({ minLength: 2 }), 'a', { code: 'too_short', limit: 2 }],
  maxLength: [Type.String({ maxLength: 2 }), 'abc', { code: 'too_long', limit: 2 }],
  minimum: [Type.Integer({ minimum: 1 }), 0, { code: 'too_small', limit: 1 }],
  exclusiveMinimum: [Type.Number({ exclusiveMinimum: 1 }), 1, { code: 'too_small', limit: 1 }],
  maximum: [Type.Integer({ maximum: 20 }), 21, { code: 'too_large', limit: 20 }],
  exclusiveMaximum: [Type.Number({ exclusiveMaximum: 1 }), 1, { code: 'too_large', limit: 1 }],
  minItems: [Type.Array(Type.Any(), { minItems: 1 }), [], { code: 'too_few', limit: 1 }],
  maxItems: [Type.Array(Type.Any(), { maxItems: 1 }), [1, 2], { code: 'too_many', limit: 1 }],
  minProperties: [Type.Object({}, { minProperties: 1 }), {}, { code: 'too_few', limit: 1 }],
  maxProperties: [Type.Object({}, { maxProperties: 0 }), { a: 1 }, { code: 'too_many', limit: 0 }],
  pattern: [Type.String({ pattern: '^a$' }), 'b', { code: 'pattern' }],
  format: [Type.String({ format: 'uuid' }), 'b', { code: 'pattern' }],
  multipleOf: [Type.Integer({ multipleOf: 2 }), 3, { code: 'invalid' }],
  'text that cannot be stored': [Type.String(), 'a\0', { code: 'not_storable' }],
  'a name that cannot be stored': [Type.Any(), { 'a\0': 1 }, { code: 'not_storable' }],
  'nested too deep': [Type.Any(), nested(34), { code: 'too_deep', limit: 32 }],
}

t.test('every violation has a code and its bound, so that it can be said in any language', async (t) => {
  for (const [keyword, [schema, value, said]] of Object.entries(KEYWORDS)) {
    const violations = compileCheck(schema)(value)
    t.equal(violations.length, 1, keyword)
    const { message, ...rest } = violations[0] ?? {}
    if (said.path === undefined && keyword === 'nested too deep') t.match(rest, said, keyword)
    else t.same(rest, { path: '/body', ...said }, keyword)
  }
})

t.test('a body that is no object is refused as a whole', async (t) => {
  for (const body of [null, undefined, 'x', 5, true, []])
    t.same(check(body), [{ path: '/body', message: 'must be object' }])
})

t.test('nothing in a body is coerced', async (t) => {
  for (const [field, values] of Object.entries({
    course_id: ['1', true, null, [1], 1.5, 0, -1, 2 ** 53, 1e300],
    title: [1, true, null, ['x'], {}],
    quiz_count: ['3', 0, 2.5, null],
    metadata: ['{}', [], null, 1],
  }))
    for (const value of values)
      t.same(pathsOf({ ...VALID, [field]: value }), [`/body/${field}`], `${field}: ${JSON.stringify(value)}`)
  const body = { ...VALID, course_id: '1' }
  check(body)
  t.equal(body.course_id, '1')
})

t.test('what is left out becomes its default', async (t) => {
  const body = { ...VALID }
  t.same(check(body), [])
  t.match(body, { description: '', quiz_count: 3 })
})

t.test('text that PostgreSQL cannot keep is refused wherever it stands', async (t) => {
  t.same(check({ ...VALID, title: 'a\0b', description: 'a\ud800' }), [
    { path: '/body/title', message: NUL },
    { path: '/body/description', message: SURROGATE },
  ])
  const metadata = { a: { b: ['fine', { c: '\udc00x' }] }, 'n\0': 1, deep: { '\ud800': 1 } }
  const violations = check({ ...VALID, metadata })
  t.same(
    [...violations].sort((a, b) => (a.path < b.path ? -1 : 1)),
    [
      { path: '/body/metadata', message: `has a field whose name ${NUL}` },
      { path: '/body/metadata/a/b/1/c', message: SURROGATE },
      { path: '/body/metadata/deep', message: `has a field whose name ${SURROGATE}` },
    ],
  )
})

t.test('any other text is kept as it came', async (t) => {
  for (const title of [
    '변수와 자료형',
    '👩‍👩‍👧‍👦 🇰🇷 \u{10ffff}',
    'متغيرات \u202eعברית',
    '\u0001\t\r\n\u2028\ufeff',
    '\ufffd\uffff',
    '\\u0000',
    'é e\u0301',
  ]) {
    const body = { ...VALID, title, metadata: { [title]: title } }
    t.same(check(body), [])
    t.equal(body.title, title)
  }
})

t.test('lengths are counted in characters, not in bytes or UTF-16 units', async (t) => {
  for (const character of ['x', '한', '😀']) {
    t.same(check({ ...VALID, title: character.repeat(255) }), [])
    t.same(pathsOf({ ...VALID, title: character.repeat(256) }), ['/body/title'])
    t.same(check({ ...VALID, description: character.repeat(10_000) }), [])
    t.same(pathsOf({ ...VALID, description: character.repeat(10_001) }), ['/body/description'])
  }
})

t.test('an object nested too deep to be parsed safely is refused', async (t) => {
  t.same(check({ ...VALID, metadata: nested(32) }), [])
  t.match(check({ ...VALID, metadata: nested(33) }), [{ message: 'is nested deeper than 32 levels' }])
  const [violation] = check({ ...VALID, metadata: nested(100_000) })
  t.match(violation, { message: 'is nested deeper than 32 levels' })
})

t.test('a path is a JSON Pointer, whatever a field is called', async (t) => {
  t.same(pathsOf({ ...VALID, 'a/b~c': 1 }), ['/body/a~1b~0c'])
  t.same(pathsOf({ ...VALID, metadata: { 'a/b': { '~': '\0' } } }), ['/body/metadata/a~1b/~0'])
  const needy = compiled(Type.Object({ 'a/b': Type.Object({ 'c~d': Type.String() }) }))
  t.same(needy({ 'a/b': {} }), [{ path: '/body/a~1b/c~0d', message: 'is required' }])
  t.same(needy({ 'a/b': { 'c~d': 1 } }), [{ path: '/body/a~1b/c~0d', message: 'must be string' }])
})

t.test('a body of nothing but mistakes is refused, and the answer stays small', async (t) => {
  const finish = compiled(QuizFinish)
  const many = Array.from({ length: 150_000 }, () => ({}))
  const unknown = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`f${index}`, 1]))
  const nuls = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`f${index}`, '\0']))
  for (const violations of [
    finish({ quizzes: many }),
    check({ ...VALID, ...unknown }),
    check({ ...VALID, metadata: { [`${'k'.repeat(500_000)}😀`]: nuls } }),
    check({ ...VALID, ['😀'.repeat(250_000)]: 1 }),
  ]) {
    t.ok(violations.length > 0 && violations.length <= 100, `${violations.length}`)
    const { message } = new InvalidRequestError(violations)
    t.ok(message.length < 50_000, `${message.length}`)
    t.ok(message.isWellFormed())
  }
})

t.test('fields that a webhook does not know are ignored, whatever they hold', async (t) => {
  const finish = compiled(QuizFinish)
  const quizzes = [{ question: 'q', correct_answer: 'a', type: 'short' }]
  t.same(finish({ quizzes, executionId: '\0', raw: nested(100), '\ud800': 1 }), [])
})

t.test('an id in a path is a plain number, written one way', async (t) => {
  const params = compiled(ChapterParams, 'params')
  for (const id of ['1', '42', '9007199254740991']) {
    const value = { id }
    t.same(params(value), [])
    t.equal(value.id as unknown, Number(id))
  }
  for (const id of [
    ...[
      '',
      '0',
      '00',
      '01',
      '-1',
      '+1',
      '1e3',
      '0x10',
      '1.0',
      '1.5',
      ' 1',
      '1 ',
      '1\n',
      '१',
      'NaN',
      'Infinity',
    ],
    ...['9007199254740992', '9007199254740993', '9'.repeat(500), 'null', 'true', '1,2', '\0', '\ud800'],
  ]) {
    const violations = params({ id })
    t.ok(violations.length > 0 && violations.every(({ path }) => path === '/params/id'), JSON.stringify(id))
  }
})

t.test('what a query asks for is read by type, and listed when it cannot be', async (t) => {
  const query = compiled(ChapterListQuery, 'querystring')
  const value = { owner_id: '7', limit: '100', status: 'failed' }
  t.same(query(value), [])
  t.match(value, { owner_id: 7, limit: 100, status: 'failed' })
  t.same(
    query({ owner_id: 'me', limit: '101', status: 'FAILED', cursor: '' }).map(({ path }) => path),
    ['/query/owner_id', '/query/status', '/query/limit', '/query/cursor'],
  )
  t.same(
    query({ limit: ['1', '2'] }).map(({ path }) => path),
    ['/query/limit'],
  )
  const flag = compiled(Type.Object({ answers: Type.Optional(Type.Boolean()) }), 'querystring')
  for (const [text, valid] of [
    ['true', true],
    ['false', true],
    ['1', false],
    ['TRUE', false],
    ['', false],
  ] as const)
    t.equal(flag({ answers: text }).length === 0, valid, text)
})

t.test('a payload of another boundary is named so', async (t) => {
  const join = compiled(Type.Object({ chapter_id: Type.Integer() }), 'payload')
  t.same(join({}), [{ path: '/payload/chapter_id', message: 'is required' }])
})

function nested(levels: number): object {
  let value: object = {}
  for (let level = 1; level < levels; level += 1) value = { a: value }
  return value
}
