/** The components of the client’s README for Vue and Svelte, as they stand there, in a browser. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { bundlePage, pageWith, servePages } from '../support/bundle-page.js'
import { withBrowser } from '../support/chromium.js'
import { createChapter, finish } from '../support/client.js'
import { postPartial, workOf } from '../support/partial.js'
import { addressOf, has, openPage } from './open-page.js'

const README = new URL('../../src/client/README.md', import.meta.url)
const QUERY = `
  const query = new URLSearchParams(location.search)
  const id = Number(query.get('id'))
  const chapters = connectChapters(query.get('server'))`
const PAGES = {
  vue: {
    'page.ts': `
      import { createApp } from 'vue'
      import { connectChapters } from 'chaptercast-client'
      import { createChaptersPlugin } from 'chaptercast-client/vue'
      import Chapter from './chapter.vue'
      ${QUERY}
      createApp(Chapter, { id }).use(createChaptersPlugin(chapters)).mount('#root')`,
  },
  svelte: {
    'page.ts': `
      import { mount } from 'svelte'
      import App from './app.svelte'
      mount(App, { target: document.querySelector('#root') })`,
    'app.svelte': `
      <script>
      import { connectChapters } from 'chaptercast-client'
      import { provideChapters } from 'chaptercast-client/svelte'
      import Chapter from './chapter.svelte'
      ${QUERY}
      provideChapters(chapters)
      </script>
      <Chapter {id} />`,
  },
}

await withBrowser(t, async (browser) => {
  const { url } = await buildTestApp(t)
  const readme = await readFile(README, 'utf8')
  // Beside the tests: the pages import their packages.
  const root = new URL(`readme-${process.pid}/`, import.meta.url)
  t.teardown(() => rm(root, { recursive: true, force: true }))

  for (const [framework, files] of Object.entries(PAGES))
    await t.test(
      `the component for ${framework} shows text as it is written, and then the content`,
      async (t) => {
        const [, component = ''] = new RegExp(`^\`\`\`${framework}\\n(.*?)^\`\`\``, 'ms').exec(readme) ?? []
        const folder = new URL(`${framework}/`, root)
        await mkdir(folder, { recursive: true })
        for (const [name, text] of Object.entries({ ...files, [`chapter.${framework}`]: component }))
          await writeFile(new URL(name, folder), text)
        const script = await bundlePage(new URL('page.ts', folder))
        const origin = await servePages(t, { '/page.js': script, '/': pageWith('/page.js') })
        const id = await createChapter(url)
        const page = await openPage(t, browser, addressOf(origin, { server: url, id }))
        await has(page, '#root', /processing/)
        await postPartial(url, id, 'concept', { text: '변수는' }, await workOf(url, id, 'concept'))
        await has(page, 'pre', '변수는')
        for (const kind of JOB_KINDS) await finish(url, id, kind)
        await has(page, '#root', /completed/)
        await has(page, 'pre', /값|변수/)
        t.equal(await page.locator('progress').getAttribute('value'), '100')
      },
    )
})
