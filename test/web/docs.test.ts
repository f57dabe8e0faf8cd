/**
 * The API pages at `/docs`, on a phone and for people who listen to them.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { scale } from '../support/scale.js'
import { accessibilityFindings, becomes, openPage, overflow, tooFaint } from './browser.js'
import { startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  for (const colorScheme of (['dark', 'light'] as const).slice(0, scale(1, 2)))
    await t.test(`the API pages fit on a phone and can be listened to, ${colorScheme}`, async (t) => {
      const viewport = { width: 360, height: 740 }
      const page = await openPage(t, browser, `${url}/docs`, { viewport, isMobile: true, colorScheme })
      await page.locator('.opblock-summary').first().waitFor()
      t.equal(await page.evaluate('innerWidth'), 360, 'it has the width of the phone')
      t.equal(await overflow(page), 0)
      await page.locator('#operations-Chapters-createChapter .opblock-summary-control').click()
      await page.getByRole('button', { name: 'Try it out' }).click()
      await page.getByRole('textbox', { name: 'Request body' }).waitFor()
      await page.getByRole('textbox', { name: 'idempotency-key' }).waitFor()
      await page.getByRole('combobox', { name: 'Server' }).waitFor()
      t.equal(await overflow(page), 0, 'also when a request is written')
      await becomes(t, () => page.locator('button a[href]').count(), 0, 'no link stands inside a button')
      t.same(await accessibilityFindings(page), [])
      t.same(await tooFaint(page), [])
      await page.getByRole('button', { name: 'Authorize' }).click()
      await page.getByRole('dialog').waitFor()
      t.same(await accessibilityFindings(page), [], 'where a token is given')
    })
})
