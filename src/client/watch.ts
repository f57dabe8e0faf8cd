/**
 * What an application holds of one chapter. Every way to follow it (iteration, listeners, `completed`) gets
 * each event after the watch’s start once and in order, whenever it begins to follow.
 */
import type { ChapterEvent, EventName, EventPayload, LearningView, ProgressUpdate } from './contract.js'
import { ChapterCancelledError, ChapterFailedError } from './errors.js'
import type { Http } from './http.js'
import type { Follower, Position, Room } from './room.js'
import { type ChapterSnapshot, newSnapshot } from './snapshot.js'

/** What `on` knows: every logged event, and progress, of which only the latest counts. */
export type Listeners = { [Name in EventName]: EventPayload<Name> } & { progress_update: ProgressUpdate }

export interface WatchOptions {
  /** Follows what comes after this event: a cursor that was handed over. Default 0, from the beginning. */
  after?: number
  /** Ends every way of following this watch. */
  signal?: AbortSignal
}

export interface FollowOptions {
  signal?: AbortSignal
}

/** How often the content is asked for, about a minute and a half, after a wait that may have been long. */
const LEARNING_TRIES = 14

export class ChapterWatch implements AsyncIterable<ChapterEvent> {
  readonly chapterId: number
  readonly #after: number
  readonly #signal: AbortSignal | undefined
  readonly #openRoom: () => Room
  readonly #http: Http
  #room: Room | undefined
  readonly #unopened: ChapterSnapshot

  /** Made by `chapters.watch`. */
  constructor(
    chapterId: number,
    { after = 0, signal }: WatchOptions,
    parts: { room: (chapterId: number, after: number) => Room; http: Http },
  ) {
    this.chapterId = chapterId
    this.#after = after
    this.#signal = signal
    this.#openRoom = () => parts.room(chapterId, after)
    this.#http = parts.http
    this.#unopened = newSnapshot(chapterId)
  }

  /** What is known now. The same object until something changes. */
  get snapshot(): ChapterSnapshot {
    return this.#room?.snapshot ?? this.#unopened
  }

  /**
   * `seq` of the last event that came. Another page or device goes on from here: `watch(id, {after: cursor})`.
   */
  get cursor(): number {
    return this.#room?.cursor ?? this.#after
  }

  /** Calls `listener` after every change of the snapshot; the chapter is watched until the returned function is called. */
  subscribe(listener: () => void, options: FollowOptions = {}): () => void {
    let seen: ChapterSnapshot | undefined
    return this.#follow(options, () => {
      const { snapshot } = this
      if (snapshot === seen) return
      seen = snapshot
      listener()
    })
  }

  /**
   * Calls `listener` with every event of that name, those before this call too. It goes on after the end of a
   * run, for a retry may continue it, until the returned function is called.
   */
  on<Name extends keyof Listeners>(
    name: Name,
    listener: (payload: Listeners[Name]) => void,
    options: FollowOptions = {},
  ): () => void {
    const call = (payload: unknown) => {
      try {
        listener(payload as Listeners[Name])
      } catch (error) {
        // It is the listener’s own, and must not keep the others from theirs.
        queueMicrotask(() => {
          throw error
        })
      }
    }
    if (name === 'progress_update') return this.#follow(options, () => {}, call)
    const position: Position = { life: 0, seq: this.#after }
    let isReading = false
    return this.#follow(options, (room) => {
      // A listener may cause the next event while it is called.
      if (isReading) return
      isReading = true
      for (let events = room.read(position); events.length > 0; events = room.read(position))
        for (const event of events) if (event.name === name) call(event.payload)
      isReading = false
    })
  }

  /**
   * Every event until the run has ended: `all_completed`, `chapter_failed` or `chapter_cancelled`, unless the
   * log goes on after it.
   * @throws {ChaptercastError} when the server refuses, and the signal’s reason when it aborts
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChapterEvent, void, undefined> {
    const position: Position = { life: 0, seq: this.#after }
    const changes = this.#changes({})
    try {
      for await (const room of changes) {
        yield* room.read(position)
        if (room.isEnded) return
      }
    } finally {
      await changes.return?.()
    }
  }

  /**
   * The content, when all of it is written.
   * @throws {ChapterFailedError} {@link ChapterCancelledError} {@link RefusedError} {@link UnreachableError}, and
   * the signal’s reason when it aborts
   */
  async completed(options: FollowOptions & { answers?: boolean } = {}): Promise<LearningView> {
    for await (const room of this.#changes(options)) {
      if (!room.isEnded) continue
      const { snapshot } = room
      if (snapshot.status === 'cancelled') throw new ChapterCancelledError(snapshot)
      if (snapshot.status === 'failed') throw new ChapterFailedError(snapshot)
      break
    }
    return await this.#http<LearningView>('GET', `/v1/chapter/${this.chapterId}/learning`, {
      query: { answers: options.answers },
      signal: options.signal ?? this.#signal,
      tries: LEARNING_TRIES,
    })
  }

  /** The room after every change of it, beginning with now. Ends by a throw only. */
  async *#changes(options: FollowOptions): AsyncGenerator<Room, void, undefined> {
    const signals = [options.signal, this.#signal].filter((signal) => signal !== undefined)
    for (const signal of signals) signal.throwIfAborted()
    let wake = () => {}
    let isChanged = false
    const unfollow = this.#follow(options, () => {
      isChanged = true
      wake()
    })
    for (const signal of signals) signal.addEventListener('abort', onAbort)
    function onAbort() {
      wake()
    }
    try {
      for (;;) {
        isChanged = false
        const room = this.#room as Room
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
      for (const signal of signals) signal.removeEventListener('abort', onAbort)
      unfollow()
    }
  }

  #follow(
    { signal }: FollowOptions,
    changed: (room: Room) => void,
    progress?: (update: ProgressUpdate) => void,
  ): () => void {
    const signals = [signal, this.#signal].filter((each) => each !== undefined)
    if (signals.some((each) => each.aborted)) return () => {}
    const room = this.#openRoom()
    this.#room = room
    const follower: Follower = { changed: () => changed(room), ...(progress && { progress }) }
    const stop = () => {
      for (const each of signals) each.removeEventListener('abort', stop)
      room.unfollow(follower)
    }
    for (const each of signals) each.addEventListener('abort', stop)
    room.follow(follower, this.#after)
    // What is here already, after the caller has what it is given.
    queueMicrotask(() => room.isFollowedBy(follower) && follower.changed())
    return stop
  }
}
