/** Timers for the end of credentials, which may be further away than a Node timer reaches. */

/** Longest wait of one Node timer, ms. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Runs `task` once `now()` has reached `at`; never when that is `Infinity`. Keeps no process alive.
 * @returns cancels it; may be called again, and after it ran
 */
export function runAt(at: number, now: () => number, task: () => void): () => void {
  if (at === Number.POSITIVE_INFINITY) return () => {}
  let timer: NodeJS.Timeout
  const arm = () => {
    const waitMs = Math.max(0, at - now())
    timer = setTimeout(() => (waitMs > MAX_TIMER_MS ? arm() : task()), Math.min(waitMs, MAX_TIMER_MS)).unref()
  }
  arm()
  return () => clearTimeout(timer)
}
