/**
 * When the next attempt begins. Durations in milliseconds.
 */
import type { GenerationPolicy } from '../config/config.js'

/**
 * Wait before attempt `n`: full jitter under a doubling cap.
 * `n` counts from 1; attempt 1 waits 0. Pure: `random` returns [0, 1).
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoffMs(
  n: number,
  policy: Pick<GenerationPolicy, 'retryBaseMs' | 'retryMaxMs'>,
  random: () => number,
): number {
  if (n <= 1) return 0
  return Math.floor(random() * Math.min(policy.retryMaxMs, policy.retryBaseMs * 2 ** (n - 2)))
}
