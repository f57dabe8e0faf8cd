/**
 * The React pages of deploy/examples, as they are, in a browser: three nodes behind HAProxy, each of which is
 * restarted while a chapter is being written, and then the ones that the pages are connected to are killed.
 */
import { readFile } from 'node:fs/promises'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { bundlePage, servePages } from '../support/bundle-page.js'
import { findChromium } from '../support/chromium.js'
import { FINISH_BODIES, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { tell } from '../support/stock-client.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { eventsOf } from '../support/views.js'

const EXAMPLE = new URL('../../deploy/examples/react/', import.meta.url)
const NAMES = ['plain', 'client'] as const
/** HAProxy notices within 1.5 s that a node leaves. */
const DRAIN_DELAY_MS = '1800'
/** A page that has lost its node tries again after a wait that Socket.IO doubles. */
const BACK_MS = 20_000

const [program, found] = [await findHaproxy(), await findChromium()]
const missing = [
  ...(program === undefined ? ['no haproxy: install it (apt-get install haproxy)'] : []),
  ...(found === undefined ? ['no Chromium: set CHROMIUM_PATH or install it (apt-get install chromium)'] : []),
]
await t.test(
  'a page that never joins again lives through a rolling restart and killed nodes',
  { skip: missing.length > 0 && missing.join('; ') },
  (t) => testPages(t, program ?? '', found?.path ?? ''),
)

async function testPages(t: Test, program: string, executablePath: string) {
  const startedAt = performance.now()
  const starting = startNodes(t, 3, { process: true, env: { DRAIN_DELAY_MS } })
  const scripts = Promise.all(NAMES.map((name) => bundlePage(new URL(`${name}.jsx`, EXAMPLE))))
  const [{ nodes }, [plain = '', client = '']] = await Promise.all([starting, scripts])
  const proxy = await startHaproxy(
    t,
    program,
    nodes.map(({ port }) => port),
  )
  const origin = await servePages(t, {
    '/': await readFile(new URL('index.html', EXAMPLE), 'utf8'),
    '/plain.js': plain,
    '/client.js': client,
  })
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      // Where the pages believe the server to be.
      `--host-resolver-rules=MAP localhost:8000 ${new URL(proxy.url).host}`,
    ],
  })
  t.teardown(() => browser.close())

  const pages = await Promise.all(
    NAMES.map(async (name) => {
      const page = await openPage(t, browser, `${origin}/?${name}`)
      const [response] = await Promise.all([
        page.waitForResponse(
          (response) => response.url().endsWith('/v1/chapter/') && response.status() === 201,
        ),
        page.getByText('챕터 생성').or(page.locator('input[type=submit]')).click(),
      ])
      const { chapter_id: id } = await response.json()
      return { name, page, id: id as number }
    }),
  )
  const show = (said: string | RegExp) =>
    Promise.all(pages.map(({ page }) => page.getByText(said).first().waitFor({ timeout: BACK_MS })))
  const finishAll = (kind: Parameters<typeof finish>[2]) =>
    Promise.all(pages.map(({ id }) => untilTaken(() => finish(proxy.url, id, kind))))
  await Promise.all(pages.map(({ page }) => page.locator('.log li').nth(3).waitFor()))

  tell(`begun after ${Math.round(performance.now() - startedAt)} ms`)
  for (const [index, node] of nodes.entries()) {
    await node.stop()
    await node.start()
    await waitFor('HAProxy sends to it', () => proxy.isUp(node.port), { everyMs: 50 })
    tell(`node ${index + 1} is back after ${Math.round(performance.now() - startedAt)} ms`)
    // What happens between two restarts is shown before the next one.
    const progress = 10 * (index + 1)
    for (const { id } of pages)
      await untilTaken(() =>
        post(`${proxy.url}/v1/chapter/${id}/progress`, { progress, message: `${index + 1}번째 노드 교체` }),
      )
    await show(`${index + 1}번째 노드 교체`)
    if (index === 0) await finishAll('concept')
    if (index === 1) await finishAll('exercise')
  }

  const victims = (
    await Promise.all(nodes.map(async (node) => ((await socketsOf(node)) > 0 ? [node] : [])))
  ).flat()
  t.ok(victims.length === 1 || victims.length === 2, `pages are connected to ${victims.length} nodes`)
  await Promise.all(victims.map((node) => node.kill()))
  const killedAt = performance.now()
  await finishAll('quiz')

  const { question } = FINISH_BODIES.quiz.quizzes[2]
  await show(question)
  const last = { hasText: '모든 콘텐츠 생성이 완료되었습니다.' }
  await Promise.all(pages.map(({ page }) => page.locator('.log li', last).first().waitFor()))
  tell(`everything is shown ${Math.round(performance.now() - killedAt)} ms after the kill`)
  for (const { name, page, id } of pages) {
    const log = (await eventsOf(proxy.url, id)).map(({ message }) => message as string)
    t.equal(log.length, 8)
    t.equal(await page.locator('progress').getAttribute('value'), '100', `${name} shows the end`)
    t.same(await page.locator('.kinds li').allTextContents(), [
      '개념 설명: 완료',
      '연습 문제: 완료',
      '퀴즈: 완료',
    ])
    const shown = await page.locator('.log li').allTextContents()
    if (name === 'client') t.same(shown, log, 'each event once and in order')
    else t.same([...new Set(shown)].sort(), [...log].sort(), 'every event, some more than once')
    tell(`${name}: ${shown.length} lines for ${log.length} events`)
  }
}

async function openPage(t: Test, browser: Browser, address: string): Promise<Page> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  context.setDefaultTimeout(20_000)
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
  await page.goto(address)
  return page
}

/** A node that dies takes requests along: a worker calls again. */
async function untilTaken(call: () => Promise<{ status: number }>) {
  await waitFor('the webhook is taken', async () => (await call()).status === 200)
}

async function socketsOf({ url }: TestNode): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^chaptercast_sockets (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
}
