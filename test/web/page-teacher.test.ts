/**
 * The page for teachers: a course as live rows, many chapters from a list, and a part written again.
 */
import type { Page } from 'playwright-core'
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { scale } from '../support/scale.js'
import {
  accessibilityFindings,
  becomes,
  chapterOf,
  openPage,
  overflow,
  smallTargets,
  waitForText,
} from './browser.js'
import { create, fail, finish, KINDS, post, start, startServer } from './worker.js'

/** axe takes long, and looks at the same elements in each. */
const LANGUAGES = Object.entries({ Korean: 'ko-KR', English: 'en-US' }).slice(0, scale(1, 2))

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)
  let lastCourse = 100
  const createMany = async (titles: string[]) => {
    lastCourse += 1
    const chapters = titles.map((title) => ({ title }))
    const body = { owner_id: 1, locale: 'en', chapters }
    const made = await post<{ chapters: { chapter_id: number }[] }>(
      `${url}/v1/course/${lastCourse}/chapters`,
      body,
    )
    return { course: lastCourse, ids: made.chapters.map(({ chapter_id: id }) => id) }
  }
  const refuse = (id: number) =>
    fail(url, id, 'concept', { error: 'No', reason: 'refused', retryable: false })

  await t.test('a course is live rows, with what failed first, and a total', async (t) => {
    const { course, ids } = await createMany(['One', 'Two', 'Three'])
    const [one = 0, two = 0, three = 0] = ids
    const page = await openPage(t, browser, `${url}/?course=${course}`)
    await waitForText(page, '#course-total', '0 of 3 written')
    await waitForText(page, `[data-chapter="${one}"] .pill`, 'Waiting for a writer')
    for (const kind of KINDS) await finish(url, one, kind)
    await waitForText(page, '#course-total', '1 of 3 written')
    await becomes(t, async () => (await page.title()).includes(`1/3 Course ${course}`), true)
    await waitForText(page, `li[data-chapter="${one}"] .kinds`, 'Done')
    await start(url, two, 'quiz')
    await finish(url, two, 'quiz')
    await waitForText(page, `li[data-chapter="${two}"] .pill`, 'Being written')
    await refuse(three)
    await waitForText(page, `li[data-chapter="${three}"] .pill`, 'Failed')
    await becomes(t, () => order(page), [three, two, one])

    const late = await create(url, 'Of another course')
    await page.locator(`li[data-chapter="${late}"]`).waitFor({ state: 'detached' })
    const added = await post<{ chapters: { chapter_id: number }[] }>(`${url}/v1/course/${course}/chapters`, {
      owner_id: 1,
      chapters: [{ title: 'Made later' }],
    })
    await waitForText(page, '#course-total', '1 of 4 written')
    t.ok((await order(page)).includes(added.chapters[0]?.chapter_id ?? 0))
  })

  await t.test('all that failed is tried again at once, and the end of the course is told', async (t) => {
    const { course, ids } = await createMany(['One', 'Two', 'Three'])
    const page = await openPage(t, browser, `${url}/?course=${course}`)
    for (const id of ids) for (const kind of ['exercise', 'quiz'] as const) await finish(url, id, kind)
    for (const id of ids.slice(0, 2)) await refuse(id)
    await page.getByRole('button', { name: 'Retry all that failed (2)' }).click()
    await waitForText(page, '#course-asked', '2 chapters are tried again.')
    await page.locator('#retry-failed').waitFor({ state: 'hidden' })
    await page.locator('#course-notice').waitFor({ state: 'hidden' })
    for (const id of ids) await finish(url, id, 'concept')
    await waitForText(page, '#course-notice', 'The course is done: 3 chapters are written.')
    await page.locator('#announcer', { hasText: 'The course is done' }).waitFor({ state: 'attached' })
    await becomes(t, async () => (await page.title()).includes(`✓ Course ${course} · done`), true)
    await post(`${url}/v1/chapter/${ids[0]}/quiz/regenerate`, {})
    await page.locator('#course-notice').waitFor({ state: 'hidden' })
    await finish(url, ids[0] ?? 0, 'quiz')
    await page.locator('#course-notice').waitFor()
  })

  await t.test('a long course has pages, a filter and a search', async (t) => {
    const { course, ids } = await createMany(Array.from({ length: 30 }, (_, n) => `Lesson ${n + 1}`))
    await refuse(ids[29] ?? 0)
    const page = await openPage(t, browser, `${url}/?course=${course}`)
    await page.locator('.course-row').nth(24).waitFor()
    await becomes(t, () => page.locator('.course-row').count(), 25)
    await becomes(t, async () => (await order(page))[0], ids[29], 'what failed is on the first page')
    await page.getByRole('button', { name: 'Next' }).click()
    await waitForText(page, '#page-now', '26 to 30 of 30')
    await becomes(t, () => page.locator('.course-row').count(), 5)
    await page.getByLabel('Show', { exact: true }).selectOption('failed')
    await becomes(t, () => order(page), [ids[29]])
    await page.getByLabel('Show', { exact: true }).selectOption('all')
    await page.getByLabel('Title or number').fill('lesson 12')
    await becomes(t, () => order(page), [ids[11]])
    await page.getByLabel('Title or number').fill('nothing like it')
    await page.getByText('No chapter fits.').waitFor()
  })

  await t.test('a pasted list of titles becomes the chapters of a course', async (t) => {
    const page = await openPage(t, browser, `${url}/`)
    await page.getByText('Create many from a list of titles').click()
    await page.getByLabel('Titles, one a line').fill('1. Variables\n\n- Loops\n* Functions\n')
    lastCourse += 1
    await page.locator('#list-course').fill(String(lastCourse))
    await page.getByRole('button', { name: 'Create 3 chapters' }).click()
    await page.getByRole('heading', { level: 1, name: `Course ${lastCourse}` }).waitFor()
    await waitForText(page, '#course-total', '0 of 3 written')
    await becomes(t, () => page.locator('.course-row .name').allTextContents(), [
      'Variables',
      'Loops',
      'Functions',
    ])

    await page.getByText('Create many from a list of titles').click()
    const titles = page.getByLabel('Titles, one a line')
    await becomes(t, () => titles.inputValue(), '')
    await page.getByRole('button', { name: 'Create chapters' }).click()
    await waitForText(page, '#titles-error', 'This is needed.')
    await titles.fill(`Fine\n${'x'.repeat(256)}`)
    await page.getByRole('button', { name: 'Create 2 chapters' }).click()
    await waitForText(page, '#titles-error', 'Line 2: At most 255 characters fit.')
    await titles.fill(Array.from({ length: 130 }, (_, n) => `Many ${n}`).join('\n'))
    await becomes(
      t,
      () => page.locator('#titles-error').isVisible(),
      false,
      'it goes when the field is changed',
    )
    await page.getByRole('button', { name: 'Create 130 chapters' }).click()
    await waitForText(page, '#course-total', '0 of 133 written')
  })

  await t.test(
    'a part is written again with an instruction, and an earlier version brought back',
    async (t) => {
      const id = await create(url, 'Better')
      for (const kind of KINDS) await finish(url, id, kind)
      const page = await openPage(t, browser, `${url}/?chapter=${id}&view=teacher`)
      const concept = page.locator('section.concept')
      await concept.getByText('Write this part again…').click()
      await concept.getByLabel('What should be better?').fill('Simpler, please.')
      await concept.getByRole('button', { name: 'Write it again' }).click()
      await waitForText(page, '.concept .note', 'will be written again')
      await becomes(
        t,
        () => concept.getByRole('heading', { name: 'What a variable is' }).isVisible(),
        true,
        'the old one stays',
      )
      await post(`${url}/v1/chapter/${id}/concept-finish`, {
        title: 'Simply a name',
        content: 'It is a name.',
      })
      await concept.getByRole('heading', { name: 'Simply a name' }).waitFor()
      await becomes(t, () => concept.locator('.note').isVisible(), false)

      await concept.getByText('Write this part again…').click()
      await concept.getByText('Simpler, please.').waitFor()
      await concept.getByRole('button', { name: 'Bring back: Version 1' }).click()
      await concept.getByRole('heading', { name: 'What a variable is' }).waitFor()
    },
  )

  await t.test(
    'a course without chapters says that the link may be wrong, and fills when some come',
    async (t) => {
      lastCourse += 1
      const page = await openPage(t, browser, `${url}/?course=${lastCourse}`)
      await page.getByText(`Course ${lastCourse} has no chapters. The link may be wrong.`).waitFor()
      await post(`${url}/v1/course/${lastCourse}/chapters`, {
        owner_id: 1,
        chapters: [{ title: 'The first' }],
      })
      await waitForText(page, '.course-row .name', 'The first')
      await page.locator('.course-row .name').click()
      await page.getByRole('heading', { level: 1, name: 'The first' }).waitFor()
      t.equal(new URL(page.url()).searchParams.get('view'), 'teacher')
      t.ok(chapterOf(page) > 0)
      await page.getByRole('link', { name: `Course ${lastCourse}` }).click()
      await waitForText(page, '#course-total', '0 of 1 written')
    },
  )

  for (const [language, locale] of LANGUAGES)
    await t.test(`the teacher’s page has no finding of axe in any state, in ${language}`, async (t) => {
      const { course, ids } = await createMany(['One', 'مقدمة في البرمجة', 'A long title '.repeat(15)])
      const [one = 0, two = 0] = ids
      for (const kind of KINDS) await finish(url, one, kind)
      await refuse(two)
      const page = await openPage(t, browser, `${url}/?course=${course}`, {
        locale,
        reducedMotion: 'reduce',
        viewport: { width: 320, height: 700 },
      })
      const look = async () => {
        t.same(await accessibilityFindings(page), [])
        t.same(await smallTargets(page), [])
        t.equal(await overflow(page), 0)
      }
      await page.locator('.course-row').nth(2).waitFor()
      const titles = page.locator('.course-row .name')
      const rtl = titles.filter({ hasText: 'مقدمة' })
      t.equal(await rtl.evaluate((node) => getComputedStyle(node).direction), 'rtl')
      const heights = await titles.evaluateAll((all) => all.map((node) => node.clientHeight))
      t.ok(Math.max(...heights) < 100, 'a long title is clamped')
      await page.locator('#list summary').click()
      await page.locator('#list-button').click()
      await look()
      await page.goto(`${url}/?chapter=${one}&view=teacher`)
      await page.locator('.tools summary').first().click()
      await look()
      await page.goto(`${url}/?chapter=${two}&view=details`)
      await page.locator('.concept .tools .retry').waitFor()
      await look()
      await page.emulateMedia({ forcedColors: 'active' })
      t.same(await accessibilityFindings(page), [])
      await page.emulateMedia({ forcedColors: 'none' })
      await page.locator('#cancel').click()
      await page.locator('#cancel-dialog').waitFor()
      await look()
      await page.locator('#cancel-yes').click()
      await page.locator('#same-again').waitFor()
      await look()
      await page.goto(`${url}/`)
      await page.locator('#more summary').click()
      await page.locator('#create-button').click()
      await page.locator('#title-error').waitFor()
      await look()
    })
})

async function order(page: Page): Promise<number[]> {
  return page
    .locator('.course-row')
    .evaluateAll((all) => all.map((row) => Number(row.getAttribute('data-chapter'))))
}
