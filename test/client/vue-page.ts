/**
 * What `vue.test.ts` renders, in a browser and on a server: every composable. A test steers it with `window.page`. Its
 * elements are those of page.tsx.
 */
import { createApp, createSSRApp, defineComponent, h, nextTick, reactive, ref } from 'vue'
import { type Chapters, connectChapters, RefusedError } from '../../src/client/index.js'
import {
  createChaptersPlugin,
  useChapter,
  useCourse,
  useCreateChapter,
  useEvents,
  useLearning,
} from '../../src/client/vue.js'

export interface VueShown {
  id: number | null
  course: number | null
  components: number
  content: boolean
}

const Chapter = defineComponent(
  (props: { id: number | null }) => {
    const chapter = useChapter(() => props.id)
    const events = useEvents(() => props.id)
    return () => {
      const now = chapter.value
      const state = now && `${now.chapter_id} ${now.connection} ${now.status} ${Math.round(now.progress)}`
      return h('section', { class: 'chapter' }, [
        h('p', { class: 'state' }, state ?? 'none'),
        h('p', { class: 'error' }, now?.error?.code),
        h('p', { class: 'partial' }, now?.partial.concept?.text ?? ''),
        h('p', { class: 'events' }, events.value.map(({ payload }) => payload.seq).join(' ')),
      ])
    }
  },
  { props: ['id'] },
)

const Content = defineComponent(
  (props: { id: number | null }) => {
    const { learning, error } = useLearning(() => props.id)
    return () =>
      h('section', { class: 'content' }, [
        h('p', { class: 'of' }, learning.value?.chapter_id),
        h('p', { class: 'concept' }, learning.value?.concept.title ?? ''),
        h('p', { class: 'quizzes' }, learning.value?.quizzes.filter(({ is_complete }) => is_complete).length),
        h('p', { class: 'problem' }, error.value instanceof Error ? error.value.message : ''),
      ])
  },
  { props: ['id'] },
)

const Course = defineComponent(
  (props: { id: number | null }) => {
    const course = useCourse(() => props.id)
    return () => {
      const now = course.value
      const state =
        now && `${now.connection} ${now.counts.processing}/${now.chapters.length} ${now.completed}`
      return h('p', { class: 'course' }, state ?? 'none')
    }
  },
  { props: ['id'] },
)

const Creator = defineComponent(() => {
  const { create, chapter, isCreating, error } = useCreateChapter()
  const body = { course_id: 1, owner_id: 1, title: '변수와 자료형' }
  const both = ref('')
  const createTwo = async () => {
    const first = await create(body)
    const second = await create(body)
    both.value = `${first.chapter_id} ${second.chapter_id}`
  }
  const button = (text: string, onClick: () => void) => h('button', { type: 'button', onClick }, text)
  return () =>
    h('section', { class: 'creator' }, [
      button('Create', () => void create(body)),
      button('Create nonsense', () => void create({ ...body, title: ' ', owner_id: 0 })),
      button('Create two', () => void createTwo()),
      h('p', { class: 'created' }, chapter.value?.chapter_id ?? ''),
      h('p', { class: 'both' }, both.value),
      h('p', { class: 'creating' }, isCreating.value ? 'creating' : error.value === null ? 'idle' : 'failed'),
      error.value instanceof RefusedError
        ? h('p', { role: 'alert' }, error.value.errors.map(({ path }) => path).join(' '))
        : null,
    ])
})

/** @param isRendered a server has rendered it, or is to */
export function makeApp(chapters: Chapters, shown: VueShown, isRendered: boolean) {
  const App = () => [
    ...Array.from({ length: shown.components }, (_, key) => h(Chapter, { key, id: shown.id })),
    shown.content ? h(Content, { id: shown.id }) : null,
    shown.course === null ? null : h(Course, { id: shown.course }),
    h(Creator),
  ]
  const app = isRendered ? createSSRApp(App) : createApp(App)
  return app.use(createChaptersPlugin(chapters))
}

if (typeof document !== 'undefined') {
  const query = new URLSearchParams(location.search)
  const number = (name: string) => (query.has(name) ? Number(query.get(name)) : null)
  const chapters = connectChapters(query.get('server') ?? '')
  const shown = reactive<VueShown>({
    id: number('id'),
    course: number('course'),
    components: number('components') ?? 1,
    content: query.has('content'),
  })
  window.page = {
    chapters,
    show(next) {
      Object.assign(shown, next)
      return nextTick()
    },
    renders: [],
    creates: new Set(),
    unhandled: [],
  }
  window.addEventListener('unhandledrejection', ({ reason }) => window.page.unhandled.push(String(reason)))
  const mount = (element: Element) => {
    const app = makeApp(chapters, shown, element.hasChildNodes())
    app.config.errorHandler = (error) => console.error('vue:', error)
    app.mount(element)
  }
  mount(document.querySelector('#root') ?? document.body)
  // A second part of the page that a server rendered, taken over when the first one shows its chapter already.
  const late = document.querySelector('#late')
  if (late !== null)
    chapters.watch(shown.id ?? 0).on('chapter_processing_started', () => void setTimeout(() => mount(late)))
}
