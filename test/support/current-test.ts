/**
 * What a file of tests gets from `import t from 'tap'` (see compile.ts): the test that stands for the file. tap itself has
 * one root test a process; a process here runs one file after another (see lane.ts), each under a test of its own.
 */
import type { Test } from 'tap'
import { t as root } from './tap-without-hooks.js'

let current: Test = root

export { current as default }

/** For the file that is imported next. */
export function setCurrentTest(test: Test): void {
  current = test
}
