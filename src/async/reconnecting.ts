/**
 * Keeps one connection to something shared open for ever: whenever it is lost another one is opened, with a
 * jittered, growing, capped pause between attempts, until it is closed.
 */
import { backoffMs } from './backoff.js'
import { abortable } from './deadline.js'

export interface ReconnectingOptions<T> {
  /** In log lines: “Kafka”. */
  name: string
  /**
   * Opens one. `life` aborts when it is given up, lost or closed, and must end it whatever it is doing.
   * `lost` is to be called when it fails later.
   */
  open(life: AbortSignal, lost: (error: unknown) => void): Promise<T>
  /** An attempt that takes longer is given up. */
  openTimeoutMs: number
  log: { info(about: object, text: string): void; warn(about: object, text: string): void }
  /** In [0, 1). */
  random?: () => number
}

export interface Reconnecting<T> {
  /** `waiting`: it is away, and the next attempt has not begun. */
  readonly state: 'opening' | 'open' | 'waiting' | 'closed'
  /** An attempt failed, or one that was open did not last, and none succeeded since. */
  readonly isDown: boolean
  /** What is open, if it is. */
  readonly current: T | undefined
  /** Waits for an attempt under way; rejects at once while there is none, with why the last one failed. */
  get(signal: AbortSignal): Promise<T>
  /** `value` did not do its work. Does nothing when another one has taken its place. */
  lost(value: T, error: unknown): void
  close(): Promise<void>
}

const BACKOFF = { retryBaseMs: 250, retryMaxMs: 5000 }
/** One that lived this long was good: the next attempt follows at once. */
const GOOD_AFTER_MS = 10_000
const WARN_EVERY_MS = 60_000

export function keepConnected<T>(options: ReconnectingOptions<T>): Reconnecting<T> {
  const { name, open, openTimeoutMs, log, random = Math.random } = options
  let state: Reconnecting<T>['state'] = 'opening'
  let current: T | undefined
  let attempt: Promise<T> = Promise.reject(new Error('not begun'))
  let attempts = 0
  let life = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let lastError: unknown
  let isDown = false
  let warnedAt = Number.NEGATIVE_INFINITY
  let downSince: number | undefined
  attempt.catch(() => {})
  begin()

  function begin(): void {
    state = 'opening'
    attempts += 1
    const own = new AbortController()
    life = own
    attempt = tryToOpen(own)
    attempt.then(
      (value) => {
        if (own.signal.aborted) return
        state = 'open'
        current = value
        isDown = false
        const downMs = downSince === undefined ? 0 : Math.round(performance.now() - downSince)
        log.info({ down_ms: downMs }, `${name} is connected`)
        downSince = undefined
        warnedAt = Number.NEGATIVE_INFINITY
        timer = setTimeout(() => {
          attempts = 0
        }, GOOD_AFTER_MS).unref()
      },
      (error) => fell(own, error),
    )
  }

  async function tryToOpen(own: AbortController): Promise<T> {
    const timeout = setTimeout(
      () => own.abort(new Error(`no answer within ${openTimeoutMs} ms`)),
      openTimeoutMs,
    )
    try {
      return await abortable(
        open(own.signal, (error) => fell(own, error)),
        own.signal,
      )
    } finally {
      clearTimeout(timeout)
    }
  }

  /** Handles a lost connection. Safe to call more than once. */
  function fell(own: AbortController, error: unknown): void {
    if (own !== life || state === 'waiting' || state === 'closed') return
    const wasOpen = state === 'open'
    state = 'waiting'
    current = undefined
    lastError = error
    own.abort(error)
    clearTimeout(timer)
    const now = performance.now()
    downSince ??= now
    const waitMs = attempts === 0 ? 0 : Math.max(1, backoffMs(attempts + 1, BACKOFF, random))
    isDown = !wasOpen || waitMs > 0
    // One that served long and went, a broker closing idle connections for one, is not yet a fault.
    if (waitMs === 0) log.info({ err: error }, `${name} was lost; it is connected again`)
    else if (now - warnedAt >= WARN_EVERY_MS) {
      warnedAt = now
      log.warn({ err: error, wait_ms: waitMs }, `${name} is away; it is tried again until it is back`)
    }
    timer = setTimeout(begin, waitMs)
  }

  return {
    get state() {
      return state
    },
    get isDown() {
      return isDown
    },
    get current() {
      return current
    },
    async get(signal) {
      signal.throwIfAborted()
      if (state === 'closed') throw new Error(`${name} was closed`)
      if (state === 'waiting') throw lastError
      return abortable(attempt, signal)
    },
    lost(value, error) {
      if (state === 'open' && value === current) fell(life, error)
    },
    async close() {
      state = 'closed'
      isDown = true
      current = undefined
      clearTimeout(timer)
      life.abort(new Error(`${name} was closed`))
      await attempt.catch(() => {})
    },
  }
}
