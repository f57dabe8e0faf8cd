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

/** A model that is busy is not asked again sooner. */
const BUSY_LEAST_MS = 15_000

/**
 * Wait before a job is tried again whose model was busy: `leastMs`, but not under 15 s, and full jitter above it. The
 * jitter grows with the age of the job, as waits that double would, up to the last cap of `policy`.
 */
export function busyWaitMs(
  ageMs: number,
  leastMs: number,
  policy: Pick<GenerationPolicy, 'retryMaxMs'>,
  random: () => number,
): number {
  const spreadMs = Math.min(policy.retryMaxMs, Math.max(BUSY_LEAST_MS, ageMs / 2))
  return Math.max(BUSY_LEAST_MS, leastMs) + Math.floor(random() * spreadMs)
}
