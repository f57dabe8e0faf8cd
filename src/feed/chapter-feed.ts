/**
 * One chapter's feed on this node: events come in any order and as often as they like, listeners get each once and in
 * order of seq.
 *
 * - An event already delivered is dropped; one that came too early is held; a hole that lasts is reported.
 * - Progress is not logged. It carries the version of the write that set it; what is not newer is dropped. At most ten
 *   updates a second are sent, the last one always, and before an end event rather than after it.
 */
import { type ChapterEvent, isEndEvent, type ProgressUpdate } from '../contract/event.js'
import type { LogPage } from '../store/events.js'

/** What one write says to a chapter's room: its events, and the latest progress whether new or not. */
export interface FeedEntry {
  chapterId: number
  events: ChapterEvent[]
  progress: LatestProgress | null
}

export interface LatestProgress {
  version: number
  update: ProgressUpdate
}

/** A listener of a chapter's room on this node: all sockets together, or one SSE stream. */
export interface Listener {
  event(event: ChapterEvent): void
  progress(update: ProgressUpdate): void
}

/** A share in a chapter's feed. The feed of a chapter lives while anyone has one. */
export interface Room {
  /** Resolves when this node hears what other nodes commit, or when that cannot be waited for. */
  readonly subscribed: Promise<void>
  /** The last seq delivered; undefined until the log was first read. */
  readonly position: number | undefined
  readonly progress: LatestProgress | null
  /**
   * Feeds the room what was read from the log.
   * @param since the room's position when the read began; a log that ends before it has lost commits
   */
  absorb(page: LogPage | undefined, since?: number | undefined): void
  /** Adds a listener of this share's own, from the room's position on. */
  listen(listener: Listener): void
  /** Gives the share and its listener back; may be called again. */
  close(): void
}

export interface ChapterFeedOptions {
  progressMs: number
  holeMs: number
  onHole: () => void
  onFirstRead: () => void
  subscribed: Promise<void>
  sockets: Listener
}

/** One chapter on this node. */
export class ChapterFeed {
  position: number | undefined
  /** Latest known progress, sent or due to be sent. */
  progress: LatestProgress | null = null
  readonly chapterId: number
  private readonly options: ChapterFeedOptions
  /** Events that arrived before their predecessors, by seq. */
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
      subscribed: this.options.subscribed,
      get position() {
        return chapter.position
      },
      get progress() {
        return chapter.progress
      },
      absorb: (page, since) => this.absorb(page, since),
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

  absorb(page: LogPage | undefined, since?: number | undefined): void {
    if (since !== undefined && (page?.lastSeq ?? 0) < since) this.rewind(page?.lastSeq ?? 0)
    if (this.position === undefined) {
      this.position = page?.lastSeq ?? 0
      this.options.onFirstRead()
    }
    if (page !== undefined) {
      const { progressVersion: version, latestProgress: update } = page
      this.noteProgress(update === null ? null : { version, update })
      for (const event of page.events) this.hold(event)
      // Do not wait for events whose log was deleted.
      this.position = Math.max(this.position, page.logFrom - 1)
    }
    this.advance()
    this.sendProgress()
  }

  /** The database lost commits that were delivered: a failover, or a restore. What it says next is new. */
  private rewind(position: number): void {
    this.position = position
    this.held.clear()
    this.progress = null
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
    // The time counts from when the hole was first seen. Later events do not extend it.
    if (this.held.size > 0) this.holeTimer ??= setTimeout(() => this.readHole(), this.options.holeMs)
  }

  private readHole(): void {
    this.endHole()
    this.options.onHole()
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

  /** Sends now, or when `progressMs` have passed since the last one. Only the latest is sent. */
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
