/**
 * What holds for the adapters of every framework, in a real page: Chromium, the framework’s development build, another
 * origin than the server’s. Whatever the framework or the page complains about fails the test.
 */
import type { Browser } from 'playwright-core'
import type { Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { bundlePage, pageWith, servePages } from '../support/bundle-page.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { createChapters } from '../support/course-watch.js'
import { postPartial, workOf } from '../support/partial.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { addressOf, has, type OpenOptions, openPage, type Query, show } from './open-page.js'

export interface Adapter {
  /** The page, relative to this folder. */
  page: string
  /** The page as a server renders it for a chapter: one component with it, and its content. */
  render(url: string, chapterId: number): Promise<string>
}

/** What every framework’s adapter must do. */
export async function testAdapter(t: Test, browser: Browser, { page: file, render }: Adapter) {
  const { script, app, url, open, members, heard } = await serveAdapter(t, browser, file)

  await t.test('a component shows its chapter from before it exists until its content is read', async (t) => {
    const page = await open(t, { content: 1 })
    await has(page, '.state', 'none')
    t.equal(heard.connections, 0, 'without a chapter nothing is connected')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await waitFor('it is created', () => page.locator('.created').textContent())
    const id = Number(await page.locator('.created').textContent())
    await show(page, { id })
    await has(page, '.state', `${id} live processing 0`)
    await has(page, '.events', '1 2 3 4')
    const work = await workOf(url, id, 'concept')
    await postPartial(url, id, 'concept', { text: '변수는' }, work)
    await has(page, '.partial', '변수는')
    await postPartial(url, id, 'concept', { text: ' 이름이다', offset: 3 }, work)
    await has(page, '.partial', '변수는 이름이다')
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    await has(page, '.concept', '변수란 무엇인가')
    await has(page, '.partial', '')
    await has(page, '.quizzes', '3')
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', '1 2 3 4 5 6 7 8 9')
    t.same(heard.asked, [`join_chapter ${id}`])
  })

  await t.test('components of one chapter join once, and leave nothing behind', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id, components: 2, content: 1 })
    await has(page, '.chapter:nth-of-type(2) .events', '1 2 3 4')
    t.same(heard.asked, [`join_chapter ${id}`])
    t.equal(heard.connections, 1)
    await show(page, { components: 1 })
    await finish(url, id, 'quiz')
    await has(page, '.events', '1 2 3 4 5')
    t.equal(members(`chapter_${id}`), 1, 'those that stay keep it')
    await show(page, { components: 0, content: false })
    await waitFor('the room is left', () => members(`chapter_${id}`) === 0)
    await waitFor('and the connection closed', () => app.io.engine.clientsCount === 0)
    t.same(heard.asked, [`join_chapter ${id}`, `leave_chapter ${id}`])
  })

  await t.test('a component shows its course and what changes in it', async (t) => {
    const [one = 0, two = 0] = await createChapters(url, 7, 2)
    const page = await open(t, { course: 7, components: 0 })
    await has(page, '.course', 'live 2/2 false')
    for (const kind of JOB_KINDS) await finish(url, one, kind)
    await has(page, '.course', 'live 1/2 false')
    await post(`${url}/v1/chapter/${two}/cancel`)
    await has(page, '.course', 'live 0/2 true')
    await createChapters(url, 7, 1)
    await has(page, '.course', 'live 1/3 false')
    t.same(heard.asked, ['join_course 7'])
    await show(page, { course: null })
    await waitFor('the room is left', () => members('course_7') === 0)
  })

  await t.test('a double click creates one chapter, and a refusal says what is wrong', async (t) => {
    const count = async () => (await request(`${url}/v1/chapter/?limit=100`)).body.items.length
    const before = await count()
    const page = await open(t, {}, { mayFail: /status of 400/ })
    await page.getByRole('button', { name: 'Create', exact: true }).dblclick()
    await waitFor('it is created', () => page.locator('.created').textContent())
    await has(page, '.creating', 'idle')
    t.equal((await count()) - before, 1)
    await page.getByRole('button', { name: 'Create two' }).click()
    await waitFor('both are created', () => page.locator('.both').textContent())
    const [first, second] = ((await page.locator('.both').textContent()) ?? '').split(' ')
    t.not(first, second, 'one after the other makes two')
    await page.getByRole('button', { name: 'Create nonsense' }).click()
    await has(page, '[role=alert]', /\/body\/title/)
    await has(page, '.creating', 'failed')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await has(page, '.creating', 'idle')
    t.equal(await page.getByRole('alert').count(), 0)
    t.same(await page.evaluate(() => window.page.unhandled), [], 'nobody has to catch it')
  })

  await t.test('what the server renders is taken over without a warning', async (t) => {
    const id = await createChapter(url)
    const html = await render(url, id)
    t.equal(await render(url, id), html, 'it is the same every time')
    t.match(html, `${id} connecting null 0`)
    t.equal(heard.connections, 0, 'and nothing was asked of anyone')
    const rendered = await servePages(t, { '/page.js': script, '/': pageWith('/page.js', html) })
    const page = await openPage(t, browser, addressOf(rendered, { server: url, id, content: 1 }))
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    t.equal(await page.locator('.chapter').count(), 1)
    t.same(heard.asked, [`join_chapter ${id}`])
  })
}

/** What must not go wrong where a chapter changes, the connection is lost or nothing can be watched. */
export async function testAdapterInTrouble(t: Test, browser: Browser, file: string) {
  const { url, open, members } = await serveAdapter(t, browser, file)

  await t.test('another id shows nothing of the one before, and leaves its room', async (t) => {
    const [done, fresh] = [await createChapter(url), await createChapter(url)]
    for (const kind of JOB_KINDS) await finish(url, done, kind)
    const page = await open(t, { id: done, content: 1 })
    await has(page, '.of', String(done))
    for (const id of [fresh, done, fresh]) {
      await show(page, { id })
      t.match(await page.locator('.state').textContent(), new RegExp(`^${id} `))
      t.match(await page.locator('.of').textContent(), new RegExp(`^(${id})?$`))
    }
    await has(page, '.state', `${fresh} live processing 0`)
    await has(page, '.events', '1 2 3 4')
    t.equal(await page.locator('.concept').textContent(), '', 'nothing of the other one')
    await waitFor('the other room is left', () => members(`chapter_${done}`) === 0)
    t.equal(members(`chapter_${fresh}`), 1)
    await show(page, { id: null })
    await has(page, '.state', 'none')
    await has(page, '.events', '')
    await waitFor('it is left too', () => members(`chapter_${fresh}`) === 0)
  })

  await t.test('a lost connection shows, and everything is right when it is back', async (t) => {
    const id = await createChapter(url)
    const proxy = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
    const server = `http://127.0.0.1:${proxy.port}`
    const page = await open(
      t,
      { id, content: 1, server },
      { mayFail: /WebSocket connection|ERR_|status of 4/ },
    )
    await finish(url, id, 'concept')
    await has(page, '.concept', '변수란 무엇인가')
    proxy.cut()
    await has(page, '.state', `${id} reconnecting processing 33`)
    t.equal(await page.locator('.concept').textContent(), '변수란 무엇인가', 'what was there stays')
    await finish(url, id, 'exercise')
    await finish(url, id, 'quiz')
    proxy.resume()
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    await has(page, '.problem', '')
  })

  await t.test('a chapter that cannot be watched says why, and takes nothing else down', async (t) => {
    const page = await open(t, { id: 0, content: 1 })
    await has(page, '.error', 'invalid_request')
    await waitFor('the content says so too', () => page.locator('.problem').textContent())
    const id = await createChapter(url)
    await show(page, { id })
    await has(page, '.state', `${id} live processing 0`)
    await page.evaluate(() => window.page.chapters.close())
    await has(page, '.error', 'closed')
    await show(page, { id: id + 1 })
    await has(page, '.error', 'closed')
    t.same(await page.evaluate(() => window.page.unhandled), [])
  })
}

/** A server, and the page of an adapter at another origin. */
export async function serveAdapter(
  t: Test,
  browser: Browser,
  file: string,
  env: Record<string, string> = {},
) {
  const script = await bundlePage(new URL(`../../test/client/${file}`, import.meta.url))
  const { app, url } = await buildTestApp(t, env)
  const origin = await servePages(t, { '/page.js': script, '/': pageWith('/page.js') })
  const heard = { asked: [] as string[], connections: 0 }
  app.io.on('connection', (socket) => {
    heard.connections += 1
    socket.onAny((name: string, payload: { chapter_id?: number; course_id?: number }) =>
      heard.asked.push(`${name} ${payload.chapter_id ?? payload.course_id}`),
    )
  })
  t.beforeEach(() => {
    heard.asked = []
    heard.connections = 0
  })
  return {
    ...{ script, app, url },
    /** What the server was asked by the pages of this test. */
    heard,
    members: (room: string) => app.io.sockets.adapter.rooms.get(room)?.size ?? 0,
    open: (t: Test, query: Query, options: OpenOptions = {}) =>
      openPage(t, browser, addressOf(origin, { server: url, ...query }), options),
  }
}

export async function chaptersOf(url: string): Promise<number> {
  const { body } = await request(`${url}/v1/chapter/?limit=100`)
  return body.items.length
}

/** `1 2 3`, up to the last. */
export function numbers(last: number): string {
  return Array.from({ length: last }, (_, index) => index + 1).join(' ')
}
