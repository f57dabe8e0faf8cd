/**
 * The window, as this node’s dispatcher uses it: it asks for places for waiting jobs, and says at the next claim what
 * ended since the last one, so that load narrows and widens the window of all nodes. Without a window there is none of
 * this: jobs are published by the node that made them.
 *
 * What ended is counted in memory. If the node dies, the window is a little wider or narrower than it would have been.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ChapterEvent } from '../contract/event.js'
import { byKind, JOB_KINDS, type JobKind } from '../contract/job.js'
import {
  type Ends,
  placesOf,
  WINDOWS,
  type WindowLimits,
  type WindowName,
  widthsAfter,
} from '../domain/window.js'
import type { DueJob } from '../store/jobs.js'
import type { WindowRow, WindowStore } from '../store/window.js'

export interface Places {
  /**
   * Takes free places for at most so many jobs; they are this node’s to send until then. Kinds that are paused are given
   * none.
   */
  claim(limit: number, leasedUntil: number, paused?: ReadonlySet<JobKind>): Promise<DueJob[]>
  /** Takes note of what was committed on this node. @returns whether a place became free */
  hear(events: readonly ChapterEvent[]): boolean
  /** How many places each window has, as this node last read it; null: no limit. For the metrics. */
  readonly widths: Record<WindowName, number | null>
}

export interface PlacesOptions {
  limits: WindowLimits
  store: Pick<WindowStore, 'read' | 'claim' | 'releaseLeased'>
  now: () => number
  random: () => number
}

/** Claims of other nodes were first so often: they gave away what was free. */
const MAX_TRIES = 8
const TRY_PAUSE_MS = 20
/** How often jobs are looked for that a node without a window leased and did not send, and how far back. */
const RELEASE_EVERY_MS = 60_000
const RELEASE_BACK_MS = 10 * 60_000
const RELEASE_LIMIT = 500

/** Events after which a job has no place. */
const ENDS = /_(completed|retrying|failed)$/

export function createPlaces({ limits, store, now, random }: PlacesOptions): Places {
  let row: WindowRow | undefined
  let ends = nothingEnded()
  let releasedAt: number | undefined

  const placesNow = (widths: WindowRow['widths']) =>
    Object.fromEntries(WINDOWS.map((name) => [name, placesOf(name, limits, widths, now())])) as Record<
      WindowName,
      number | null
    >

  async function release(): Promise<void> {
    const since = releasedAt === undefined ? 0 : now() - RELEASE_BACK_MS
    if (releasedAt !== undefined && now() - releasedAt < RELEASE_EVERY_MS) return
    releasedAt = now()
    while ((await store.releaseLeased(since, now(), RELEASE_LIMIT)) === RELEASE_LIMIT);
  }

  return {
    async claim(limit, leasedUntil, paused = new Set()) {
      await release()
      for (let tries = 1; tries <= MAX_TRIES; tries++) {
        row ??= await store.read()
        const told = ends
        ends = nothingEnded()
        const widths = widthsAfter(row.widths, limits, told, now())
        const claimed = await store
          .claim({
            now: now(),
            leasedUntil,
            limit,
            places: withoutPaused(placesNow(widths), paused),
            expectedClaims: row.claims,
            widths: widths === row.widths ? null : widths,
          })
          .catch((error: unknown) => {
            ends = sumOf(ends, told)
            throw error
          })
        row = claimed?.row
        if (claimed !== undefined) return claimed.jobs
        ends = sumOf(ends, told)
        // The first time the row that was read is old, most likely; after that others claim at this moment.
        if (tries > 1) await delay(TRY_PAUSE_MS * random())
      }
      return []
    },
    hear(events) {
      let isFree = false
      for (const { name, payload } of events) {
        if (name === 'chapter_cancelled') isFree = true
        const kind = JOB_KINDS.find((each) => name.startsWith(`${each}_`))
        if (kind === undefined || !ENDS.test(name)) continue
        isFree = true
        if (name.endsWith('_completed')) ends.completed[kind] += 1
        else if ('reason' in payload && payload.reason === 'rate_limited') ends.rateLimited[kind] += 1
      }
      return isFree
    },
    get widths() {
      return placesNow(row?.widths ?? {})
    },
  }
}

function withoutPaused(
  places: Record<WindowName, number | null>,
  paused: ReadonlySet<JobKind>,
): Record<WindowName, number | null> {
  return { ...places, ...Object.fromEntries([...paused].map((kind) => [kind, 0])) }
}

function nothingEnded(): Ends {
  return { completed: perKind(() => 0), rateLimited: perKind(() => 0) }
}

function sumOf(one: Ends, other: Ends): Ends {
  return {
    completed: perKind((kind) => one.completed[kind] + other.completed[kind]),
    rateLimited: perKind((kind) => one.rateLimited[kind] + other.rateLimited[kind]),
  }
}

function perKind(count: (kind: JobKind) => number): Record<JobKind, number> {
  return byKind(count)
}
