/**
 * The page where the server wants to know who asks.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { withBrowser } from '../support/chromium.js'
import { finish, post } from '../support/client.js'
import { becomes, openPage, waitForText } from './browser.js'
import { startServer } from './worker.js'

const CHAPTER = { course_id: 1, owner_id: 1, title: 'Not for everybody', locale: 'en' }

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t, { JWT_SECRET })
  const owner = await signToken({ sub: '1' })
  const create = async () =>
    (await post(`${url}/v1/chapter/`, CHAPTER, bearer(owner))).body.chapter_id as number

  await t.test('a server without authentication asks for no token', async (t) => {
    const open = await startServer(t)
    const page = await openPage(t, browser, `${open.url}/`)
    await page.getByText('None yet. Create the first one.').waitFor()
    await becomes(t, () => form(page).isVisible(), false)
  })

  await t.test(
    'a chapter is watched with the token that was asked for, and it stays in this tab',
    async (t) => {
      const id = await create()
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
      await form(page).waitFor()
      await page.locator('#announcer', { hasText: 'asks for a token' }).waitFor({ state: 'attached' })
      await becomes(t, () => page.locator('#token-error').isVisible(), false, 'nothing was wrong yet')
      await becomes(t, () => page.locator('#chapter-progress').isVisible(), false, 'there is nothing to show')
      const input = page.getByLabel('Token', { exact: true })
      await becomes(t, () => input.getAttribute('type'), 'password')
      t.equal(await input.getAttribute('autocomplete'), 'off')
      const addresses: string[] = []
      page.on('request', (request) => addresses.push(request.url()))
      page.on('websocket', (socket) => addresses.push(socket.url()))
      await give(page, `  ${owner}\n`)

      await page.getByRole('heading', { level: 1, name: 'Not for everybody' }).waitFor()
      await form(page).waitFor({ state: 'hidden' })
      await becomes(t, () => page.evaluate('document.activeElement.id'), 'chapter-title')
      await page.locator('.connection[data-state="live"]').waitFor()
      await finish(url, id, 'concept')
      await waitForText(page, '#job-concept .status', 'Done')
      await page.locator('.concept h3').waitFor()

      await page.reload()
      await waitForText(page, '#job-concept .status', 'Done')
      await becomes(t, () => form(page).isVisible(), false, 'a reload asks for nothing')
      t.notOk(
        addresses.some((address) => address.includes(owner)),
        'no address had it',
      )
      const kept = await page.evaluate('JSON.stringify([localStorage, document.cookie])')
      t.notOk(String(kept).includes(owner))
      const other = await page.context().newPage()
      await other.goto(`${url}/`)
      await form(other).waitFor()
    },
  )

  await t.test(
    'a token that the server refuses is refused beside it, and the next one may be given',
    async (t) => {
      const page = await openPage(t, browser, `${url}/`)
      const error = page.locator('#token-error')
      for (const [token, text] of [
        ['nonsense', 'does not accept'],
        ['토큰', 'does not accept'],
        ['', 'does not accept'],
        [await signToken({ sub: '1' }, { expiresInS: -60 }), 'has expired'],
      ] as const) {
        await give(page, token)
        await error.filter({ hasText: text }).waitFor()
        await becomes(t, () => page.evaluate('document.activeElement.id'), 'token')
        t.equal(await page.locator('#token').getAttribute('aria-invalid'), 'true')
      }
      await page.getByRole('button', { name: '한국어' }).click()
      await error.filter({ hasText: '만료되었습니다' }).waitFor()
      await give(page, owner)
      await form(page).waitFor({ state: 'hidden' })
      await page.locator('#recent li').first().waitFor()
    },
  )

  await t.test('a chapter is created once there is a token, and what was written is not lost', async (t) => {
    const page = await openPage(t, browser, `${url}/`)
    await form(page).waitFor()
    await page.locator('#title').fill('Written before')
    await page.locator('#create-button').click()
    await page.locator('#token:focus').waitFor()
    await give(page, owner)
    await form(page).waitFor({ state: 'hidden' })
    await page.locator('#create-button').click()
    await page.getByRole('heading', { level: 1, name: 'Written before' }).waitFor()
  })

  await t.test('somebody else’s chapter is not shown, and the page says why', async (t) => {
    const id = await create()
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await give(page, await signToken({ sub: '2' }))
    await waitForText(page, '#chapter-problem', 'Your token does not allow this')
    await becomes(t, () => form(page).isVisible(), false)
    await becomes(t, () => page.locator('#chapter-progress').isVisible(), false)
  })

  await t.test(
    'a token that ends while a chapter is watched is asked for again, and nothing is missed',
    async (t) => {
      const id = await create()
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
      // A token is good for five seconds after its end, since clocks differ.
      await give(page, await signToken({ sub: '1' }, { expiresInS: 1 }))
      await page.locator('#timeline li[data-seq="4"]').waitFor()
      await page.locator('#token-error', { hasText: 'has expired' }).waitFor()
      t.ok(await page.locator('#timeline li').count(), 'what was there stays')
      await finish(url, id, 'concept')
      await give(page, owner)
      await waitForText(page, '#job-concept .status', 'Done')
      await page.locator('#timeline li[data-seq="5"]').waitFor()
      await finish(url, id, 'quiz')
      await waitForText(page, '#job-quiz .status', 'Done')
    },
  )
})

function form(page: Page) {
  return page.getByRole('form', { name: /This server asks for a token|토큰이 필요합니다/ })
}

async function give(page: Page, token: string) {
  await page.locator('#token').fill(token)
  await page.keyboard.press('Enter')
}
