/** The adapter for Svelte in real components. Skipped only where there is no Chromium. */
import { rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Component, mount } from 'svelte'
import type { render as renderComponent } from 'svelte/server'
import t, { type Test } from 'tap'
import type { ChapterSnapshot, CourseSnapshot, connectChapters as connect } from '../../src/client/index.js'
import { type Live, useChapter, useCourse, useLearning } from '../../src/client/svelte.js'
import { svelteComponents } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { testAdapter } from './adapter-tests.js'

await withBrowser(t, async (browser) => {
  const { render, App, connectChapters } = await serverBuild(t)
  await testAdapter(t, browser, {
    page: 'svelte-page.ts',
    async render(url, id) {
      const shown = new Map<string, unknown>(
        Object.entries({ id, course: null, components: 1, content: true }),
      )
      const { body } = await render(App, { props: { chapters: connectChapters(url), shown } })
      return body
    },
  })
})

await t.test('the types say whether there is a chapter', async (t) => {
  // Compiled, not run.
  const typed = (id: number, maybeId: number | null) => {
    const known: ChapterSnapshot = useChapter(id).current
    const ofGetter: Live<ChapterSnapshot> = useChapter(() => id)
    const course: CourseSnapshot = useCourse(() => id).current
    const maybe: ChapterSnapshot | null = useChapter(() => maybeId).current
    // @ts-expect-error: there may be none
    const some: ChapterSnapshot = useChapter(() => maybeId).current
    // @ts-expect-error: it is read, not written
    useChapter(id).current = known
    const { learning } = useLearning(id, { answers: () => true })
    return [known, ofGetter, course, maybe, some, learning?.quizzes, mount]
  }
  t.type(typed, 'function')
})

interface ServerBuild {
  render: typeof renderComponent
  App: Component<{ chapters: ReturnType<typeof connect>; shown: Map<string, unknown> }>
  connectChapters: typeof connect
}

/** The page as a server has it: its components are compiled to text instead of elements. */
async function serverBuild(t: Test): Promise<ServerBuild> {
  const folder = new URL('../../test/client/', import.meta.url)
  const contents = `
    export { render } from 'svelte/server'
    export { default as App } from './svelte-page.svelte'
    export { connectChapters } from '../../src/client/index.js'`
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(folder), loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    plugins: [svelteComponents('server')],
    logLevel: 'error',
  })
  // Beside the tests: it imports their packages.
  const file = new URL(`svelte-server-${process.pid}.mjs`, import.meta.url)
  await writeFile(file, outputFiles[0]?.text ?? '')
  t.teardown(() => rm(file))
  return await import(file.href)
}
