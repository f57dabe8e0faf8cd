'use client'
/**
 * React hooks over the client. Safe in Strict Mode and in server rendering, where a chapter is what is known
 * before anything was asked: nothing. Any number of components that watch the same chapter share one room.
 */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react'
import { ChaptercastError } from './errors.js'
import type {
  ChapterCreate,
  ChapterCreated,
  ChapterEvent,
  ChapterSnapshot,
  Chapters,
  ChapterWatch,
  LearningView,
} from './index.js'
import { JOB_KINDS, newSnapshot } from './snapshot.js'

type Id = number | null | undefined

const ChaptersContext = createContext<Chapters | null>(null)

/**
 * Gives its children the client that their hooks use. Make it once, outside of components: Strict Mode runs
 * effects twice, and a client that was closed stays closed.
 */
export function ChaptersProvider(props: { chapters: Chapters; children?: ReactNode }): ReactElement {
  return createElement(ChaptersContext.Provider, { value: props.chapters }, props.children)
}

/** @throws {Error} outside of a `ChaptersProvider` */
export function useChapters(): Chapters {
  const chapters = useContext(ChaptersContext)
  if (chapters === null) throw new Error('There is no <ChaptersProvider chapters={…}> around this component')
  return chapters
}

/**
 * The chapter as it is now, rendered again when it changes. With null, for instance before there is one,
 * nothing is watched and the answer is null.
 */
export function useChapter(chapterId: number): ChapterSnapshot
export function useChapter(chapterId: Id): ChapterSnapshot | null
export function useChapter(chapterId: Id): ChapterSnapshot | null {
  const store = useStore(chapterId)
  return useSyncExternalStore(
    store?.subscribe ?? UNSUBSCRIBED,
    store?.snapshot ?? nothing,
    store?.unopened ?? nothing,
  )
}

/**
 * The chapter’s events so far, those from before this component too: each once, in order of `seq`. The same
 * array until another one comes.
 */
export function useEvents(chapterId: Id): readonly ChapterEvent[] {
  const store = useStore(chapterId)
  return useSyncExternalStore(store?.subscribeEvents ?? UNSUBSCRIBED, store?.events ?? noEvents, noEvents)
}

export interface LearningState {
  /** What is written so far; null until something is. */
  learning: LearningView | null
  /** Why it could not be read, or the chapter not be watched. It is read again with the next connection. */
  error: unknown
}

/** The content of the chapter, read again with every result that comes, and after the connection was lost. */
export function useLearning(chapterId: Id, options: { answers?: boolean } = {}): LearningState {
  const chapters = useChapters()
  const snapshot = useChapter(chapterId)
  const { answers = false } = options
  const written = snapshot === null ? '' : JOB_KINDS.filter((kind) => snapshot.results[kind]).join()
  const isLive = snapshot?.connection === 'live'
  const [read, setRead] = useState<Of<LearningState>>()
  useEffect(() => {
    if (chapterId == null || written === '' || !isLive) return
    const abort = new AbortController()
    const { signal } = abort
    chapters.learning(chapterId, answers ? { signal, answers } : { signal }).then(
      (learning) => {
        if (!signal.aborted) setRead({ chapters, chapterId, learning, error: null })
      },
      (error: unknown) => {
        if (signal.aborted) return
        setRead((before) => {
          const isSame = before?.chapters === chapters && before.chapterId === chapterId
          return { chapters, chapterId, learning: isSame ? before.learning : null, error }
        })
      },
    )
    return () => abort.abort()
  }, [chapters, chapterId, written, isLive, answers])
  const isOf = read?.chapters === chapters && read.chapterId === chapterId && written !== ''
  return {
    learning: isOf ? read.learning : null,
    error: (isOf ? read.error : null) ?? snapshot?.error ?? null,
  }
}

export interface CreateChapter {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. The same function always. */
  create: (chapter: ChapterCreate) => Promise<ChapterCreated>
  /** The last one that was created here. */
  chapter: ChapterCreated | null
  isCreating: boolean
  /** Why the last one could not be: a `RefusedError` or an `UnreachableError`. */
  error: unknown
}

/** Creates chapters. A double click makes one. */
export function useCreateChapter(): CreateChapter {
  const chapters = useChapters()
  const [state, setState] = useState<Omit<CreateChapter, 'create'>>({
    chapter: null,
    isCreating: false,
    error: null,
  })
  const underWay = useRef<{ by: Chapters; created: Promise<ChapterCreated> } | null>(null)
  const create = useCallback(
    (body: ChapterCreate) => {
      if (underWay.current?.by === chapters) return underWay.current.created
      const created = chapters.create(body)
      const mine = { by: chapters, created }
      underWay.current = mine
      setState((before) => ({ ...before, isCreating: true, error: null }))
      // Before whoever awaits it goes on, and perhaps creates the next one.
      const settle = (outcome: { chapter: ChapterCreated } | { error: unknown }) => {
        if (underWay.current !== mine) return
        underWay.current = null
        setState((before) => ({ ...before, isCreating: false, error: null, ...outcome }))
      }
      // With this a rejection that a caller ignores is no unhandled one: it is in `error`.
      created.then(
        (chapter) => settle({ chapter }),
        (error: unknown) => settle({ error }),
      )
      return created
    },
    [chapters],
  )
  return { ...state, create }
}

/** Whose it is: a state outlives a change of the hook’s arguments. */
type Of<State> = State & { chapters: Chapters; chapterId: number }

const NO_EVENTS: readonly ChapterEvent[] = []
const UNSUBSCRIBED = () => () => {}
const nothing = () => null
const noEvents = () => NO_EVENTS

/** Stores that were subscribed to: a component that comes later begins with what the others show. */
const opened = new WeakMap<Chapters, Map<number, ChapterStore>>()

function useStore(chapterId: Id): ChapterStore | null {
  const chapters = useChapters()
  return useMemo(() => {
    if (chapterId == null) return null
    const known = opened.get(chapters)?.get(chapterId)
    return known === undefined || known.isClosed ? new ChapterStore(chapters, chapterId) : known
  }, [chapters, chapterId])
}

/** A watch as `useSyncExternalStore` wants it. Making one asks nothing of anyone. */
class ChapterStore {
  readonly #chapters: Chapters
  readonly #watch: ChapterWatch
  readonly #unopened: ChapterSnapshot
  #refused: ChapterSnapshot | undefined
  #events = NO_EVENTS
  /** What was read, of which a replay is shown when it is through. */
  #read: ChapterEvent[] = []
  #isReading = false
  readonly #readers = new Set<() => void>()
  #stopReading: (() => void) | undefined

  constructor(chapters: Chapters, chapterId: number) {
    this.#chapters = chapters
    this.#watch = chapters.watch(chapterId)
    this.#unopened = newSnapshot(chapterId)
  }

  get isClosed(): boolean {
    return this.snapshot().connection === 'closed'
  }

  readonly snapshot = (): ChapterSnapshot => this.#refused ?? this.#watch.snapshot

  /** Of the server, and of the first render in the browser, which must be the same. */
  readonly unopened = (): ChapterSnapshot => this.#unopened

  readonly subscribe = (changed: () => void): (() => void) => {
    try {
      const unsubscribe = this.#watch.subscribe(changed)
      this.#share()
      return unsubscribe
    } catch (error) {
      // A client that was closed. Thrown here, it would take the whole page down.
      if (!(error instanceof ChaptercastError)) throw error
      this.#refused = { ...this.#watch.snapshot, connection: 'closed', error }
      return () => {}
    }
  }

  readonly events = (): readonly ChapterEvent[] => this.#events

  readonly subscribeEvents = (changed: () => void): (() => void) => {
    this.#readers.add(changed)
    if (this.#readers.size === 1) this.#startReading()
    return () => {
      this.#readers.delete(changed)
      if (this.#readers.size === 0) this.#stopReading?.()
    }
  }

  #startReading(): void {
    const abort = new AbortController()
    const unsubscribe = this.subscribe(() => this.#readOn(abort.signal))
    this.#stopReading = () => {
      abort.abort()
      unsubscribe()
      this.#isReading = false
    }
  }

  /** Reading ends with the run. What comes after that, a retry or a late result, is read by beginning again. */
  #readOn(signal: AbortSignal): void {
    this.#show()
    const { last_seq: last } = this.snapshot()
    if (this.#isReading || last === (this.#read.at(-1)?.payload.seq ?? 0)) return
    this.#isReading = true
    this.#read = []
    this.#readAll(signal)
      // Why there are no more is in the snapshot.
      .catch(() => {})
      .finally(() => {
        if (!signal.aborted) this.#isReading = false
      })
  }

  async #readAll(signal: AbortSignal): Promise<void> {
    const { chapterId } = this.#watch
    for await (const event of this.#chapters.watch(chapterId, { signal })) {
      if (signal.aborted) return
      // Else another life of the chapter: a restored database.
      const isNext = event.payload.seq > (this.#read.at(-1)?.payload.seq ?? 0)
      this.#read = isNext ? this.#read : []
      this.#read.push(event)
      this.#show()
    }
  }

  /** As many as the snapshot counts; of an expired log those that are left. */
  #show(): void {
    const { last_seq: last, expired } = this.snapshot()
    // A chapter that is not there any more: what was read of it is kept until the next life’s first.
    const read = last === 0 ? NO_EVENTS : this.#read
    const newest = read.at(-1)
    if ((newest?.payload.seq ?? 0) !== last && !expired) return
    if (read.length === this.#events.length && newest === this.#events.at(-1)) return
    this.#events = [...read]
    for (const changed of [...this.#readers]) changed()
  }

  #share(): void {
    const known = opened.get(this.#chapters) ?? new Map<number, ChapterStore>()
    opened.set(this.#chapters, known)
    for (const [chapterId, store] of known) if (store.isClosed) known.delete(chapterId)
    if (!known.has(this.#watch.chapterId)) known.set(this.#watch.chapterId, this)
  }
}
