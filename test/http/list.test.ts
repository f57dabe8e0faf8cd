/**
 * GET /v1/chapter/: filters, and paging that neither skips nor repeats while chapters are being made.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { refuses } from '../support/problem.js'

const { app, url } = await buildTestApp(t)

interface Page {
  items: { chapter_id: number; owner_id: number; course_id: number; status: string }[]
  next_cursor: string | null
}
const list = async (query: string): Promise<Page> => {
  const response = await app.inject(`/v1/chapter/?${query}`)
  if (response.statusCode !== 200) throw new Error(response.payload)
  return response.json()
}
const idsOf = ({ items }: Page) => items.map(({ chapter_id }) => chapter_id)

t.test(
  'twenty-five chapters are paged through without gaps or doubles while new ones are made',
  async (t) => {
    const made: number[] = []
    for (let i = 0; i < 25; i++) made.push(await createChapter(url, { owner_id: 25 }))
    const seen: number[] = []
    let cursor: string | null = null
    let pages = 0
    do {
      const page: Page = await list(`owner_id=25&limit=10${cursor === null ? '' : `&cursor=${cursor}`}`)
      seen.push(...idsOf(page))
      cursor = page.next_cursor
      pages += 1
      await createChapter(url, { owner_id: 25 })
    } while (cursor !== null)
    t.same(seen, made.toReversed(), 'newest first')
    t.equal(pages, 3)
  },
)

t.test('a last page that is exactly full has no next one', async (t) => {
  const made = [await createChapter(url, { owner_id: 26 }), await createChapter(url, { owner_id: 26 })]
  const page = await list('owner_id=26&limit=2')
  t.same(idsOf(page), made.toReversed())
  t.equal(page.next_cursor, null)
})

t.test('where there is nothing, the list is empty', async (t) => {
  t.same(await list('owner_id=999'), { items: [], next_cursor: null })
})

t.test('a page has twenty chapters unless said otherwise, and at most a hundred', async (t) => {
  t.equal((await list('owner_id=25')).items.length, 20)
  t.equal((await list('owner_id=25&limit=1')).items.length, 1)
  t.equal((await list('owner_id=25&limit=100')).items.length, 28)
})

t.test('owner, course and status each narrow the list, and all at once', async (t) => {
  const owned = { owner_id: 30, course_id: 31 }
  const processing = await createChapter(url, owned)
  const completed = await createChapter(url, owned)
  for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, completed, kind)
  const cancelled = await createChapter(url, owned)
  await post(`${url}/v1/chapter/${cancelled}/cancel`)
  const failed = await createChapter(url, { owner_id: 30, course_id: 32 })
  for (const kind of ['concept', 'exercise', 'quiz'])
    await post(`${url}/v1/chapter/${failed}/${kind}-fail`, {
      error: 'x',
      retryable: false,
      attempt: 1,
    })

  t.same(idsOf(await list('owner_id=30')), [failed, cancelled, completed, processing])
  t.same(idsOf(await list('course_id=31')), [cancelled, completed, processing])
  t.same(idsOf(await list('owner_id=30&status=processing')), [processing])
  t.same(idsOf(await list('owner_id=30&status=completed')), [completed])
  t.same(idsOf(await list('owner_id=30&status=cancelled')), [cancelled])
  t.same(idsOf(await list('owner_id=30&status=failed')), [failed])
  t.same(idsOf(await list('owner_id=30&course_id=31&status=completed')), [completed])
  t.same(idsOf(await list('owner_id=30&course_id=32&status=completed')), [])
})

t.test('an item shows all of a chapter but its jobs', async (t) => {
  const id = await createChapter(url, { owner_id: 40, metadata: { course_title: '파이썬' }, locale: 'en' })
  // Its jobs are marked published a moment later, which is an update.
  const isPublished = async () =>
    (await app.inject(`/v1/chapter/${id}`))
      .json()
      .jobs.every((job: { status: string }) => job.status === 'published')
  await waitFor('its jobs are published', isPublished)
  const { items } = await list('owner_id=40')
  const { jobs, ...chapter } = (await app.inject(`/v1/chapter/${id}`)).json()
  t.equal(jobs.length, 3)
  t.same(items, [chapter])
  t.match(chapter, { ...CREATE_EXAMPLE, owner_id: 40, metadata: { course_title: '파이썬' }, locale: 'en' })
})

const refused: [query: string, ...paths: string[]][] = [
  ['limit=0', '/query/limit'],
  ['limit=101', '/query/limit'],
  ['limit=-1', '/query/limit'],
  ['limit=ten', '/query/limit'],
  ['limit=1.5', '/query/limit'],
  ['limit=', '/query/limit'],
  ['limit=1&limit=2', '/query/limit'],
  ['limit=01', '/query/limit'],
  ['owner_id=0', '/query/owner_id'],
  ['owner_id=x', '/query/owner_id'],
  ['owner_id=9007199254740992', '/query/owner_id'],
  ['course_id=1e3', '/query/course_id'],
  ['course_id=%00', '/query/course_id'],
  ['status=done', '/query/status'],
  ['status=', '/query/status'],
  ['cursor=', '/query/cursor'],
  ['cursor=%00', '/query/cursor'],
  ['cursor=nonsense', '/query/cursor'],
  [`cursor=${Buffer.from('before:0').toString('base64url')}`, '/query/cursor'],
  [`cursor=${Buffer.from('before:1; drop table chapter').toString('base64url')}`, '/query/cursor'],
  [`cursor=${Buffer.from('before:99999999999999999').toString('base64url')}`, '/query/cursor'],
  [`cursor=${'a'.repeat(101)}`, '/query/cursor'],
  [
    'limit=0&owner_id=a&course_id=b&status=c',
    '/query/limit',
    '/query/owner_id',
    '/query/course_id',
    '/query/status',
  ],
]
for (const [query, ...paths] of refused)
  t.test(`refused: ?${query.slice(0, 60)}`, async (t) => {
    refuses(t, await app.inject(`/v1/chapter/?${query}`), 'invalid_request', paths)
  })

t.test('a cursor beyond every chapter is where the list begins', async (t) => {
  const cursor = Buffer.from('before:9007199254740991').toString('base64url')
  t.same(await list(`cursor=${cursor}&limit=5`), await list('limit=5'))
})
