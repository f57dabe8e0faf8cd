/**
 * What readers of the page stumbled over, each by its symptom.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { becomes, openPage, waitForText } from './browser.js'
import { create, fail, finish, KINDS, post, progress, start, startServer, workOf } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  await t.test(
    'what a field is refused for stands beside it, in the page’s language, and goes when it is right',
    async (t) => {
      const page = await openPage(t, browser, `${url}/`, { locale: 'ko-KR' })
      await page.locator('#more summary').click()
      await page.locator('#quiz_count').fill('21')
      await page.locator('#owner_id').fill('0')
      await page.locator('#more summary').click()
      await page.locator('#create-button').click()
      await waitForText(page, '#title-error', '꼭 입력해야 합니다.')
      await waitForText(page, '#quiz_count-error', '20 이하여야 합니다.')
      await waitForText(page, '#owner_id-error', '1 이상이어야 합니다.')
      t.notMatch(await page.locator('#create').innerText(), /must|body/, 'nothing of the server’s English')
      await becomes(t, () => page.evaluate('document.activeElement.id'), 'title', 'the first of the form')
      await page.getByRole('button', { name: 'English' }).click()
      await waitForText(page, '#quiz_count-error', 'The number must be at most 20.')

      await page.locator('#title').fill('Right')
      await page.locator('#title-error').waitFor({ state: 'hidden' })
      t.equal(await page.locator('#title').getAttribute('aria-invalid'), null)
      await becomes(t, () => page.locator('#create-problem').isVisible(), true, 'others are left')
      await page.locator('#create-button').click()
      await page.locator('#owner_id:focus').waitFor()
      await page.locator('#quiz_count').fill('20')
      await page.locator('#owner_id').fill('1')
      await page.locator('#create-problem').waitFor({ state: 'hidden' })
      await page.locator('#create-button').click()
      await page.getByRole('heading', { level: 1, name: 'Right' }).waitFor()
    },
  )

  await t.test('an error names what failed, and goes when the chapter moves on', async (t) => {
    const id = await create(url, 'Refused')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=teacher`)
    await page.getByRole('button', { name: 'Cancel writing' }).click()
    await page.route(`${url}/v1/chapter/${id}/cancel`, (route) =>
      route.fulfill({
        status: 409,
        contentType: 'application/problem+json',
        body: JSON.stringify({ code: 'wrong_state', title: 'No', detail: 'No', request_id: 'abc' }),
      }),
    )
    await page.getByRole('button', { name: 'Cancel for good' }).click()
    await waitForText(page, '#chapter-problem', 'Cancelling failed: The chapter’s state does not allow this')
    await finish(url, id, 'quiz')
    await page.locator('#chapter-problem').waitFor({ state: 'hidden' })
  })

  await t.test('the whole never contradicts its parts', async (t) => {
    const id = await create(url, 'Contradicted')
    await finish(url, id, 'concept')
    await finish(url, id, 'exercise')
    await post(`${url}/v1/chapter/${id}/progress`, { progress: 93, message: 'Nearly.' })
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=teacher`)
    await waitForText(page, '#whole-message', 'Nearly.')
    await waitForText(page, '#whole-percent', '66%')
    t.same(
      await page
        .locator('.job .bar')
        .evaluateAll((all) => all.map((bar) => bar.getAttribute('aria-valuenow'))),
      ['100', '100', '0'],
    )
  })

  await t.test('nothing is said to be written before a worker has begun', async (t) => {
    const id = await create(url, 'Not begun')
    for (const locale of ['en-US', 'ko-KR']) {
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`, { locale })
      await page.locator('.job[data-status="published"]').first().waitFor()
      const text = await page.locator('main').innerText()
      t.notMatch(text, /being written|생성 중|생성하고 있/i)
      await page.goto(`${url}/`)
      const row = page.locator(`#recent a[data-chapter="${id}"]`)
      t.notMatch(await row.innerText(), /being written|생성 중/i)
    }
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await waitForText(page, 'section.concept .details', 'none has begun yet')
    await progress(url, id, 'concept', 10)
    await waitForText(page, '#chapter-status', 'Being written')
  })

  await t.test('another language closes nothing that was open', async (t) => {
    const id = await create(url, 'Open')
    for (const kind of KINDS) await finish(url, id, kind)
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await page.locator('.concept .tools summary').click()
    await page.locator('#again-concept').fill('Shorter')
    await page.locator('.exercise .answer summary').click()
    await page.locator('.fold summary', { hasText: 'Quiz' }).click()
    await page.getByRole('button', { name: '한국어' }).click()
    await waitForText(page, '.concept .tools summary', '다시 생성')
    await becomes(t, () => page.locator('#again-concept').inputValue(), 'Shorter')
    await becomes(t, () => page.locator('#again-concept').isVisible(), true)
    await becomes(t, () => page.locator('.exercise .answer .written').isVisible(), true)
    t.equal(await page.locator('.fold', { hasText: '퀴즈' }).getAttribute('open'), null)
    t.not(await page.locator('.fold', { hasText: '개념' }).getAttribute('open'), null)
  })

  await t.test('Korean is never slanted, and text from right to left stands right', async (t) => {
    const id = await create(url, 'مقدمة في البرمجة', '', 'ko')
    await post(`${url}/v1/chapter/${id}/concept-finish`, {
      title: '개념',
      content: '이것은 *강조*입니다.\n\n- مرحبا\n- أهلا\n- `age`',
    })
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    const emphasis = page.locator('.concept em')
    t.equal(await emphasis.evaluate((node) => getComputedStyle(node).fontStyle), 'normal')
    t.equal(await page.locator('.concept ul').evaluate((node) => getComputedStyle(node).direction), 'rtl')
    t.equal(await page.locator('#chapter-title').evaluate((node) => getComputedStyle(node).direction), 'rtl')
    const sides = await page.locator('.concept ul').evaluate((node) => {
      const { paddingLeft, paddingRight } = getComputedStyle(node)
      return [paddingLeft, paddingRight]
    })
    t.equal(sides[0], sides[1], 'marks of either direction have room')
  })

  await t.test('a long title takes a few lines, and is shown whole when asked', async (t) => {
    const id = await create(url, 'Very long words of it '.repeat(11))
    const page = await openPage(t, browser, `${url}/?chapter=${id}`, {
      viewport: { width: 320, height: 700 },
    })
    await page.getByRole('button', { name: 'Show the whole title' }).click()
    const title = page.locator('#chapter-title')
    // The letters of some fonts are higher than a line.
    const linesHidden = () =>
      title.evaluate((node) =>
        Math.round(
          (node.scrollHeight - node.clientHeight) / Number.parseFloat(getComputedStyle(node).lineHeight),
        ),
      )
    t.equal(await linesHidden(), 0)
    await page.getByRole('button', { name: 'Show less of the title' }).click()
    t.ok((await linesHidden()) > 0)
  })

  await t.test('the tails of the letters in a title are not cut off', async (t) => {
    // As tall as the letters are in the fonts that browsers take for it.
    for (const [title, needed] of [
      ['Typing by yourself', 1.3],
      ['변수와 자료형', 1.3],
      ['مقدمة في البرمجة', 1.5],
    ] as const) {
      const page = await openPage(t, browser, `${url}/?chapter=${await create(url, title)}`)
      const heading = page.getByRole('heading', { level: 1, name: title })
      const height = await heading.evaluate((node) => {
        const { lineHeight, fontSize } = getComputedStyle(node)
        return Number.parseFloat(lineHeight) / Number.parseFloat(fontSize)
      })
      t.ok(height >= needed, title)
    }
  })

  await t.test('a title that is there whole offers no rest, however high its letters are', async (t) => {
    const id = await create(url, '변수와 자료형', '', 'ko')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    const title = page.getByRole('heading', { level: 1, name: '변수와 자료형' })
    await title.waitFor()
    // As in a font with letters that are higher than a line, which not every machine has.
    const over = await title.evaluate((node) => {
      node.style.lineHeight = '0.8'
      dispatchEvent(new Event('resize'))
      return node.scrollHeight - node.clientHeight
    })
    t.ok(over > 2, `the letters need ${over} pixels more`)
    t.equal(await page.locator('#title-whole').isVisible(), false)
  })

  await t.test('in forced colours the language that is spoken can be told', async (t) => {
    const page = await openPage(t, browser, `${url}/`, { forcedColors: 'active' })
    const colorOf = (name: string) =>
      page.getByRole('button', { name }).evaluate((node) => getComputedStyle(node).backgroundColor)
    t.not(await colorOf('English'), await colorOf('한국어'))
  })

  await t.test('a deadline is told only when it is near', async (t) => {
    const id = await create(url, 'Far')
    await start(url, id, 'concept')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    await waitForText(page, '#job-concept .facts', 'Attempt 1 of 3')
    await waitForText(page, '#job-concept .status', 'Writing')
    t.notMatch(await page.locator('#job-concept .facts').innerText(), 'due')
  })

  await t.test('an operator sees what each part’s worker did, and the log by attempt', async (t) => {
    const id = await create(url, 'Looked at')
    await start(url, id, 'concept')
    const first = await workOf(url, id, 'concept')
    await fail(url, id, 'concept', { error: 'HTTP 500', reason: 'model_error' })
    await fail(url, id, 'concept', { error: 'I will not', reason: 'refused', retryable: false })
    await start(url, id, 'quiz')
    const page = await openPage(t, browser, `${url}/?chapter=${id}&view=details`)
    const concept = page.locator('section.concept .operator')
    await concept.getByText(`Attempt 1 · failed: the AI made an error`).waitFor()
    await concept.getByText('HTTP 500').waitFor()
    t.match(await concept.innerText(), first.job_id)
    const quiz = page.locator('section.quiz .details')
    await quiz.getByText(/^began /).waitFor()
    await quiz.getByText(/^\d+:\d\d ago$/).waitFor()
    await quiz.getByText('since it began').waitFor()
    t.match(await quiz.innerText(), /Job id\s+[0-9a-f-]{36}\s+Request id\s+\S+/)
    const folds = await page.locator('.fold summary').allTextContents()
    t.same(folds.sort(), [
      'Concept · Attempt 1',
      'Concept · Attempt 2',
      'Exercise · Attempt 1',
      'Quiz · Attempt 1',
      'Whole chapter',
    ])
    t.equal(
      await page.locator('.fold', { hasText: 'Concept · Attempt 1' }).getAttribute('open'),
      null,
      'an ended attempt is folded',
    )
  })
})
