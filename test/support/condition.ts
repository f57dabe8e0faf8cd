/**
 * Waiting for something to become true, with a deadline that says what never did.
 * Tests wait for conditions, never for durations.
 */

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'

export interface WaitOptions {
  /** Default 30,000: a busy machine takes its time. A `check` that itself hangs is given up at the same moment. */
  timeoutMs?: number
  /** Pause between two checks. Default: a tenth of the time waited so far, from 10 to 100. */
  everyMs?: number
  /** Ends the waiting early, with the signal's reason. */
  signal?: AbortSignal
}

type Truthy<T> = Exclude<T, false | 0 | 0n | '' | null | undefined>

/**
 * The first truthy value of `check`. A `check` that throws counts as "not yet".
 * At the deadline throws an error that names `description` and the last value or error seen.
 */
export async function waitFor<T>(
  description: string,
  check: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs, signal }: WaitOptions = {},
): Promise<Truthy<Awaited<T>>> {
  const startedAt = performance.now()
  const deadline = startedAt + timeoutMs
  let last = 'no check came back'
  let cause: unknown
  do {
    try {
      const value = await within(Math.max(0, deadline - performance.now()), check)
      if (value === EXPIRED) break
      if (value) return value as Truthy<Awaited<T>>
      last = `last seen: ${inspect(value)}`
      cause = undefined
    } catch (error) {
      last = `last error: ${error instanceof Error ? error.message : inspect(error)}`
      cause = error
    }
    signal?.throwIfAborted()
    await delay(everyMs ?? Math.min(100, Math.max(10, (performance.now() - startedAt) / 10)))
    signal?.throwIfAborted()
  } while (performance.now() < deadline)
  throw new Error(`waited ${timeoutMs} ms for ${description}; ${last}`, cause === undefined ? {} : { cause })
}

/** Systems give outgoing connections ports from there on: one could take the port of a server that is away. */
const EPHEMERAL = 32_768
/** Browsers refuse some ports below it. */
const LOWEST = 20_000
const given = new Set<number>()

/** A free port of 127.0.0.1 that no outgoing connection gets, and that this process did not ask for before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, EPHEMERAL)
    if (given.has(port)) continue
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    given.add(port)
    return port
  }
}

const EXPIRED: unique symbol = Symbol('expired')

async function within<T>(ms: number, check: () => T | Promise<T>): Promise<T | typeof EXPIRED> {
  const clock = new AbortController()
  const expired = delay(ms, undefined, { signal: clock.signal })
    .catch(() => {})
    .then((): typeof EXPIRED => EXPIRED)
  try {
    return await Promise.race([check(), expired])
  } finally {
    clock.abort()
  }
}
