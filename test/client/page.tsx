/** @jsxRuntime automatic */
/**
 * What `react.test.ts` renders, in a browser and on a server: every hook, in components that note how often they
 * were rendered. A test steers it with `window.page`.
 */
import { StrictMode, useState } from 'react'
import { flushSync } from 'react-dom'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { type Chapters, connectChapters, RefusedError } from '../../src/client/index.js'
import {
  ChaptersProvider,
  useChapter,
  useCreateChapter,
  useEvents,
  useLearning,
} from '../../src/client/react.js'

interface Shown {
  id: number | null
  components: number
  content: boolean
}

declare global {
  interface Window {
    page: {
      chapters: Chapters
      show(next: Partial<Shown>): void
      /** What each rendering of a `Chapter` said. */
      renders: string[]
      /** Every `create` that was given. */
      creates: Set<unknown>
      unhandled: string[]
    }
  }
}

export function App({ chapters, shown }: { chapters: Chapters; shown: Shown }) {
  const { id, components, content } = shown
  return (
    <ChaptersProvider chapters={chapters}>
      {Array.from({ length: components }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
        <Chapter key={index} id={id} index={index} />
      ))}
      {content && <Content id={id} />}
      <Creator />
    </ChaptersProvider>
  )
}

function Chapter({ id, index }: { id: number | null; index: number }) {
  const chapter = useChapter(id)
  const events = useEvents(id)
  const kinds = chapter === null ? [] : Object.values(chapter.jobs)
  const text =
    chapter === null
      ? 'none'
      : `${chapter.chapter_id} ${chapter.connection} ${chapter.status} ${Math.round(chapter.progress)}`
  if (typeof window !== 'undefined') window.page.renders.push(`${index}: ${text}`)
  return (
    <section className="chapter">
      <h2>{chapter?.title}</h2>
      <p className="state">{text}</p>
      <p className="error">{chapter?.error?.code}</p>
      <p className="kinds">{kinds.map(({ kind, status }) => `${kind}:${status}`).join(' ')}</p>
      <p className="events">{events.map(({ payload }) => payload.seq).join(' ')}</p>
    </section>
  )
}

function Content({ id }: { id: number | null }) {
  const { learning, error } = useLearning(id)
  return (
    <section className="content">
      <p className="of">{learning?.chapter_id}</p>
      <p className="concept">{learning?.concept.title}</p>
      <p className="exercise">{learning?.exercise.question}</p>
      <p className="quizzes">{learning?.quizzes.filter(({ is_complete }) => is_complete).length}</p>
      <p className="problem">{error instanceof Error ? error.message : null}</p>
    </section>
  )
}

function Creator() {
  const { create, chapter, isCreating, error } = useCreateChapter()
  const [both, setBoth] = useState('')
  if (typeof window !== 'undefined') window.page.creates.add(create)
  const body = { course_id: 1, owner_id: 1, title: '변수와 자료형' }
  const createTwo = async () => {
    const first = await create(body)
    const second = await create(body)
    setBoth(`${first.chapter_id} ${second.chapter_id}`)
  }
  return (
    <section className="creator">
      <button type="button" onClick={() => create(body)}>
        Create
      </button>
      <button type="button" onClick={() => create({ ...body, title: ' ', owner_id: 0 })}>
        Create nonsense
      </button>
      <button type="button" onClick={createTwo}>
        Create two
      </button>
      <p className="created">{chapter?.chapter_id}</p>
      <p className="both">{both}</p>
      <p className="creating">{isCreating ? 'creating' : error === null ? 'idle' : 'failed'}</p>
      {error instanceof RefusedError && (
        <ul role="alert">
          {error.errors.map(({ path, message }) => (
            <li key={path}>{`${path} ${message}`}</li>
          ))}
        </ul>
      )}
    </section>
  )
}

if (typeof document !== 'undefined') {
  const query = new URLSearchParams(location.search)
  const chapters = connectChapters(query.get('server') ?? '')
  const root = document.getElementById('root') as HTMLElement
  let shown: Shown = {
    id: query.has('id') ? Number(query.get('id')) : null,
    components: Number(query.get('components') ?? 1),
    content: query.has('content'),
  }
  const page = () => (
    <StrictMode>
      <App chapters={chapters} shown={shown} />
    </StrictMode>
  )
  window.page = {
    chapters,
    show(next) {
      shown = { ...shown, ...next }
      flushSync(() => rendered.render(page()))
    },
    renders: [],
    creates: new Set(),
    unhandled: [],
  }
  window.addEventListener('unhandledrejection', ({ reason }) => window.page.unhandled.push(String(reason)))
  const isHydrated = root.hasChildNodes()
  const onRecoverableError = (error: unknown) => console.error('hydration:', error)
  const rendered = isHydrated ? hydrateRoot(root, page(), { onRecoverableError }) : createRoot(root)
  if (!isHydrated) rendered.render(page())
}
