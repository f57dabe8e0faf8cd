/**
 * The operators’ page: dead letters and their redrives, kinds, and notices.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { waitForText } from './browser.js'
import { STUCK, startForOperators } from './operators.js'
import { create, fail, finish, KINDS } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url, receiver, open, jobOf } = await startForOperators(t, browser)
  const refuse = (id: number, kind: 'concept' | 'quiz' = 'quiz', error = 'I would rather not') =>
    fail(url, id, kind, { error, reason: 'refused', retryable: false })

  await t.test('dead letters are redriven one by one, those selected, or all that match', async (t) => {
    const ids: number[] = []
    for (let n = 0; n < 5; n += 1) ids.push(await create(url, `Dead ${n}`))
    const [one = 0, two = 0, three = 0, four = 0, five = 0] = ids
    for (const id of ids.slice(0, 4)) await refuse(id, 'quiz')
    await refuse(five, 'concept')
    const page = await open(t, '?view=dead-letters&kind=quiz&reason=refused')
    await row(page, `Quiz, chapter ${four}`).waitFor()
    t.equal(await page.locator('.row-of-list', { hasText: `chapter ${five}` }).count(), 0)

    const first = row(page, `Quiz, chapter ${one}`)
    await first.getByText('What was asked').click()
    await first.locator('pre', { hasText: '"quiz_count": 3' }).waitFor()
    await first.getByText('What came back').click()
    await first.locator('.history').getByText('I would rather not').waitFor()
    await first.getByRole('button', { name: 'Redrive…' }).click()
    await page
      .getByRole('dialog', { name: 'Redrive this job?' })
      .getByRole('button', { name: 'Redrive' })
      .click()
    await first.waitFor({ state: 'detached' })
    t.equal((await jobOf(one, 'quiz'))?.attempt, 1)

    for (const id of [two, three]) await page.getByLabel(`Select: Quiz, chapter ${id}`).check()
    await page.getByRole('button', { name: 'Redrive the selected (2)…' }).click()
    const asked = page.getByRole('dialog', { name: 'Redrive 2 jobs?' })
    await asked.getByLabel('Jobs a second').fill('many')
    await asked.getByRole('button', { name: 'Redrive' }).click()
    await waitForText(page, '#ask-rate_per_s-error', 'This must be a whole number.')
    await asked.getByLabel('Jobs a second').fill('100')
    await page.keyboard.press('Enter')
    for (const id of [two, three]) await row(page, `Quiz, chapter ${id}`).waitFor({ state: 'detached' })
    t.ok(await row(page, `Quiz, chapter ${four}`).isVisible())

    await page.getByRole('button', { name: 'Redrive all that match…' }).click()
    const all = page.getByRole('dialog', { name: 'Redrive all jobs that match?' })
    await all.getByText('Kind: Quiz · Reason: the AI refused').waitFor()
    await all.getByRole('button', { name: 'Redrive' }).click()
    await row(page, `Quiz, chapter ${four}`).waitFor({ state: 'detached' })
    await page.locator('[data-key="redrives"] .row-of-list').first().getByText('Done').waitFor()
    await page.getByRole('link', { name: 'Show all' }).click()
    await row(page, `Concept, chapter ${five}`).waitFor()
  })

  await t.test('a redrive that goes slowly is seen, and cancelled', async (t) => {
    for (let n = 0; n < 4; n += 1) await refuse(await create(url, `Slow ${n}`))
    const page = await open(t, '?view=dead-letters')
    await page.getByRole('button', { name: 'Redrive all…' }).click()
    const all = page.getByRole('dialog', { name: 'Redrive all dead letters?' })
    await all.getByLabel('Jobs a second').fill('1')
    await all.getByRole('button', { name: 'Redrive' }).click()
    const redrive = page.locator('[data-key="redrives"] .row-of-list').first()
    await redrive.getByText('Under way').waitFor()
    await redrive.getByRole('button', { name: 'Cancel…' }).click()
    await page.getByRole('button', { name: 'Cancel the redrive' }).click()
    await redrive.getByText('Cancelled').waitFor()
    await page.locator('[data-key="rows"] .row-of-list').first().waitFor()
  })

  await t.test('a kind is paused with a reason, and resumed', async (t) => {
    const page = await open(t, '?view=kinds')
    const quiz = page.getByRole('region', { name: 'Quiz' })
    await quiz.getByRole('button', { name: 'Pause…' }).click()
    await page.getByLabel('Why?').fill('The model is replaced')
    await page.keyboard.press('Enter')
    await quiz.getByText('Paused', { exact: true }).first().waitFor()
    await quiz.getByText('The model is replaced').waitFor()
    const id = await create(url, 'While it is paused')
    await page.goto(`${url}/admin${STUCK}&kind=quiz&why=paused`)
    await row(page, `Quiz, chapter ${id}`).getByText('An operator paused this kind.').waitFor()
    await page.getByRole('link', { name: 'Kinds' }).click()
    await quiz.getByRole('button', { name: 'Resume…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click()
    await quiz.getByText('Running').waitFor()
  })

  await t.test('a notice is seen, and sent again', async (t) => {
    const id = await create(url, 'Told twice')
    for (const kind of KINDS) await finish(url, id, kind)
    const page = await open(t, `?view=notices&state=delivered&chapter_id=${id}`)
    const notice = row(page, `chapter ${id}`)
    await notice.getByText('chapter.completed').waitFor()
    await notice.getByRole('button', { name: 'Send again…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Send again' }).click()
    await waitForText(page, '#done', 'The notice is sent again')
    await page.getByRole('link', { name: 'Show all' }).click()
    await row(page, `chapter ${id}`).getByText('Delivered').first().waitFor()
    t.equal(receiver.of(id).length, 2)
  })
})

function row(page: Page, text: string) {
  return page.locator('[data-key="rows"] > .row-of-list, #view > .rows > .row-of-list').filter({
    has: page.locator('.head', { hasText: new RegExp(`${text}(?!\\d)`) }),
  })
}
