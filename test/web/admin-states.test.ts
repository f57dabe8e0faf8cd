/**
 * The operators’ page as it refreshes, while the server is away, and for those who may not see it.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { withBrowser } from '../support/chromium.js'
import { accessibilityFindings, openPage, waitForText } from './browser.js'
import { create, fail, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)
  const failed = async () => {
    const id = await create(url, 'Dead')
    await fail(url, id, 'quiz', { error: 'No', reason: 'refused', retryable: false })
    return id
  }

  await t.test('a refresh leaves the focus, what is selected and what is open as they are', async (t) => {
    const id = await failed()
    const page = await openPage(t, browser, `${url}/admin?view=dead-letters`)
    const box = page.getByLabel(`Select: Quiz, chapter ${id}`)
    await page.locator('summary', { hasText: 'What was asked' }).click()
    await box.check()
    await box.focus()
    await page.locator('pre').evaluate((pre) => {
      pre.scrollTop = 40
      getSelection()?.selectAllChildren(pre)
    })
    const later = await failed()
    await page.getByLabel(`Select: Quiz, chapter ${later}`).waitFor()
    t.equal(await page.evaluate('document.activeElement.dataset.pick'), await box.getAttribute('data-pick'))
    t.ok(await box.isChecked())
    t.notOk(await page.getByLabel(`Select: Quiz, chapter ${later}`).isChecked())
    t.equal(await page.locator('details[open]').count(), 1)
    t.equal(await page.locator('details[open] pre').evaluate((pre) => pre.scrollTop), 40)
    t.match(await page.evaluate('String(getSelection())'), '"job_id"')
    await page.getByRole('button', { name: 'Redrive the selected (1)…' }).waitFor()
    await page.getByLabel('Select all of this page').check()
    await page.getByRole('button', { name: 'Redrive the selected (2)…' }).waitFor()
    await page.getByRole('button', { name: '한국어' }).click()
    await page.getByRole('button', { name: '선택한 작업 재처리 (2)…' }).waitFor()
    t.equal(await page.locator('details[open]').count(), 1)
  })

  await t.test('it says when it was read and that the server is away, and goes on by itself', async (t) => {
    const page = await openPage(t, browser, `${url}/admin?view=kinds`)
    await waitForText(page, '#connection', 'Read at')
    await page.route('**/v1/admin/**', (route) => route.abort())
    await waitForText(page, '#offline', 'The server does not answer. The page asks again by itself')
    await waitForText(page, '#offline', 'What you see was read at')
    await waitForText(page, '#connection', 'No answer')
    t.ok(await page.getByRole('region', { name: 'Quiz' }).isVisible(), 'what was there stays')
    t.same(await accessibilityFindings(page), [])

    await page.getByRole('region', { name: 'Quiz' }).getByRole('button', { name: 'Pause…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
    await waitForText(page, '#ask-problem', 'It may have been done or not.')
    await page.getByRole('button', { name: 'Do nothing' }).click()
    await page.unroute('**/v1/admin/**')
    await page.locator('#offline').waitFor({ state: 'hidden' })
    await waitForText(page, '#connection', 'Read at')
    await page.locator('#announcer', { hasText: 'answers again' }).waitFor({ state: 'attached' })
  })

  await t.test('an address is a view with its filters, and a wrong filter is said beside it', async (t) => {
    const id = await failed()
    const page = await openPage(
      t,
      browser,
      `${url}/admin?view=dead-letters&reason=refused&to=2020-01-01T00:00:00Z`,
    )
    await page.getByText('Nothing fits the filters.').waitFor()
    t.equal(await page.getByLabel('Reason').inputValue(), 'refused')
    t.match(await page.getByLabel('Failed before').inputValue(), /^20(19|20)-/)
    await page.getByLabel('Failed before').fill('')
    await page.getByLabel('Failed from').fill('2020-01-01T00:00')
    await page.getByLabel('Owner number').fill('nobody')
    await page.keyboard.press('Enter')
    await waitForText(page, '#filter-owner_id-error', 'This must be a whole number.')
    await page.getByLabel('Owner number').fill('1')
    await page.keyboard.press('Enter')
    await page.getByLabel(`Select: Quiz, chapter ${id}`).waitFor()
    t.match(page.url(), /from=20(19|20)-/)
    await page.goBack()
    await waitForText(page, '#filter-owner_id-error', 'This must be a whole number.')
    t.equal(await page.evaluate('document.activeElement.id'), 'heading')
  })

  await t.test('a long list has pages, and each has an address', async (t) => {
    const ids: number[] = []
    for (let n = 0; n < 3; n += 1) ids.push(await failed())
    const page = await openPage(t, browser, `${url}/admin?view=dead-letters&limit=2`)
    await page.getByLabel(`Select: Quiz, chapter ${ids[2]}`).waitFor()
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByLabel(`Select: Quiz, chapter ${ids[0]}`).waitFor()
    t.match(page.url(), /cursor=/)
    await page.reload()
    await page.getByLabel(`Select: Quiz, chapter ${ids[0]}`).waitFor()
    await page.getByRole('link', { name: 'First page' }).click()
    await page.getByLabel(`Select: Quiz, chapter ${ids[2]}`).waitFor()
  })

  await t.test(
    'through a proxy, where nobody is asked for a token, the page says who may see it',
    async (t) => {
      const page = await openPage(t, browser, `${url}/admin`, {
        extraHTTPHeaders: { 'x-forwarded-for': '203.0.113.7' },
      })
      await waitForText(page, '#forbidden', 'only to a browser on the machine that it runs on')
      await waitForText(page, '#forbidden-detail', 'JWT_SECRET')
      t.notOk(await page.locator('#filters').isVisible())
      t.same(await accessibilityFindings(page), [])
      await page.getByRole('button', { name: '한국어' }).click()
      await waitForText(page, '#forbidden', '운영자를 위한 화면입니다')
    },
  )

  await t.test('with tokens, only one with the role shows it', async (t) => {
    const closed = await startServer(t, { JWT_SECRET })
    const page = await openPage(t, browser, `${closed.url}/admin?view=kinds`)
    await page.locator('#token-form').waitFor()
    await give(page, await signToken({ sub: '1' }))
    await waitForText(page, '#forbidden', 'Your token does not have the role “admin”.')
    await page.getByRole('button', { name: 'Use another token' }).click()
    await give(page, await signToken({ sub: 'ops', role: 'admin' }))
    const quiz = page.getByRole('region', { name: 'Quiz' })
    await quiz.getByRole('button', { name: 'Pause…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
    await quiz.getByText('ops').waitFor()
    t.notOk(await page.locator('#forbidden').isVisible())
    await page.reload()
    await quiz.getByText('ops').waitFor()
  })
})

async function give(page: Page, token: string) {
  await page.locator('#token').fill(token)
  await page.keyboard.press('Enter')
}
