/**
 * Idempotency-Key: a request that is sent again, because its answer was lost, makes no second chapter.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish } from '../support/client.js'
import { refuses } from '../support/problem.js'

const clock = testClock()
const { app, url } = await buildTestApp(t, {}, { now: clock.now })
const HOUR_MS = 3_600_000

const create = (key: string | undefined, fields: object = {}) =>
  app.inject({
    method: 'POST',
    url: '/v1/chapter/',
    payload: { ...CREATE_EXAMPLE, ...fields },
    ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
  })

t.test('the same key and body give the same chapter again', async (t) => {
  const first = await create('same')
  const second = await create('same')
  t.equal(first.statusCode, 201)
  t.equal(second.statusCode, 200)
  t.same(second.json(), first.json())
  t.equal(second.headers.location, first.headers.location)
})

t.test(
  'it is the same body however its fields are ordered, trimmed, or left to their defaults',
  async (t) => {
    const metadata = { a: 1, b: { c: 2, d: [3, { e: 4, f: 5 }] } }
    const first = await create('reordered', { title: 'a', description: '', metadata })
    for (const payload of [
      {
        metadata: { b: { d: [3, { f: 5, e: 4 }], c: 2 }, a: 1 },
        owner_id: 1,
        title: 'a',
        course_id: 1,
        description: '',
      },
      { course_id: 1, owner_id: 1, title: '  a\n', metadata },
      { course_id: 1, owner_id: 1, title: 'a', metadata, quiz_count: 3, locale: 'ko', description: '' },
    ]) {
      const headers = { 'idempotency-key': 'reordered' }
      const again = await app.inject({ method: 'POST', url: '/v1/chapter/', payload, headers })
      t.equal(again.statusCode, 200, again.payload)
      t.equal(again.json().chapter_id, first.json().chapter_id)
    }
  },
)

const others: Record<string, object> = {
  'another title': { title: 'another' },
  'another description': { description: 'another' },
  'another course': { course_id: 2 },
  'another number of quizzes': { quiz_count: 4 },
  'another language': { locale: 'en' },
  'other metadata': { metadata: { a: 1 } },
  'a list in another order': { metadata: { list: [2, 1] } },
  'text where a number was': { metadata: { n: '1' } },
}
for (const [what, fields] of Object.entries(others))
  t.test(`the same key with another body is refused: ${what}`, async (t) => {
    const before = what.startsWith('a list')
      ? { metadata: { list: [1, 2] } }
      : what.startsWith('text')
        ? { metadata: { n: 1 } }
        : {}
    await create(`other ${what}`, before)
    refuses(t, await create(`other ${what}`, fields), 'idempotency_key_reused')
    t.equal((await create(`other ${what}`, before)).statusCode, 200, 'the first body still has its chapter')
  })

t.test('keys belong to their owner: two owners may use the same', async (t) => {
  const one = await create('owned', { owner_id: 1 })
  const two = await create('owned', { owner_id: 2 })
  t.equal(two.statusCode, 201)
  t.not(two.json().chapter_id, one.json().chapter_id)
})

t.test('a key of 1 to 255 characters is taken, any other refused', async (t) => {
  for (const key of ['k', 'k'.repeat(255), 'with blanks, ünd "quotes"'])
    t.equal((await create(key)).statusCode, 201, key.slice(0, 30))
  for (const key of ['', 'k'.repeat(256)])
    refuses(t, await create(key), 'invalid_request', ['/headers/idempotency-key'])
})

t.test('a refused request does not use its key up', async (t) => {
  refuses(t, await create('mended', { title: '' }), 'invalid_request')
  t.equal((await create('mended')).statusCode, 201)
})

t.test('twenty simultaneous requests with one key make one chapter', async (t) => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => create('simultaneous')))
  t.equal(new Set(answers.map((answer) => answer.json().chapter_id)).size, 1)
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [...Array(19).fill(200), 201])
})

t.test('of simultaneous requests with one key and two bodies, one body wins', async (t) => {
  const titles = Array.from({ length: 20 }, (_, i) => (i % 2 ? 'odd' : 'even'))
  const answers = await Promise.all(titles.map((title) => create('contested', { title })))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 201).length, 1)
  t.equal(statuses.filter((status) => status === 200).length, 9)
  t.equal(statuses.filter((status) => status === 422).length, 10)
})

t.test('a repeat tells of the chapter as it was made, even when it has ended since', async (t) => {
  const first = await create('ended', { quiz_count: 5 })
  const { chapter_id } = first.json()
  for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, chapter_id, kind)
  const again = await create('ended', { quiz_count: 5 })
  t.equal(again.statusCode, 200)
  t.match(again.json(), { chapter_id, created_at: first.json().created_at })
})

t.test('a key is remembered for at least 24 hours', async (t) => {
  const first = await create('a day')
  clock.advance(24 * HOUR_MS)
  // Whatever the sweeper deletes by now, it has had its turn when a new chapter has come and gone.
  const marker = await createChapter(url)
  await finish(url, marker, 'concept')
  const again = await create('a day')
  t.equal(again.statusCode, 200)
  t.equal(again.json().chapter_id, first.json().chapter_id)
})

t.test('without a key the same body makes a chapter each time', async (t) => {
  const [one, two] = [await create(undefined), await create(undefined)]
  t.not(one.json().chapter_id, two.json().chapter_id)
})
