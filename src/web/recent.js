/**
 * The list of recent chapters on the start page, read again now and then while something is written.
 */
import { addressOf } from './address.js'
import { byId, createElement } from './dom.js'
import { rights } from './rights.js'
import { chapters, serverNow } from './server.js'
import { language, words } from './strings.js'

/** @typedef {import('chaptercast-client').ChapterList} ChapterList */

const LOOK_AGAIN_MS = 5000

/** @param {(error: unknown) => boolean} isAboutToken whether somebody else sees to what was refused */
export function openRecent(isAboutToken) {
  const list = byId('recent', HTMLUListElement)
  const note = byId('recent-note', HTMLElement)
  /** @type {ChapterList['items'] | null} */
  let items = null
  /** @type {'recent_failed' | 'recent_token' | null} */
  let failure = null
  /** Ends the reading that is under way. @type {AbortController | null} */
  let reading = null

  setInterval(() => {
    const moving = failure === 'recent_failed' || items?.some((item) => item.status === 'processing')
    const shown = document.visibilityState === 'visible' && !byId('home', HTMLElement).hidden
    if (moving && shown && reading === null) void refresh()
  }, LOOK_AGAIN_MS)

  async function refresh() {
    reading?.abort()
    const own = new AbortController()
    reading = own
    try {
      const answer = await chapters.list({ limit: 10 }, { signal: own.signal })
      if (reading !== own) return
      items = answer.items
      failure = null
    } catch (error) {
      if (reading !== own) return
      failure = isAboutToken(error) ? 'recent_token' : 'recent_failed'
    }
    reading = null
    show()
  }

  function show() {
    const key = items === null ? (failure ?? 'loading') : items.length === 0 ? 'recent_empty' : null
    note.hidden = key === null
    if (key !== null) note.textContent = words(key)
    // Who is on one of them with the keyboard stays there.
    const focused = document.activeElement?.closest('#recent a')?.getAttribute('data-chapter')
    list.replaceChildren(...(items ?? []).map(describeItem))
    if (focused)
      /** @type {HTMLElement | null} */ (list.querySelector(`[data-chapter="${focused}"]`))?.focus()
  }

  return { refresh, translated: show }
}

/** @param {ChapterList['items'][number]} item */
function describeItem(item) {
  const isBegun = item.status === 'processing' && item.progress > 0
  const standing = item.status === 'processing' && !isBegun ? 'queued' : item.status
  const progress = isBegun ? ` ${Math.floor(item.progress)}%` : ''
  const view = rights().mayChange ? 'teacher' : 'learner'
  return createElement(
    'li',
    {},
    createElement(
      'a',
      {
        href: addressOf({ chapter: item.chapter_id, view }),
        'data-chapter': item.chapter_id,
        'data-view': view,
      },
      createElement('span', { class: 'name', dir: 'auto', lang: item.locale }, item.title),
      createElement(
        'span',
        { class: 'facts' },
        createElement(
          'span',
          { class: 'pill', 'data-status': standing === 'queued' ? 'waiting' : standing },
          `${words(`status_${standing}`)}${progress}`,
        ),
        createElement('span', { class: 'muted' }, `#${item.chapter_id} · ${ago(item.created_at)}`),
      ),
    ),
    createElement(
      'a',
      {
        class: 'course-link',
        href: addressOf({ course: item.course_id }),
        'data-course': item.course_id,
        'aria-label': `${words('course_n', { n: item.course_id })}: ${item.title}`,
      },
      words('course_n', { n: item.course_id }),
    ),
  )
}

/** @param {string} at */
function ago(at) {
  const seconds = (Date.parse(at) - serverNow()) / 1000
  const format = new Intl.RelativeTimeFormat(language(), { numeric: 'auto' })
  if (seconds > -60) return format.format(0, 'second')
  if (seconds > -3600) return format.format(Math.round(seconds / 60), 'minute')
  if (seconds > -86_400) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}
