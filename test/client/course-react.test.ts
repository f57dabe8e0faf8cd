/**
 * `useCourse` in real React renders: Chromium, Strict Mode, the development build. Whatever React or the page complains
 * about fails the test. Skipped only where there is no Chromium.
 */
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { bundlePage, pageWith, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { createChapters } from '../support/course-watch.js'

await withBrowser(t, async (browser) => {
  const script = await bundlePage(new URL('../../test/client/course-page.tsx', import.meta.url))
  const origin = await servePages(t, { '/page.js': script, '/': pageWith('/page.js') })

  await t.test(
    'a component shows its course and what changes in it, and strict mode joins once',
    async (t) => {
      const { app, url } = await buildTestApp(t)
      const members = () => app.io.sockets.adapter.rooms.get('course_7')?.size ?? 0
      const asked: string[] = []
      app.io.on('connection', (socket) => socket.onAny((name: string) => asked.push(name)))
      const [one = 0, two = 0] = await createChapters(url, 7, 2)
      const page = await browser.newPage()
      t.teardown(() => page.close())
      page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) t.fail(`the console says: ${message.text()}`)
      })
      await page.goto(`${origin}/?${new URLSearchParams({ server: url, course: '7' })}`)
      const states = () => page.locator('.state').allTextContents()
      const items = () => page.locator('.course').first().locator('li').allTextContents()
      const shows = (state: string) =>
        waitFor(`both show ${state}`, async () => (await states()).join() === `${state},${state}`, {
          timeoutMs: 30_000,
        })
      await shows('live 2/2 0 false')
      t.same(await items(), ['Chapter 1 processing', 'Chapter 2 processing'])
      t.same(asked, ['join_course'], 'one join for all components')

      for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, one, kind)
      await shows('live 1/2 50 false')
      await post(`${url}/v1/chapter/${two}/cancel`)
      await shows('live 0/2 50 true')
      t.same(await items(), ['Chapter 1 completed', 'Chapter 2 cancelled'])
      await createChapters(url, 7, 1)
      await shows('live 1/3 33 false')

      await page.getByRole('button').click()
      await waitFor('the room is left', () => members() === 0)
      await page.getByRole('button').click()
      await shows('live 1/3 33 false')
      t.equal(members(), 1)
    },
  )
})
