/**
 * React hooks over the client. Safe in Strict Mode and in server rendering, where a chapter is what is known
 * before anything was asked: nothing.
 */
import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react'
import type { ChapterCreate, ChapterCreated, ChapterSnapshot, Chapters, LearningView } from './index.js'

const ChaptersContext = createContext<Chapters | null>(null)

/** Gives its children the client that their hooks use. */
export function ChaptersProvider(props: { chapters: Chapters; children?: ReactNode }): ReactNode {
  return createElement(ChaptersContext.Provider, { value: props.chapters }, props.children)
}

/** @throws {Error} outside of a `ChaptersProvider` */
export function useChapters(): Chapters {
  const chapters = useContext(ChaptersContext)
  if (chapters === null) throw new Error('There is no <ChaptersProvider chapters={…}> around this component')
  return chapters
}

const UNSUBSCRIBED = () => () => {}

/**
 * The chapter as it is now, rendered again when it changes. With null, for instance before there is one,
 * nothing is watched and the answer is null.
 */
export function useChapter(chapterId: number): ChapterSnapshot
export function useChapter(chapterId: number | null | undefined): ChapterSnapshot | null
export function useChapter(chapterId: number | null | undefined): ChapterSnapshot | null {
  const chapters = useChapters()
  const watch = useMemo(() => (chapterId == null ? null : chapters.watch(chapterId)), [chapters, chapterId])
  const subscribe = useCallback((changed: () => void) => watch?.subscribe(changed) ?? UNSUBSCRIBED(), [watch])
  const snapshot = () => watch?.snapshot ?? null
  const unopened = useMemo(() => watch?.snapshot ?? null, [watch])
  return useSyncExternalStore(subscribe, snapshot, () => unopened)
}

export interface LearningState {
  /** What is written so far; null until something is. */
  learning: LearningView | null
  error: unknown
}

/** The content of the chapter, read again with every result that comes. */
export function useLearning(
  chapterId: number | null | undefined,
  options: { answers?: boolean } = {},
): LearningState {
  const chapters = useChapters()
  const { answers } = options
  const results = useChapter(chapterId)?.results
  const written = results === undefined ? '' : JSON.stringify(results)
  const [state, setState] = useState<LearningState & { of?: number }>({ learning: null, error: null })
  useEffect(() => {
    if (chapterId == null || !written.includes('true')) return
    const abort = new AbortController()
    chapters
      .learning(chapterId, { signal: abort.signal, ...(answers === undefined ? {} : { answers }) })
      .then(
        (learning) => setState({ learning, error: null, of: chapterId }),
        (error: unknown) => {
          if (!abort.signal.aborted) setState((before) => ({ ...before, error, of: chapterId }))
        },
      )
    return () => abort.abort()
  }, [chapters, chapterId, written, answers])
  return state.of === chapterId ? state : { learning: null, error: null }
}

export interface CreateChapter {
  /** Asks for a chapter. Asked while another one is under way, it gives that one. */
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
  const underWay = useRef<Promise<ChapterCreated> | null>(null)
  const create = useCallback(
    (body: ChapterCreate) => {
      if (underWay.current !== null) return underWay.current
      setState((before) => ({ ...before, isCreating: true, error: null }))
      const created = chapters.create(body)
      underWay.current = created
      created
        .then(
          (chapter) => setState({ chapter, isCreating: false, error: null }),
          (error: unknown) => setState((before) => ({ ...before, isCreating: false, error })),
        )
        .finally(() => {
          underWay.current = null
        })
      return created
    },
    [chapters],
  )
  return { ...state, create }
}
