/**
 * The operators’ page for every reader; `admin-walk.long.test.ts` looks at more.
 */
import t from 'tap'
import { AUDIT_ACTIONS, AUDIT_OUTCOMES, STUCK_WHYS } from '../../src/contract/admin.js'
import { FAILURE_REASONS, JOB_STATUSES } from '../../src/contract/job.js'
import { DELIVERY_STATUSES } from '../../src/contract/notice.js'
import { withBrowser } from '../support/chromium.js'
import { noticeReceiver } from '../support/receiver.js'
import { fillForOperators } from './admin-content.js'
import { accessibilityFindings, duplicateIds, openPage, overflow, smallTargets } from './browser.js'
import { startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url: told } = await noticeReceiver(t)
  const { url } = await startServer(t, { NOTIFY_URL: told })
  const id = await fillForOperators(url)

  await t.test(
    'a story and dead letters can be read and used on a narrow screen in the dark, in Korean',
    async (t) => {
      const page = await openPage(t, browser, `${url}/admin`, {
        locale: 'ko-KR',
        colorScheme: 'dark',
        reducedMotion: 'reduce',
        viewport: { width: 320, height: 700 },
      })
      // The story has rows of every other view.
      for (const view of [`?view=chapter&id=${id}`, '?view=dead-letters']) {
        await page.goto(`${url}/admin${view}`)
        await page.locator('.rows, .cards').first().waitFor()
        for (const summary of await page.locator('#view summary').all()) await summary.click()
        t.same(await accessibilityFindings(page), [], view)
        t.equal(await overflow(page), 0, view)
        t.same(await smallTargets(page), [], view)
        t.same(await duplicateIds(page), [], view)
      }
      await page.getByRole('button', { name: '모두 재처리…' }).click()
      t.same(await accessibilityFindings(page), [], 'where something is asked')
      t.equal(await overflow(page), 0)
      t.same(await smallTargets(page), [])
    },
  )

  await t.test('in forced colours the tab of the view that is open can be told', async (t) => {
    const page = await openPage(t, browser, `${url}/admin?view=kinds`, { forcedColors: 'active' })
    const lineOf = (selector: string) =>
      page
        .locator(selector)
        .first()
        .evaluate((tab) => getComputedStyle(tab).borderBottomColor)
    await page.locator('.tabs a[aria-current]').waitFor()
    t.not(await lineOf('.tabs a[aria-current]'), await lineOf('.tabs a:not([aria-current])'))
  })

  await t.test('whatever the server may say has words in both languages', async (t) => {
    const page = await openPage(t, browser, `${url}/admin`)
    const keys = [
      ...STUCK_WHYS.flatMap((why) => [`why_${why}`, `because_${why}`]),
      ...FAILURE_REASONS.map((reason) => `reason_${reason}`),
      ...DELIVERY_STATUSES.map((state) => `state_${state}`),
      ...AUDIT_ACTIONS.map((action) => `action_${action}`),
      ...AUDIT_OUTCOMES.map((outcome) => `outcome_${outcome}`),
      ...JOB_STATUSES.map((status) => `job_${status}`),
    ]
    const missing = await page.evaluate(async (keys) => {
      const load = (path: string) => import(path)
      const [{ words }, { setLanguage }] = [
        await load('/web/admin/strings.js'),
        await load('/web/strings.js'),
      ]
      const without: string[] = []
      for (const language of ['en', 'ko']) {
        setLanguage(language)
        for (const key of keys) {
          try {
            if (words(key) === '') without.push(`${language} ${key}`)
          } catch {
            without.push(`${language} ${key}`)
          }
        }
      }
      return without
    }, keys)
    t.same(missing, [])
  })

  await t.test('a filter offers every value that the server knows', async (t) => {
    const page = await openPage(t, browser, `${url}/admin`)
    const offered = async (view: string, name: string) => {
      await page.goto(`${url}/admin?view=${view}`)
      const values = await page
        .locator(`#filter-${name} option`)
        .evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value))
      return values.filter((value) => value !== '').sort()
    }
    t.same(await offered('stuck', 'why'), [...STUCK_WHYS].sort())
    t.same(await offered('dead-letters', 'reason'), [...FAILURE_REASONS].sort())
    t.same(await offered('notices', 'state'), [...DELIVERY_STATUSES].sort())
    t.same(await offered('audit', 'action'), [...AUDIT_ACTIONS].sort())
  })
})
