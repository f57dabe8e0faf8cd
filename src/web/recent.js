/**
 * The list of recent chapters on the start page, read again now and then while something is written.
 */
import { byId, element } from './element.js'
import { request } from './server.js'
import { language, words } from './strings.js'

/** @typedef {import('../contract/chapter.js').ChapterList} ChapterList */

const LOOK_AGAIN_MS = 5000

export function openRecent() {
  const list = byId('recent', HTMLUListElement)
  const note = byId('recent-note', HTMLElement)
  /** @type {ChapterList['items'] | null} */
  let items = null
  let failed = false
  let reads = 0

  setInterval(() => {
    const moving = failed || items?.some((item) => item.status === 'processing')
    if (moving && document.visibilityState === 'visible' && !byId('home', HTMLElement).hidden) void refresh()
  }, LOOK_AGAIN_MS)

  async function refresh() {
    reads += 1
    const read = reads
    try {
      /** @type {ChapterList} */
      const answer = await request('GET', '/v1/chapter/?limit=10')
      if (read !== reads) return
      items = answer.items
      failed = false
    } catch {
      if (read !== reads) return
      failed = true
    }
    show()
  }

  function show() {
    const key =
      items === null ? (failed ? 'recent_failed' : 'loading') : items.length === 0 ? 'recent_empty' : null
    note.hidden = key === null
    if (key !== null) note.textContent = words(key)
    // Who is on one of them with the keyboard stays there.
    const focused = document.activeElement?.closest('#recent a')?.getAttribute('data-chapter')
    list.replaceChildren(...(items ?? []).map(describe))
    if (focused)
      /** @type {HTMLElement | null} */ (list.querySelector(`[data-chapter="${focused}"]`))?.focus()
  }

  return { refresh, translated: show }
}

/** @param {ChapterList['items'][number]} item */
function describe(item) {
  const progress = item.status === 'processing' ? ` ${Math.floor(item.progress)}%` : ''
  return element(
    'li',
    {},
    element(
      'a',
      { href: `?chapter=${item.chapter_id}`, 'data-chapter': item.chapter_id },
      element('span', { class: 'name', dir: 'auto', lang: item.locale }, item.title),
      element(
        'span',
        { class: 'facts' },
        element(
          'span',
          { class: 'pill', 'data-status': item.status },
          `${words(`status_${item.status}`)}${progress}`,
        ),
        element('span', { class: 'muted' }, `#${item.chapter_id} · ${ago(item.created_at)}`),
      ),
    ),
  )
}

/** @param {string} at */
function ago(at) {
  const seconds = (Date.parse(at) - Date.now()) / 1000
  const format = new Intl.RelativeTimeFormat(language(), { numeric: 'auto' })
  if (seconds > -60) return format.format(0, 'second')
  if (seconds > -3600) return format.format(Math.round(seconds / 60), 'minute')
  if (seconds > -86_400) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}
