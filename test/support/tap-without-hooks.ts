/**
 * tap, for processes that run one test after another.
 *
 * To find the test that an uncaught exception belongs to, tap follows every promise and timer of the process with async
 * hooks, from when it is loaded. That takes a third of the CPU time of tests with many promises. A lane knows which test
 * runs (see lane.ts), so tap is given hooks that do nothing. It must be imported from here before it is from elsewhere.
 */
import asyncHooks, { type AsyncHook } from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'

const { createHook } = asyncHooks
const nothing: AsyncHook = { enable: () => nothing, disable: () => nothing }

setCreateHook(() => nothing)
const tap = await import('tap')
setCreateHook(createHook)

export const { t, Test } = tap

function setCreateHook(create: typeof createHook): void {
  asyncHooks.createHook = create
  syncBuiltinESMExports()
}
