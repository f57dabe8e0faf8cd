/**
 * Time that passes as soon as there is nothing left to do, for several processes in one. It stands in for the timers,
 * the clocks and the chance of everything that runs, also for what the program imports from `node:timers/promises`, so
 * that nothing depends on how long anything takes.
 *
 * Each step belongs to a process, or to the world around them. What runs until the next step (all promises that can go
 * on) belongs to the same process, and so do the timers that it begins. So a process that is killed simply has no further
 * steps, and one that is stopped takes them all when it goes on.
 */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'
import type { Random } from '../support/random.js'

/** A process, from its start to its end. */
export class Life {
  isDead = false
  /** Stopped until then, by the time of the world. */
  stoppedUntil = 0
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

export interface Step {
  at: number
  /** Of steps at the same time, the one that was asked for first comes first. */
  order: number
  owner: Life | undefined
  /** undefined: it was called off. */
  call: (() => void) | undefined
}

const STARTED_AT = Date.parse('2026-01-31T09:00:00.000Z')

export class SimulatedTime {
  /** Milliseconds since the world began. */
  now = 0
  /** Whose step it is; undefined: the world’s. */
  owner: Life | undefined
  steps = 0
  /** Of all steps: two runs that are the same have the same. */
  hash = 0
  /** What no process may let through: it would have ended it. */
  readonly crashes: unknown[] = []
  private orders = 0
  private readonly heap: Step[] = []

  /** As the clocks of all processes would show it, if they were right; ms since the epoch. */
  get clock(): number {
    return STARTED_AT + Math.floor(this.now)
  }

  after(ms: number, owner: Life | undefined, call: () => void): Step {
    this.orders += 1
    const step = { at: this.now + Math.max(0, ms), order: this.orders, owner, call }
    this.push(step)
    return step
  }

  /** Goes on until then, or until nothing is left to do. */
  async runUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const step = this.pop()
      if (step === undefined) return
      const { owner, call } = step
      if (call === undefined || owner?.isDead === true) continue
      if (owner !== undefined && owner.stoppedUntil > step.at) {
        this.orders += 1
        // The same step, so that it can still be called off.
        step.at = owner.stoppedUntil
        step.order = this.orders
        this.push(step)
        continue
      }
      this.now = Math.max(this.now, step.at)
      this.owner = owner
      this.steps += 1
      this.hash = (Math.imul(this.hash, 31) + Math.floor(this.now * 1000) + step.order) | 0
      try {
        call()
      } catch (error) {
        this.crashes.push(error)
      }
      // Every promise that can go on has gone on by then.
      await new Promise<void>(nextTurn)
    }
  }

  private push(step: Step): void {
    const { heap } = this
    let index = heap.length
    heap.push(step)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(step, heap[parent] as Step)) break
      heap[index] = heap[parent] as Step
      index = parent
    }
    heap[index] = step
  }

  private pop(): Step | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Step, heap[child] as Step)) child += 1
      if (!isBefore(heap[child] as Step, last)) break
      heap[index] = heap[child] as Step
      index = child
    }
    heap[index] = last
    return first
  }
}

function isBefore(one: Step, other: Step): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}

const nextTurn = setImmediate

class Timer {
  step: Step | undefined
  ref = () => this
  unref = () => this
  hasRef = () => true
}

/**
 * Puts simulated time in the place of the real one, for the whole process: only one world at a time.
 * @returns what gives it back
 */
export function install(time: SimulatedTime, random: Random): () => void {
  const begin = (ms: number | undefined, call: () => void): Timer => {
    const timer = new Timer()
    timer.step = time.after(Math.max(1, ms ?? 0), time.owner, call)
    return timer
  }
  const repeatEvery = (ms: number, call: () => void): Timer => {
    const timer = new Timer()
    const owner = time.owner
    const turn = () => {
      timer.step = time.after(ms, owner, turn)
      call()
    }
    timer.step = time.after(ms, owner, turn)
    return timer
  }
  const end = (timer?: Timer) => {
    if (timer?.step !== undefined) timer.step.call = undefined
  }
  const uuid = () => {
    const part = (size: number) =>
      Math.floor(random() * 16 ** size)
        .toString(16)
        .padStart(size, '0')
    return `${part(8)}-${part(4)}-4${part(3)}-8${part(3)}-${part(6)}${part(6)}`
  }
  const givenBack = [
    replace(globalThis, {
      setTimeout: (call: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
        begin(ms, () => call(...args)),
      setInterval: (call: (...args: unknown[]) => void, ms = 1, ...args: unknown[]) =>
        repeatEvery(ms, () => call(...args)),
      setImmediate: (call: (...args: unknown[]) => void, ...args: unknown[]) => {
        const timer = new Timer()
        timer.step = time.after(0, time.owner, () => call(...args))
        return timer
      },
      clearTimeout: end,
      clearInterval: end,
      clearImmediate: end,
    }),
    replace(timers, {
      setTimeout: (ms?: number, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason)
          const abort = () => {
            end(timer)
            reject(signal?.reason)
          }
          const timer = begin(ms, () => {
            signal?.removeEventListener('abort', abort)
            resolve(value)
          })
          signal?.addEventListener('abort', abort, { once: true })
        }),
      setImmediate: (value?: unknown) =>
        new Promise((resolve) => {
          time.after(0, time.owner, () => resolve(value))
        }),
    }),
    replace(crypto, { randomUUID: uuid }),
    replace(Date, { now: () => time.clock }),
    replace(Math, { random }),
    replace(performance, { now: () => time.now }),
    replace(AbortSignal, {
      timeout(ms: number) {
        const controller = new AbortController()
        begin(ms, () => controller.abort(new DOMException('The operation timed out', 'TimeoutError')))
        return controller.signal
      },
    }),
  ]
  syncBuiltinESMExports()
  return () => {
    for (const giveBack of givenBack) giveBack()
    syncBuiltinESMExports()
  }
}

function replace(target: object, values: Record<string, unknown>): () => void {
  const before = Object.keys(values).map(
    (name) => [name, Object.getOwnPropertyDescriptor(target, name)] as const,
  )
  for (const [name, value] of Object.entries(values))
    Object.defineProperty(target, name, { value, configurable: true, writable: true })
  return () => {
    for (const [name, descriptor] of before)
      if (descriptor === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, descriptor)
  }
}
