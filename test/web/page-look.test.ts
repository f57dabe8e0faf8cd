/**
 * The page for every reader: languages, small screens, contrast.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { becomes, openPage, overflow, tooFaint, waitForSeqs, waitForText } from './browser.js'
import { create, fail, finish, KINDS, post, RESULTS, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  await t.test('the page speaks the reader’s language, and the chapter its own', async (t) => {
    const id = await create(url, '변수와 자료형', 'Python 기초', 'ko')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`, { locale: 'ko-KR' })
    await waitForText(page, '#chapter-status', '생성 대기 중')
    t.equal(await page.locator('html').getAttribute('lang'), 'ko')
    await page.locator('#timeline li').nth(3).waitFor()
    await page.locator('#chapter-title[lang="ko"]').waitFor()
    const said = await page.locator('#timeline .said').first().textContent()

    await page.getByRole('button', { name: 'English' }).click()
    await waitForText(page, '#chapter-status', 'Waiting for a writer')
    t.equal(await page.locator('html').getAttribute('lang'), 'en')
    await becomes(
      t,
      () => page.locator('#timeline .said').first().textContent(),
      said,
      'what the server said stays',
    )
    t.equal(await page.locator('#timeline .said').first().getAttribute('lang'), 'ko')
    await waitForSeqs(t, page, url, id)
    await page.goto(`${url}/`)
    await page.getByRole('heading', { level: 2, name: 'Create a chapter' }).waitFor()
    await becomes(t, () => page.locator('#locale').inputValue(), 'en')
    t.equal(await page.getByRole('button', { name: 'English' }).getAttribute('aria-pressed'), 'true')
  })

  await t.test('it fits on a phone, whatever is written', async (t) => {
    const page = await openPage(t, browser, `${url}/`, { viewport: { width: 320, height: 740 } })
    await page.locator('#recent li').first().waitFor()
    await page.locator('#more summary').click()
    await page.locator('#curl summary').click()
    t.equal(await overflow(page), 0)
    const command = page.locator('#curl-command')
    t.ok(await command.evaluate((node) => node.scrollWidth <= node.clientWidth), 'curl’s command as well')
    const id = await create(url, 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(4), 'x'.repeat(300))
    await post(`${url}/v1/chapter/${id}/concept-finish`, {
      title: 'y'.repeat(200),
      content: `${'z'.repeat(200)}\n\n\`\`\`\n${'code '.repeat(60)}\n\`\`\`\n\n|${' column |'.repeat(20)}\n|${'---|'.repeat(20)}\n|${' cell |'.repeat(20)}\n\n\`${'w'.repeat(200)}\``,
    })
    await post(`${url}/v1/chapter/${id}/exercise-finish`, RESULTS.exercise)
    await post(`${url}/v1/chapter/${id}/quiz-finish`, {
      quizzes: [
        {
          question: 'q'.repeat(200),
          correct_answer: 'o'.repeat(200),
          options: ['o'.repeat(200), 'n'.repeat(200)],
        },
      ],
    })
    await page.goto(`${url}/?chapter=${id}`)
    await page.locator('.option').first().click()
    await page.locator('.concept table').waitFor()
    t.equal(await overflow(page), 0)
    await page.goto(`${url}/?chapter=${id + 1000}`)
    await page.locator('#chapter-waiting').waitFor()
    t.equal(await overflow(page), 0)
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(`every text can be read with a ${colorScheme} background`, async (t) => {
      const done = await create(url, 'Finished')
      for (const kind of KINDS) await finish(url, done, kind)
      const failed = await create(url, 'Failed')
      await fail(url, failed, 'concept', { error: 'Empty', reason: 'invalid_result' })
      await fail(url, failed, 'quiz', { error: 'No', reason: 'refused', retryable: false })

      const page = await openPage(t, browser, `${url}/`, { colorScheme, reducedMotion: 'reduce' })
      t.match(
        await page.evaluate('getComputedStyle(document.body).backgroundColor'),
        colorScheme === 'dark' ? 'rgb(20, 22, 29)' : 'rgb(248, 246, 241)',
      )
      await page.locator('#recent li').first().waitFor()
      await page.locator('#more summary').click()
      await page.locator('#create-button').click()
      await page.locator('#title-error').waitFor()
      t.same(await tooFaint(page), [])
      await page.locator('#create-button').hover()
      t.same(await tooFaint(page), [], 'under the mouse')
      await page.goto(`${url}/?chapter=${done}`)
      // A wrong one and then the right one, wherever they stand.
      for (const hasText of ['"42"', /^[^"]*42[^"]*$/])
        await page.locator('.option').filter({ hasText }).click()
      for (const summary of await page.locator('#content .answer summary').all()) await summary.click()
      t.same(await tooFaint(page), [])
      await page.goto(`${url}/?chapter=${failed}&view=details`)
      await waitForText(page, '#job-quiz .status', 'Failed')
      t.same(await tooFaint(page), [])
    })
  }

  await t.test('the API pages open without a complaint of the browser', async (t) => {
    const page = await openPage(t, browser, `${url}/docs`)
    await page.locator('.opblock-summary').first().click()
    await page.locator('.opblock-body').first().waitFor()
  })
})
