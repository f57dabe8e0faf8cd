/**
 * The operators’ page: what is stuck, the whole story of a chapter, and what is done to a job by hand.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { openPage, waitForText } from './browser.js'
import { STUCK, startForOperators } from './operators.js'
import { create, fail, finish, get, start } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url, open, jobOf } = await startForOperators(t, browser)

  await t.test('a job that hangs is found by its filters, and its attempt ended by hand', async (t) => {
    const id = await create(url, 'Hanging')
    await start(url, id, 'quiz')
    const page = await open(t, STUCK)
    await row(page, `Quiz, chapter ${id}`).waitFor()
    t.ok((await page.locator('.row-of-list').count()) >= 3, 'the others are there, too')
    await page.getByLabel('Kind').selectOption('quiz')
    await page.getByLabel('Why').selectOption('silent')
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.waitForURL(/kind=quiz/)
    await page.waitForURL(/silent_s=0/)
    const hanging = row(page, `Quiz, chapter ${id}`)
    await hanging.getByText('A worker began, and was not heard since.').waitFor()
    t.equal(await page.locator('.row-of-list', { hasText: 'Concept,' }).count(), 0)

    await hanging.getByRole('button', { name: 'End the attempt…' }).click()
    const dialog = page.getByRole('dialog', { name: 'End this attempt?' })
    await dialog.getByLabel('Reason').selectOption('unavailable')
    await dialog.getByLabel('What is kept of it').fill('Its machine burns')
    await dialog.getByRole('button', { name: 'End the attempt' }).click()
    await waitForText(page, '#done', `The attempt was ended: Quiz, chapter ${id}.`)
    await hanging.waitFor({ state: 'detached' })
    t.equal(await page.evaluate('document.activeElement.id'), 'heading', 'the focus is not lost with the row')
    t.equal((await jobOf(id, 'quiz'))?.status, 'queued')

    await page.goto(`${url}/admin?view=audit&chapter_id=${id}`)
    const entry = row(page, `Quiz, chapter ${id}`)
    await entry.getByText('End an attempt').waitFor()
    await entry.getByText('Its machine burns').waitFor()
    await entry.getByText('loopback').waitFor()
  })

  await t.test(
    'what cannot be done is said where it was asked, and a job that waits is started anew',
    async (t) => {
      const id = await create(url, 'Anew')
      await start(url, id, 'concept')
      const page = await open(t, `?view=chapter&id=${id}`)
      const concept = page.getByRole('region', { name: 'Concept', exact: true })
      await concept.getByText('Handed over').waitFor()
      const before = await jobOf(id, 'concept')
      await concept.getByRole('button', { name: 'Start anew…' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Start anew' }).click()
      await waitForText(page, '#done', `It is started anew: Concept, chapter ${id}.`)
      const after = await jobOf(id, 'concept')
      t.not(after?.job_id, before?.job_id)
      t.equal(after?.attempt, 1, 'that cost none')

      const exercise = page.getByRole('region', { name: 'Exercise', exact: true })
      await exercise.getByRole('button', { name: 'Start anew…' }).click()
      // The worker was faster.
      await finish(url, id, 'exercise')
      await page.getByRole('dialog').getByRole('button', { name: 'Start anew' }).click()
      await waitForText(page, '#ask-problem', 'The exercise is completed; it cannot be started anew')
      await page.getByRole('button', { name: 'Do nothing' }).click()
      await exercise.getByText('Done').waitFor()
      await exercise.getByRole('button', { name: 'Start anew…' }).waitFor({ state: 'detached' })
    },
  )

  await t.test('the whole story of a chapter is in one view', async (t) => {
    const id = await create(url, 'A long story')
    await finish(url, id, 'concept')
    await fail(url, id, 'quiz', { error: 'Not JSON', reason: 'invalid_result' })
    await fail(url, id, 'quiz', { error: 'No', reason: 'refused', retryable: false })
    await finish(url, id, 'exercise')
    const page = await open(t, '?view=chapter')
    await page.getByText('Which chapter?').waitFor()
    await page.getByLabel('Chapter number').fill(String(id))
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('heading', { name: 'A long story' }).waitFor()
    const { last_seq: last } = await get<{ last_seq: number }>(`${url}/v1/chapter/${id}`)
    await page.locator(`.timeline li[data-key="event-${last}"]`).waitFor()
    t.equal(await page.locator('.timeline li').count(), last, 'every event')
    await waitForText(page, '.timeline', 'quiz_failed')
    await waitForText(page, '[data-key="dead-letters"]', 'the AI refused')
    await page.getByText('Attempts that have ended (2)').click()
    await page.locator('#view .history').getByText('Not JSON').first().waitFor()
    await waitForText(page, '[data-key="deliveries"]', 'chapter.failed')
    await waitForText(page, '[data-key="content"]', 'Concept · Version 1')
    await page.getByText('Content', { exact: true }).click()
    t.notMatch(await page.locator('[data-key="now"] pre').textContent(), 'a, __b__ = __b__, a')
    await page.getByRole('link', { name: 'Show the answers too' }).click()
    await page.getByText('Content', { exact: true }).click()
    await page.locator('[data-key="now"] pre', { hasText: 'a, __b__ = __b__, a' }).waitFor()
    await page.getByLabel('Chapter number').fill('999999')
    await page.keyboard.press('Enter')
    await waitForText(page, '#problem', 'There is no such chapter')
  })

  await t.test(
    'operators are led from a chapter’s details to its story, and from there to the chapter',
    async (t) => {
      const id = await create(url, 'There and back')
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=teacher`)
      await page.getByRole('heading', { name: 'There and back' }).waitFor()
      t.notOk(await page.getByRole('link', { name: 'For operators' }).isVisible())
      await page.locator('#views').getByRole('link', { name: 'Details' }).click()
      await page.getByRole('link', { name: 'For operators' }).click()
      await page.getByRole('heading', { level: 1, name: `Chapter ${id}` }).waitFor()
      await page.getByRole('link', { name: 'See the chapter itself' }).click()
      await page.getByRole('heading', { level: 1, name: 'There and back' }).waitFor()
    },
  )
})

function row(page: Page, text: string) {
  return page.locator('[data-key="rows"] > .row-of-list, #view > .rows > .row-of-list').filter({
    has: page.locator('.head', { hasText: new RegExp(`${text}(?!\\d)`) }),
  })
}
