/**
 * The page through the load balancer, on several nodes: hostile text is stopped there as on one node.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { createChapter, post } from '../support/client.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { startNodes } from '../support/three-nodes.js'
import { openPage } from './browser.js'

await withBrowser(t, async (browser) => {
  const program = await findHaproxy()
  if (program === undefined) return void t.fail('HAProxy is needed: apt-get install haproxy')
  const { nodes } = await startNodes(t, 2)
  const { url } = await startHaproxy(
    t,
    program,
    nodes.map(({ port }) => port),
  )
  const id = await createChapter(url)
  const page = await openPage(t, browser, `${url}/?chapter=${id}`, { isSuspect: true })
  await page.locator('.concept').waitFor()

  await t.test('a text that cannot be rendered is shown as text, and hides nothing', async () => {
    // Each result arrives at another node.
    const [first, second] = nodes.map((node) => `${node.url}/v1/chapter/${id}`)
    const content = `${'['.repeat(8000)}\n\n<script>document.title = 'taken'</script>\n\nThe end`
    await post(`${first}/concept-finish`, { title: 'The title', content })
    await post(`${second}/exercise-finish`, { question: 'The question', answer: 'The answer' })
    await page.locator('.concept .written:not([aria-busy])', { hasText: 'The end' }).waitFor()
    await page.locator('.exercise', { hasText: 'The question' }).waitFor()
    t.notMatch(await page.title(), 'taken')
  })
})
