/**
 * A real browser for the page’s tests, and what a person does with it.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { waitFor } from '../support/condition.js'
import { get } from './worker.js'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * A page in a context of its own. Whatever goes wrong inside fails the test.
 * @param isSuspect whether content is shown that the browser complains about
 */
export async function openPage(
  t: Test,
  browser: Browser,
  address: string,
  { isSuspect = false, ...options }: BrowserContextOptions & { isSuspect?: boolean } = {},
): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-US', ...options })
  t.teardown(async () => {
    // A request that is being answered when the page goes is nobody’s failure.
    for (const page of context.pages()) await page.unrouteAll({ behavior: 'ignoreErrors' })
    await context.close()
  })
  context.setDefaultTimeout(60_000)
  // esbuild names functions with it, also those that run in the page.
  await context.addInitScript('globalThis.__name = (value) => value')
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
  page.on('console', (message) => {
    // Chromium says every refused request, too.
    const isExpected =
      isSuspect || message.type() !== 'error' || /^Failed to load|WebSocket/.test(message.text())
    if (!isExpected) t.fail(`the console says ${message.text()}`)
  })
  await page.goto(address)
  return page
}

export function chapterOf(page: Page): number {
  return Number(new URL(page.url()).searchParams.get('chapter'))
}

/** Waits until the folded log of the details view is whole, and checks that it has each event once. */
export async function waitForSeqs(t: Test, page: Page, url: string, id: number) {
  const { last_seq: last } = await get<{ last_seq: number }>(`${url}/v1/chapter/${id}`)
  await page.locator(`#timeline li[data-seq="${last}"]`).waitFor({ state: 'attached' })
  const seqs = async () => {
    const lines = await page.locator('#timeline li').evaluateAll((all) => all.map((li) => li.dataset.seq))
    return lines.map(Number).sort((one, other) => one - other)
  }
  const all = Array.from({ length: last }, (_, index) => index + 1)
  await becomes(t, seqs, all, 'every event once')
}

/**
 * What can be seen of a page comes to be this. Right after something was done, to the page or at the server, it may still
 * be what it was.
 */
export async function becomes<T>(t: Test, look: () => Promise<T>, wanted: T, message = 'the page changes') {
  let seen: T | undefined
  const isSo = async () => {
    seen = await look()
    return isDeepStrictEqual(seen, wanted)
  }
  await waitFor(message, isSo).catch(() => {})
  t.strictSame(seen, wanted, message)
}

export async function waitForText(page: Page, selector: string, text: string) {
  await page.locator(selector, { hasText: text }).waitFor()
}

/** A promise, and what lets those pass who wait for it. */
export function gate(): [Promise<void>, () => void] {
  let open = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return [promise, open]
}

/** Presses Tab until the first element that matches has the focus, as someone without a mouse does. */
export async function tabTo(page: Page, selector: string) {
  for (let presses = 0; presses < 100; presses += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`${selector} cannot be reached with Tab`)
}

/** How many pixels the page is wider than the screen. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth))
}

export function duplicateIds(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const ids = [...document.querySelectorAll('[id]')].map((node) => node.id)
    return ids.filter((id, index) => ids.indexOf(id) !== index)
  })
}

/** Texts with less contrast than WCAG 2.2 AA asks for: 4.5:1, and 3:1 when large. */
export function tooFaint(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const channels = (color: string) => {
      const numbers = (color.match(/[\d.]+/g) ?? []).map(Number)
      // A mixed color is told in parts of one: `color(srgb 0.5 0.6 0.7)`.
      return color.startsWith('color(') ? numbers.map((part, at) => (at < 3 ? 255 * part : part)) : numbers
    }
    const luminance = (color: number[]) => {
      const [r = 0, g = 0, b = 0] = color.slice(0, 3).map((channel) => {
        const part = channel / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const backgroundOf = (node: Element | null): number[] => {
      for (let at = node; at !== null; at = at.parentElement) {
        const color = channels(getComputedStyle(at).backgroundColor)
        if (color[3] === undefined || color[3] === 1) return color
      }
      return [255, 255, 255]
    }
    const faint: string[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let text = walker.nextNode(); text !== null; text = walker.nextNode()) {
      const node = text.parentElement
      if (
        node === null ||
        text.textContent?.trim() === '' ||
        !node.checkVisibility({ visibilityProperty: true })
      )
        continue
      const style = getComputedStyle(node)
      const size = Number.parseFloat(style.fontSize)
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
      const [one, other] = [luminance(channels(style.color)), luminance(backgroundOf(node))]
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      if (ratio < (large ? 3 : 4.5))
        faint.push(`${ratio.toFixed(2)} ${text.textContent?.trim().slice(0, 40)}`)
    }
    return faint
  })
}

/** What axe finds against WCAG 2.2 AA and good practice, each with its first place. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  return await page.evaluate(async () => {
    interface Found {
      violations: { id: string; nodes: { target: string[] }[] }[]
    }
    const { axe } = globalThis as unknown as { axe: { run(root: Document): Promise<Found> } }
    const { violations } = await axe.run(document)
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.target.join(' ')}`)
  })
}

/** What can be pressed and is less than 44 pixels high; links within text are as high as it. */
export function smallTargets(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('button, a, summary, input, select, textarea')]
      .filter((node) => node.checkVisibility() && node.closest('.written') === null)
      // The label of a checkbox is pressed with it.
      .filter((node) => (node.closest('label') ?? node).getBoundingClientRect().height < 43.5)
      .map((node) => `${node.tagName} ${node.id} ${node.textContent}`),
  )
}
