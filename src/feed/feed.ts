/**
 * One feed per node, the only way to a room. For each chapter that somebody here listens to it keeps the last
 * seq delivered (the room’s position) and hands on what is next: an event already delivered is dropped, one
 * that came too early is held, a hole that lasts is read from the log, and now and then the log is asked for
 * whatever did not come at all. So every connection in a room has each event once and in order.
 *
 * Progress is not logged. It carries the version of the write that set it; what is not newer is dropped. At most
 * ten updates a second are sent, the last one always, and before an end event rather than after it.
 */

import { type Repeating, repeat } from '../async/repeat.js'
import { type ChapterEvent, isEndEvent, type ProgressUpdate } from '../contract/event.js'
import type { EventStore, LogPage } from '../store/events.js'

/** What one write says to a chapter’s room: its events, and the latest progress whether new or not. */
export interface FeedEntry {
  chapterId: number
  events: ChapterEvent[]
  progress: LatestProgress | null
}

export interface LatestProgress {
  version: number
  update: ProgressUpdate
}

/** How a node’s room of a chapter is reached; sockets together, each SSE stream by itself. */
export interface Listener {
  event(event: ChapterEvent): void
  progress(update: ProgressUpdate): void
}

/** A share in a chapter’s feed. The feed of a chapter lives while anyone has one. */
export interface Room {
  /** The last seq delivered; undefined until the log was first read. */
  readonly position: number | undefined
  readonly progress: LatestProgress | null
  /** Feeds the room what was read from the log. */
  absorb(page: LogPage | undefined): void
  /** Adds a listener of this share’s own, from the room’s position on. */
  listen(listener: Listener): void
  /** Gives the share and its listener back; may be called again. */
  close(): void
}

export interface Feed {
  /** What was committed, here or elsewhere; in any order, and as often as it comes. */
  deliver(entries: FeedEntry[]): void
  open(chapterId: number): Room
  /** Asks the log for what the rooms lack; by itself every `repairMs`. */
  repair(): void
  /** Events that did not come by themselves and were read from the log, since the start. */
  readonly repaired: number
  /** Chapters that somebody here listens to. */
  readonly rooms: number
  close(): Promise<void>
}

export interface FeedOptions {
  /** The sockets of this node that are in the chapter’s room. */
  toRoom: (chapterId: number, name: ChapterEvent['name'] | 'progress_update', payload: object) => void
  events: Pick<EventStore, 'readNews'>
  /** How long a hole may last before the log is asked, ms. */
  holeMs?: number
  repairMs?: number
  /** Least time between two progress updates of a chapter, ms. */
  progressMs?: number
  onError: (error: unknown) => void
}

/** Rooms asked for in one query. */
const REPAIR_BATCH = 1000

export function createFeed(options: FeedOptions): Feed {
  const { events, onError, holeMs = 50, repairMs = 1500, progressMs = 100, toRoom } = options
  const chapters = new Map<number, ChapterFeed>()
  let repaired = 0

  const repairs: Repeating = repeat(
    async () => {
      const all = [...chapters.values()]
      for (let start = 0; start < all.length; start += REPAIR_BATCH)
        await catchUp(all.slice(start, start + REPAIR_BATCH))
      return false
    },
    repairMs,
    onError,
  )

  async function catchUp(behind: ChapterFeed[]): Promise<void> {
    const cursors = behind.flatMap(({ chapterId, position, progress }) =>
      position === undefined ? [] : [{ chapterId, after: position, progressVersion: progress?.version ?? 0 }],
    )
    const pages = await events.readNews(cursors)
    for (const [chapterId, page] of pages) {
      const chapter = chapters.get(chapterId)
      const before = chapter?.position ?? 0
      repaired += page.events.filter(({ payload }) => payload.seq > before).length
      chapter?.absorb(page)
    }
  }

  return {
    deliver(entries) {
      for (const entry of entries) chapters.get(entry.chapterId)?.deliver(entry)
    },
    open(chapterId) {
      const chapter =
        chapters.get(chapterId) ??
        new ChapterFeed(chapterId, {
          progressMs,
          holeMs,
          onHole: (behind) => catchUp([behind]).catch(onError),
          sockets: {
            event: ({ name, payload }) => toRoom(chapterId, name, payload),
            progress: (update) => toRoom(chapterId, 'progress_update', update),
          },
        })
      chapters.set(chapterId, chapter)
      return chapter.share(() => chapters.delete(chapterId))
    },
    repair: repairs.soon,
    get repaired() {
      return repaired
    },
    get rooms() {
      return chapters.size
    },
    async close() {
      await repairs.stop()
      for (const chapter of chapters.values()) chapter.stop()
      chapters.clear()
    },
  }
}

interface ChapterFeedOptions {
  progressMs: number
  holeMs: number
  onHole: (chapter: ChapterFeed) => void
  sockets: Listener
}

/** One chapter on this node. */
class ChapterFeed {
  position: number | undefined
  /** The latest known, sent or about to be. */
  progress: LatestProgress | null = null
  readonly chapterId: number
  private readonly options: ChapterFeedOptions
  /** Came before what precedes them; by seq. */
  private readonly held = new Map<number, ChapterEvent>()
  private readonly listeners = new Set<Listener>()
  private shares = 0
  private holeTimer: NodeJS.Timeout | undefined
  private progressTimer: NodeJS.Timeout | undefined
  private isProgressDue = false
  private progressSentAt = Number.NEGATIVE_INFINITY

  constructor(chapterId: number, options: ChapterFeedOptions) {
    this.chapterId = chapterId
    this.options = options
    this.listeners.add(options.sockets)
  }

  share(onLast: () => void): Room {
    const chapter = this
    let listener: Listener | undefined
    let isOpen = true
    this.shares += 1
    return {
      get position() {
        return chapter.position
      },
      get progress() {
        return chapter.progress
      },
      absorb: (page) => this.absorb(page),
      listen: (added) => {
        listener = added
        this.listeners.add(added)
      },
      close: () => {
        if (!isOpen) return
        isOpen = false
        if (listener !== undefined) this.listeners.delete(listener)
        this.shares -= 1
        if (this.shares > 0) return
        this.stop()
        onLast()
      },
    }
  }

  deliver({ events, progress }: FeedEntry): void {
    this.noteProgress(progress)
    for (const event of events) this.hold(event)
    this.advance()
    this.sendProgress()
  }

  absorb(page: LogPage | undefined): void {
    this.position ??= page?.lastSeq ?? 0
    if (page !== undefined) {
      const { progressVersion: version, latestProgress: update } = page
      this.noteProgress(update === null ? null : { version, update })
      for (const event of page.events) this.hold(event)
      // A log that was deleted cannot be waited for.
      this.position = Math.max(this.position, page.logFrom - 1)
    }
    this.advance()
    this.sendProgress()
  }

  stop(): void {
    clearTimeout(this.holeTimer)
    clearTimeout(this.progressTimer)
  }

  private hold(event: ChapterEvent): void {
    const { seq } = event.payload
    if (this.position === undefined || seq > this.position) this.held.set(seq, event)
  }

  private advance(): void {
    if (this.position === undefined) return
    const before = this.position
    for (const seq of this.held.keys()) if (seq <= this.position) this.held.delete(seq)
    for (;;) {
      const next = this.held.get(this.position + 1)
      if (next === undefined) break
      this.held.delete(this.position + 1)
      this.position += 1
      if (isEndEvent(next.name)) this.flushProgress()
      for (const listener of this.listeners) listener.event(next)
    }
    if (this.held.size === 0 || this.position > before) this.endHole()
    // A hole has its moment from when it was seen: what else comes meanwhile does not lengthen it.
    if (this.held.size > 0) this.holeTimer ??= setTimeout(() => this.readHole(), this.options.holeMs)
  }

  private readHole(): void {
    this.endHole()
    this.options.onHole(this)
  }

  private endHole(): void {
    clearTimeout(this.holeTimer)
    this.holeTimer = undefined
  }

  private noteProgress(progress: LatestProgress | null): void {
    if (progress === null || progress.version <= (this.progress?.version ?? 0)) return
    this.progress = progress
    this.isProgressDue = true
  }

  /** Now if the last one is long enough ago, else when it is; only the latest is sent. */
  private sendProgress(): void {
    if (!this.isProgressDue || this.position === undefined) return
    const waitMs = this.progressSentAt + this.options.progressMs - performance.now()
    clearTimeout(this.progressTimer)
    if (waitMs <= 0) this.flushProgress()
    else this.progressTimer = setTimeout(() => this.flushProgress(), waitMs)
  }

  private flushProgress(): void {
    clearTimeout(this.progressTimer)
    if (!this.isProgressDue || this.progress === null) return
    this.isProgressDue = false
    this.progressSentAt = performance.now()
    for (const listener of this.listeners) listener.progress(this.progress.update)
  }
}
