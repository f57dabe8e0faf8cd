/**
 * The page for learners: content first, as it is written, and answers that stay in this browser.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { withBrowser } from '../support/chromium.js'
import { post as send } from '../support/client.js'
import { postPartial } from '../support/partial.js'
import { scale } from '../support/scale.js'
import { accessibilityFindings, becomes, openPage, overflow, smallTargets, waitForText } from './browser.js'
import { create, finish, KINDS, post, start, startServer, workOf } from './worker.js'

/** axe takes long, and looks at the same elements in each. */
const LANGUAGES = Object.entries({ Korean: 'ko-KR', English: 'en-US' }).slice(0, scale(1, 2))

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  await t.test('a learner reads along and sees one quiet line of progress and nothing else', async (t) => {
    const id = await create(url, 'Variables', 'For beginners')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await waitForText(page, '#chapter-line', 'Waiting for a writer · 0 of 3 parts are here')
    await waitForText(page, '.concept .body', 'No writer has begun with this part yet.')
    t.notMatch(await page.locator('main').innerText(), /being written/i, 'no worker has begun')
    await start(url, id, 'concept')
    await waitForText(page, '#chapter-line', 'Being written')
    const work = await workOf(url, id, 'concept')
    await postPartial(url, id, 'concept', { text: 'A **name** for a value' }, work)
    await page.locator('.concept .so-far strong', { hasText: 'name' }).waitFor()
    await finish(url, id, 'concept')
    await waitForText(page, '#chapter-line', 'Waiting for a writer · 1 of 3 parts are here')
    for (const kind of ['exercise', 'quiz'] as const) await finish(url, id, kind)
    await waitForText(page, '#chapter-line', 'All three parts are here.')
    const text = await page.locator('main').innerText()
    t.notMatch(text, /attempt|_completed|cancel|try again|event/i)
    for (const id of ['chapter-progress', 'log', 'chapter-status', 'cancel'])
      await becomes(t, () => page.locator(`#${id}`).isVisible(), false, id)
  })

  await t.test('answers are kept in this browser, through a reload and another language', async (t) => {
    const id = await create(url, 'Kept')
    for (const kind of KINDS) await finish(url, id, kind)
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await page.locator('.option').filter({ hasText: '4.2' }).click()
    await page.getByText('Not this one').waitFor()
    const typed = page.getByLabel('Your answer')
    await typed.fill(' 6. ')
    await page.getByRole('button', { name: 'Check' }).click()
    await waitForText(page, '.verdict.right', 'Right')
    await page.locator('.exercise summary', { hasText: 'Show the answer' }).click()
    await page.locator('.exercise .answer .written').waitFor()
    const check = async (page: Page, wrong: string) => {
      await waitForText(page, '.verdict.wrong', wrong)
      await becomes(t, () => page.locator('.typed input').inputValue(), ' 6. ')
      await becomes(t, () => page.locator('.exercise .answer .written').isVisible(), true)
    }
    await page.getByRole('button', { name: '한국어' }).click()
    await check(page, '정답이 아닙니다')
    await page.reload()
    await check(page, '정답이 아닙니다')
    await page.getByRole('button', { name: 'English' }).click()

    const first = page.locator('.quizzes > li').first()
    await first.getByRole('button', { name: 'Show the answer' }).click()
    await first.locator('.option.right', { hasText: '42' }).waitFor()
    await first.getByRole('button', { name: 'Try again' }).click()
    await becomes(t, () => first.locator('.option.right, .option.wrong').count(), 0)
    const other = await create(url, 'Another')
    for (const kind of KINDS) await finish(url, other, kind)
    await page.goto(`${url}/?chapter=${other}`)
    await page.locator('.typed input').waitFor()
    await becomes(
      t,
      () => page.locator('.typed input').inputValue(),
      '',
      'another chapter has its own answers',
    )
  })

  await t.test('a typed answer that is not the expected one is marked so, and can be compared', async (t) => {
    const id = await create(url, 'Typed')
    await finish(url, id, 'quiz')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    const question = page.locator('.quizzes > li').nth(2)
    await page.getByLabel('Your answer').fill('seven')
    await page.keyboard.press('Enter')
    await question.locator('.verdict.wrong').waitFor()
    await question.getByRole('button', { name: 'Show the answer' }).click()
    await question.locator('.shown', { hasText: '6' }).waitFor()
    await question.getByRole('button', { name: 'Try again' }).click()
    await becomes(
      t,
      () => page.evaluate("document.activeElement.matches('.typed input')"),
      true,
      'the focus is back',
    )
    await becomes(t, () => page.getByLabel('Your answer').inputValue(), '')
  })

  await t.test(
    'formulas and code are set, prices stay text, and a broken formula is shown as it is',
    async (t) => {
      const id = await create(url, 'Formulas')
      await post(`${url}/v1/chapter/${id}/concept-finish`, {
        title: 'Roots',
        content:
          'From $5 to $10, $a^2$ and \\(b\\) and $\\frac{1$.\n\n$$\nx = \\frac{1}{2}\n$$\n\n```python\ndef f(): return 1\n```\n\n```nolanguage\n<b>\n```',
      })
      await post(`${url}/v1/chapter/${id}/exercise-finish`, {
        question: 'Solve $x^2 = 4$.\n\n```js\nconst x = 1\n```',
        answer: '$x = 2$',
      })
      await post(`${url}/v1/chapter/${id}/quiz-finish`, {
        quizzes: [{ question: 'Which?', correct_answer: '$\\pi$', options: ['$\\pi$', '3'] }],
      })
      const page = await openPage(t, browser, `${url}/?chapter=${id}`)
      await page.locator('.concept math[display="block"] mfrac').waitFor()
      await becomes(t, () => page.locator('.concept math').count(), 3)
      t.match(await page.locator('.concept').innerText(), 'From $5 to $10')
      t.match(await page.locator('.concept').innerText(), '$\\frac{1$')
      await page.locator('.concept .hljs-keyword', { hasText: 'def' }).waitFor()
      await page.locator('.exercise math').waitFor()
      await page.locator('.exercise .hljs-keyword', { hasText: 'const' }).waitFor()
      await page.getByRole('button', { name: '\\pi' }).click()
      await waitForText(page, '.verdict.right', 'Right')
    },
  )

  await t.test('libraries for formulas and code are loaded by texts that need them alone', async (t) => {
    const id = await create(url, 'Plain')
    await post(`${url}/v1/chapter/${id}/concept-finish`, { title: 'Plain', content: 'Only **words**.' })
    const page = await openPage(t, browser, `${url}/`)
    const loaded: string[] = []
    page.context().on('request', (request) => loaded.push(new URL(request.url()).pathname))
    await page.goto(`${url}/?chapter=${id}`)
    await page.locator('.concept strong').waitFor()
    t.ok(loaded.some((path) => path.endsWith('/page.js')))
    t.notOk(loaded.some((path) => /katex|highlight/.test(path)))
  })

  await t.test('on paper the answers stand at the end', async (t) => {
    const id = await create(url, 'Printed')
    for (const kind of KINDS) await finish(url, id, kind)
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await page.locator('.option').first().waitFor()
    t.equal(await page.locator('#answer-key').innerText(), '')
    await page.emulateMedia({ media: 'print' })
    await page.locator('#answer-key h2', { hasText: 'Answers' }).waitFor()
    const key = await page.locator('#answer-key').innerText()
    for (const answer of ['a, __b__ = __b__, a', '42', 'False', '6']) t.match(key, answer)
    await becomes(t, () => page.locator('.top').isVisible(), false)
    const line = "getComputedStyle(document.querySelector('.typed input')).borderBottomColor"
    t.equal(await page.evaluate(line), 'rgb(102, 102, 102)', 'a line to write a short answer on')
    await becomes(
      t,
      () =>
        page.evaluate(
          "document.querySelector('#content').compareDocumentPosition(document.querySelector('#answer-key')) === 4",
        ),
      true,
      'after the content',
    )
    await page.emulateMedia({ media: 'screen' })
    await page.locator('#answer-key:empty').waitFor({ state: 'attached' })
  })

  await t.test('a token that may only read gets the learner’s page whatever the link says', async (t) => {
    const guarded = await startServer(t, { JWT_SECRET })
    const body = { course_id: 1, owner_id: 1, title: 'Watched', locale: 'en' }
    const owner = bearer(await signToken({ sub: '1' }))
    const id = (await send(`${guarded.url}/v1/chapter/`, body, owner)).body.chapter_id as number
    for (const kind of KINDS) await finish(guarded.url, id, kind)
    const page = await openPage(t, browser, `${guarded.url}/?chapter=${id}&view=details`)
    await page.locator('#token').fill(await signToken({ chapters: [id] }))
    await page.keyboard.press('Enter')
    await page.locator('.option').first().click()
    await waitForText(page, '.quizzes > li:first-child .verdict', 'Your answer is kept in this browser.')
    await becomes(t, () => page.locator('.option.right, .option.wrong').count(), 0, 'nothing is given away')
    for (const hidden of ['#chapter-progress', '#log', '#views', '.tools', '.operator', '#back'])
      await becomes(t, () => page.locator(hidden).first().isVisible(), false, hidden)
    await page.reload()
    await page.locator('.option[aria-pressed="true"]').waitFor()
  })

  for (const [language, locale] of LANGUAGES)
    await t.test(`the learner’s page has no finding of axe in any state, in ${language}`, async (t) => {
      const running = await create(url, 'Running', '', locale.slice(0, 2))
      await start(url, running, 'concept')
      const done = await create(url, 'Done', '', locale.slice(0, 2))
      for (const kind of KINDS) await finish(url, done, kind)
      const page = await openPage(t, browser, `${url}/?chapter=${running}`, {
        locale,
        viewport: { width: 320, height: 700 },
      })
      await page.locator('.skeleton').waitFor()
      t.same(await accessibilityFindings(page), [])
      await page.goto(`${url}/?chapter=${done}`)
      await page.locator('.option').first().click()
      await page.locator('.exercise summary').click()
      await page.locator('.typed input').fill('x')
      await page.keyboard.press('Enter')
      await page.locator('.exercise .answer .written').waitFor()
      t.same(await accessibilityFindings(page), [])
      t.same(await smallTargets(page), [])
      t.equal(await overflow(page), 0)
      await page.emulateMedia({ forcedColors: 'active' })
      t.same(await accessibilityFindings(page), [])
      await page.emulateMedia({ forcedColors: 'none' })
      await page.goto(`${url}/?chapter=${done + 1000}`)
      await page.locator('#chapter-waiting').waitFor()
      t.same(await accessibilityFindings(page), [])
    })
})
