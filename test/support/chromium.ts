/** The browser of the page tests. Without one they are skipped. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { findBinary } from './binaries.js'
import { canInstallPackages, installPackages } from './debian.js'

/** Without the windows of a browser, a page takes a seventh of the CPU time to open. */
const HEADLESS = 'chromium-headless-shell'
const OTHERS = ['chromium', 'chromium-browser', 'google-chrome']

const DISABLED_FEATURES = [
  // A page of the address bar's, for each context: more than half of what it takes to open one.
  'WebUIOmniboxPopup',
  'WebUIOmniboxAimPopup',
  // What Playwright disables, since the last list counts.
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'MediaRouter',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'ThirdPartyStoragePartitioning',
]

export interface Chromium {
  path: string
  version: string
}

/**
 * `CHROMIUM_PATH`, else the one without windows, installed with a font that shows Korean where that is allowed, else
 * another one on the PATH. `undefined` when there is none.
 */
export async function findChromium(): Promise<Chromium | undefined> {
  const path =
    process.env.CHROMIUM_PATH || findBinary([HEADLESS]) || (await installHeadless()) || findBinary(OTHERS)
  if (path === undefined) return undefined
  // Debian's launcher script may complain on stderr and still be well.
  const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 20_000 })
  return { path, version: stdout.trim() }
}

/**
 * Runs a file’s tests with a browser. Files that run in one process share it, so that each page needs a context of its
 * own. Without one (`CHROMIUM_PATH` says where it is) they are skipped.
 */
export async function withBrowser(t: Test, tests: (browser: Browser) => Promise<void>): Promise<void> {
  const executablePath = process.env.CHROMIUM_PATH ?? (await findChromium())?.path
  if (executablePath === undefined) {
    t.plan(0, 'no Chromium: set CHROMIUM_PATH or install it (apt-get install chromium-headless-shell)')
    return
  }
  if (!(await shared)?.isConnected()) shared = launch(executablePath)
  await tests(await (shared as Promise<Browser>))
}

let shared: Promise<Browser> | undefined

// The runner has no further files for this process (see lane.ts).
process.once('disconnect', async () => (await shared)?.close())

function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--disable-features=${DISABLED_FEATURES}`,
    ],
  })
}

async function installHeadless(): Promise<string | undefined> {
  if (!canInstallPackages()) return undefined
  try {
    await installPackages(HEADLESS, 'fonts-noto-cjk')
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
  return findBinary([HEADLESS])
}
