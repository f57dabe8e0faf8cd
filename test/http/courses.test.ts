import t from 'tap'
import { COURSE_BATCH_MAX } from '../../src/contract/course.js'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { embeddedDatabase, postgresDatabase } from '../support/database.js'

const titles = (count: number) => Array.from({ length: count }, (_, n) => ({ title: `Chapter ${n + 1}` }))

for (const [name, open] of [
  ['PostgreSQL', postgresDatabase],
  ['the embedded database', embeddedDatabase],
] as const)
  t.test(`a course on ${name}`, async (t) => {
    const { url } = await buildTestApp(t, {}, { database: await open(t) })
    const createAll = (courseId: number, body: object, headers?: Record<string, string>) =>
      post(`${url}/v1/course/${courseId}/chapters`, { owner_id: 1, ...body }, headers)
    const read = async (courseId: number, query = '') =>
      (await request(`${url}/v1/course/${courseId}${query}`)).body

    await t.test('its chapters are made in one request, in the order given', async (t) => {
      const { status, body, headers } = await createAll(1, {
        chapters: [
          { title: ' one ' },
          { title: 'two', description: 'd', quiz_count: 5, metadata: { own: 1 } },
        ],
        locale: 'en',
        quiz_count: 2,
        metadata: { course: 'all' },
      })
      t.equal(status, 201)
      t.equal(headers.get('location'), '/v1/course/1')
      t.equal(body.course_id, 1)
      t.match(body.chapters, [
        { quiz_count: 2, status: 'processing', quiz_ids: [Number, Number] },
        { quiz_count: 5, status: 'processing' },
      ])
      const [one, two] = await Promise.all(
        body.chapters.map(
          async ({ chapter_id }: { chapter_id: number }) =>
            (await request(`${url}/v1/chapter/${chapter_id}`)).body,
        ),
      )
      t.match(one, { title: 'one', locale: 'en', course_id: 1, owner_id: 1, last_seq: 4 })
      t.same(one.metadata, { course: 'all' }, 'what all have is each one’s')
      t.same(two.metadata, { own: 1 }, 'unless it brings its own')
      t.match(two, { title: 'two', description: 'd', quiz_count: 5 })
    })

    await t.test('one chapter that is not valid refuses all of them, and is named', async (t) => {
      const cases: [body: object, path: string][] = [
        [{ chapters: [{ title: 'good' }, { title: '  ' }] }, '/body/chapters/1/title'],
        [{ chapters: [{ title: 'good' }, {}] }, '/body/chapters/1/title'],
        [{ chapters: [{ title: 'x'.repeat(256) }, { title: 'good' }] }, '/body/chapters/0/title'],
        [{ chapters: [{ title: 'good', locale: 'ko' }] }, '/body/chapters/0/locale'],
        [{ chapters: [{ title: 'good' }, { title: 'a\0b' }] }, '/body/chapters/1/title'],
        [{ chapters: [{ title: 'a', metadata: { text: 'x'.repeat(9000) } }] }, '/body/chapters/0/metadata'],
        [{ chapters: titles(1), metadata: { text: 'x'.repeat(9000) } }, '/body/metadata'],
        [{ chapters: [{ title: 'a', quiz_count: 21 }] }, '/body/chapters/0/quiz_count'],
        [{ chapters: [] }, '/body/chapters'],
        [{ chapters: titles(COURSE_BATCH_MAX + 1) }, '/body/chapters'],
        [{ chapters: 'many' }, '/body/chapters'],
        [{ chapters: [null] }, '/body/chapters/0'],
        [{ chapters: titles(1), course_id: 3 }, '/body/course_id'],
        [{ chapters: titles(1), owner_id: 0 }, '/body/owner_id'],
      ]
      for (const [body, path] of cases) {
        const answer = await createAll(2, body)
        t.match(answer, { status: 400, body: { code: 'invalid_request' } }, path)
        t.ok(
          answer.body.errors.some((error: { path: string }) => error.path === path),
          `${path} in ${JSON.stringify(answer.body.errors)}`,
        )
      }
      const exact = await post(
        `${url}/v1/course/2/chapters`,
        '{"owner_id":1,"chapters":[{"title":"a"},{"title":"b","metadata":{"n":12345678901234567890}}]}',
      )
      t.match(exact.body.errors, [{ path: '/body/chapters/1/metadata/n' }])
      t.match(await request(`${url}/v1/course/0`), { status: 400 })
      t.match(await read(2), { chapters: [], counts: { processing: 0 } }, 'nothing was made')
    })

    await t.test('the same key and body give the same chapters, another body is refused', async (t) => {
      const headers = { 'idempotency-key': 'course 3' }
      const body = { chapters: titles(3) }
      const answers = await Promise.all(Array.from({ length: 6 }, () => createAll(3, body, headers)))
      t.equal(answers.filter(({ status }) => status === 201).length, 1)
      for (const { status, body } of answers) {
        t.ok(status === 200 || status === 201)
        t.same(body, answers[0]?.body)
      }
      const spelled = await createAll(
        3,
        { chapters: titles(3).map(({ title }) => ({ title: ` ${title}`, description: '' })) },
        headers,
      )
      t.equal(spelled.status, 200, 'compared after validation and trimming')
      for (const other of [{ chapters: titles(4) }, { chapters: titles(3).reverse() }])
        t.match(await createAll(3, other, headers), { status: 422, body: { code: 'idempotency_key_reused' } })
      t.equal((await createAll(30, body, headers)).status, 422, 'of another course')
      const single = await post(
        `${url}/v1/chapter/`,
        { course_id: 3, owner_id: 1, title: 'Chapter 1' },
        headers,
      )
      t.equal(single.status, 422, 'and of a single chapter')
      t.equal((await read(3)).chapters.length, 3)
    })

    await t.test('a hundred of the largest chapters fit', async (t) => {
      const chapters = Array.from({ length: COURSE_BATCH_MAX }, (_, n) => ({
        title: `${n}`.padEnd(255, '가'),
        description: '나'.repeat(10_000),
        quiz_count: 20,
        metadata: { prompt: 'x'.repeat(8000) },
      }))
      // As clients that know ASCII only write it.
      const ascii = JSON.stringify({ owner_id: 1, chapters }).replace(
        /[^ -~]/g,
        (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
      const { status, body } = await post(`${url}/v1/course/4/chapters`, ascii)
      t.equal(status, 201)
      t.equal(body.chapters.length, COURSE_BATCH_MAX)
      const tooLarge = await post(`${url}/v1/course/4/chapters`, `${ascii}${' '.repeat(8 * 1_048_576)}`)
      t.match(tooLarge, { status: 413, body: { code: 'too_large' } })
    })

    await t.test('its chapters are read in pages, its numbers are the whole course’s', async (t) => {
      const { body } = await createAll(5, { chapters: titles(7) })
      const ids: number[] = body.chapters.map(({ chapter_id }: { chapter_id: number }) => chapter_id)
      for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, ids[0] ?? 0, kind)
      await finish(url, ids[1] ?? 0, 'concept')
      await post(`${url}/v1/chapter/${ids[2]}/cancel`)
      const found: unknown[] = []
      for (let after: number | null = 0; after !== null; ) {
        const page: { chapters: { chapter_id: number }[]; next: number | null } = await read(
          5,
          `?after=${after}&limit=3`,
        )
        t.match(page, {
          course_id: 5,
          counts: { processing: 5, completed: 1, failed: 0, cancelled: 1 },
          progress: 19,
        })
        found.push(...page.chapters.map(({ chapter_id }) => chapter_id))
        after = page.next
      }
      t.same(found, ids)
      const whole = await read(5)
      t.equal(whole.next, null)
      t.match(whole.chapters[1], {
        course_id: 5,
        chapter_id: ids[1],
        title: 'Chapter 2',
        status: 'processing',
        progress: 33,
        kinds: { concept: 'completed', exercise: /queued|published/, quiz: /queued|published/ },
        version: 2,
      })
      t.same(await read(5, '/'), whole)
      t.same(await read(404), {
        course_id: 404,
        counts: { processing: 0, completed: 0, failed: 0, cancelled: 0 },
        progress: 0,
        chapters: [],
        next: null,
      })
      for (const query of ['?limit=501', '?limit=0', '?after=x', '?after=-1'])
        t.equal((await request(`${url}/v1/course/5${query}`)).status, 400, query)
    })
  })

t.test('each token sees of a course what its claims say', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const token = async (claims: object) => bearer(await signToken({ ...claims }))
  const [one, two, admin] = [
    await token({ sub: '1' }),
    await token({ sub: '2' }),
    await token({ sub: 'x', role: 'admin' }),
  ]
  const create = (headers: Record<string, string>, ownerId: number) =>
    post(`${url}/v1/course/7/chapters`, { owner_id: ownerId, chapters: titles(2) }, headers)
  t.equal((await create(one, 1)).status, 201)
  t.equal((await create(admin, 2)).status, 201)
  t.match(await create(one, 2), { status: 403 }, 'nobody makes another owner’s')
  t.match(await create(await token({ courses: [7] }), 1), { status: 403 }, 'nor who may only watch')
  const sees = async (headers: Record<string, string>) => {
    const { status, body } = await request(`${url}/v1/course/7`, 'GET', undefined, headers)
    return status === 200 ? [body.chapters.length, body.counts.processing] : status
  }
  t.same(await sees(one), [2, 2], 'an owner their own chapters')
  t.same(await sees(two), [2, 2])
  t.same(await sees(await token({ sub: '3' })), [0, 0], 'another owner none')
  t.same(await sees(admin), [4, 4])
  t.same(await sees(await token({ courses: [7] })), [4, 4], 'a token for the course all of it')
  t.equal(await sees(await token({ courses: [8] })), 403)
  t.equal(await sees(await token({ chapters: [1, 2, 3, 4] })), 403)
  t.equal(await sees({}), 401)
})

t.test('a request for many chapters counts as that many', async (t) => {
  const { url } = await buildTestApp(t, { RATE_LIMIT_CREATE_PER_MINUTE: '5' })
  const create = (count: number) =>
    post(`${url}/v1/course/1/chapters`, { owner_id: 1, chapters: titles(count) })
  t.match(await create(6), {
    status: 429,
    body: { code: 'rate_limited', detail: /send fewer in each request/ },
  })
  t.equal((await create(3)).status, 201)
  t.ok(await createChapter(url), 'together with single ones')
  t.match(await create(2), { status: 429, body: { code: 'rate_limited' } })
  t.equal((await request(`${url}/v1/course/1`)).body.chapters.length, 4)
})
