/** The composables in real Vue renders. Skipped only where there is no Chromium. */
import t from 'tap'
import { createSSRApp, effectScope, h, ref } from 'vue'
import { renderToString } from 'vue/server-renderer'
import { type ChapterSnapshot, connectChapters } from '../../src/client/index.js'
import { createChaptersPlugin, provideChapters, useChapter, useChapters } from '../../src/client/vue.js'
import { buildTestApp } from '../support/app.js'
import { bundlePage, pageWith, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { testAdapter } from './adapter-tests.js'
import { addressOf, has, openPage } from './open-page.js'
import { makeApp } from './vue-page.js'

const shown = (id: number) => ({ id, course: null, components: 1, content: true })

await withBrowser(t, async (browser) => {
  await testAdapter(t, browser, {
    page: 'vue-page.ts',
    render: (url, id) => renderToString(makeApp(connectChapters(url), shown(id), true)),
  })

  await t.test('a part that is taken over late finds what a server rendered', async (t) => {
    const { url } = await buildTestApp(t)
    const id = await createChapter(url)
    const html = await renderToString(makeApp(connectChapters(url), shown(id), true))
    const script = await bundlePage(new URL('../../test/client/vue-page.ts', import.meta.url))
    const late = `</div><div id="late">${html}`
    const origin = await servePages(t, { '/page.js': script, '/': pageWith('/page.js', html + late) })
    const page = await openPage(t, browser, addressOf(origin, { server: url, id, content: 1 }))
    await has(page, '#late .state', `${id} live processing 0`)
    await has(page, '#late .events', '1 2 3 4')
  })
})

await t.test('outside of a component a chapter is followed until its scope ends', async (t) => {
  const { app, url } = await buildTestApp(t)
  const [one, two] = [await createChapter(url), await createChapter(url)]
  const chapters = connectChapters(url)
  t.teardown(() => chapters.close())
  const members = (id: number) => app.io.sockets.adapter.rooms.get(`chapter_${id}`)?.size ?? 0
  const vue = createSSRApp({}).use(createChaptersPlugin(chapters))
  const scope = effectScope()
  const id = ref<number | null>(one)
  const chapter = vue.runWithContext(() => scope.run(() => useChapter(id)))
  await waitFor('it is live', () => chapter?.value?.connection === 'live')
  id.value = two
  t.equal(chapter?.value?.chapter_id, two)
  await waitFor('the other one is live', () => chapter?.value?.connection === 'live')
  await waitFor('the first room is left', () => members(one) === 0)
  t.equal(members(two), 1)
  scope.stop()
  await waitFor('the room is left', () => members(two) === 0)
})

await t.test('a component gives the client to those inside it, and without one they say so', async (t) => {
  const chapters = connectChapters('http://localhost:8000')
  const Inner = () => h('p', useChapters() === chapters ? 'the same' : 'another')
  const Outer = {
    setup() {
      provideChapters(chapters)
      return () => h(Inner)
    },
  }
  t.equal(await renderToString(createSSRApp(Outer)), '<p>the same</p>')
  const orphan = createSSRApp(() => h(Inner))
  orphan.config.warnHandler = () => {}
  await t.rejects(renderToString(orphan), { message: /createChaptersPlugin/ })
})

await t.test('the types say whether there is a chapter', async (t) => {
  // Compiled, not run.
  const typed = () => {
    const known: ChapterSnapshot = useChapter(1).value
    const ofGetter: ChapterSnapshot = useChapter(() => 1).value
    const ofRef: ChapterSnapshot = useChapter(ref(1)).value
    const maybe: ChapterSnapshot | null = useChapter(ref<number | null>(null)).value
    // @ts-expect-error: there may be none
    const some: ChapterSnapshot = useChapter(() => undefined).value
    // @ts-expect-error: an id is a number
    useChapter('1')
    return [known, ofGetter, ofRef, maybe, some]
  }
  t.type(typed, 'function')
})
