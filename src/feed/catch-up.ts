/**
 * Joining a chapter's room with a cursor, for a socket and for an SSE stream alike:
 *
 * 1. Open the room's feed, so that what arrives from now on is held, and wait until other nodes' commits arrive here.
 * 2. Read the log after the smaller of the cursor and the room’s position. (A new room’s position is the end of
 *    what was read.)
 * 3. Feed the room what was read. If it stands further now, since held events followed, or still behind, read on
 *    from there.
 * 4. Let the newcomer in only when the room stands exactly there, nothing was awaited since, and the newcomer still
 *    wants in. Hand over the events after the cursor.
 *
 * Steps 3 and 4 are synchronous after the read, so no event can fall between what is replayed and what is live.
 */

import { createBatcher } from '../async/batcher.js'
import type { ChapterEvent } from '../contract/event.js'
import type { EventStore, LogPage } from '../store/events.js'
import type { RememberedRoom } from '../store/sessions.js'
import type { RoomShare } from './chapter-feed.js'
import type { Feed } from './feed.js'

/** What a newcomer is given at the moment it has caught up. */
export interface CaughtUp {
  room: RoomShare
  /** undefined while the chapter does not exist. */
  page: LogPage | undefined
  /** Every event after the cursor up to the room’s position, in order. */
  missed: ChapterEvent[]
  /** The cursor was beyond the end of the log: `missed` begins at the beginning. */
  isReset: boolean
}

export interface CatchUpOptions {
  feed: Feed
  readPage: PageReader
  chapterId: number
  /** The newcomer’s cursor: the last seq it has, 0 for none. */
  after: number
  /** Written with the first read: the room of a session. */
  remember?: RememberedRoom | undefined
  isWanted: () => boolean
  /** Runs in step 4, synchronously. The share in the room is the newcomer’s from then on. */
  onCaughtUp: (caughtUp: CaughtUp) => void
}

/** A chapter that was deleted on the way in is told of by the log, by its deleting node, and by a repair. */
const MAX_DELETED = 10

/** Maximum rounds of reading on. Each is at least one commit further, and commits have pauses. */
const MAX_ROUNDS = 100

/** @returns false when the newcomer left meanwhile */
export async function catchUp(options: CatchUpOptions): Promise<boolean> {
  for (let round = 1; round <= MAX_DELETED; round++) {
    const outcome = await enterRoom(options)
    if (outcome !== 'deleted') return outcome === 'in'
  }
  throw new Error(`The room of chapter ${options.chapterId}, which was deleted, did not come to rest`)
}

async function enterRoom(options: CatchUpOptions): Promise<'in' | 'unwanted' | 'deleted'> {
  const { feed, readPage, chapterId, isWanted, onCaughtUp } = options
  const room = feed.open(chapterId)
  let isIn = false
  try {
    await room.subscribed
    if (!isWanted()) return 'unwanted'
    let { after } = options
    let isReset = false
    const missed = new Map<number, ChapterEvent>()
    let from = Math.min(after, room.position ?? after)
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const since = room.position
      const page = await readPage(chapterId, from, round === 1 ? options.remember : undefined)
      if (!isWanted()) return 'unwanted'
      const end = page?.lastSeq ?? 0
      if (page === undefined && (since ?? 0) > 0) room.gone()
      if (room.isDeleted) return 'deleted'
      room.absorb(page, since)
      if (after > end) {
        after = 0
        isReset = true
      }
      for (const event of page?.events ?? [])
        if (event.payload.seq > after) missed.set(event.payload.seq, event)
      if (room.position !== end || !reaches(missed, after, end, page?.logFrom ?? 1)) {
        // Read on from whichever is further behind, the newcomer or the room: both need the events in between.
        from = Math.min(firstMissing(missed, after, page?.logFrom ?? 1), room.position ?? 0)
        continue
      }
      isIn = true
      const inOrder = [...missed.values()].sort((a, b) => a.payload.seq - b.payload.seq)
      onCaughtUp({ room, page, missed: inOrder, isReset })
      return 'in'
    }
    throw new Error(`The room of chapter ${chapterId} did not come to rest`)
  } finally {
    if (!isIn) room.close()
  }
}

/** Whether every event that is to be replayed was read. */
function reaches(missed: Map<number, ChapterEvent>, after: number, end: number, logFrom: number): boolean {
  return firstMissing(missed, after, logFrom) >= end
}

/** The cursor to read on from: the last seq before the first that is not there. */
function firstMissing(missed: Map<number, ChapterEvent>, after: number, logFrom: number): number {
  let seq = Math.max(after, logFrom - 1)
  while (missed.has(seq + 1)) seq += 1
  return seq
}

export type PageReader = (
  chapterId: number,
  after: number,
  remember?: RememberedRoom | undefined,
) => Promise<LogPage | undefined>

/**
 * Joins that arrive while a read is under way become one query: a reconnect storm must not be a query storm.
 * A page may hold more than was asked for, never less.
 */
export function createPageReader(events: Pick<EventStore, 'readPages'>): PageReader {
  const read = createBatcher(async (requests: PageRequest[]) => {
    const cursors = new Map<number, number>()
    for (const { chapterId, after } of requests)
      cursors.set(chapterId, Math.min(after, cursors.get(chapterId) ?? after))
    const pages = await events.readPages(
      [...cursors].map(([chapterId, after]) => ({ chapterId, after })),
      requests.flatMap(({ remember }) => remember ?? []),
    )
    return requests.map(({ chapterId }) => ({
      page: pages.get(chapterId),
      from: cursors.get(chapterId) ?? 0,
    }))
  })

  return async (chapterId, after, remember) => {
    const { page, from } = await read({ chapterId, after, remember })
    // A cursor beyond the end means 0. The shared read began at another join’s cursor, so the beginning is missing.
    const isCut = page !== undefined && after > page.lastSeq && from > 0 && from <= page.lastSeq
    return isCut ? (await read({ chapterId, after: 0 })).page : page
  }
}

interface PageRequest {
  chapterId: number
  after: number
  remember?: RememberedRoom | undefined
}
