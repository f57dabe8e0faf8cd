/**
 * What the adapters for React, Vue and Svelte share: stores that have a value now and tell of changes. Making one asks
 * nothing of the server; only a subscription does. A store of a closed client says so in its value, and never throws.
 */
import { JOB_KINDS } from './contract.js'
import { newCourseSnapshot } from './course.js'
import { ChaptercastError } from './errors.js'
import type {
  ChapterCreate,
  ChapterCreated,
  ChapterEvent,
  ChapterSnapshot,
  Chapters,
  CourseSnapshot,
  LearningView,
} from './index.js'
import { randomKey } from './random-key.js'
import { newSnapshot } from './snapshot.js'

/** A chapter or course that may not be there yet. */
export type Id = number | null | undefined

export interface Store<Value> {
  /** The same value until something changes. */
  readonly get: () => Value
  /** On a server, and in the first render in the browser, which must be the same. */
  readonly unopened: () => Value
  readonly subscribe: (changed: () => void) => () => void
}

export interface LearningState {
  /** What is written so far; null until something is. */
  learning: LearningView | null
  /** Why it could not be read, or the chapter not be watched. It is read again with the next connection. */
  error: unknown
}

export interface CreationState {
  /** The last one that was created here. */
  chapter: ChapterCreated | null
  isCreating: boolean
  /** Why the last one could not be: a `RefusedError` or an `UnreachableError`. */
  error: unknown
}

export interface Creator extends Store<CreationState> {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. */
  readonly create: (chapter: ChapterCreate) => Promise<ChapterCreated>
}

export const NO_EVENTS: readonly ChapterEvent[] = []
export const NOTHING_READ: LearningState = { learning: null, error: null }
const NOTHING_CREATED: CreationState = { chapter: null, isCreating: false, error: null }

/** A chapter’s snapshot. */
export function chapterStore(chapters: Chapters, chapterId: number): Store<ChapterSnapshot> {
  return watchStore(chapters.watch(chapterId), newSnapshot(chapterId))
}

/** A course’s snapshot. */
export function courseStore(chapters: Chapters, courseId: number): Store<CourseSnapshot> {
  return watchStore(chapters.watchCourse(courseId), newCourseSnapshot(courseId))
}

/** A chapter’s events so far, each once and in order. */
export function eventStore(chapters: Chapters, chapterId: number): Store<readonly ChapterEvent[]> {
  const watch = chapters.watch(chapterId)
  const { subscribe } = watchStore(watch, newSnapshot(chapterId))
  return { get: () => watch.events, unopened: () => NO_EVENTS, subscribe }
}

/** A chapter’s content: read again with every result that comes, and after the connection was lost. */
export function learningStore(
  chapters: Chapters,
  chapterId: number,
  { answers = false }: { answers?: boolean } = {},
): Store<LearningState> {
  const chapter = chapterStore(chapters, chapterId)
  const { value, set, listen } = newValue(NOTHING_READ)
  let read = NOTHING_READ
  /** The results that were asked for last; empty while nothing can be read. */
  let asked = ''
  let abort = new AbortController()

  function show() {
    const { error } = chapter.get()
    const { learning, error: unread } = resultsOf(chapter.get()) === '' ? NOTHING_READ : read
    set({ learning, error: unread ?? error })
  }

  function ask(results: string) {
    if (results === asked) return
    asked = results
    abort.abort()
    if (results === '') return
    abort = new AbortController()
    const { signal } = abort
    const take = (next: LearningState) => {
      if (signal.aborted) return
      read = next
      show()
    }
    chapters.learning(chapterId, answers ? { signal, answers } : { signal }).then(
      (learning) => take({ learning, error: null }),
      (error: unknown) => take({ learning: read.learning, error }),
    )
  }

  const follow = () =>
    chapter.subscribe(() => {
      const snapshot = chapter.get()
      const results = resultsOf(snapshot)
      if (results === '') read = NOTHING_READ
      ask(snapshot.connection === 'live' ? results : '')
      show()
    })
  return {
    get: value,
    unopened: () => NOTHING_READ,
    subscribe: listen(() => {
      const unfollow = follow()
      return () => {
        unfollow()
        ask('')
      }
    }),
  }
}

/** Creates chapters. A double click makes one. */
export function chapterCreator(chapters: Chapters): Creator {
  const { value, set, listen } = newValue(NOTHING_CREATED)
  let underWay: Promise<ChapterCreated> | null = null
  let lost: { written: string; idempotencyKey: string } | null = null
  return {
    get: value,
    unopened: () => NOTHING_CREATED,
    subscribe: listen(() => () => {}),
    create(body) {
      if (underWay !== null) return underWay
      // Asked again after a lost answer, the server gives the chapter that it made.
      const written = JSON.stringify(body)
      if (lost?.written !== written) lost = { written, idempotencyKey: randomKey() }
      const created = chapters.create(body, { idempotencyKey: lost.idempotencyKey })
      underWay = created
      set({ ...value(), isCreating: true, error: null })
      // Before whoever awaits it goes on, and perhaps creates the next one. With this a rejection that a caller
      // ignores is no unhandled one: it is in `error`.
      created.then(
        (chapter) => {
          underWay = null
          lost = null
          set({ chapter, isCreating: false, error: null })
        },
        (error: unknown) => {
          underWay = null
          set({ ...value(), isCreating: false, error })
        },
      )
      return created
    },
  }
}

interface Watch<Snapshot> {
  readonly snapshot: Snapshot
  subscribe(changed: () => void): () => void
}

function watchStore<Snapshot extends ChapterSnapshot | CourseSnapshot>(
  watch: Watch<Snapshot>,
  unopened: Snapshot,
): Store<Snapshot> {
  let refused: Snapshot | undefined
  return {
    get: () => refused ?? watch.snapshot,
    unopened: () => unopened,
    subscribe(changed) {
      try {
        return watch.subscribe(changed)
      } catch (error) {
        // A client that was closed. Thrown here, it would take the whole page down.
        if (!(error instanceof ChaptercastError)) throw error
        refused = { ...watch.snapshot, connection: 'closed', error }
        let isSubscribed = true
        queueMicrotask(() => {
          if (isSubscribed) changed()
        })
        return () => {
          isSubscribed = false
        }
      }
    },
  }
}

/** Which results there are, and which revision of each: a text that changes when there is something to read. */
function resultsOf({ results, jobs }: ChapterSnapshot): string {
  return JOB_KINDS.filter((kind) => results[kind])
    .map((kind) => `${kind} ${jobs[kind].content_revision}`)
    .join()
}

/** A value of a few fields that tells of changes; `listen` says what runs while somebody listens. */
function newValue<Value extends object>(first: Value) {
  const listeners = new Set<() => void>()
  let value = first
  let stop = () => {}
  return {
    value: () => value,
    set(next: Value) {
      if (Object.entries(next).every(([key, field]) => value[key as keyof Value] === field)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
    listen: (start: () => () => void) => (changed: () => void) => {
      // The same function may be given twice.
      const listener = () => changed()
      listeners.add(listener)
      if (listeners.size === 1) stop = start()
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) stop()
      }
    },
  }
}
