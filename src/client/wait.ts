/** Waiting: how long, and until something else ends it. */

/** Wait before try `attempt + 1`, ms: full jitter under a doubling cap. `attempt` counts from 1. */
export function backoffMs(attempt: number, baseMs: number, capMs: number): number {
  return Math.random() * Math.min(capMs, baseMs * 2 ** attempt)
}

/** Resolves after `ms`. @throws the reason of the first signal that aborts meanwhile */
export function delay(ms: number, ...signals: (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      stop()
      const aborted = signals.find((signal) => signal?.aborted)
      if (aborted) reject(aborted.reason)
      else resolve()
    }
    const timer = setTimeout(end, ms)
    const stop = onAbort(signals, end)
    if (signals.some((signal) => signal?.aborted)) end()
  })
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `listener` when one of the signals aborts, until the returned function is called. A signal gets one listener
 * for any number of them: Node.js warns of more than ten.
 */
export function onAbort(signals: readonly (AbortSignal | undefined)[], listener: () => void): () => void {
  const sets = signals.flatMap((signal) => (signal === undefined ? [] : [listenersOf(signal)]))
  for (const set of sets) set.add(listener)
  return () => {
    for (const set of sets) set.delete(listener)
  }
}

function listenersOf(signal: AbortSignal): Set<() => void> {
  const known = waiting.get(signal)
  if (known !== undefined) return known
  const listeners = new Set<() => void>()
  waiting.set(signal, listeners)
  signal.addEventListener('abort', () => {
    for (const listener of [...listeners]) listener()
  })
  return listeners
}
