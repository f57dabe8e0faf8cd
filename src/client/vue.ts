/**
 * Vue composables over the client, for Vue 3.3 and newer. They watch while their component is mounted, or their effect
 * scope runs; on a server a chapter is what is known before anything was asked: nothing. Any number of components that
 * watch the same chapter share one room.
 */
import {
  type ComputedRef,
  computed,
  getCurrentInstance,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  onMounted,
  type Plugin,
  provide,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from 'vue'
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

const CHAPTERS: InjectionKey<Chapters> = Symbol('chapters')

/** For `app.use(…)`: gives every component of the application the client that its composables use. */
export function createChaptersPlugin(chapters: Chapters): Plugin {
  return { install: (app) => void app.provide(CHAPTERS, chapters) }
}

/** In a component’s `setup`: gives the components inside it the client that their composables use. */
export function provideChapters(chapters: Chapters): void {
  provide(CHAPTERS, chapters)
}

/** @throws {Error} where no client was given */
export function useChapters(): Chapters {
  const chapters = inject(CHAPTERS, null)
  if (chapters === null)
    throw new Error('There are no chapters here: use app.use(createChaptersPlugin(…)) or provideChapters(…)')
  return chapters
}

/**
 * The chapter as it is now. The id may be a ref or a getter: another id is another chapter. With null, for instance
 * before there is one, nothing is watched and the value is null.
 */
export function useChapter(chapterId: MaybeRefOrGetter<number>): Readonly<ShallowRef<ChapterSnapshot>>
export function useChapter(chapterId: MaybeRefOrGetter<Id>): Readonly<ShallowRef<ChapterSnapshot | null>>
export function useChapter(chapterId: MaybeRefOrGetter<Id>): Readonly<ShallowRef<ChapterSnapshot | null>> {
  const chapters = useChapters()
  return useStore(chapterId, (id) => chapterStore(chapters, id), null)
}

/** The course as it is now: every chapter of it, in the order of their ids. With null the value is null. */
export function useCourse(courseId: MaybeRefOrGetter<number>): Readonly<ShallowRef<CourseSnapshot>>
export function useCourse(courseId: MaybeRefOrGetter<Id>): Readonly<ShallowRef<CourseSnapshot | null>>
export function useCourse(courseId: MaybeRefOrGetter<Id>): Readonly<ShallowRef<CourseSnapshot | null>> {
  const chapters = useChapters()
  return useStore(courseId, (id) => courseStore(chapters, id), null)
}

/** The chapter’s events so far, those from before this component too: each once, in order of `seq`. */
export function useEvents(chapterId: MaybeRefOrGetter<Id>): Readonly<ShallowRef<readonly ChapterEvent[]>> {
  const chapters = useChapters()
  return useStore(chapterId, (id) => eventStore(chapters, id), NO_EVENTS)
}

/** `LearningState`, each field a ref. */
export interface Learning {
  learning: ComputedRef<LearningState['learning']>
  error: ComputedRef<unknown>
}

/** The content of the chapter, read again with every result that comes, and after the connection was lost. */
export function useLearning(
  chapterId: MaybeRefOrGetter<Id>,
  options: { answers?: MaybeRefOrGetter<boolean> } = {},
): Learning {
  const chapters = useChapters()
  // Read while the store is made, so that another value makes another store.
  const store = (id: number) => learningStore(chapters, id, { answers: toValue(options.answers) ?? false })
  const state = useStore(chapterId, store, NOTHING_READ)
  return { learning: computed(() => state.value.learning), error: computed(() => state.value.error) }
}

export interface CreateChapter {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. */
  create: Creator['create']
  /** The last one that was created here. */
  chapter: ComputedRef<CreationState['chapter']>
  isCreating: ComputedRef<boolean>
  /** Why the last one could not be: a `RefusedError` or an `UnreachableError`. */
  error: ComputedRef<unknown>
}

/** Creates chapters. A double click makes one. */
export function useCreateChapter(): CreateChapter {
  const creator = chapterCreator(useChapters())
  const state = useStore(0, () => creator, creator.unopened())
  return {
    create: creator.create,
    chapter: computed(() => state.value.chapter),
    isCreating: computed(() => state.value.isCreating),
    error: computed(() => state.value.error),
  }
}

function useStore<Value, None>(
  id: MaybeRefOrGetter<Id>,
  makeStore: (id: number) => Store<Value>,
  none: None,
): Readonly<ShallowRef<Value | None>> {
  const store = computed(() => {
    const known = toValue(id)
    return known == null ? null : makeStore(known)
  })
  const component = getCurrentInstance()
  // A component that takes over what a server rendered has its element already, and must first render the same.
  const isHydrating = component !== null && component.vnode.el !== null
  const isMounted = shallowRef(component === null)
  if (component !== null)
    onMounted(() => {
      isMounted.value = true
    })
  const valueNow = (now: Store<Value> | null): Value | None => {
    if (now === null) return none
    return isHydrating && !isMounted.value ? now.unopened() : now.get()
  }
  const value = shallowRef<Value | None>(none)
  watch(
    [store, isMounted] as const,
    ([now, isOpen], _before, onCleanup) => {
      const show = () => {
        value.value = valueNow(now)
      }
      show()
      if (now !== null && isOpen) onCleanup(now.subscribe(show))
    },
    { immediate: true, flush: 'sync' },
  )
  return value
}
