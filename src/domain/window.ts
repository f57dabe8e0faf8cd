/**
 * How many jobs may be with workers at once: the windows of the settings, and what load makes of them. A worker that
 * says `rate_limited` halves a window, as a congested network does; results widen it again, one place for each window
 * full of them. Pure: the clock is passed in. Whose turn a free place is, `store/window.ts` knows.
 */
import { JOB_KINDS, type JobKind } from '../contract/job.js'

/** A window of one kind, or the one that all kinds share. */
export const WINDOWS = ['all', ...JOB_KINDS] as const
export type WindowName = (typeof WINDOWS)[number]

/** As they are set; 0: no limit. */
export type WindowLimits = Record<WindowName, number>

/** A window that was narrowed: places, not always whole, and when it was halved last. */
export interface Width {
  width: number
  narrowedAt: number
}
export type Widths = Partial<Record<WindowName, Width>>

/** What ended since the last claim. */
export interface Ends {
  completed: Record<JobKind, number>
  rateLimited: Record<JobKind, number>
}

/** Workers that ran into the same limit say so one after another: that is one reason to halve, not many. */
export const HALVE_ONCE_IN_MS = 15_000
/** A window is whole again when no worker reported a rate limit for so long. */
export const NARROW_FOR_MS = 10 * 60_000

export function isWindowed(limits: WindowLimits): boolean {
  return WINDOWS.some((name) => limits[name] > 0)
}

/** The window that bounds a kind most closely; undefined when none does. */
export function windowOf(kind: JobKind, limits: WindowLimits): WindowName | undefined {
  return [kind, 'all' as const].find((name) => limits[name] > 0)
}

/** Places of a window now, one at least; null when it has no limit. */
export function placesOf(name: WindowName, limits: WindowLimits, widths: Widths, now: number): number | null {
  const limit = limits[name]
  if (limit === 0) return null
  const narrowed = widths[name]
  if (narrowed === undefined || now - narrowed.narrowedAt >= NARROW_FOR_MS) return limit
  return Math.max(1, Math.min(limit, Math.floor(narrowed.width)))
}

/** @returns the very widths that came in when nothing changed */
export function widthsAfter(widths: Widths, limits: WindowLimits, ends: Ends, now: number): Widths {
  let after = widths
  for (const kind of JOB_KINDS) {
    const name = windowOf(kind, limits)
    if (name === undefined) continue
    if (ends.rateLimited[kind] > 0) after = narrowed(after, name, limits[name], now)
    if (ends.completed[kind] > 0) after = widened(after, name, limits[name], ends.completed[kind], now)
  }
  return after
}

function narrowed(widths: Widths, name: WindowName, limit: number, now: number): Widths {
  const before = widths[name]
  if (before !== undefined && now - before.narrowedAt < HALVE_ONCE_IN_MS) return widths
  const isOver = before === undefined || now - before.narrowedAt >= NARROW_FOR_MS
  const from = isOver ? limit : Math.min(limit, before.width)
  return { ...widths, [name]: { width: Math.max(1, from / 2), narrowedAt: now } }
}

function widened(widths: Widths, name: WindowName, limit: number, completed: number, now: number): Widths {
  const before = widths[name]
  if (before === undefined) return widths
  let { width } = before
  for (let count = 0; count < completed && width < limit; count++) width += 1 / width
  const { [name]: _narrowed, ...others } = widths
  const isWhole = width >= limit || now - before.narrowedAt >= NARROW_FOR_MS
  return isWhole ? others : { ...others, [name]: { ...before, width } }
}
