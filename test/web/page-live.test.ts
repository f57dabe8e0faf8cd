/**
 * The page while everything happens at once, and when the connection does not hold.
 */
import t from 'tap'
import { testClock } from '../support/app.js'
import { withBrowser } from '../support/chromium.js'
import { waitFor } from '../support/condition.js'
import { postgresUrl } from '../support/database.js'
import { accessibilityFindings, becomes, gate, openPage, waitForSeqs, waitForText } from './browser.js'
import { create, fail, finish, get, KINDS, post, start, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const server = await startServer(t)
  const { url } = server

  await t.test('events that overtake the first view of a chapter are not undone by it', async (t) => {
    const id = await create(url, 'Overtaken')
    const page = await openPage(t, browser, `${url}/`)
    const [overtaken, release] = gate()
    let held = 0
    await page.route(`${url}/v1/chapter/${id}`, async (route) => {
      const response = await route.fetch()
      held += 1
      if (held === 1) await overtaken
      await route.fulfill({ response })
    })
    await page.goto(`${url}/?chapter=${id}&view=details`)
    await page.locator('#timeline li').nth(3).waitFor()
    for (const kind of KINDS) await finish(url, id, kind)
    await waitForText(page, '#chapter-status', 'Complete')
    await page.evaluate(() => {
      const seen = new Set<string | null>()
      Object.assign(window, { seen })
      const pill = document.querySelector('#chapter-status') as Element
      new MutationObserver(() => seen.add(pill.textContent)).observe(pill, {
        childList: true,
        characterData: true,
        subtree: true,
      })
    })
    release()
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    t.same(await page.evaluate('[...window.seen]'), [], 'not even for a moment')
    await becomes(t, () => page.locator('#chapter-status').textContent(), 'Complete')
    await becomes(t, () => page.locator('#job-concept .status').textContent(), 'Done')
    await waitForSeqs(t, page, url, id)
  })

  await t.test('switching chapters in the middle of everything shows only the last one', async (t) => {
    const slow = await create(url, 'The slow one')
    const quick = await create(url, 'The quick one')
    for (const kind of KINDS) await finish(url, slow, kind)
    const page = await openPage(t, browser, `${url}/`)
    const [switched, release] = gate()
    await page.route(new RegExp(`/v1/chapter/${slow}(/|$)`), async (route) => {
      // The page may give up on it at any moment.
      const response = await route.fetch().catch(() => undefined)
      await switched
      if (response) await route.fulfill({ response }).catch(() => {})
    })
    for (const id of [slow, quick, slow, quick, slow, quick]) {
      await page.evaluate((next) => {
        history.pushState(null, '', `?chapter=${next}&view=details`)
        dispatchEvent(new PopStateEvent('popstate'))
      }, id)
    }
    release()
    await page.getByRole('heading', { level: 1, name: 'The quick one' }).waitFor()
    await waitForSeqs(t, page, url, quick)
    await finish(url, quick, 'exercise')
    await waitForText(page, '#job-exercise .status', 'Done')
    await page.locator('.exercise', { hasText: 'Swap a and' }).waitFor()
    await becomes(t, () => page.locator('#chapter-status').textContent(), 'Waiting for a writer')
    await becomes(t, () => page.locator('.concept h3').count(), 0, 'nothing of the other one is here')
    await waitForSeqs(t, page, url, quick)
  })

  await t.test(
    'a page whose server restarts says so, and catches up without a gap or a double',
    async (t) => {
      const id = await create(url, 'Through the storm')
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
      await start(url, id, 'concept')
      await page.locator('#timeline li[data-seq="5"]').waitFor()
      await page.evaluate('window.sameDocument = true')

      await server.restart(async () => {
        await page.locator('#offline').waitFor()
        t.equal(await page.locator('#connection').getAttribute('data-state'), 'reconnecting')
        t.ok(await page.locator('#timeline li').count(), 'what was there stays')
        t.same(await accessibilityFindings(page), [])
      })
      for (const kind of KINDS) await finish(url, id, kind)

      await page.locator('.connection[data-state="live"]').waitFor()
      await waitForText(page, '#chapter-status', 'Complete')
      await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
      await waitForSeqs(t, page, url, id)
      await becomes(t, () => page.locator('#offline').isVisible(), false)
      t.equal(await page.evaluate('window.sameDocument'), true, 'by itself')
    },
  )

  await t.test('what a chapter once was does not flash by', async (t) => {
    const id = await create(url, 'After all')
    await fail(url, id, 'concept', { error: 'No', reason: 'refused', retryable: false })
    for (const kind of ['exercise', 'quiz'] as const) await finish(url, id, kind)
    await post(`${url}/v1/chapter/${id}/retry`, {})
    await finish(url, id, 'concept')
    const page = await openPage(t, browser, `${url}/`)
    await page.addInitScript(() => {
      const seen = new Set<string | null>()
      Object.assign(window, { seen })
      const look = () => seen.add(document.querySelector('#chapter-status')?.textContent ?? null)
      new MutationObserver(look).observe(document, { childList: true, characterData: true, subtree: true })
    })
    await page.goto(`${url}/?chapter=${id}&view=details`)
    await waitForText(page, '#chapter-status', 'Complete')
    await waitForSeqs(t, page, url, id)
    const seen = (await page.evaluate('[...window.seen]')) as (string | null)[]
    t.same(
      seen.filter((text) => text !== null && text !== '' && text !== 'Loading'),
      ['Complete'],
    )
  })

  await t.test('a clock that is wrong counts down all the same', async (t) => {
    const { url } = await startServer(t, { GENERATION_TIMEOUT_MS: '115000' })
    const id = await create(url, 'Early')
    await start(url, id, 'quiz')
    const page = await openPage(t, browser, `${url}/`)
    await page.clock.install({ time: Date.now() - 3_600_000 })
    await page.goto(`${url}/?chapter=${id}&view=details`)
    await page.locator('#job-quiz .facts', { hasText: /\(1:[45]\d left\)/ }).waitFor()
  })

  await t.test('a chapter with another life is shown as it is now', async (t) => {
    const server = await startServer(t)
    const id = await create(server.url, 'The first life')
    for (const kind of KINDS) await finish(server.url, id, kind)
    const page = await openPage(t, browser, `${server.url}/?chapter=${id}&view=details`)
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    await waitForSeqs(t, page, server.url, id)

    await server.restart(() => page.locator('#offline').waitFor(), { DATABASE_URL: await postgresUrl(t) })
    await page.getByText(`There is no chapter ${id}.`).waitFor()
    t.equal(await create(server.url, 'The second life'), id)
    await page.getByRole('heading', { level: 1, name: 'The second life' }).waitFor()
    await waitForText(page, '#chapter-status', 'Waiting for a writer')
    await waitForSeqs(t, page, server.url, id)
    await becomes(t, () => page.locator('.concept h3').count(), 0, 'nothing of the first is left')
    await finish(server.url, id, 'concept')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()

    await server.restart(async () => {}, { DATABASE_URL: await postgresUrl(t) })
    await create(server.url, 'The third life')
    await page.getByRole('heading', { level: 1, name: 'The third life' }).waitFor()
    await waitForSeqs(t, page, server.url, id)
  })

  await t.test('a chapter whose log was deleted is shown as it ended', async (t) => {
    const clock = testClock(Date.now())
    const server = await startServer(t, { EVENT_RETENTION_MS: '60000' }, { now: clock.now, pollMs: 20 })
    const id = await create(server.url, 'Long ago')
    for (const kind of KINDS) await finish(server.url, id, kind)
    clock.advance(60_001)
    await waitFor('the log is deleted', async () => {
      return (await get<{ expired?: true }>(`${server.url}/v1/chapter/${id}/events`)).expired
    })
    const page = await openPage(t, browser, `${server.url}/?chapter=${id}&view=details`)
    await page.getByText('The log of this chapter was deleted').waitFor()
    await waitForText(page, '#chapter-status', 'Complete')
    await waitForText(page, '#job-quiz .status', 'Done')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    t.equal(await page.locator('#whole-bar').getAttribute('aria-valuenow'), '100')
    await becomes(t, () => page.locator('#timeline li').count(), 0)
  })
})
