/**
 * One watched chapter: its log, its snapshot, and who follows them. It is in the link’s room while somebody
 * follows it. When an event is missing for longer than a moment it joins again from its cursor.
 */
import type {
  ChapterEvent,
  ChapterView,
  EventName,
  EventPayload,
  JoinedChapter,
  PartialUpdate,
  ProgressUpdate,
  Refusal,
} from './contract.js'
import { type ChaptercastError, ClosedError, RefusedError } from './errors.js'
import type { Http } from './http.js'
import type { Link, LinkRoom } from './link.js'
import { ChapterLog, type Place } from './log.js'
import {
  type ChapterSnapshot,
  isEnded,
  newSnapshot,
  takeEvent,
  takeJoined,
  takePartial,
  takeProgress,
  takeView,
} from './snapshot.js'
import { backoffMs, delay } from './wait.js'

/** How long an event may be missing before it is asked for: the server mends holes of its own within 3 s. */
const HOLE_MS = 3000
const HOLE_CAP_MS = 30_000
const VIEW_TRIES = 20
const VIEW_PAUSE_MS = 200
/** How long a chapter that nobody follows stays in its room: a user interface may come back to it at once. */
const LINGER_MS = 1000

/** Told that there is something new: events to read, another snapshot, or the end. */
export interface Follower {
  changed(): void
  progress?(update: ProgressUpdate): void
  /** The room is no more. */
  ended?(): void
}

/** Where a follower is in the log. */
export interface Position {
  life: number
  seq: number
}

export interface RoomParts {
  link: Link
  http: Http
  /** Nobody follows it any more, and it has left. */
  disposed: (room: Room) => void
}

export class Room implements LinkRoom {
  readonly chapterId: number
  readonly #parts: RoomParts
  readonly #log: ChapterLog
  readonly #followers = new Set<Follower>()
  readonly #abort = new AbortController()
  /** With every event that was taken; `snapshot` is the one to be shown. */
  #latest: ChapterSnapshot
  #shown: ChapterSnapshot
  #events: readonly ChapterEvent[] = []
  #isJoined = false
  #wantsView: boolean
  #lastProgress: ProgressUpdate | undefined
  #holes = 0
  /** The cursor at which an event is awaited. */
  #holeAt = 0
  #hole: ReturnType<typeof setTimeout> | undefined
  #linger: ReturnType<typeof setTimeout> | undefined

  constructor(chapterId: number, after: number, parts: RoomParts) {
    this.chapterId = chapterId
    this.#parts = parts
    this.#log = new ChapterLog(after)
    this.#wantsView = after > 0
    this.#latest = newSnapshot(chapterId)
    this.#shown = this.#latest
  }

  get snapshot(): ChapterSnapshot {
    return this.#shown
  }

  /** Those that the snapshot counts, as far as they are here. The same array until there are others. */
  get events(): readonly ChapterEvent[] {
    return this.#events
  }

  get place(): Place {
    return this.#log
  }

  get error(): ChaptercastError | null {
    return this.#latest.error
  }

  /** Whether the run is over and every event of it is here. */
  get isEnded(): boolean {
    return this.#isJoined && !this.#log.isBehind && isEnded(this.#latest)
  }

  /** @param after from where; an earlier place than what is here is asked for */
  follow(follower: Follower, after: number): void {
    clearTimeout(this.#linger)
    this.#followers.add(follower)
    // What is here already, after the caller has what it is given.
    queueMicrotask(() => {
      if (!this.#followers.has(follower)) return
      if (this.#lastProgress !== undefined) follower.progress?.(this.#lastProgress)
      follower.changed()
    })
    if (this.#isMissing(after)) {
      this.#log.restart(after)
      this.#parts.link.rejoin(this)
    }
    this.#parts.link.enter(this)
  }

  isFollowedBy(follower: Follower): boolean {
    return this.#followers.has(follower)
  }

  unfollow(follower: Follower): void {
    if (!this.#followers.delete(follower) || this.#followers.size > 0 || this.#abort.signal.aborted) return
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => {
      this.#leave()
      this.#latest = { ...this.#latest, connection: 'closed' }
      this.#showConnection()
    }, LINGER_MS)
  }

  /** Where one who has what `after` counts begins to read. */
  position(after: number): Position {
    return { life: this.#log.life, seq: after }
  }

  /** What follows the position, which moves on. */
  read(position: Position): readonly ChapterEvent[] {
    if (position.life !== this.#log.life) {
      position.life = this.#log.life
      position.seq = 0
    }
    const events = this.#log.after(position.seq)
    position.seq = events.at(-1)?.payload.seq ?? position.seq
    return events
  }

  /** Ends everybody who follows it. */
  close(): void {
    this.#fail(new ClosedError())
  }

  disconnected(): void {
    this.#stopAwaiting()
    if (this.#latest.connection !== 'live') return
    this.#latest = { ...this.#latest, connection: 'reconnecting' }
    this.#showConnection()
  }

  joined(joined: JoinedChapter, asked?: Place): void {
    const isReset = this.#log.takeJoined(joined, asked)
    if (isReset) {
      this.#latest = newSnapshot(this.chapterId)
      this.#lastProgress = undefined
      this.#wantsView = false
      // What was replayed so far was taken for the other life’s.
      this.#parts.link.rejoin(this)
    }
    this.#isJoined = true
    if (joined.expired) this.#wantsView = true
    const isCaughtUp = !this.#log.isBehind && joined.last_seq === this.#log.cursor
    const known = takeJoined(this.#latest, joined, isCaughtUp)
    this.#settle({ ...known, connection: 'live' })
    if (joined.expired && this.#log.isBehind) void this.#readRest()
    if (this.#wantsView) void this.#readView()
  }

  refused(refusal: Refusal): void {
    this.#fail(new RefusedError(refusal.code, refusal.message))
  }

  deleted(message: string): void {
    this.#latest = { ...this.#latest, exists: false }
    this.#fail(new RefusedError('chapter_not_found', message))
  }

  event(event: ChapterEvent): void {
    this.#taken(this.#log.take(event))
  }

  progress(update: ProgressUpdate): void {
    this.#lastProgress = update
    this.#settle(takeProgress(this.#latest, update))
    for (const follower of [...this.#followers]) follower.progress?.(update)
  }

  /** Text so far. */
  partial(update: PartialUpdate): void {
    this.#settle(takePartial(this.#latest, update))
  }

  /** The server counts events up to `seq`: until they are here, nothing has ended. */
  hearOf(seq: number): void {
    this.#log.hearOf(seq)
    this.#settle(this.#latest)
  }

  #isMissing(after: number): boolean {
    const first = this.#log.after(0)[0]?.payload.seq ?? this.#log.cursor + 1
    return after < first - 1 && !this.#latest.expired
  }

  #taken(events: readonly ChapterEvent[]): void {
    this.#settle(events.reduce(takeEvent, this.#latest))
  }

  /**
   * Shows a replay only when it is complete. While an event is missing, waits for it, and then asks for it.
   */
  #settle(next: ChapterSnapshot): void {
    this.#latest = next
    if (this.#log.isBehind) {
      this.#awaitMissing()
      this.#showConnection()
    } else {
      this.#stopAwaiting()
      this.#holes = 0
      const events = this.#log.after(0)
      if (events.length !== this.#events.length || events.at(-1) !== this.#events.at(-1))
        this.#events = events
      this.#show(next)
    }
  }

  /** Of the rest, what was shown last. */
  #showConnection(): void {
    this.#show({ ...this.#shown, connection: this.#latest.connection })
  }

  #awaitMissing(): void {
    const { cursor } = this.#log
    // What comes besides, such as progress, must not put it off.
    if (this.#hole !== undefined && this.#holeAt === cursor) return
    this.#stopAwaiting()
    this.#holeAt = cursor
    const waitMs = HOLE_MS + backoffMs(this.#holes, HOLE_MS / 2, HOLE_CAP_MS)
    this.#hole = setTimeout(() => {
      this.#hole = undefined
      this.#holes += 1
      this.#parts.link.rejoin(this)
    }, waitMs)
  }

  #stopAwaiting(): void {
    clearTimeout(this.#hole)
    this.#hole = undefined
  }

  #show(next: ChapterSnapshot): void {
    if (!isSame(next, this.#shown)) this.#shown = next
    for (const follower of [...this.#followers]) follower.changed()
  }

  #fail(error: ChaptercastError): void {
    this.#latest = { ...this.#latest, connection: 'closed', error }
    // First: who follows again when told of the end begins anew.
    this.#leave()
    this.#show(this.#latest)
    const followers = [...this.#followers]
    this.#followers.clear()
    for (const follower of followers) follower.ended?.()
  }

  #leave(): void {
    clearTimeout(this.#linger)
    this.#stopAwaiting()
    this.#abort.abort()
    this.#parts.link.leave(this)
    this.#parts.disposed(this)
  }

  /** Of an expired log: what is left, and where it ends. Only this tells that nothing is coming. */
  async #readRest(): Promise<void> {
    const after = this.#log.cursor
    const { life } = this.#log
    try {
      const { events, last_seq: lastSeq } = await this.#parts.http<{
        events: { event: EventName; data: EventPayload }[]
        last_seq: number
      }>('GET', `/v1/chapter/${this.chapterId}/events`, { query: { after }, signals: [this.#abort.signal] })
      if (life !== this.#log.life) return
      const first = events[0]?.data.seq
      const left = events.flatMap(({ event, data }) =>
        this.#log.take({ name: event, payload: data } as ChapterEvent),
      )
      this.#taken([...left, ...this.#log.skipTo(first === undefined ? lastSeq : first - 1)])
    } catch {
      // The hole is still there: it will be joined again, and asked again.
    }
  }

  /** What the events before the cursor would have told. */
  async #readView(): Promise<void> {
    this.#wantsView = false
    const { life } = this.#log
    const { signal } = this.#abort
    for (let tries = 1; tries <= VIEW_TRIES && !signal.aborted; tries += 1) {
      try {
        const view = await this.#parts.http<ChapterView>('GET', `/v1/chapter/${this.chapterId}`, {
          signals: [signal],
        })
        if (life !== this.#log.life) return
        // It may count events that are still on their way: without them nothing has ended.
        this.#log.hearOf(view.last_seq)
        this.#settle(takeView(this.#latest, view))
        if (view.last_seq >= this.#latest.last_seq) return
        // Events overtook it.
      } catch {
        // It is asked for again: of an expired log only a view tells how it ended.
      }
      await delay(backoffMs(tries, VIEW_PAUSE_MS, HOLE_CAP_MS), signal).catch(() => {})
    }
    this.#wantsView = true
  }
}

function isSame(one: ChapterSnapshot, other: ChapterSnapshot): boolean {
  return (Object.keys(one) as (keyof ChapterSnapshot)[]).every((name) => one[name] === other[name])
}
