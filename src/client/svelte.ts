/**
 * The client for Svelte 5.7 and newer: values that templates, `$derived` and `$effect` follow like runes. A chapter is
 * watched while something of a component on the page reads it; on a server it is what is known before anything was
 * asked: nothing. Any number of components that watch the same chapter share one room.
 */
import { getContext, setContext } from 'svelte'
import { createSubscriber } from 'svelte/reactivity'
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

/** Read it where it is used, `chapter.current`: that is what is followed. */
export interface Live<Value> {
  readonly current: Value
}

/** An id, or a function that reads one that changes: `() => id`. */
export type IdOrGetter<Of extends Id = Id> = Of | (() => Of)

const CHAPTERS = Symbol('chapters')

/** In a component’s script: gives it and the components inside it the client that the functions below use. */
export function provideChapters(chapters: Chapters): void {
  setContext(CHAPTERS, chapters)
}

/** @throws {Error} where no component around gave a client */
export function useChapters(): Chapters {
  const chapters = getContext<Chapters | undefined>(CHAPTERS)
  if (chapters === undefined)
    throw new Error('There are no chapters here: a component around it must call provideChapters(…)')
  return chapters
}

/**
 * The chapter as it is now. With null, for instance before there is one, nothing is watched and `current` is null.
 */
export function useChapter(chapterId: IdOrGetter<number>): Live<ChapterSnapshot>
export function useChapter(chapterId: IdOrGetter): Live<ChapterSnapshot | null>
export function useChapter(chapterId: IdOrGetter): Live<ChapterSnapshot | null> {
  const chapters = useChapters()
  return live(chapterId, (id) => chapterStore(chapters, id), null)
}

/** The course as it is now: every chapter of it, in the order of their ids. With null `current` is null. */
export function useCourse(courseId: IdOrGetter<number>): Live<CourseSnapshot>
export function useCourse(courseId: IdOrGetter): Live<CourseSnapshot | null>
export function useCourse(courseId: IdOrGetter): Live<CourseSnapshot | null> {
  const chapters = useChapters()
  return live(courseId, (id) => courseStore(chapters, id), null)
}

/** The chapter’s events so far, those from before this component too: each once, in order of `seq`. */
export function useEvents(chapterId: IdOrGetter): Live<readonly ChapterEvent[]> {
  const chapters = useChapters()
  return live(chapterId, (id) => eventStore(chapters, id), NO_EVENTS)
}

/** The content of the chapter, read again with every result that comes, and after the connection was lost. */
export function useLearning(
  chapterId: IdOrGetter,
  options: { answers?: boolean | (() => boolean) } = {},
): Readonly<LearningState> {
  const chapters = useChapters()
  const answers = () =>
    typeof options.answers === 'function' ? options.answers() : (options.answers ?? false)
  const store = (id: number) => learningStore(chapters, id, { answers: answers() })
  const state = live(chapterId, store, NOTHING_READ, answers)
  return {
    get learning() {
      return state.current.learning
    },
    get error() {
      return state.current.error
    },
  }
}

export interface CreateChapter extends Readonly<CreationState> {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. */
  readonly create: Creator['create']
}

/** Creates chapters. A double click makes one. */
export function useCreateChapter(): CreateChapter {
  const creator = chapterCreator(useChapters())
  const state = live(0, () => creator, creator.unopened())
  return {
    create: creator.create,
    get chapter() {
      return state.current.chapter
    },
    get isCreating() {
      return state.current.isCreating
    },
    get error() {
      return state.current.error
    },
  }
}

function live<Value, None>(
  id: IdOrGetter,
  makeStore: (id: number) => Store<Value>,
  none: None,
  /** When its value changes, another store is needed. */
  variant: () => unknown = () => undefined,
): Live<Value | None> {
  let known: { id: number; of: unknown; store: Store<Value>; follow: () => void } | undefined
  return {
    get current() {
      const now = typeof id === 'function' ? id() : id
      if (now == null) return none
      const of = variant()
      if (known?.id !== now || known.of !== of) {
        const store = makeStore(now)
        known = { id: now, of, store, follow: createSubscriber(store.subscribe) }
      }
      known.follow()
      return known.store.get()
    },
  }
}
