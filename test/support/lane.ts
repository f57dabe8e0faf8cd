/**
 * The process that runs files of tests, one after another: to load the server and all it needs takes longer than most
 * files take to run. The runner (run-files.ts) sends each file's name over the IPC channel, and gets its TAP in pieces and a
 * last message when the file has ended. When the runner disconnects, it says what is left that keeps this process alive.
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Base, Test as TapTest, TestOpts } from 'tap'
import { compiledFile } from './compile.js'
import { setCurrentTest } from './current-test.js'
import { t as root, Test } from './tap-without-hooks.js'

export type LaneMessage = { tap: string } | { end: { cpuMs: number; memoryBytes: number } }

const PATIENCE_MS = 2000

// It has no tests, and would fail for want of them in the end.
root.setTimeout(0)
let current: TapTest | undefined
process.on('uncaughtException', failRunningTest)
process.on('message', ({ file }: { file: string }) => run(file))
process.once('disconnect', () => {
  setTimeout(() => {
    console.error(`left open by a test: ${process.getActiveResourcesInfo().join(', ')}`)
    // Not a failure: some tests give up on purpose what would last for ever.
    process.exit()
  }, PATIENCE_MS).unref()
})

function run(file: string): void {
  const before = cpuMs()
  const options: TestOpts = {
    name: file,
    timeout: Number(process.env.TAP_TIMEOUT ?? 30) * 1000,
    // Its tests are added to `test` as it is imported, and run.
    cb: () => import(pathToFileURL(compiledFile(file)).href),
  }
  const test = new Test(options)
  current = test
  setCurrentTest(test)
  test.on('data', (tap: string | Buffer) => send({ tap: String(tap) }))
  test.on('end', () => {
    test.setTimeout(0)
    send({ end: { cpuMs: cpuMs() - before, memoryBytes: process.memoryUsage.rss() } })
  })
  test.runMain(() => {})
}

/** The innermost one; if several run at once, the one that they are in. */
function failRunningTest(error: unknown): void {
  let running: Base | undefined = current
  while (running instanceof Test && running.activeSubtests.size === 1) [running] = running.activeSubtests
  if (running && !running.results) {
    running.threw(error)
    return
  }
  console.error(`uncaught exception after the tests of ${current?.name}`, error)
  process.exitCode = 1
}

function send(message: LaneMessage): void {
  process.send?.(message)
}

/** Of this process and, where the system says so, of those that it started and that have ended. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  try {
    const [, fields = ''] = readFileSync('/proc/self/stat', 'utf8').split(') ')
    const [childrenUser, childrenSystem] = fields.split(' ').slice(13, 15).map(Number)
    return (user + system) / 1000 + ((childrenUser ?? 0) + (childrenSystem ?? 0)) * 10
  } catch {
    return (user + system) / 1000
  }
}
