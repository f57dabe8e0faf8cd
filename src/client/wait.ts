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
      for (const signal of signals) signal?.removeEventListener('abort', end)
      const aborted = signals.find((signal) => signal?.aborted)
      if (aborted) reject(aborted.reason)
      else resolve()
    }
    const timer = setTimeout(end, ms)
    for (const signal of signals) {
      signal?.addEventListener('abort', end)
      if (signal?.aborted) end()
    }
  })
}
