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
 * The course as it is now: every chapter of it, in the order of their ids, and rendered again when one changes. With
 * null nothing is watched and the answer is null.
 */
export function useCourse(courseId: number): CourseSnapshot
export function useCourse(courseId: Id): CourseSnapshot | null
export function useCourse(courseId: Id): CourseSnapshot | null {
  const chapters = useChapters()
  const store = useMemo(
    () => (courseId == null ? null : createCourseStore(chapters, courseId)),
    [chapters, courseId],
  )
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
  return useSyncExternalStore(store?.subscribe ?? UNSUBSCRIBED, store?.events ?? noEvents, noEvents)
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
  const written =
    snapshot === null
      ? ''
      : JOB_KINDS.filter((kind) => snapshot.results[kind])
          .map((kind) => `${kind} ${snapshot.jobs[kind].content_revision}`)
          .join()
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
  const lost = useRef<{ written: string; idempotencyKey: string } | null>(null)
  const create = useCallback(
    (body: ChapterCreate) => {
      if (underWay.current?.by === chapters) return underWay.current.created
      // Asked again after a lost answer, the server gives the chapter that it made.
      const written = JSON.stringify(body)
      if (lost.current?.written !== written) lost.current = { written, idempotencyKey: randomKey() }
      const { idempotencyKey } = lost.current
      const created = chapters.create(body, { idempotencyKey })
      const mine = { by: chapters, created }
      underWay.current = mine
      setState((before) => ({ ...before, isCreating: true, error: null }))
      // Before whoever awaits it goes on, and perhaps creates the next one.
      const settle = (outcome: { chapter: ChapterCreated } | { error: unknown }) => {
        if (underWay.current !== mine) return
        underWay.current = null
        if ('chapter' in outcome) lost.current = null
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

interface ChapterStore {
  subscribe: (changed: () => void) => () => void
  snapshot: () => ChapterSnapshot
  events: () => readonly ChapterEvent[]
  /** Of the server, and of the first render in the browser, which must be the same. */
  unopened: () => ChapterSnapshot
}

function useStore(chapterId: Id): ChapterStore | null {
  const chapters = useChapters()
  return useMemo(() => (chapterId == null ? null : createStore(chapters, chapterId)), [chapters, chapterId])
}

/** A watch as `useSyncExternalStore` wants it. Making one asks nothing of anyone. */
function createStore(chapters: Chapters, chapterId: number): ChapterStore {
  const watch = chapters.watch(chapterId)
  const unopened = newSnapshot(chapterId)
  let refused: ChapterSnapshot | undefined
  return {
    snapshot: () => refused ?? watch.snapshot,
    events: () => watch.events,
    unopened: () => unopened,
    subscribe(changed) {
      try {
        return watch.subscribe(changed)
      } catch (error) {
        // A client that was closed. Thrown here, it would take the whole page down.
        if (!(error instanceof ChaptercastError)) throw error
        refused = { ...watch.snapshot, connection: 'closed', error }
        return () => {}
      }
    },
  }
}

interface CourseStore {
  subscribe: (changed: () => void) => () => void
  snapshot: () => CourseSnapshot
  unopened: () => CourseSnapshot
}

/** The same of a course. */
function createCourseStore(chapters: Chapters, courseId: number): CourseStore {
  const watch = chapters.watchCourse(courseId)
  const unopened = newCourseSnapshot(courseId)
  let refused: CourseSnapshot | undefined
  return {
    snapshot: () => refused ?? watch.snapshot,
    unopened: () => unopened,
    subscribe(changed) {
      try {
        return watch.subscribe(changed)
      } catch (error) {
        if (!(error instanceof ChaptercastError)) throw error
        refused = { ...watch.snapshot, connection: 'closed', error }
        return () => {}
      }
    },
  }
}
