/** What clients and workers were told, to be held against the database at the end. */
import type { JobKind } from '../../src/contract/job.js'
import { type Random, seeded } from '../support/random.js'

export interface KnownChapter {
  id: number
  /** The number of its request: what happens to it follows from that and the seed. */
  n: number
  courseId: number
  /** By `Date.now()`. */
  createdAt: number
  isCancelled: boolean
  retries: number
  /** What was acknowledged: the kind and its new revision. */
  regenerations: { kind: JobKind; revision: number }[]
  /** When the chapter was first seen to be over, with nothing more to come. */
  overSince: number | undefined
  /** Names of the events that somebody heard, by seq. */
  heard: string[]
  /** Its log, once nothing more is to come. */
  settled: SettledLog | undefined
}

export interface SettledLog {
  lastSeq: number
  names: string[]
  /** When each event was stored, by the database’s clock, ms; the event with seq 1 is the first. */
  storedAt: number[]
}

export interface AckedResult {
  chapterId: number
  kind: JobKind
  revision: number
  mark: string
  /** Distinguishes posts of the same result. */
  post: number
}

export interface Ledger {
  chapters: Map<number, KnownChapter>
  results: AckedResult[]
  /** Requests that were sent and may have made a chapter, by number; how many chapters each was to make. */
  requests: Map<number, number>
  add(id: number, n: number, courseId: number): KnownChapter
  /** Chance for one thing: the same in each run with this seed, whatever happened before. */
  chanceOf(...names: readonly (string | number)[]): Random
}

export function createLedger(seed: number): Ledger {
  const chapters = new Map<number, KnownChapter>()
  return {
    chapters,
    results: [],
    requests: new Map(),
    add(id, n, courseId) {
      const known = chapters.get(id)
      if (known !== undefined) return known
      const chapter: KnownChapter = {
        ...{ id, n, courseId, createdAt: Date.now(), isCancelled: false, retries: 0 },
        ...{ regenerations: [], overSince: undefined, heard: [], settled: undefined },
      }
      chapters.set(id, chapter)
      return chapter
    },
    chanceOf: (...names) => seeded(hash([seed, ...names].join(' '))),
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1)
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value | 0
}
