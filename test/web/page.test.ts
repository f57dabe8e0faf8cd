/**
 * The live page, in a real browser against a real server; the test plays the worker.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { becomes, chapterOf, duplicateIds, openPage, tabTo, waitForSeqs, waitForText } from './browser.js'
import { create, fail, finish, KINDS, progress, start, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  // Near enough for its end to be shown.
  const { url } = await startServer(t, { GENERATION_TIMEOUT_MS: '110000' })

  await t.test('a chapter is created with the keyboard alone and read to its end', async (t) => {
    const page = await openPage(t, browser, `${url}/`)
    await tabTo(page, '#title')
    await page.keyboard.type('  Variables and types ')
    await tabTo(page, '#description')
    await page.keyboard.type('Python for beginners')
    await tabTo(page, '#create-button')
    await page.keyboard.press('Enter')

    await page.getByRole('heading', { level: 1, name: 'Variables and types' }).waitFor()
    await becomes(
      t,
      () => page.evaluate('document.activeElement.id'),
      'chapter-title',
      'the focus is on what came',
    )
    const id = chapterOf(page)
    await page.getByRole('link', { name: 'Details' }).click()
    await page.locator('#timeline li').nth(3).waitFor()

    await start(url, id, 'concept')
    await waitForText(page, '#job-concept .status', 'Writing')
    await waitForText(page, '#job-concept .facts', 'answer due by')
    await progress(url, id, 'concept', 40)
    const concept = page.getByRole('progressbar', { name: 'Concept' })
    await page.locator('#concept-bar[aria-valuenow="40"]').waitFor()
    t.match(await concept.getAttribute('aria-valuetext'), '40%, Writing')
    t.equal(
      await page.getByRole('progressbar', { name: 'Whole chapter' }).getAttribute('aria-valuenow'),
      '13',
    )
    for (const kind of KINDS) await finish(url, id, kind)

    await waitForText(page, '#chapter-status', 'Complete')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    await page.getByRole('heading', { level: 4, name: 'Names' }).waitFor()
    await page.locator('.concept pre', { hasText: 'age = 17' }).waitFor()
    t.match(await page.locator('.exercise .written').first().textContent(), 'Swap a and __b__.')
    t.equal(
      await page.locator('.exercise details .written').isVisible(),
      false,
      'the answer is not given away',
    )
    await page.locator('.quizzes > li').nth(2).waitFor()
    await becomes(t, () => page.locator('.quizzes > li').count(), 3)
    t.equal(await page.locator('#whole-bar').getAttribute('aria-valuenow'), '100')
    await becomes(t, () => page.locator('#actions').isVisible(), false, 'nothing is left to cancel or retry')
    await becomes(t, async () => (await page.title()).includes('✓ Variables and types'), true)
    await waitForSeqs(t, page, url, id)

    await tabTo(page, '.exercise summary')
    await page.keyboard.press('Enter')
    await page.getByText('a, __b__ = __b__, a').waitFor()
    // Options stand in an order drawn from the chapter’s id.
    await page.evaluate(() => {
      for (const option of document.querySelectorAll('.quizzes > li:first-child .option'))
        option.setAttribute('data-answer', option.textContent?.trim() === '42' ? 'right' : 'wrong')
    })
    await tabTo(page, '[data-answer=wrong]')
    await page.keyboard.press('Enter')
    await page.getByText('Not this one').waitFor()
    await tabTo(page, '[data-answer=right]')
    await page.keyboard.press('Enter')
    await page.locator('.verdict.right').waitFor()
    await page.getByText('0 of 3 right at the first try').waitFor()
    t.same(await duplicateIds(page), [])
  })

  await t.test('the address is the chapter, and back and forward go where one was', async (t) => {
    const one = await create(url, 'Chapter one')
    const two = await create(url, 'Chapter two')
    const page = await openPage(t, browser, `${url}/socket_client_example.html?chapter=${one}&view=details`)
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
    await page.getByRole('link', { name: 'New chapter' }).click()
    t.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/socket_client_example.html')
    await page.locator(`#recent a[data-chapter="${two}"]`).click()
    await page.getByRole('heading', { level: 1, name: 'Chapter two' }).waitFor()
    t.equal(chapterOf(page), two)
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'Chapters, written while you watch' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
    await page.goForward()
    await page.goForward()
    await page.getByRole('heading', { level: 1, name: 'Chapter two' }).waitFor()
    await page.getByRole('link', { name: 'Details' }).click()
    await waitForSeqs(t, page, url, two)

    await page.goto(`${url}/?chapter=none`)
    await page.locator('#join-chapter-error', { hasText: 'whole number' }).waitFor()
    await page.getByLabel('Open a chapter by its number').fill(`#${one}`)
    await page.locator('#join-chapter').getByRole('button', { name: 'Open' }).click()
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
  })

  await t.test('a chapter that does not exist yet is waited for', async (t) => {
    const next = (await create(url, 'The one before')) + 1
    const page = await openPage(t, browser, `${url}/?chapter=${next}&view=details`)
    await page.getByText(`There is no chapter ${next}. The link may be wrong.`).waitFor()
    await page.locator('.connection[data-state="live"]').waitFor()
    t.equal(await create(url, 'Here it is'), next)
    await page.getByRole('heading', { level: 1, name: 'Here it is' }).waitFor()
    await waitForSeqs(t, page, url, next)
    await becomes(t, () => page.locator('#chapter-waiting').isVisible(), false)
  })

  await t.test('a kind that fails says why, and is tried again when asked', async (t) => {
    const id = await create(url, 'It fails first')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await start(url, id, 'concept')
    await fail(url, id, 'concept', { error: '429 Too Many Requests', reason: 'rate_limited' })
    await waitForText(page, '#job-concept .status', 'Trying again')
    await waitForText(page, '#job-concept .facts', 'Attempt 1 of 3')
    await waitForText(page, '#job-concept .tries', 'Attempt 1: the AI is over its rate limit')
    await waitForText(page, '#job-concept .tries', '429 Too Many Requests')
    await fail(url, id, 'concept', { error: 'out of memory' })
    await waitForText(page, '#job-concept .facts', 'Attempt 2 of 3')
    await waitForText(page, '#job-concept .tries', 'Attempt 1: the AI made an error')
    await finish(url, id, 'exercise')
    await finish(url, id, 'quiz')
    await fail(url, id, 'concept', { error: 'I will not.', reason: 'refused', retryable: false })
    await waitForText(page, '#chapter-status', 'Failed')
    await waitForText(page, '#job-concept .tries', 'Attempt 2: the AI refused')
    await waitForText(page, '.concept .body', 'This part could not be written.')
    await page.locator('.exercise', { hasText: 'Swap a and' }).waitFor()
    const bar = page.locator('#whole-bar')
    t.equal(await bar.getAttribute('aria-valuenow'), '66')

    await page.locator('.concept').getByRole('button', { name: 'Try again' }).click()
    await waitForText(page, '#chapter-status', 'Waiting for a writer')
    await finish(url, id, 'concept')
    await waitForText(page, '#chapter-status', 'Complete')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    await waitForSeqs(t, page, url, id)
  })

  await t.test(
    'what waits for a place in the window says how many come before it, in both languages',
    async (t) => {
      const windowed = await startServer(t, { GENERATION_WINDOW_CONCEPT: '1' })
      await create(windowed.url, 'The first')
      for (let count = 0; count < 3; count++) await create(windowed.url, 'Before it')
      const id = await create(windowed.url, 'The last')
      const address = `${windowed.url}/?chapter=${id}&view=details`
      const page = await openPage(t, browser, address)
      await waitForText(page, '#job-concept .status', 'Waiting, 3 before it')
      const korean = await openPage(t, browser, address, { locale: 'ko-KR' })
      await waitForText(korean, '#job-concept .status', '대기 중, 앞에 3개')
    },
  )

  await t.test('a chapter is cancelled after asking once more', async (t) => {
    const id = await create(url, 'Never mind')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await page.getByRole('button', { name: 'Cancel writing' }).click()
    await page.getByRole('dialog', { name: 'Cancel writing for good?' }).waitFor()
    await page.keyboard.press('Escape')
    await becomes(t, () => page.evaluate('document.activeElement.id'), 'cancel', 'the focus is back')
    await page.getByRole('button', { name: 'Cancel writing' }).click()
    await page.getByRole('button', { name: 'Cancel for good' }).click()
    await waitForText(page, '#chapter-status', 'Cancelled')
    await waitForText(page, '#job-quiz .status', 'Cancelled')
    await page.locator('#announcer:not(:empty)').waitFor({ state: 'attached' })
    await waitForSeqs(t, page, url, id)
    await page.getByText('cancelled for good').waitFor()
    await page.getByRole('button', { name: 'Create the same chapter again' }).click()
    await waitForText(page, '#chapter-status', 'Waiting for a writer')
    t.ok(chapterOf(page) > id)
    await becomes(t, () => page.locator('#chapter-title').textContent(), 'Never mind')
  })
})
