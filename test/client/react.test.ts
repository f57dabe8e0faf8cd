/**
 * The hooks in real React renders: Chromium, Strict Mode, the development build, another origin than the server’s.
 * Whatever React or the page complains about fails the test. Skipped only where there is no Chromium.
 */
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { connectChapters } from '../../src/client/index.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { pageWith, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { tell } from '../support/stock-client.js'
import { chaptersOf, numbers, serveAdapter } from './adapter-tests.js'
import { has, openPage, show } from './open-page.js'

await withBrowser(t, async (browser) => {
  const env = { GENERATION_MAX_ATTEMPTS: '100', GENERATION_RETRY_BASE_MS: '0' }
  const { script, app, url, heard, members, open } = await serveAdapter(t, browser, 'page.tsx', env)

  await t.test('a component shows its chapter from before it exists until its content is read', async (t) => {
    const page = await open(t, { content: 1 })
    await has(page, '.state', 'none')
    t.equal(heard.connections, 0, 'without a chapter nothing is connected')
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
    t.same(heard.asked, [`join_chapter ${id}`])
  })

  await t.test('strict mode mounts twice, joins once, and leaves nothing behind', async (t) => {
    const id = await createChapter(url)
    const page = await open(t, { id, components: 2, content: 1 })
    await has(page, '.chapter:nth-child(2) .events', '1 2 3 4')
    t.same(heard.asked, [`join_chapter ${id}`], 'one join for all components')
    t.equal(heard.connections, 1)
    t.equal(members(`chapter_${id}`), 1)
    await show(page, { components: 1 })
    await finish(url, id, 'quiz')
    await has(page, '.events', '1 2 3 4 5')
    t.equal(members(`chapter_${id}`), 1, 'those that stay keep it')
    await show(page, { components: 0, content: false })
    await waitFor('the room is left', () => members(`chapter_${id}`) === 0)
    await waitFor('and the connection closed', () => app.io.engine.clientsCount === 0)
    t.same(heard.asked, [`join_chapter ${id}`, `leave_chapter ${id}`])
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
    t.same(heard.asked, [`join_chapter ${id}`])
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
    t.equal(heard.connections, 0, 'and nothing was asked of anyone')
    const query = new URLSearchParams({ server: url, id: `${id}`, components: '2', content: '' })
    const page = await openPage(t, browser, `${rendered}/?${query}`)
    for (const kind of JOB_KINDS) await finish(url, id, kind)
    await has(page, '.chapter:nth-child(2) .state', `${id} live completed 100`)
    await has(page, '.chapter:nth-child(2) .events', '1 2 3 4 5 6 7 8')
    await has(page, '.quizzes', '3')
    t.same(heard.asked, [`join_chapter ${id}`])
  })

  await t.test('without a provider the hooks say what is missing', async (t) => {
    const { useChapter } = await import('../../src/client/react.js')
    const Orphan = () => createElement('p', null, useChapter(1).message)
    t.throws(() => renderToString(createElement(Orphan)), { message: /ChaptersProvider/ })
  })
})
