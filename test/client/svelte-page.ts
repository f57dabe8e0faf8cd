/** What `svelte.test.ts` renders in a browser: svelte-page.svelte. A test steers it with `window.page`. */
import { flushSync, hydrate, mount } from 'svelte'
import { SvelteMap } from 'svelte/reactivity'
import { connectChapters } from '../../src/client/index.js'
import App from './svelte-page.svelte'

const query = new URLSearchParams(location.search)
const number = (name: string) => (query.has(name) ? Number(query.get(name)) : null)
const chapters = connectChapters(query.get('server') ?? '')
const shown = new SvelteMap<string, unknown>([
  ['id', number('id')],
  ['course', number('course')],
  ['components', number('components') ?? 1],
  ['content', query.has('content')],
])
window.page = {
  chapters,
  show(next) {
    flushSync(() => {
      for (const [name, value] of Object.entries(next)) shown.set(name, value)
    })
  },
  renders: [],
  creates: new Set(),
  unhandled: [],
}
window.addEventListener('unhandledrejection', ({ reason }) => window.page.unhandled.push(String(reason)))
const target = document.querySelector('#root') ?? document.body
const start = target.hasChildNodes() ? hydrate : mount
start(App, { target, props: { chapters, shown } })
