/**
 * Time that passes as soon as there is nothing left to do: hours of timers in milliseconds. It stands in for the
 * timers of the task, and for the clock and the chance of the whole process, so only one task runs in it at a time.
 * What else is in the process, such as a connection of an earlier test, keeps its real timers.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

interface Timer {
  at: number
  everyMs: number | undefined
  call: () => void
}

/**
 * Runs `task` in virtual time.
 * @param limitMs of virtual time; a task that takes longer, or waits for nothing, is given up
 * @param random what `Math.random` is meanwhile
 * @returns what `task` does, and how many timers it left behind
 */
export async function inVirtualTime<T>(
  task: () => Promise<T>,
  { limitMs, random }: { limitMs: number; random: () => number },
): Promise<{ value: T; tookMs: number; timersLeft: number }> {
  const timers = new Map<number, Timer>()
  const startedAt = Date.parse('2026-01-31T09:00:00.000Z')
  let now = startedAt
  let lastId = 0
  const own = new AsyncLocalStorage<true>()
  const real = { setTimeout, clearTimeout, setInterval, clearInterval }
  const begin = (isRepeated: boolean) =>
    ((call: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      if (own.getStore() === undefined)
        return isRepeated ? real.setInterval(call, ms, ...args) : real.setTimeout(call, ms, ...args)
      lastId += 1
      const waitMs = Math.max(1, ms)
      timers.set(lastId, {
        at: now + waitMs,
        everyMs: isRepeated ? waitMs : undefined,
        call: () => own.run(true, call, ...args),
      })
      return lastId
    }) as unknown as typeof setTimeout
  const end = ((id: number | NodeJS.Timeout | undefined) => {
    if (typeof id === 'number') timers.delete(id)
    else real.clearTimeout(id)
  }) as typeof clearTimeout
  const realNow = Date.now
  const realRandom = Math.random
  Object.assign(globalThis, {
    setTimeout: begin(false),
    clearTimeout: end,
    setInterval: begin(true),
    clearInterval: end,
  })
  Date.now = () => now
  Math.random = random
  try {
    let outcome: { value: T } | { error: unknown } | undefined
    own.run(true, task).then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    for (;;) {
      // Every promise that can go on has gone on by then.
      await new Promise((resolve) => setImmediate(resolve))
      if (outcome !== undefined) break
      let next: [number, Timer] | undefined
      for (const each of timers) if (next === undefined || each[1].at < next[1].at) next = each
      if (next === undefined) throw new Error('the task waits for nothing')
      const [id, timer] = next
      if (timer.at - startedAt > limitMs) throw new Error(`the task is not done after ${limitMs} ms`)
      now = Math.max(now, timer.at)
      if (timer.everyMs === undefined) timers.delete(id)
      else timer.at = now + timer.everyMs
      timer.call()
    }
    if ('error' in outcome) throw outcome.error
    return { value: outcome.value, tookMs: now - startedAt, timersLeft: timers.size }
  } finally {
    Object.assign(globalThis, real)
    Date.now = realNow
    Math.random = realRandom
  }
}
