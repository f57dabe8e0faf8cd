/**
 * A log in memory that answers as the store does, a bus on which the test is the other nodes, and a feed over both that
 * writes down what its rooms hear.
 */
import type { Test } from 'tap'
import type { ChapterEvent, EventName } from '../../src/contract/event.js'
import type { BusListener } from '../../src/feed/bus.js'
import { createFeed, type Feed, type FeedEntry, type FeedOptions } from '../../src/feed/feed.js'
import type { TextMessage } from '../../src/feed/texts.js'
import type { EventStore, LogCursor, LogPage, NewsCursor } from '../../src/store/events.js'

export class FakeLog implements Pick<EventStore, 'readPages' | 'readNews'> {
  readonly chapters = new Map<number, LogPage & { version: number }>()
  /** Every query, in order. */
  readonly reads: LogCursor[][] = []
  /** Awaited before and after the moment that a query shows. */
  latency: () => Promise<void> = async () => {}

  /** Writes events, one by default, and progress if given; what the write tells the feed. */
  commit(chapterId: number, names: EventName[] = ['concept_retrying'], progress?: number): FeedEntry {
    const chapter = this.chapters.get(chapterId) ?? emptyChapter(chapterId)
    this.chapters.set(chapterId, chapter)
    chapter.version += 1
    const events = names.map((name, index) => eventOf(chapterId, chapter.lastSeq + 1 + index, name))
    chapter.events.push(...events)
    chapter.lastSeq += events.length
    if (names.includes('all_completed')) chapter.status = 'completed'
    if (progress !== undefined) {
      chapter.progress = progress
      chapter.progressVersion = chapter.version
      chapter.latestProgress = { chapter_id: chapterId, progress, message: '' }
    }
    const { progressVersion: version, latestProgress: update } = chapter
    return { chapterId, events, progress: update === null ? null : { version, update } }
  }

  /** As a failover to a standby that lacked the last commits. */
  lose(chapterId: number, events: number): void {
    const chapter = this.chapters.get(chapterId)
    if (chapter === undefined) return
    chapter.lastSeq -= events
    chapter.events = chapter.events.slice(0, -events)
    chapter.version -= events
  }

  deleteLog(chapterId: number): void {
    const chapter = this.chapters.get(chapterId)
    if (chapter === undefined) return
    chapter.events = []
    chapter.logFrom = chapter.lastSeq + 1
  }

  page(chapterId: number, after = 0): LogPage | undefined {
    const chapter = this.chapters.get(chapterId)
    if (chapter === undefined) return undefined
    const from = after > chapter.lastSeq ? 0 : after
    return { ...chapter, events: chapter.events.filter(({ payload }) => payload.seq > from) }
  }

  async readPages(cursors: LogCursor[]): Promise<Map<number, LogPage>> {
    this.reads.push(cursors)
    await this.latency()
    const pages = cursors.flatMap(({ chapterId, after }) => this.page(chapterId, after) ?? [])
    await this.latency()
    return new Map(pages.map((page) => [page.chapterId, page]))
  }

  async readNews(cursors: NewsCursor[]): Promise<Map<number, LogPage>> {
    const pages = await this.readPages(cursors)
    for (const { chapterId, after, progressVersion, partials = {} } of cursors) {
      const page = pages.get(chapterId)
      const hasText = page?.partials.some(({ kind, stamp }) => stamp > (partials[kind] ?? 0))
      if (page && page.lastSeq === after && page.progressVersion <= progressVersion && !hasText)
        pages.delete(chapterId)
    }
    return pages
  }

  /** Chapters that were asked for, in order. */
  get asked(): number[] {
    return this.reads.flat().map(({ chapterId }) => chapterId)
  }
}

export function eventOf(chapterId: number, seq: number, name: EventName = 'concept_retrying'): ChapterEvent {
  return { name, payload: { chapter_id: chapterId, seq } } as ChapterEvent
}

export interface FakeBus extends NonNullable<FeedOptions['bus']> {
  /** What the feed published. */
  readonly published: FeedEntry[]
  /** Chapters whose channels are subscribed. */
  readonly channels: Set<number>
  /** Text that the feed published, with its chapter. */
  readonly texts: [chapterId: number, message: TextMessage][]
  deliverText(chapterId: number, message: TextMessage): void
  isComplete: boolean
  /** Entries of other nodes, whether or not somebody here subscribed to their channels. */
  deliver(entries: FeedEntry[]): void
  miss(chapterId?: number): void
}

/** Subscriptions are confirmed at once. */
export function fakeBus(): FakeBus {
  let listener: BusListener | undefined
  const published: FeedEntry[] = []
  const channels = new Set<number>()
  const texts: FakeBus['texts'] = []
  return {
    texts,
    publishText: (chapterId, message) => texts.push([chapterId, message]),
    deliverText: (chapterId, message) => listener?.onText?.(chapterId, message),
    published,
    channels,
    isComplete: true,
    publish: (entries) => published.push(...entries),
    async subscribe(chapterId) {
      channels.add(chapterId)
    },
    unsubscribe: (chapterId) => channels.delete(chapterId),
    listen(added) {
      listener = added
    },
    deliver(entries) {
      for (const entry of entries) listener?.onEntry(entry)
    },
    miss: (chapterId) => listener?.onMissed(chapterId),
  }
}

export interface RecordedFeed {
  feed: Feed
  bus: FakeBus
  /** Entries that other nodes committed. */
  deliver: FakeBus['deliver']
  /** What the sockets of a chapter heard: the seq of an event, `40%` for progress. */
  heard(chapterId?: number): (number | string)[]
  errors: unknown[]
}

/** A feed closed at the end of the test; by itself it asks the log for nothing but holes. */
export function recordFeed(t: Test, log: FakeLog, options: Partial<FeedOptions> = {}): RecordedFeed {
  const heard = new Map<number, (number | string)[]>()
  const errors: unknown[] = []
  const bus = fakeBus()
  const feed = createFeed({
    events: log,
    bus,
    holeMs: 10,
    repairMs: 1_000_000_000,
    toRoom(chapterId, _name, payload) {
      const { seq, progress } = payload as { seq?: number; progress?: number }
      heard.set(chapterId, [...(heard.get(chapterId) ?? []), seq ?? `${progress}%`])
    },
    onError: (error) => errors.push(error),
    ...options,
  })
  t.teardown(() => feed.close())
  return { feed, bus, deliver: bus.deliver, errors, heard: (chapterId = 1) => heard.get(chapterId) ?? [] }
}

function emptyChapter(chapterId: number): LogPage & { version: number } {
  return {
    chapterId,
    ownerId: 1,
    courseId: 1,
    status: 'processing',
    progress: 0,
    progressVersion: 0,
    latestProgress: null,
    lastSeq: 0,
    logFrom: 1,
    events: [],
    partials: [],
    version: 0,
  }
}
