/**
 * The operators’ page: what is stuck, chapters, dead letters, kinds, notices and the audit log. The address is the
 * state (`address.js`); what it stands for is read every few seconds, and shown by changing only what differs.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { byId, createElement, setAttribute, setText } from '../dom.js'
import { describeError, hideProblem, showProblem } from '../problem.js'
import { currentToken, serverNow } from '../server.js'
import { language, setLanguage, translate } from '../strings.js'
import { formatTime } from '../time.js'
import { openTokenForm } from '../token-form.js'
import { ACTS } from './acts.js'
import { addressOf, currentPlace, placeOf } from './address.js'
import { openAskDialog } from './ask-dialog.js'
import { audit } from './audit.js'
import { chapter } from './chapter.js'
import { deadLetters } from './dead-letters.js'
import { fillFilters, readFilters } from './filters.js'
import { kinds } from './kinds.js'
import { show } from './morph.js'
import { notices } from './notices.js'
import { words } from './strings.js'
import { stuck } from './stuck.js'

/** @typedef {import('./address.js').Place} Place */

const READ_AGAIN_MS = 5000

/** @type {Record<import('./address.js').ViewName, import('./parts.js').View<any>>} */
const VIEWS = { stuck, chapter, 'dead-letters': deadLetters, kinds, notices, audit }

const heading = byId('heading', HTMLElement)
const form = byId('filters', HTMLFormElement)
const box = byId('problem', HTMLElement)
const root = byId('view', HTMLElement)
const announcer = byId('announcer', HTMLElement)

let place = currentPlace()
/** What was read of this place; undefined until then. @type {any} */
let data
/** By the server’s clock. @type {number | null} */
let readAt = null
let isAway = false
/** Why it could not be read, other than that nobody answered. @type {RefusedError | null} */
let refused = null
/** The reading that is under way. @type {AbortController | null} */
let reading = null
/** Rows that are selected, by key. @type {Set<string>} */
let picked = new Set()

const tokenForm = openTokenForm(
  () => say(words('token_heading')),
  () => open(place),
)
const dialog = openAskDialog(done, (error) => {
  const isAboutToken = tokenForm.take(error)
  if (isAboutToken) tokenForm.focus()
  return isAboutToken
})

speak()
open(place)

// Where the page is.

/** Goes there and moves the focus, since the person asked for it. @param {string} address */
function navigate(address) {
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  open(placeOf(address))
  heading.focus({ preventScroll: true })
  scrollTo(0, 0)
}

/** @param {Place} next */
function open(next) {
  place = next
  data = undefined
  refused = null
  picked = new Set()
  dialog.close()
  root.replaceChildren()
  byId('done', HTMLElement).hidden = true
  const { filters } = VIEWS[place.view]
  fillFilters(form, filters, place.query, addressOf(place.view))
  render()
  void refresh()
}

addEventListener('popstate', () => {
  open(currentPlace())
  heading.focus({ preventScroll: true })
})

document.addEventListener('click', (event) => {
  if (!(event.target instanceof Element) || event.defaultPrevented || event.button !== 0) return
  const button = event.target.closest('button')
  const act = button?.dataset.act
  if (button && act !== undefined && act in ACTS)
    dialog.open(
      /** @type {keyof typeof ACTS} */ (act),
      /** @type {Record<string, string>} */ ({ ...button.dataset }),
    )
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const href = event.target.closest('a')?.getAttribute('href')
  if (!href?.startsWith('/admin?')) return
  event.preventDefault()
  navigate(href)
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  // What the form does not know stays: how long something may take before it counts as stuck.
  const { cursor: _, ...kept } = place.query
  for (const name of VIEWS[place.view].filters) delete kept[name]
  navigate(addressOf(place.view, { ...kept, ...readFilters(form) }))
})

root.addEventListener('change', ({ target }) => {
  if (!(target instanceof HTMLInputElement) || target.dataset.pick === undefined) return
  const keys = target.dataset.pick === 'all' ? keysHere() : [target.dataset.pick]
  for (const key of keys) target.checked ? picked.add(key) : picked.delete(key)
  render()
})

/** Of every row of this page that can be selected. */
function keysHere() {
  return [...root.querySelectorAll('[data-pick]')]
    .map((node) => node.getAttribute('data-pick') ?? '')
    .filter((key) => key !== 'all')
}

byId('other-token', HTMLElement).addEventListener('click', () => tokenForm.ask())

// Reading.

setInterval(() => {
  const isWanted =
    document.visibilityState === 'visible' && !isForbidden() && byId('token-form', HTMLElement).hidden
  if (isWanted && reading === null) void refresh()
}, READ_AGAIN_MS)

addEventListener('online', () => void refresh())
addEventListener('pageshow', (shown) => shown.persisted && void refresh())
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void refresh()
})

async function refresh() {
  reading?.abort()
  const own = new AbortController()
  reading = own
  try {
    const answer = await VIEWS[place.view].read(place.query, own.signal)
    if (reading !== own) return
    data = answer
    readAt = serverNow()
    refused = null
    setAway(false)
  } catch (error) {
    if (reading !== own) return
    if (error instanceof UnreachableError) setAway(true)
    else setAway(false)
    if (error instanceof RefusedError) {
      refused = tokenForm.take(error) ? null : error
      if (error.status === 403 || error.status === 404) data = undefined
    } else if (!(error instanceof UnreachableError)) throw error
  } finally {
    if (reading === own) reading = null
  }
  render()
}

/** @param {boolean} now */
function setAway(now) {
  if (now !== isAway) say(words(now ? 'said_away' : 'said_back'))
  isAway = now
}

/** Nothing that this person asks for is answered. */
function isForbidden() {
  return refused?.code === 'forbidden'
}

/** An act was done. @param {string} text */
function done(text) {
  const note = byId('done', HTMLElement)
  note.hidden = false
  setText(note, text)
  say(text)
  void refresh()
}

// What is shown.

function render() {
  const { view, query } = place
  const name =
    view === 'chapter' && query.id !== undefined ? words('chapter_n', { n: query.id }) : words(`view_${view}`)
  setText(heading, name)
  document.title = `${name} · ${words('operators_title')}`
  setText(byId('about', HTMLElement), words(`about_${view}`))
  for (const link of document.querySelectorAll('#tabs a'))
    setAttribute(link, 'aria-current', link.getAttribute('href') === addressOf(view) ? 'page' : null)
  showConnection()
  showRefusal()
  form.hidden = isForbidden() || VIEWS[view].filters.length === 0
  root.hidden = isForbidden()
  const hadFocus = root.contains(document.activeElement)
  show(
    root,
    data === undefined
      ? [noteWithout()]
      : [...VIEWS[view].show(data, { query, picked, empty: emptyKey() }), pager()],
  )
  for (const key of picked) if (!keysHere().includes(key)) picked.delete(key)
  // What had the focus is gone.
  if (hadFocus && !root.contains(document.activeElement)) heading.focus({ preventScroll: true })
}

/** Until there is something to show. */
function noteWithout() {
  if (reading === null || refused !== null || isAway) return null
  return createElement('p', { class: 'muted', 'data-key': 'none' }, words('reading'))
}

/** @returns {import('./strings.js').StringKey} */
function emptyKey() {
  const { view, query } = place
  if (data?.next_cursor) return 'empty_page'
  if (Object.keys(query).length > 0) return 'empty_filtered'
  return view === 'chapter' || view === 'kinds' ? 'none_here' : `empty_${view}`
}

/** The way on, and back to the first page: pages are read by cursor, which knows no number. */
function pager() {
  const { view, query } = place
  const { cursor, ...filters } = query
  const next = data?.next_cursor
  if (cursor === undefined && !next) return null
  /** @param {string} key @param {string} address */
  const link = (key, address) =>
    createElement(
      'a',
      { class: 'tall', href: address, 'data-key': key },
      words(/** @type {'first_page'} */ (key)),
    )
  return createElement(
    'nav',
    { class: 'pages', 'data-key': 'pages', 'aria-label': words('pages') },
    cursor === undefined ? null : link('first_page', addressOf(view, filters)),
    next ? link('next_page', addressOf(view, { ...filters, cursor: next })) : null,
  )
}

function showConnection() {
  const time = readAt === null ? '' : formatTime(new Date(readAt).toISOString())
  const line = byId('connection', HTMLElement)
  line.hidden = readAt === null && !isAway
  line.dataset.state = isAway ? 'offline' : 'live'
  setText(byId('connection-words', HTMLElement), isAway ? words('away') : words('read_at', { time }))
  const note = byId('offline', HTMLElement)
  note.hidden = !isAway
  const since = data === undefined ? '' : ` ${words('away_since', { time })}`
  setText(note, isAway ? `${words('away_text')}${since}` : '')
}

function showRefusal() {
  const hasToken = currentToken() !== undefined
  byId('forbidden', HTMLElement).hidden = !isForbidden()
  setText(byId('forbidden-text', HTMLElement), words(hasToken ? 'no_role_text' : 'no_token_text'))
  setText(byId('forbidden-detail', HTMLElement), refused?.message ?? '')
  byId('other-token', HTMLElement).hidden = !hasToken
  const problem = refused === null || isForbidden() ? null : describeError(refused)
  // It is read out whenever it changes.
  if (box.dataset.shown === JSON.stringify(problem)) return
  box.dataset.shown = JSON.stringify(problem)
  if (problem === null) hideProblem(box, form)
  else showProblem(box, problem, form)
}

/** To those who cannot see it. @param {string} text */
function say(text) {
  announcer.lang = language()
  announcer.textContent = text
}

// The language.

for (const button of document.querySelectorAll('[data-language]')) {
  button.addEventListener('click', () => {
    setLanguage(button.getAttribute('data-language') === 'ko' ? 'ko' : 'en')
    speak()
    byId('done', HTMLElement).hidden = true
    render()
  })
}

function speak() {
  document.documentElement.lang = language()
  translate(document)
  for (const button of document.querySelectorAll('[data-language]'))
    button.setAttribute('aria-pressed', String(button.getAttribute('data-language') === language()))
  tokenForm.translated()
  box.dataset.shown = ''
}
