/**
 * POST /v1/chapter/: what a chapter may be made of, and what is said about everything else.
 */
import t from 'tap'
import { CREATE_EXAMPLE, METADATA_MAX_BYTES } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { refuses } from '../support/problem.js'

const { app } = await buildTestApp(t)

const create = (fields: object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: '/v1/chapter/', payload: { ...CREATE_EXAMPLE, ...fields }, headers })
const view = async (id: number) => (await app.inject(`/v1/chapter/${id}`)).json()
const count = async () => (await app.inject('/v1/chapter/?limit=100')).json().items.length

/** `{"d": {"d": …}}`, so many objects deep. */
const nested = (levels: number): object => (levels === 1 ? { d: 1 } : { d: nested(levels - 1) })
/** A metadata object whose JSON is so many bytes long. */
const metadataOf = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) })

t.test('the guide’s own request makes a chapter, with defaults for what it leaves out', async (t) => {
  const response = await create({})
  t.equal(response.statusCode, 201)
  t.match(response.headers['content-type'], /^application\/json/)
  const created = response.json()
  t.match(created, {
    chapter_id: Number,
    concept_id: Number,
    exercise_id: Number,
    quiz_count: 3,
    status: 'processing',
    created_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  })
  t.equal(new Set(created.quiz_ids).size, 3, 'three quizzes with ids of their own')
  t.same(
    Object.keys(created).sort(),
    ['chapter_id', 'concept_id', 'created_at', 'exercise_id', 'quiz_count', 'quiz_ids', 'status'],
    'nothing else is answered',
  )
  t.equal(response.headers.location, `/v1/chapter/${created.chapter_id}`)
  t.match((await app.inject(response.headers.location as string)).json(), {
    ...CREATE_EXAMPLE,
    locale: 'ko',
    quiz_count: 3,
    metadata: {},
    status: 'processing',
    progress: 0,
    last_seq: 4,
    created_at: created.created_at,
    completed_at: null,
  })
})

t.test('the path answers with and without its trailing slash', async (t) => {
  for (const url of ['/v1/chapter', '/v1/chapter/'])
    t.equal((await app.inject({ method: 'POST', url, payload: CREATE_EXAMPLE })).statusCode, 201, url)
})

const accepted: Record<string, { given: object; kept?: object }> = {
  'a title of 255 characters': { given: { title: '가'.repeat(255) } },
  'a title of 255 emoji, which are 510 UTF-16 units': { given: { title: '🧑'.repeat(255) } },
  'a title of one character': { given: { title: '변' } },
  'a title with blanks around it, trimmed': {
    given: { title: ' \t\n변수\u3000\u00a0 ' },
    kept: { title: '변수' },
  },
  'a title of 255 characters after trimming': {
    given: { title: ` ${'x'.repeat(255)} ` },
    kept: { title: 'x'.repeat(255) },
  },
  'a description of 10,000 characters': { given: { description: '설'.repeat(10_000) } },
  'a description of 10,000 emoji': { given: { description: '📚'.repeat(10_000) } },
  'an empty description': { given: { description: '' } },
  'a description with blanks around it, kept as it is': { given: { description: '  a\n' } },
  'one quiz': { given: { quiz_count: 1 } },
  'twenty quizzes': { given: { quiz_count: 20 } },
  'the Korean language': { given: { locale: 'ko' } },
  'the English language': { given: { locale: 'en' } },
  'the largest ids': { given: { course_id: 2 ** 53 - 1, owner_id: 2 ** 53 - 1 } },
  'empty metadata': { given: { metadata: {} } },
  'metadata of exactly 8 KiB': { given: { metadata: metadataOf(METADATA_MAX_BYTES) } },
  'metadata nested 32 levels': { given: { metadata: nested(32) } },
  'metadata with names that JavaScript uses itself': {
    given: { metadata: { toString: 1, hasOwnProperty: null, constructor: 'x', '': [], 'a.b/c~': {} } },
  },
  'metadata with numbers of every kind': {
    given: { metadata: { n: [0, 1.5, -2, 1e21, 1e-7, 2 ** 53 - 1], t: true, f: false, z: null } },
  },
}

for (const [title, { given, kept }] of Object.entries(accepted)) {
  t.test(`taken: ${title}`, async (t) => {
    const response = await create(given)
    t.equal(response.statusCode, 201, response.payload.slice(0, 300))
    const { chapter_id, quiz_ids, quiz_count } = response.json()
    t.equal(quiz_ids.length, quiz_count)
    const chapter = await view(chapter_id)
    for (const [field, value] of Object.entries(kept ?? given)) t.same(chapter[field], value, field)
  })
}

const wrongTypes = { text: '1', fraction: 1.5, list: [1], object: {}, truth: true }
const badIds = { ...wrongTypes, null: null, zero: 0, negative: -1, 'too large': 2 ** 53, 'beyond all': 1e300 }
const refused: [title: string, given: object, path: string][] = [
  ...['course_id', 'owner_id'].flatMap((field) =>
    Object.entries(badIds).map(([what, value]): [string, object, string] => [
      `${field}: ${what}`,
      { [field]: value },
      `/body/${field}`,
    ]),
  ),
  ['course_id: missing', { course_id: undefined }, '/body/course_id'],
  ['owner_id: missing', { owner_id: undefined }, '/body/owner_id'],
  ['title: missing', { title: undefined }, '/body/title'],
  ['title: null', { title: null }, '/body/title'],
  ['title: a number', { title: 5 }, '/body/title'],
  ['title: a list', { title: ['a'] }, '/body/title'],
  ['title: empty', { title: '' }, '/body/title'],
  ['title: only blanks', { title: ' \t\n\u3000\u00a0\ufeff' }, '/body/title'],
  ['title: 256 characters', { title: 'x'.repeat(256) }, '/body/title'],
  ['title: 256 emoji', { title: '😀'.repeat(256) }, '/body/title'],
  ['title: a NUL', { title: 'a\0b' }, '/body/title'],
  ['title: an unpaired surrogate', { title: 'a\ud83d' }, '/body/title'],
  ['description: null', { description: null }, '/body/description'],
  ['description: a number', { description: 1 }, '/body/description'],
  ['description: 10,001 characters', { description: 'x'.repeat(10_001) }, '/body/description'],
  ['description: 10,001 emoji', { description: '📚'.repeat(10_001) }, '/body/description'],
  ['description: a NUL', { description: '\0' }, '/body/description'],
  ['description: an unpaired surrogate', { description: '\udc00x' }, '/body/description'],
  ...Object.entries({ ...wrongTypes, null: null, zero: 0, negative: -3, twentyOne: 21 }).map(
    ([what, value]): [string, object, string] => [
      `quiz_count: ${what}`,
      { quiz_count: value },
      '/body/quiz_count',
    ],
  ),
  ['locale: unknown', { locale: 'fr' }, '/body/locale'],
  ['locale: other case', { locale: 'KO' }, '/body/locale'],
  ['locale: null', { locale: null }, '/body/locale'],
  ['locale: a number', { locale: 1 }, '/body/locale'],
  ['metadata: null', { metadata: null }, '/body/metadata'],
  ['metadata: a list', { metadata: [] }, '/body/metadata'],
  ['metadata: text', { metadata: '{}' }, '/body/metadata'],
  ['metadata: 8 KiB and a byte', { metadata: metadataOf(METADATA_MAX_BYTES + 1) }, '/body/metadata'],
  [
    'metadata: over 8 KiB only in UTF-8 bytes',
    { metadata: { a: '가'.repeat(METADATA_MAX_BYTES / 3) } },
    '/body/metadata',
  ],
  ['metadata: nested 33 levels', { metadata: nested(33) }, `/body/metadata${'/d'.repeat(32)}`],
  ['metadata: a NUL in a text', { metadata: { a: ['\0'] } }, '/body/metadata/a/0'],
  ['metadata: a NUL in a name', { metadata: { 'a\0': 1 } }, '/body/metadata'],
  ['metadata: an unpaired surrogate', { metadata: { a: { b: '\ud800' } } }, '/body/metadata/a/b'],
  ['an unknown field', { colour: 'red' }, '/body/colour'],
  ['a field in another spelling', { quizCount: 3 }, '/body/quizCount'],
  ['a field that only the server sets', { chapter_id: 7 }, '/body/chapter_id'],
  ['a field named as a method of every object', { toString: 1 }, '/body/toString'],
]

// fast-json-stringify takes a record’s `patternProperties` at their word, and `.` matches no line break.
t.test('metadata with line breaks in its names comes back whole', async (t) => {
  const metadata = { 'a\nb': 1, 'c\u2028d': { 'e\rf': 2 } }
  const { chapter_id } = (await create({ metadata })).json()
  t.same((await view(chapter_id)).metadata, metadata)
})

for (const [title, given, path] of refused) {
  t.test(`refused, and named: ${title}`, async (t) => {
    refuses(t, await create(given), 'invalid_request', [path])
  })
}

t.test('a refused request leaves nothing behind', async (t) => {
  const before = await count()
  for (const [, given] of refused) await create(given)
  t.equal(await count(), before)
})

t.test('every violation is listed at once, those of the headers too', async (t) => {
  const response = await create(
    {
      course_id: '1',
      owner_id: -1,
      title: ' ',
      description: null,
      locale: 'fr',
      quiz_count: 21,
      metadata: [],
      x: 1,
      y: 2,
    },
    { 'idempotency-key': 'k'.repeat(256), 'x-request-id': 'of-the-caller' },
  )
  const problem = refuses(t, response, 'invalid_request', [
    '/body/course_id',
    '/body/owner_id',
    '/body/title',
    '/body/description',
    '/body/locale',
    '/body/quiz_count',
    '/body/metadata',
    '/body/x',
    '/body/y',
    '/headers/idempotency-key',
  ])
  t.equal(problem.request_id, 'of-the-caller')
  for (const { path, message } of problem.errors ?? [])
    t.ok(problem.detail.includes(`${path} ${message}`), 'the detail says it in one line')
})

t.test('metadata that is too large is listed together with the other violations', async (t) => {
  const metadata = metadataOf(METADATA_MAX_BYTES + 1)
  refuses(t, await create({ title: '', metadata, x: 1 }, { 'idempotency-key': '' }), 'invalid_request', [
    '/body/title',
    '/body/metadata',
    '/body/x',
    '/headers/idempotency-key',
  ])
})
