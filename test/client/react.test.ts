/**
 * The hooks in real React renders: Chromium, Strict Mode, the development build, another origin than the server’s.
 * Whatever React or the page complains about fails the test. Skipped only where there is no Chromium.
 */
import type { Browser } from 'playwright-core'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { connectChapters } from '../../src/client/index.js'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { bundlePage, pageWith, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { tell } from '../support/stock-client.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { viewJob } from '../support/views.js'
import { addressOf, has, type OpenOptions, openPage, type Query, show } from './open-page.js'

const PAGE = new URL('../../test/client/page.tsx', import.meta.url)

await withBrowser(t, async (browser) => {
  await testHooks(t, browser, await bundlePage(PAGE))
})

async function testHooks(t: Test, browser: Browser, script: string) {
  const { app, url } = await buildTestApp(t, {
    GENERATION_MAX_ATTEMPTS: '100',
    GENERATION_RETRY_BASE_MS: '0',
  })
  const origin = await servePages(t, { '/page.js': script, '/': pageWith('/page.js') })
  /** What clients asked for, e.g. `join_chapter 7`. */
  let asked: string[] = []
  let connections = 0
  app.io.on('connection', (socket) => {
    connections += 1
    socket.onAny((name: string, payload: { chapter_id?: number }) =>
      asked.push(`${name} ${payload.chapter_id}`),
    )
  })
  t.beforeEach(() => {
    asked = []
    connections = 0
  })

  const members = (id: number) => app.io.sockets.adapter.rooms.get(`chapter_${id}`)?.size ?? 0
  const open = (t: Test, query: Query, options: OpenOptions = {}) =>
    openPage(t, browser, addressOf(origin, { server: url, ...query }), options)

  await t.test('a component shows its chapter from before it exists until its content is read', async (t) => {
    const page = await open(t, { content: 1 })
    await has(page, '.state', 'none')
    t.equal(connections, 0, 'without a chapter nothing is connected')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await waitFor('it is created', () => page.locator('.created').textContent())
    const id = Number(await page.locator('.created').textContent())
    await show(page, { id })
    await has(page, '.state', `${id} live processing 0`)
    await has(page, '.kinds', 'concept:queued exercise:queued quiz:queued')
    await has(page, '.events', '1 2 3 4')

    await finish(url, id, 'concept')
    await has(page, '.concept', '변수란 무엇인가')
    await has(page, '.state', `${id} live processing 33`)
    t.equal(await page.locator('.exercise').textContent(), '', 'the rest is not written yet')
    await finish(url, id, 'exercise')
    await has(page, '.exercise', '두 변수의 값을 바꾸세요.')
    await finish(url, id, 'quiz')
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.kinds', 'concept:completed exercise:completed quiz:completed')
    await has(page, '.events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    t.same(asked, [`join_chapter ${id}`])
  })

  await t.test('strict mode mounts twice, joins once, and leaves nothing behind', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id, components: 2, content: 1 })
    await has(page, '.chapter:nth-child(2) .events', '1 2 3 4')
    t.same(asked, [`join_chapter ${id}`], 'one join for all components')
    t.equal(connections, 1)
    t.equal(members(id), 1)
    await show(page, { components: 1 })
    await finish(url, id, 'quiz')
    await has(page, '.events', '1 2 3 4 5')
    t.equal(members(id), 1, 'those that stay keep it')
    await show(page, { components: 0, content: false })
    await waitFor('the room is left', () => members(id) === 0)
    await waitFor('and the connection closed', () => app.io.engine.clientsCount === 0)
    t.same(asked, [`join_chapter ${id}`, `leave_chapter ${id}`])
  })

  await t.test('a component that is gone for a moment finds everything as it was', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id })
    await has(page, '.events', '1 2 3 4')
    await show(page, { components: 0 })
    await show(page, { components: 1 })
    await has(page, '.events', '1 2 3 4')
    await finish(url, id, 'quiz')
    await has(page, '.events', '1 2 3 4 5')
    t.same(asked, [`join_chapter ${id}`])
  })

  await t.test('another id shows nothing of the one before, and leaves its room', async (t) => {
    const [done, fresh] = [await createChapter(url), await createChapter(url)]
    for (const kind of JOB_KINDS) await finish(url, done, kind)
    const page = await open(t, { id: done, content: 1 })
    await has(page, '.of', String(done))
    for (const id of [fresh, done, fresh, done, fresh]) {
      const [state, of] = await page.evaluate((id) => {
        window.page.show({ id })
        return ['.state', '.of'].map((selector) => document.querySelector(selector)?.textContent ?? '')
      }, id)
      t.match(state, new RegExp(`^${id} `))
      t.match(of, new RegExp(`^(${id})?$`))
    }
    await has(page, '.state', `${fresh} live processing 0`)
    await has(page, '.events', '1 2 3 4')
    await finish(url, fresh, 'exercise')
    await has(page, '.events', '1 2 3 4 5')
    await has(page, '.of', String(fresh))
    t.equal(await page.locator('.concept').textContent(), '', 'nothing of the other one')
    await waitFor('the other room is left', () => members(done) === 0)
    t.equal(members(fresh), 1)
    t.same(
      await page.evaluate(() => window.page.renders.filter((text) => /null [1-9]/.test(text))),
      [],
      'a chapter that nothing is known of has no progress',
    )
  })

  await t.test('a component that comes later begins with what the others show', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id })
    await has(page, '.state', `${id} live processing 0`)
    await show(page, { components: 2 })
    await has(page, '.chapter:nth-child(2) .events', '1 2 3 4')
    const later = await page.evaluate(() => window.page.renders.filter((text) => text.startsWith('1:')))
    t.same([...new Set(later)], [`1: ${id} live processing 0`])
  })

  await t.test('a long log that is replayed is rendered a few times, not once an event', async (t) => {
    const id = await createChapter(url)
    for (let failures = 0; failures < 30; failures += 1)
      await post(`${url}/v1/chapter/${id}/quiz-fail`, { error: 'try again' })
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    const { body } = await request(`${url}/v1/chapter/${id}`)
    t.ok(body.last_seq > 20, `a log of ${body.last_seq}`)
    const page = await open(t, { id })
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', numbers(body.last_seq))
    const renders = await page.evaluate(() => window.page.renders)
    tell(`${body.last_seq} events, ${renders.length} renders: ${renders.join(', ')}`)
    t.ok(renders.length <= 16, `${renders.length} renders, in Strict Mode`)
    t.same(
      [...new Set(renders)].filter((text) => text.includes('processing')),
      [],
      'what the chapter once was does not flash by',
    )
  })

  await t.test('events go on when a chapter that failed is tried again', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id })
    await finish(url, id, 'concept')
    await finish(url, id, 'exercise')
    await post(`${url}/v1/chapter/${id}/quiz-fail`, {
      ...(await workOf(url, id, 'quiz')),
      error: 'No',
      reason: 'refused',
      retryable: false,
    })
    await has(page, '.state', new RegExp(`^${id} live failed 6\\d$`))
    await has(page, '.events', numbers(8))
    t.equal((await post(`${url}/v1/chapter/${id}/retry`)).status, 202)
    await has(page, '.state', new RegExp(`^${id} live processing 6\\d$`))
    await has(page, '.events', numbers(9))
    await finish(url, id, 'quiz')
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', numbers(11))
  })

  await t.test('a double click creates one chapter', async (t) => {
    const before = await chaptersOf(url)
    const page = await open(t, {})
    await page.getByRole('button', { name: 'Create', exact: true }).dblclick()
    await waitFor('it is created', () => page.locator('.created').textContent())
    await has(page, '.creating', 'idle')
    t.equal((await chaptersOf(url)) - before, 1)
    await page.evaluate(() => window.page.creates.clear())
    await page.getByRole('button', { name: 'Create two' }).click()
    await waitFor('both are created', () => page.locator('.both').textContent())
    const [first, second] = ((await page.locator('.both').textContent()) ?? '').split(' ')
    t.not(first, second, 'one after the other makes two')
    t.equal((await chaptersOf(url)) - before, 3)
    await has(page, '.created', second ?? '')
    t.equal(await page.evaluate(() => window.page.creates.size), 1, 'create is the same function always')
  })

  await t.test('a click after all answers were lost gives the chapter that was made', async (t) => {
    const before = await chaptersOf(url)
    const page = await open(t, {}, { mayFail: /ERR_FAILED/ })
    await page.route('**/v1/chapter/', async (route) => {
      await route.fetch()
      await route.abort()
    })
    const create = page.getByRole('button', { name: 'Create', exact: true })
    await create.click()
    await waitFor('it gave up', async () => (await page.locator('.creating').textContent()) === 'failed', {
      timeoutMs: 30_000,
    })
    await page.unroute('**/v1/chapter/')
    await create.click()
    await waitFor('it is created', () => page.locator('.created').textContent())
    t.equal((await chaptersOf(url)) - before, 1)
  })

  await t.test('a refused chapter shows every violation, until the next one', async (t) => {
    const page = await open(t, {}, { mayFail: /status of 400/ })
    await page.getByRole('button', { name: 'Create nonsense' }).click()
    const alert = page.getByRole('alert')
    await alert.getByText('/body/title').waitFor()
    await alert.getByText('/body/owner_id').waitFor()
    await has(page, '.creating', 'failed')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await waitFor('it is created', () => page.locator('.created').textContent())
    t.equal(await alert.count(), 0)
    t.same(await page.evaluate(() => window.page.unhandled), [], 'nobody has to catch it')
  })

  await t.test('a lost connection shows, and everything is right when it is back', async (t) => {
    const id = await createChapter(url)
    const proxy = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
    const page = await open(
      t,
      { id, content: 1, server: `http://127.0.0.1:${proxy.port}` },
      { mayFail: /WebSocket connection|ERR_|status of 4/ },
    )
    await finish(url, id, 'concept')
    await has(page, '.concept', '변수란 무엇인가')
    proxy.cut()
    await has(page, '.state', `${id} reconnecting processing 33`)
    t.equal(await page.locator('.events').textContent(), '1 2 3 4 5', 'what was there stays')
    t.equal(await page.locator('.concept').textContent(), '변수란 무엇인가')
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    proxy.resume()
    await has(page, '.state', `${id} live completed 100`)
    await has(page, '.events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    await has(page, '.problem', '')
    t.equal(members(id), 1)
  })

  await t.test(
    'of a server that lost its data nothing old is shown, and the new chapter from its start',
    async (t) => {
      const first = await buildTestApp(t)
      const id = await createChapter(first.url)
      const page = await open(
        t,
        { id, content: 1, server: first.url },
        { mayFail: /WebSocket|ERR_|status of 404/ },
      )
      for (const kind of JOB_KINDS) await finish(first.url, id, kind)
      await has(page, '.events', numbers(8))
      await has(page, '.quizzes', '3')
      await first.close()
      await has(page, '.state', `${id} reconnecting completed 100`)
      await buildTestApp(t, { PORT: new URL(first.url).port })
      await has(page, '.state', `${id} live null 0`)
      await has(page, '.events', '')
      t.equal(await page.locator('.of').textContent(), '')
      t.equal(await createChapter(first.url), id)
      await has(page, '.events', numbers(4))
      await has(page, '.state', `${id} live processing 0`)
    },
  )

  await t.test('content that could not be read is read with the next connection', async (t) => {
    const id = await createChapter(url)
    await finish(url, id, 'concept')
    const page = await open(
      t,
      { id, content: 1 },
      {
        mayFail: /status of 403/,
        prepare: (page) =>
          page.route('**/learning', (route) =>
            route.fulfill({
              status: 403,
              headers: { 'access-control-allow-origin': '*', 'content-type': 'application/problem+json' },
              body: JSON.stringify({ code: 'forbidden', detail: 'Not now', status: 403 }),
            }),
          ),
      },
    )
    await has(page, '.problem', 'Not now')
    await page.unroute('**/learning')
    app.io.disconnectSockets(true)
    await has(page, '.concept', '변수란 무엇인가')
    await has(page, '.problem', '')
  })

  await t.test('what the server renders is taken over without a warning', async (t) => {
    const id = await createChapter(url)
    const { App } = await import('./page.js')
    const chapters = connectChapters(url)
    const shown = { id, components: 2, content: true }
    const render = () => renderToString(createElement(App, { chapters, shown }))
    const html = render()
    t.equal(render(), html, 'it is the same every time')
    t.match(html, `${id} connecting null 0`)
    const rendered = await servePages(t, { '/page.js': script, '/': pageWith('/page.js', html) })
    t.equal(connections, 0, 'and nothing was asked of anyone')
    const query = new URLSearchParams({ server: url, id: `${id}`, components: '2', content: '' })
    const page = await openPage(t, browser, `${rendered}/?${query}`)
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    await has(page, '.chapter:nth-child(2) .state', `${id} live completed 100`)
    await has(page, '.chapter:nth-child(2) .events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    t.same(asked, [`join_chapter ${id}`])
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
    await show(page, { components: 2 })
    await has(page, '.chapter:nth-child(2) .error', 'closed')
    await show(page, { id: id + 1 })
    await has(page, '.error', 'closed')
    t.same(await page.evaluate(() => window.page.unhandled), [])
  })

  await t.test('without a provider the hooks say what is missing', async (t) => {
    const { useChapter } = await import('../../src/client/react.js')
    const Orphan = () => createElement('p', null, useChapter(1).message)
    t.throws(() => renderToString(createElement(Orphan)), { message: /ChaptersProvider/ })
  })
}

async function workOf(url: string, id: number, kind: JobKind) {
  const { job_id, attempt } = await viewJob(url, id, kind)
  return { job_id, attempt }
}

async function chaptersOf(url: string): Promise<number> {
  const { body } = await request(`${url}/v1/chapter/?limit=100`)
  return body.items.length
}

function numbers(last: number): string {
  return Array.from({ length: last }, (_, index) => index + 1).join(' ')
}
