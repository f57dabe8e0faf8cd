/**
 * One chapter's feed on this node: events come in any order and as often as they like, listeners get each once and in
 * order of seq.
 *
 * - An event already delivered is dropped; one that came too early is held; a hole that lasts is reported.
 * - Progress is not logged. It carries the version of the write that set it; what is not newer is dropped. At most ten
 *   updates a second are sent, the last one always, and before an end event rather than after it.
 */
import { type ChapterEvent, isEndEvent, type ProgressUpdate } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import type { PartialUpdate } from '../contract/partial.js'
import type { LogPage, NewsCursor } from '../store/events.js'
import { ChapterTexts, type KindText, type TextMemory, type TextMessage } from './texts.js'

/** What one write says to a chapter's room: its events, and the latest progress whether new or not. */
export interface FeedEntry {
  chapterId: number
  events: ChapterEvent[]
  progress: LatestProgress | null
  /** The chapter was deleted: what people are told. */
  deleted?: string
  /** `traceparent` of the work that wrote it; only with telemetry. */
  trace?: string
}

export interface LatestProgress {
  version: number
  update: ProgressUpdate
}

/** A listener of a chapter's room on this node: all sockets together, or one SSE stream. */
export interface Listener {
  event(event: ChapterEvent): void
  progress(update: ProgressUpdate): void
  /** Text so far. */
  partial?(update: PartialUpdate): void
  /** The chapter is gone. Nothing follows. */
  deleted?(message: string): void
}

/** A share in a chapter's feed. The feed of a chapter lives while anyone has one. */
export interface RoomShare {
  /** Resolves when this node hears what other nodes commit, or when that cannot be waited for. */
  readonly subscribed: Promise<void>
  /** The last seq delivered; undefined until the log was first read. */
  readonly position: number | undefined
  readonly progress: LatestProgress | null
  /** Text so far, from its beginning: what listeners were given up to now. */
  readonly partials: PartialUpdate[]
  /** The text of a kind, for whoever writes it. */
  text(kind: JobKind): KindText
  /**
   * Feeds the room what was read from the log.
   * @param since the room's position when the read began; a log that ends before it has lost commits
   */
  absorb(page: LogPage | undefined, since?: number | undefined): void
  /** The chapter is gone, and so is this room: a new one is opened for later joins. */
  readonly isDeleted: boolean
  /** A read that began when the room had events found no chapter: it was deleted. */
  gone(): void
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
  textMs: number
  textHoleMs: number
  textMemory: TextMemory
  /** The log says that the chapter is gone. */
  onGone: () => void
  subscribed: Promise<void>
  sockets: Listener
}

/** Events that may be held for those before them. */
const MAX_HELD = 1000
/** How long after an event was read from the log its message may still come, ms. */
const MESSAGE_LATE_MS = 1000

/** One chapter on this node. */
export class ChapterFeed {
  position: number | undefined
  /** Latest known progress, sent or due to be sent. */
  progress: LatestProgress | null = null
  isDeleted = false
  readonly chapterId: number
  readonly texts: ChapterTexts
  private readonly options: ChapterFeedOptions
  /** Events that arrived before their predecessors, by seq. */
  private readonly held = new Map<number, ChapterEvent>()
  /** Events that were read from the log and whose messages have not come: when each was read, by seq. */
  private readonly untold = new Map<number, number>()
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
    this.texts = new ChapterTexts(chapterId, {
      textMs: options.textMs,
      textHoleMs: options.textHoleMs,
      memory: options.textMemory,
      isOpen: () => this.position !== undefined,
      onHole: options.onHole,
      send: (update) => {
        for (const listener of this.listeners) listener.partial?.(update)
      },
    })
  }

  /** What the log is asked for: all that comes after it. undefined: it was not read yet. */
  get cursor(): NewsCursor | undefined {
    const { chapterId, position, progress } = this
    if (position === undefined) return undefined
    const { stamps } = this.texts
    return {
      ...{ chapterId, after: position, progressVersion: progress?.version ?? 0 },
      ...(stamps === undefined ? {} : { partials: stamps }),
    }
  }

  share(onLast: () => void): RoomShare {
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
      get partials() {
        return chapter.texts.whole()
      },
      text: (kind) => chapter.texts.of(kind),
      absorb: (page, since) => this.absorb(page, since),
      get isDeleted() {
        return chapter.isDeleted
      },
      gone: () => this.options.onGone(),
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
    // Anyone who can publish could send any seq. Dropped events are read from the log.
    if (this.held.size > MAX_HELD) this.held.clear()
    for (const event of events) {
      this.untold.delete(event.payload.seq)
      this.hold(event)
    }
    this.advance()
    this.sendProgress()
  }

  /** Takes what a repair read after `position`. */
  repair(page: LogPage, position: number): void {
    const now = performance.now()
    for (const { payload } of page.events)
      if (payload.seq > (this.position ?? 0) && !this.held.has(payload.seq)) this.untold.set(payload.seq, now)
    this.absorb(page, position)
  }

  /** @returns how many events had to be read because their messages never came; each is counted once */
  takeMissed(): number {
    const before = performance.now() - MESSAGE_LATE_MS
    let missed = 0
    for (const [seq, readAt] of this.untold) {
      if (readAt > before) continue
      this.untold.delete(seq)
      missed += 1
    }
    return missed
  }

  /** Text of another node. */
  take(message: TextMessage): void {
    this.texts.of(message.kind).take(message)
  }

  absorb(page: LogPage | undefined, since?: number | undefined): void {
    if (since !== undefined && (page?.lastSeq ?? 0) < since) this.rewind(page?.lastSeq ?? 0)
    if (this.position === undefined) {
      this.position = page?.lastSeq ?? 0
      for (const event of page?.events ?? []) this.texts.before(event)
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
    for (const row of page?.partials ?? []) this.texts.of(row.kind).absorb(row)
  }

  /** The database lost commits that were delivered: a failover, or a restore. What it says next is new. */
  private rewind(position: number): void {
    this.position = position
    this.held.clear()
    this.progress = null
  }

  /** Tells everybody, once. */
  delete(message: string): void {
    if (this.isDeleted) return
    this.isDeleted = true
    this.stop()
    this.held.clear()
    for (const listener of [...this.listeners]) listener.deleted?.(message)
  }

  stop(): void {
    this.texts.stop()
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
      this.texts.before(next)
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
