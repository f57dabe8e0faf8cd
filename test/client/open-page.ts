/**
 * A page with hooks or composables in a browser, and what a test does with it. Such a page sets `window.page`
 * (see page.tsx).
 */
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { waitFor } from '../support/condition.js'

export type Query = Record<string, string | number>

export interface OpenOptions {
  /** Complaints in the console that are part of the test. */
  mayFail?: RegExp
  prepare?: (page: Page) => Promise<unknown>
}

/** A page in a context of its own. Whatever goes wrong inside fails the test. */
export async function openPage(
  t: Test,
  browser: Browser,
  address: string,
  { mayFail, prepare }: OpenOptions = {},
): Promise<Page> {
  const context = await browser.newContext()
  t.teardown(async () => {
    for (const page of context.pages()) await page.unrouteAll({ behavior: 'ignoreErrors' })
    await context.close()
  })
  context.setDefaultTimeout(60_000)
  // esbuild names functions with it, also those that run in the page.
  await context.addInitScript('globalThis.__name = (value) => value')
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !mayFail?.test(message.text()))
      t.fail(`the console says: ${message.text()}`)
  })
  await prepare?.(page)
  await page.goto(address)
  return page
}

export async function show(page: Page, next: object) {
  await page.evaluate((next) => window.page.show(next), next)
}

/** Waits until the first such element has this text, all of it. */
export async function has(page: Page, selector: string, text: string | RegExp) {
  const first = page.locator(selector).first()
  await waitFor(`${selector} is "${text}"`, async () => {
    const now = (await first.textContent()) ?? ''
    if (typeof text === 'string' ? now !== text : !text.test(now)) throw new Error(`it is "${now}"`)
    return true
  })
}

/** The address of a page with these parameters. */
export function addressOf(origin: string, query: Query): string {
  const strings = Object.entries(query).map(([name, value]) => [name, String(value)])
  return `${origin}/?${new URLSearchParams(Object.fromEntries(strings))}`
}
