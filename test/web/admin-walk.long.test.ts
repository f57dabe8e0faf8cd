/**
 * The operators’ page looked at in every language and scheme, and walked through with the keyboard alone.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { noticeReceiver } from '../support/receiver.js'
import { fillForOperators, operatorViews } from './admin-content.js'
import { accessibilityFindings, openPage, overflow, smallTargets, tabTo, waitForText } from './browser.js'
import { create, fail, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  t.setTimeout(900_000)
  const { url: told } = await noticeReceiver(t)
  const { url } = await startServer(t, { NOTIFY_URL: told })
  const id = await fillForOperators(url)

  for (const locale of ['en-US', 'ko-KR'])
    for (const colorScheme of ['light', 'dark'] as const)
      await t.test(`nothing is wrong with any view, ${locale}, ${colorScheme}`, async (t) => {
        const page = await openPage(t, browser, `${url}/admin`, {
          locale,
          colorScheme,
          reducedMotion: 'reduce',
        })
        const width = colorScheme === 'dark' ? 320 : 1100
        await page.setViewportSize({ width, height: 800 })
        for (const view of operatorViews(id)) {
          await page.goto(`${url}/admin${view}`)
          await page.locator('.rows, .cards').first().waitFor()
          for (const summary of await page.locator('#view summary').all()) await summary.click()
          const where = `${view} ${width}`
          t.same(await accessibilityFindings(page), [], where)
          t.equal(await overflow(page), 0, where)
          t.same(await smallTargets(page), [], where)
          for (const act of new Set(await page.locator('[data-act]').evaluateAll(acts))) {
            await page.locator(`[data-act="${act}"]`).first().click()
            t.same(await accessibilityFindings(page), [], `${where} ${act}`)
            t.equal(await overflow(page), 0, `${where} ${act}`)
            await page.keyboard.press('Escape')
          }
        }
      })

  await t.test('a dead letter is found, read and redriven with the keyboard alone', async (t) => {
    const dead = await create(url, 'By keyboard')
    await fail(url, dead, 'quiz', { error: 'No', reason: 'unavailable', retryable: false })
    const page = await openPage(t, browser, `${url}/admin`)
    await page.locator('#connection[data-state="live"]').waitFor()
    await tabTo(page, '#tabs a[href*="dead-letters"]')
    await page.keyboard.press('Enter')
    await page.locator('#heading:focus', { hasText: 'Dead letters' }).waitFor()
    await tabTo(page, '#filter-reason')
    await page.keyboard.type('the AI cannot')
    await tabTo(page, '#filters button')
    await page.keyboard.press('Enter')
    await page.waitForURL(/reason=unavailable/)
    const box = page.getByLabel(`Select: Quiz, chapter ${dead}`)
    await box.waitFor()
    await tabTo(page, '[data-key="rows"] summary')
    await page.keyboard.press('Enter')
    await page.locator('details[open]').waitFor()
    await tabTo(page, '[data-key="rows"] [data-act="redrive"]')
    await page.keyboard.press('Enter')
    await page.locator('#ask-no:focus').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await waitForText(page, '#done', 'has begun')
    await box.waitFor({ state: 'detached' })
    await page.getByText('Nothing fits the filters.').waitFor()
  })
})

function acts(all: Element[]) {
  return all.map((button) => button.getAttribute('data-act') ?? '')
}
