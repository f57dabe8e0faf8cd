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
  useContext,
  useMemo,
  useSyncExternalStore,
} from 'react'
import type { ChapterEvent, ChapterSnapshot, Chapters, CourseSnapshot } from './index.js'
import {
  type CreationState,
  type Creator,
  chapterCreator,
  chapterStore,
  courseStore,
  eventStore,
  type Id,
  type LearningState,
  learningStore,
  NO_EVENTS,
  NOTHING_READ,
  type Store,
} from './store.js'

export type { LearningState }

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
  const chapters = useChapters()
  const store = useMemo(
    () => (chapterId == null ? null : chapterStore(chapters, chapterId)),
    [chapters, chapterId],
  )
  return useStore(store, null)
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
    () => (courseId == null ? null : courseStore(chapters, courseId)),
    [chapters, courseId],
  )
  return useStore(store, null)
}

/**
 * The chapter’s events so far, those from before this component too: each once, in order of `seq`. The same
 * array until another one comes.
 */
export function useEvents(chapterId: Id): readonly ChapterEvent[] {
  const chapters = useChapters()
  const store = useMemo(
    () => (chapterId == null ? null : eventStore(chapters, chapterId)),
    [chapters, chapterId],
  )
  return useStore(store, NO_EVENTS)
}

/** The content of the chapter, read again with every result that comes, and after the connection was lost. */
export function useLearning(chapterId: Id, options: { answers?: boolean } = {}): LearningState {
  const chapters = useChapters()
  const { answers = false } = options
  const store = useMemo(
    () => (chapterId == null ? null : learningStore(chapters, chapterId, { answers })),
    [chapters, chapterId, answers],
  )
  return useStore(store, NOTHING_READ)
}

export interface CreateChapter extends CreationState {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. The same function always. */
  create: Creator['create']
}

/** Creates chapters. A double click makes one. */
export function useCreateChapter(): CreateChapter {
  const chapters = useChapters()
  const creator = useMemo(() => chapterCreator(chapters), [chapters])
  const state = useSyncExternalStore(creator.subscribe, creator.get, creator.unopened)
  return { ...state, create: creator.create }
}

const UNSUBSCRIBED = () => () => {}

function useStore<Value, None>(store: Store<Value> | null, none: None): Value | None {
  const without = () => none
  return useSyncExternalStore<Value | None>(
    store?.subscribe ?? UNSUBSCRIBED,
    store?.get ?? without,
    store?.unopened ?? without,
  )
}
