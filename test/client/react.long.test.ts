/**
 * The hooks where a chapter changes, the connection is lost or nothing can be watched, in real React renders.
 */
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { workOf } from '../support/partial.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { chaptersOf, numbers, serveAdapter } from './adapter-tests.js'
import { has, show } from './open-page.js'

await withBrowser(t, async (browser) => {
  const env = { GENERATION_MAX_ATTEMPTS: '100', GENERATION_RETRY_BASE_MS: '0' }
  const { app, url, members, open } = await serveAdapter(t, browser, 'page.tsx', env)

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
    await waitFor('the other room is left', () => members(`chapter_${done}`) === 0)
    t.equal(members(`chapter_${fresh}`), 1)
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
    t.equal(members(`chapter_${id}`), 1)
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
})
