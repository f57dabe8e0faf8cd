import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildTestApp } from '../support/app.js'
import { servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.js'
import { finishAll } from '../support/views.js'

const ENTRY = fileURLToPath(new URL('../../src/client/index.ts', import.meta.url))

/** Of another origin than the server’s. */
const EMPTY_PAGE = '<!doctype html><title>A page</title>'

await withBrowser(t, async (browser) => {
  await testBrowser(t, browser, `${await servePages(t, { '/': EMPTY_PAGE, '/other': EMPTY_PAGE })}/`)
})

interface Watched {
  url: string
  proxy: TcpProxy
  id: number
  context: BrowserContext
  page: Page
  /** What the page heard. */
  seqs(): Promise<number[]>
  connection(): Promise<string>
}

async function testBrowser(t: Test, browser: Browser, address: string) {
  const bundle = await build({
    entryPoints: [ENTRY],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'chaptercast',
    conditions: ['browser'],
    minify: true,
  })
  const script = bundle.outputFiles[0]?.text ?? ''
  t.comment(`the client is ${Math.round(script.length / 1024)} kB`)

  /** A page that watches a chapter through a wire that can fail. */
  async function watched(t: Test): Promise<Watched> {
    const { url } = await buildTestApp(t)
    const proxy = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
    const id = await createChapter(url)
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await context.newPage()
    page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
    await page.goto(address)
    await page.addScriptTag({ content: script })
    await page.evaluate(`
      const watch = chaptercast.connectChapters('http://127.0.0.1:${proxy.port}').watch(${id})
      globalThis.watching = watch
      globalThis.heard = []
      void (async () => { for await (const event of watch) heard.push(event.payload.seq) })()`)
    const seqs = () => page.evaluate<number[]>('heard')
    const connection = () => page.evaluate<string>('watching.snapshot.connection')
    await waitFor('the page has four events', async () => (await seqs()).length === 4)
    return { url, proxy, id, context, page, seqs, connection }
  }

  const WHOLE = [1, 2, 3, 4, 5, 6, 7, 8]

  await t.test('a page that was offline has the whole log when it is back', async (t) => {
    const { url, proxy, id, context, seqs, connection } = await watched(t)
    await context.setOffline(true)
    // An emulated network loss leaves open websockets alone.
    proxy.cut()
    await waitFor('the page shows it', async () => (await connection()) === 'reconnecting')
    await finishAll(url, id)
    proxy.resume()
    t.same(await seqs(), [1, 2, 3, 4])
    await context.setOffline(false)
    await waitFor('it is back', async () => (await seqs()).length >= 8)
    t.same(await seqs(), WHOLE)
  })

  await t.test(
    'a connection that died without a word is replaced when the page is shown again',
    async (t) => {
      const { url, proxy, id, page, seqs } = await watched(t)
      proxy.abandon()
      await finishAll(url, id)
      await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`)
      await waitFor('it is back', async () => (await seqs()).length >= 8)
      t.same(await seqs(), WHOLE)
    },
  )

  await t.test('so it is when the network is back', async (t) => {
    const { url, proxy, id, context, seqs } = await watched(t)
    await context.setOffline(true)
    proxy.abandon()
    await finishAll(url, id)
    await context.setOffline(false)
    await waitFor('it is back', async () => (await seqs()).length >= 8)
    t.same(await seqs(), WHOLE)
  })

  await t.test('a page that slept has the whole log when it wakes', async (t) => {
    const { url, proxy, id, context, page, seqs } = await watched(t)
    const devtools = await context.newCDPSession(page)
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    proxy.abandon()
    await finishAll(url, id)
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`)
    await waitFor('it is back', async () => (await seqs()).length >= 8)
    t.same(await seqs(), WHOLE)
  })

  await t.test('a page that was left and come back to goes on', async (t) => {
    const { url, id, page, seqs } = await watched(t)
    await page.evaluate(`addEventListener('pageshow', ({ persisted }) => { globalThis.wasKept = persisted })`)
    await page.goto(`${address}other`)
    await finishAll(url, id)
    await page.goBack()
    const wasKept = await page.evaluate<boolean | undefined>('globalThis.wasKept')
    if (!wasKept) {
      t.comment('this browser kept no page that was left')
      return
    }
    await waitFor('it is back', async () => (await seqs()).length >= 8)
    t.same(await seqs(), WHOLE)
  })
}
