/**
 * `npm test [-- files or folders of tests]`: compiles everything once, provides what the tests need, runs them with
 * tap and leaves nothing running, however it ends (see support/keeper.ts). `--all` adds the long ones, whose names
 * end in `.long.test.ts`, and has the others repeat more of what they do (support/scale.ts). A long one that is named
 * is run in any case.
 *
 * The last line is `N passed, N failed`, counted in test cases. Tests find the services in environment variables
 * (see support/services.ts). Settings of a run:
 *
 * - `TEST_INSTALL=1` installs what is missing with apt-get (as root on a Debian).
 * - `TEST_JOBS` is how many files run at once; two more than there are cores unless set.
 * - `TEST_KEEP=1` keeps the services of a failed run, and with them the databases of its failed tests, until Ctrl-C.
 * - `TAP_GREP` and tap's other variables go to the tests.
 */

import { availableParallelism } from 'node:os'
import { relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findChromium } from './support/chromium.js'
import { compile, testFiles } from './support/compile.js'
import { beginRun } from './support/private-run.js'
import { runFiles } from './support/run-files.js'
import { provide, SERVICES } from './support/services.js'

const LONG = /\.long\.test\.ts$/
/** Folders whose files take longest: they start first, so that a run does not end with one of them. */
const SLOW_FOLDERS = ['fault', 'flow', 'client', 'web']

const { values, positionals } = parseArgs({
  options: { all: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const files = positionals.length === 0 ? everyFile(values.all) : positionals.flatMap(filesNamed)
await compile()

const run = await beginRun()
try {
  process.exitCode = await runTests(await prepareEnvironment())
  if (process.exitCode !== 0 && process.env.TEST_KEEP) {
    console.error('TEST_KEEP: the services stay until Ctrl-C')
    await delay(2 ** 31 - 1)
  }
  await run.end(true)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
  await run.end(false)
}

/** The slow ones first. */
function everyFile(isLongIncluded: boolean): string[] {
  const rank = (file: string) => {
    if (LONG.test(file)) return 0
    const folder = SLOW_FOLDERS.indexOf(file.split('/')[1] ?? '')
    return folder < 0 ? SLOW_FOLDERS.length + 1 : folder + 1
  }
  return testFiles()
    .filter((file) => isLongIncluded || !LONG.test(file))
    .sort((a, b) => rank(a) - rank(b))
}

/** @param path a file of tests, or a folder with some */
function filesNamed(path: string): string[] {
  const name = relative('.', path)
  const isInFolder = (file: string) => file.startsWith(`${name}/`) && (values.all || !LONG.test(file))
  const found = testFiles().filter((file) => file === name || isInFolder(file))
  if (found.length === 0)
    throw new Error(`${path} is no file of tests (test/**/*.test.ts), and no folder with some`)
  return found
}

async function prepareEnvironment(): Promise<NodeJS.ProcessEnv> {
  const { directory, keep } = run
  const env = { ...run.env }
  const summaries = [`Node ${process.version}`]
  for (const service of SERVICES) {
    const { url, summary } = await provide(service, { directory, env, keep })
    env[service.envVar] = url
    summaries.push(summary)
  }
  const chromium = await findChromium()
  if (chromium) env.CHROMIUM_PATH = chromium.path
  summaries.push(
    chromium
      ? `${chromium.version} at ${chromium.path}`
      : 'Chromium: none: page tests are skipped (apt-get install chromium-headless-shell, or TEST_INSTALL=1)',
  )
  console.log(`${summaries.join('\n')}\n`)
  return env
}

async function runTests(env: NodeJS.ProcessEnv): Promise<number> {
  const { passed, failed, skipped } = await runFiles(files, {
    env: { TAP_TIMEOUT: '300', TEST_ALL: values.all ? '1' : '', ...env },
    // Most tests wait most of the time.
    jobs: Number(process.env.TEST_JOBS) || availableParallelism() + 2,
    signal: run.interrupted,
    print: console.log,
  })
  if (skipped) console.log(`\n${skipped} skipped`)
  console.log(`\n${passed} passed, ${failed} failed`)
  return failed ? 1 : 0
}
