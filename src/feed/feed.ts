/**
 * One feed per node, the only way from a commit to this node's listeners. For each chapter that somebody here listens to
 * it keeps a `ChapterFeed`, which gives each listener each event once and in order.
 *
 * The bus may lose messages, so the log is asked for what rooms lack:
 * - every `repairMs` for rooms in which something happened lately, and for some of the quiet ones in turn, so that the
 *   query does not grow with rooms in which nothing happens;
 * - for every room when the bus says that messages may have been missed, and for as long as it is not complete.
 */
import { type Repeating, repeat } from '../async/repeat.js'
import type { ChapterEvent } from '../contract/event.js'
import type { PartialName } from '../contract/partial.js'
import type { EventStore } from '../store/events.js'
import type { Span, Tracing } from '../telemetry/tracing.js'
import type { Bus } from './bus.js'
import { ChapterFeed, type FeedEntry, type RoomShare } from './chapter-feed.js'
import { TEXT_HOLE_MS, TEXT_MS, TextMemory, type TextMessage } from './texts.js'

export type { FeedEntry, LatestProgress, Listener, RoomShare } from './chapter-feed.js'

export interface Feed {
  /** Delivers what was committed on this node: to its own rooms, and to the nodes that have such a room. */
  publish(entries: FeedEntry[]): void
  /** Text that was posted here and written to its room: to the nodes that have such a room. */
  publishText(chapterId: number, message: TextMessage): void
  open(chapterId: number): RoomShare
  /** Asks the log for what this room lacks, now. */
  refresh(chapterId: number): Promise<void>
  /** Asks the log for what this room, or all rooms, lack. Also runs by itself every `repairMs`. */
  repair(chapterId?: number): void
  /** Events that had to be read from the log because their messages never came, since the start. */
  readonly missed: number
  /** Chapters that somebody here listens to. */
  readonly rooms: number
  close(): Promise<void>
}

export interface FeedOptions {
  /** The sockets of this node that are in the chapter's room. */
  toRoom: (
    chapterId: number,
    name: ChapterEvent['name'] | 'progress_update' | PartialName,
    payload: object,
  ) => void
  events: Pick<EventStore, 'readNews'>
  /** The chapter is gone: the sockets of this node are to be told, and to leave its room. */
  emptyRoom?: (chapterId: number, message: string) => void
  /** What people are told of a chapter whose language is not known any more. */
  deletedMessage?: string
  /** undefined: there are no other nodes. */
  bus?:
    | Pick<Bus, 'publish' | 'publishText' | 'subscribe' | 'unsubscribe' | 'listen' | 'isComplete'>
    | undefined
  /** How long a hole may last before the log is asked, ms. */
  holeMs?: number
  repairMs?: number
  /** Least time between two progress updates of a chapter, ms. */
  progressMs?: number
  /** Least time between two updates of a text, and how long a hole in it may last, ms. */
  textMs?: number
  textHoleMs?: number
  /** Text so far that this node may hold. */
  textBytes?: number
  /** Quiet rooms that are asked for in each turn. */
  quietRooms?: number
  tracing?: Tracing | undefined
  onError: (error: unknown) => void
}

/** Rooms asked for in one query. */
const REPAIR_BATCH = 1000
/** A room in which nothing happened for so long is quiet, ms. */
const QUIET_AFTER_MS = 10_000
const QUIET_ROOMS = 500
const TEXT_BYTES = 64 * 1_048_576
const RESOLVED = Promise.resolve()

export function createFeed(options: FeedOptions): Feed {
  const { events, bus, onError, toRoom } = options
  const { holeMs = 50, repairMs = 1500, progressMs = 100, quietRooms = QUIET_ROOMS } = options
  const { textMs = TEXT_MS, textHoleMs = TEXT_HOLE_MS, textBytes = TEXT_BYTES } = options
  const textMemory = new TextMemory(textBytes)
  const chapters = new Map<number, ChapterFeed>()
  /** When something last happened in a room, by `performance.now()`; quiet rooms are not here. */
  const activeAt = new Map<ChapterFeed, number>()
  let turn = chapters.values()
  let missed = 0
  let isAllWanted = false

  bus?.listen({ onEntry: deliver, onText: deliverText, onMissed: repair })

  const repairs: Repeating = repeat(
    async () => {
      const isAll = isAllWanted || bus?.isComplete === false
      const wanted = isAll ? [...chapters.values()] : roomsInTurn()
      isAllWanted = false
      for (const chapter of wanted) missed += chapter.takeMissed()
      try {
        for (let start = 0; start < wanted.length; start += REPAIR_BATCH)
          await readNews(wanted.slice(start, start + REPAIR_BATCH))
      } catch (error) {
        // These rooms must be asked for again.
        isAllWanted ||= isAll
        throw error
      }
      return false
    },
    repairMs,
    onError,
  )

  function repair(chapterId?: number): void {
    if (chapterId === undefined) isAllWanted = true
    else touch(chapters.get(chapterId))
    repairs.soon()
  }

  /** The active rooms, and the next of all in turn. */
  function roomsInTurn(): ChapterFeed[] {
    // Those that have just become quiet are asked for a last time.
    const rooms = new Set(activeAt.keys())
    const quietSince = performance.now() - QUIET_AFTER_MS
    for (const [room, at] of activeAt) if (at < quietSince) activeAt.delete(room)
    for (let count = Math.min(quietRooms, chapters.size); count > 0; count--) {
      let next = turn.next()
      if (next.done === true) {
        turn = chapters.values()
        next = turn.next()
      }
      if (next.value !== undefined) rooms.add(next.value)
    }
    return [...rooms]
  }

  function touch(chapter: ChapterFeed | undefined): void {
    if (chapter !== undefined) activeAt.set(chapter, performance.now())
  }

  async function readNews(asking: ChapterFeed[]): Promise<void> {
    const cursors = asking.flatMap(({ cursor }) => cursor ?? [])
    const pages = await events.readNews(cursors)
    for (const { chapterId, after } of cursors) {
      const page = pages.get(chapterId)
      const chapter = chapters.get(chapterId)
      if (page === undefined || chapter === undefined) continue
      if (page === null) {
        forget(chapter)
        continue
      }
      touch(chapter)
      chapter.repair(page, after)
    }
  }

  function deliver(entry: FeedEntry): void {
    const chapter = chapters.get(entry.chapterId)
    if (chapter === undefined) return
    if (entry.deleted !== undefined) {
      forget(chapter, entry.deleted)
      return
    }
    touch(chapter)
    const span = entry.trace === undefined ? undefined : startSpan(entry, entry.trace)
    chapter.deliver(entry)
    span?.end()
  }

  function startSpan({ chapterId, events }: FeedEntry, parent: string): Span | undefined {
    if (events.length === 0) return undefined
    const names = events.map(({ name }) => name).join(' ')
    const attributes = { 'chaptercast.chapter_id': chapterId, 'chaptercast.events': names }
    return options.tracing?.start('emit', { parent, kind: 'producer', attributes })
  }

  function deliverText(chapterId: number, message: TextMessage): void {
    const chapter = chapters.get(chapterId)
    touch(chapter)
    chapter?.take(message)
  }

  /** Of a chapter that was deleted. Opening it again makes a new room. */
  function forget(
    chapter: ChapterFeed,
    message = options.deletedMessage ?? 'The chapter was deleted.',
  ): void {
    remove(chapter)
    chapter.delete(message)
  }

  function remove(chapter: ChapterFeed): void {
    if (chapters.get(chapter.chapterId) !== chapter) return
    chapters.delete(chapter.chapterId)
    activeAt.delete(chapter)
    bus?.unsubscribe(chapter.chapterId)
  }

  function add(chapterId: number): ChapterFeed {
    const chapter = new ChapterFeed(chapterId, {
      progressMs,
      holeMs,
      onHole: () => void readNews([chapter]).catch(onError),
      // Marks the room active, so that the next turns find what was missed during its first read.
      onFirstRead: () => touch(chapter),
      onGone: () => forget(chapter),
      subscribed: bus?.subscribe(chapterId) ?? RESOLVED,
      sockets: {
        event: ({ name, payload }) => toRoom(chapterId, name, payload),
        progress: (update) => toRoom(chapterId, 'progress_update', update),
        partial: ({ name, payload }) => toRoom(chapterId, name, payload),
        deleted: (message) => options.emptyRoom?.(chapterId, message),
      },
      textMs,
      textHoleMs,
      textMemory,
    })
    chapters.set(chapterId, chapter)
    touch(chapter)
    return chapter
  }

  return {
    publish(entries) {
      for (const entry of entries) deliver(entry)
      bus?.publish(entries)
    },
    publishText(chapterId, message) {
      touch(chapters.get(chapterId))
      bus?.publishText(chapterId, message)
    },
    async refresh(chapterId) {
      const chapter = chapters.get(chapterId)
      if (chapter !== undefined) await readNews([chapter])
    },
    open(chapterId) {
      const chapter = chapters.get(chapterId) ?? add(chapterId)
      return chapter.share(() => remove(chapter))
    },
    repair,
    get missed() {
      return missed
    },
    get rooms() {
      return chapters.size
    },
    async close() {
      await repairs.stop()
      for (const chapter of chapters.values()) chapter.stop()
      chapters.clear()
      activeAt.clear()
    },
  }
}
