/**
 * The React pages of deploy/examples, each once in a browser: a part that fails is shown, retried, and its Markdown
 * read. `SCREENSHOTS` names a folder for pictures of them. Skipped only where there is no Chromium.
 */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { bundlePage, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { workOf } from '../support/partial.js'
import { openPage } from './open-page.js'

const EXAMPLE = new URL('../../deploy/examples/react/', import.meta.url)
const MARKDOWN = {
  title: '변수',
  content: '# 변수란\n\n**값**에 붙인 이름\n\n<img src="x" onerror="throw new Error(1)">',
}

await withBrowser(t, async (browser) => {
  const { url } = await buildTestApp(t)
  const bundle = async (file: string) =>
    (await bundlePage(new URL(file, EXAMPLE))).replaceAll('http://localhost:8000', url)
  const origin = await servePages(t, {
    '/': await readFile(new URL('index.html', EXAMPLE), 'utf8'),
    '/plain.js': await bundle('plain.jsx'),
    '/client.js': await bundle('client.jsx'),
    '/typed.js': await bundle('typed.tsx'),
  })

  for (const name of ['plain', 'client', 'typed'])
    await t.test(`${name}: a part that fails is shown and retried, and Markdown is read`, async (t) => {
      const page = await openPage(t, browser, `${origin}/?${name}`, { mayFail: /404|Failed to load/ })
      await page.getByText('서버에 연결됨').or(page.locator('input[type=submit]')).first().waitFor()
      await page.getByText('챕터 생성').or(page.locator('input[type=submit]')).click()
      await waitFor('four events', async () => (await page.locator('.log li').count()) === 4)
      const [{ chapter_id: id }] = (await request(`${url}/v1/chapter/?limit=1`)).body.items
      await post(`${url}/v1/chapter/${id}/concept-finish`, MARKDOWN)
      await finish(url, id, 'exercise')
      const failure = { error: '모델이 거절함', reason: 'refused', retryable: false }
      await post(`${url}/v1/chapter/${id}/quiz-fail`, { ...(await workOf(url, id, 'quiz')), ...failure })
      await page.getByText(/^퀴즈: 실패/).waitFor()
      await page.getByText(/모델이 거절함/).waitFor()
      await page.getByRole('heading', { name: '변수란' }).waitFor()
      t.equal(await page.locator('.markdown strong').first().textContent(), '값')
      t.equal(await page.locator('[onerror]').count(), 0, 'what a model wrote is cleaned')
      if (process.env.SCREENSHOTS)
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-failed.png`, fullPage: true })
      await page.getByRole('button', { name: '다시 시도' }).click()
      await page.getByText('퀴즈: 생성 중').waitFor()
      t.equal(await page.getByRole('alert').count(), 0)
      await finish(url, id, 'quiz')
      await page.getByText('퀴즈: 완료').waitFor()
      await waitFor('the end', async () => (await page.locator('progress').getAttribute('value')) === '100')
      await page.locator('article ol li').nth(2).waitFor()
      if (process.env.SCREENSHOTS)
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-done.png`, fullPage: true })
    })
})
