/**
 * The page while a chapter is written: the text grows, and a reload shows the same.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { postPartial } from '../support/partial.js'
import { accessibilityFindings, becomes, openPage, waitForText } from './browser.js'
import { create, finish, startServer, workOf } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  await t.test('text grows as it is written, and a reload in the middle shows the same', async (t) => {
    const id = await create(url, 'Variables')
    const concept = await workOf(url, id, 'concept')
    const quiz = await workOf(url, id, 'quiz')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await page.locator('.connection[data-state="live"]').waitFor()
    const text = page.locator('.concept .so-far')
    await postPartial(url, id, 'concept', { text: 'A *variable* <b>is</b> ' }, concept)
    await text.waitFor()
    await postPartial(url, id, 'concept', { text: 'a name.', offset: 23 }, concept)
    await text.filter({ hasText: 'A variable is a name.' }).waitFor()
    const question = {
      question: 'Which one?',
      options: ['42', '4.2'],
      type: 'multiple',
      correct_answer: '4.2',
    }
    await postPartial(url, id, 'quiz', { quizzes: [question] }, quiz)
    await page.locator('.quiz .so-far li.quiz', { hasText: 'Which one?' }).waitFor()
    const before = await page.locator('#content').innerText()

    await page.reload()
    await page.locator('.quiz .so-far li.quiz', { hasText: 'Which one?' }).waitFor()
    await text.filter({ hasText: 'A variable is a name.' }).waitFor()
    t.equal(await page.locator('#content').innerText(), before, 'the same text')
    const item = page.locator('.quiz .so-far li.quiz')
    t.equal(
      await item.evaluate((node) => getComputedStyle(node).listStyleType),
      'none',
      'a question has one number',
    )

    await postPartial(url, id, 'concept', { text: ' It has a value.', offset: 30 }, concept)
    await text.filter({ hasText: 'A variable is a name. It has a value.' }).waitFor()
    await finish(url, id, 'concept')
    await waitForText(page, '.concept h3', 'What a variable is')
    await becomes(t, () => text.count(), 0, 'the result is in its place')
  })

  await t.test('axe finds nothing in a text with headings that is being written', async (t) => {
    const id = await create(url, 'Headings')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await postPartial(
      url,
      id,
      'concept',
      { text: 'A name.\n\n### Values\n\nOne' },
      await workOf(url, id, 'concept'),
    )
    await page.locator('.concept .so-far h4').waitFor()
    t.same(await accessibilityFindings(page), [])
  })
})
