/**
 * What an application holds of one chapter. Every way to follow it (iteration, listeners, `completed`) gets
 * each event after the watch’s start once and in order, whenever it begins to follow.
 */
import type {
  ChapterEvent,
  ChapterView,
  EventName,
  EventPayload,
  LearningView,
  ProgressUpdate,
} from './contract.js'
import type { Http } from './http.js'
import type { Follower, Position, Room } from './room.js'
import { ChapterCancelledError, ChapterFailedError } from './run-errors.js'
import { type ChapterSnapshot, newSnapshot, takeView } from './snapshot.js'
import { onAbort } from './wait.js'

/** What `on` knows: every logged event, and progress, of which only the latest counts. */
export type Listeners = { [Name in EventName]: EventPayload<Name> } & { progress_update: ProgressUpdate }

export interface WatchOptions {
  /**
   * Follows what comes after this event: a cursor that was handed over. Default 0, from the beginning. One beyond the
   * end (a restored database) means the beginning only where the chapter is not being watched already.
   */
  after?: number
  /** Ends every way of following this watch. */
  signal?: AbortSignal
}

export interface FollowOptions {
  signal?: AbortSignal
}

const NO_EVENTS: readonly ChapterEvent[] = []
/** How often what is wanted at the end is asked for, about a minute and a half, after a wait that may have been long. */
const LAST_TRIES = 14
const LAST_PATIENCE_MS = 120_000

export class ChapterWatch implements AsyncIterable<ChapterEvent> {
  readonly chapterId: number
  readonly #after: number
  readonly #signal: AbortSignal | undefined
  readonly #openRoom: () => Room
  readonly #knownRoom: () => Room | undefined
  readonly #http: Http
  #room: Room | undefined
  /** Where this watch begins in its room’s log. */
  #start: Position | undefined
  readonly #unopened: ChapterSnapshot

  /** Made by `chapters.watch`. */
  constructor(
    chapterId: number,
    { after = 0, signal }: WatchOptions,
    parts: {
      open: (chapterId: number, after: number) => Room
      /** The one that is open already. */
      known: (chapterId: number) => Room | undefined
      http: Http
    },
  ) {
    this.chapterId = chapterId
    this.#after = after
    this.#signal = signal
    this.#openRoom = () => parts.open(chapterId, after)
    // A watch that was refused shows that, until it is followed again.
    this.#knownRoom = () => (this.#room?.error ? this.#room : (parts.known(chapterId) ?? this.#room))
    this.#http = parts.http
    this.#unopened = newSnapshot(chapterId)
  }

  /** What is known now, by whatever watch of this chapter. The same object until something changes. */
  get snapshot(): ChapterSnapshot {
    return this.#knownRoom()?.snapshot ?? this.#unopened
  }

  /**
   * The events that the snapshot counts, as far as this watch and others asked for them; a replay is there when it
   * is through. The same array until there are others.
   */
  get events(): readonly ChapterEvent[] {
    return this.#knownRoom()?.events ?? NO_EVENTS
  }

  /**
   * `seq` of the last event that came. Another page or device goes on from here: `watch(id, {after: cursor})`.
   * An iteration that takes its time is where its own last event is.
   */
  get cursor(): number {
    return this.#knownRoom()?.place.cursor ?? this.#after
  }

  /**
   * Calls `listener` at the beginning and after every change of the snapshot or of the events; the chapter is watched
   * until the returned function is called.
   */
  subscribe(listener: () => void, options: FollowOptions = {}): () => void {
    let seen: ChapterSnapshot | undefined
    let seenEvents: readonly ChapterEvent[] | undefined
    return this.#follow(options, ({ snapshot, events }) => {
      if (snapshot === seen && events === seenEvents) return
      seen = snapshot
      seenEvents = events
      callFrom(listener)
    })
  }

  /**
   * Calls `listener` with every event of that name, those before this call too (of progress, the latest). It
   * goes on after the end of a run, for a retry may continue it, until the returned function is called.
   */
  on<Name extends keyof Listeners>(
    name: Name,
    listener: (payload: Listeners[Name]) => void,
    options: FollowOptions = {},
  ): () => void {
    const call = (payload: unknown) => callFrom(() => listener(payload as Listeners[Name]))
    if (name === 'progress_update') return this.#follow(options, () => {}, { progress: call })
    let position: Position | undefined
    let isReading = false
    return this.#follow(options, (room, follower) => {
      // A listener may cause the next event while it is called.
      if (isReading) return
      isReading = true
      position ??= { ...(this.#start as Position) }
      for (let events = room.read(position); events.length > 0; events = room.read(position))
        for (const event of events)
          if (event.name === name && room.isFollowedBy(follower)) call(event.payload)
      isReading = false
    })
  }

  /**
   * Every event until the run has ended: `all_completed`, `chapter_failed` or `chapter_cancelled`, unless the
   * log goes on after it.
   * @throws {ChaptercastError} when the server refuses, and the signal’s reason when it aborts
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChapterEvent, void, undefined> {
    let position: Position | undefined
    for await (const room of this.#changes({})) {
      position ??= { ...(this.#start as Position) }
      // While one is used, more may come.
      for (let events = room.read(position); events.length > 0; events = room.read(position))
        for (const event of events) {
          yield event
          this.#signal?.throwIfAborted()
        }
      if (room.isEnded) return
    }
  }

  /**
   * The content, when all of it is written.
   * @throws {ChapterFailedError} {@link ChapterCancelledError} {@link RefusedError} {@link UnreachableError}, and
   * the signal’s reason when it aborts
   */
  async completed(options: FollowOptions & { answers?: boolean } = {}): Promise<LearningView> {
    const path = `/v1/chapter/${this.chapterId}`
    const request = {
      signals: [options.signal, this.#signal],
      tries: LAST_TRIES,
      patienceMs: LAST_PATIENCE_MS,
    }
    for await (const room of this.#changes(options)) {
      if (!room.isEnded) continue
      const { snapshot } = room
      if (snapshot.status === 'cancelled') throw new ChapterCancelledError(snapshot)
      if (snapshot.status === 'completed') break
      // From a cursor on, one does not know which parts they were.
      const isKnown = Object.values(snapshot.jobs).every(({ status }) => status !== null)
      const whole = isKnown
        ? snapshot
        : takeView(snapshot, await this.#http<ChapterView>('GET', path, request))
      // Unless somebody has tried again meanwhile.
      if (whole.status === 'failed') throw new ChapterFailedError(whole)
    }
    const query = { answers: options.answers }
    return await this.#http<LearningView>('GET', `${path}/learning`, { ...request, query })
  }

  /** The room after every change of it, beginning with now. Ends by a throw only. */
  async *#changes(options: FollowOptions): AsyncGenerator<Room, void, undefined> {
    const signals = [options.signal, this.#signal].filter((signal) => signal !== undefined)
    for (const signal of signals) signal.throwIfAborted()
    let wake = () => {}
    let isChanged = false
    const unfollow = this.#follow(
      options,
      () => {
        isChanged = true
        wake()
      },
      { aborted: () => wake() },
    )
    // A room that failed is not this watch’s any more once it is followed again.
    const room = this.#room as Room
    try {
      for (;;) {
        isChanged = false
        yield room
        for (const signal of signals) signal.throwIfAborted()
        if (room.error !== null) throw room.error
        if (!isChanged)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        for (const signal of signals) signal.throwIfAborted()
      }
    } finally {
      unfollow()
    }
  }

  #follow(
    { signal }: FollowOptions,
    changed: (room: Room, follower: Follower) => void,
    { aborted, ...also }: { progress?: (update: ProgressUpdate) => void; aborted?: () => void } = {},
  ): () => void {
    const signals = [signal, this.#signal].filter((each) => each !== undefined)
    if (signals.some((each) => each.aborted)) return () => {}
    const room = this.#openRoom()
    if (this.#room !== room) this.#start = room.position(this.#after)
    this.#room = room
    const follower: Follower = { ...also, changed: () => changed(room, follower), ended: () => unlisten() }
    const stop = () => {
      unlisten()
      room.unfollow(follower)
    }
    const unlisten = onAbort(signals, () => {
      stop()
      aborted?.()
    })
    room.follow(follower, this.#after)
    return stop
  }
}

/** What a listener throws is its own, and must not keep the others from theirs. */
export function callFrom(listener: () => void): void {
  try {
    listener()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
