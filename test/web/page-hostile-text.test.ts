/**
 * The page survives any text: what cannot be rendered, or not in time, is shown as text, and everything else as ever.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { scale } from '../support/scale.js'
import { openPage } from './browser.js'
import { create, post, startServer } from './worker.js'

/** Longest that the tab may be held, ms; a machine does other things as well. */
const HELD_MS = 5000
/** Some of the texts, or all of them. */
const STEP = scale(5, 1)

/** Open elements that hide how many they are, and blocks in each of which a browser opens them again. */
function hidden(mark: (n: number) => string): string {
  return `a ${Array.from({ length: 2500 }, (_, n) => mark(n)).join('')}${'<p>x</p>'.repeat(2500)}`
}

const TEXTS: Record<string, string> = {
  'nested quotations': '>'.repeat(8000),
  'nested lists': Array.from({ length: 400 }, (_, depth) => `${' '.repeat(2 * depth)}- x`).join('\n'),
  'list marks in one line': '- '.repeat(4000),
  'nested brackets': '['.repeat(8000),
  'nested links': `${'['.repeat(3000)}a${'](b)'.repeat(3000)}`,
  'nested HTML': '<b>'.repeat(5000),
  stars: '*a **b '.repeat(8000),
  underlines: '_a __b '.repeat(8000),
  'code marks of every length': Array.from({ length: 600 }, (_, n) => '`'.repeat(n)).join(' '),
  'one very long line': 'x '.repeat(200_000),
  'a wide table': `${'|a'.repeat(3000)}|\n${'|-'.repeat(3000)}|\n${`${'|b'.repeat(3000)}|\n`.repeat(10)}`,
  'marks that nothing ends, behind ends that fit nothing': hidden((n) => `<b title="${n}"></x>`),
  'addresses that are made links': 'www.a.b/(((((((( '.repeat(8000),
  'dollar signs without an end': '$a '.repeat(8000),
  'formulas without an end': '\\['.repeat(8000),
  'many formulas': '$x^2$ '.repeat(8000),
  'a formula that is nested': `$${'\\frac{1}{'.repeat(300)}x${'}'.repeat(300)}$`,
  'a formula that writes itself': '$\\def\\a{\\a\\a}\\a$',
  'code of many words': `\`\`\`js\n${'const x = 1\n'.repeat(8000)}\`\`\``,
  'a letter with marks without end': `a${'\u0301'.repeat(100_000)}`,
}
const FENCES = '```x\n'.repeat(60_000)

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)
  for (const [name, text] of Object.entries(TEXTS).filter((_, index) => index % STEP === 0))
    await t.test(`${name} as the concept hide nothing and do not hold the page up`, async (t) => {
      const id = await create(url, name)
      await post(`${url}/v1/chapter/${id}/exercise-finish`, { question: 'The question', answer: FENCES })
      await post(`${url}/v1/chapter/${id}/quiz-finish`, {
        quizzes: [{ question: 'Is it so?', correct_answer: FENCES, type: 'short' }],
      })
      await post(`${url}/v1/chapter/${id}/concept-finish`, {
        title: 'The title',
        content: `${text}\n\nThe end`,
      })
      const page = await openPage(t, browser, `${url}/`, { isSuspect: true })
      await page.evaluate(() => {
        const held = { ms: 0 }
        Object.assign(window, { held })
        let last = performance.now()
        setInterval(() => {
          held.ms = Math.max(held.ms, performance.now() - last)
          last = performance.now()
        }, 20)
      })
      await page.evaluate((chapter) => {
        history.pushState(null, '', `/?chapter=${chapter}`)
        dispatchEvent(new PopStateEvent('popstate'))
      }, id)
      await page.locator('.exercise', { hasText: 'The question' }).waitFor()
      await page.locator('.quiz', { hasText: 'Is it so?' }).first().waitFor()
      await page.locator('.concept', { hasText: 'The title' }).waitFor()
      await page.locator('.concept .written:not([aria-busy])', { hasText: 'The end' }).waitFor()
      const heldMs = await page.evaluate(() => (window as unknown as { held: { ms: number } }).held.ms)
      t.ok(heldMs < HELD_MS, `the page was held for ${Math.round(heldMs)} ms`)
    })

  await t.test('ordinary Markdown is rendered after a text that could not be', async (t) => {
    const page = await openPage(t, browser, `${url}/`, { isSuspect: true })
    for (const [content, selector] of [
      [`Brackets: ${TEXTS['nested brackets']}`, '.concept .written:not([aria-busy])'],
      ['Some **bold** text', '.concept strong'],
    ] as const) {
      const id = await create(url, 'A chapter')
      await post(`${url}/v1/chapter/${id}/concept-finish`, { title: 'T', content })
      await page.goto(`${url}/?chapter=${id}`)
      await page.locator(selector).waitFor()
    }
  })
})
