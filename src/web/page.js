/**
 * The live page: create a chapter or pick one, and watch it being written.
 * The address is the state (`/?chapter=12`); everything else follows from it.
 */
import { canCancel, canRetry, splitName } from './chapter.js'
import { openChapterPage } from './chapter-page.js'
import { openCreateForm } from './create-form.js'
import { byId, setText } from './dom.js'
import { openRecent } from './recent.js'
import { chapters } from './server.js'
import { language, setLanguage, translate, words } from './strings.js'
import { openTokenForm } from './token-form.js'
import { watchChapter } from './watch.js'

const home = byId('home', HTMLElement)
const chapterPage = byId('chapter', HTMLElement)
const announcer = byId('announcer', HTMLElement)
const dialog = byId('cancel-dialog', HTMLDialogElement)
const joinForm = byId('join', HTMLFormElement)
const joinId = byId('join-id', HTMLInputElement)
const joinError = byId('join-error', HTMLElement)

/** Of the chapter that is watched; null on the start page. @type {import('chaptercast-client').ChapterConnection | null} */
let connection = null
/** @type {import('./watch.js').ChapterWatch | null} */
let watch = null
/** What the last retry or cancel was refused with; null when it was not. @type {unknown} */
let actionError = null
let acting = false
/** @type {string[]} */
let toSay = []

const page = openChapterPage()
const tokenForm = openTokenForm(() => say(words('token_heading'), language()), reopen)
const recent = openRecent(tokenForm.take)
const createForm = openCreateForm((id) => navigate(id), refusedForToken)

speak()
open(chapterInAddress())

// Where the page is.

/** @returns {number | null | undefined} undefined when the address names one that cannot be */
function chapterInAddress() {
  const text = new URL(location.href).searchParams.get('chapter')
  return text === null ? null : readId(text)
}

/** @param {string} text @returns {number | undefined} */
function readId(text) {
  const id = /^\s*#?\d{1,16}\s*$/.test(text) ? Number(text.replace('#', '')) : 0
  return id >= 1 && Number.isSafeInteger(id) ? id : undefined
}

/** Goes there and moves the focus, since the person asked for it. @param {number | null} id */
function navigate(id) {
  const address = id === null ? location.pathname : `${location.pathname}?chapter=${id}`
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  open(id)
  byId(id === null ? 'home-heading' : 'chapter-title', HTMLElement).focus({
    preventScroll: true,
  })
  scrollTo(0, 0)
}

/** @param {number | null | undefined} id */
function open(id) {
  if (typeof id === 'number' && watch?.id === id) return
  watch?.close()
  watch = null
  actionError = null
  toSay = []
  if (dialog.open) dialog.close()
  home.hidden = typeof id === 'number'
  chapterPage.hidden = !home.hidden
  joinError.hidden = id !== undefined
  if (typeof id === 'number') {
    const own = watchChapter(id, {
      changed: () => watch === own && showSoon(),
      news({ name, payload }) {
        if (watch === own && isImportant(name)) say(payload.message, own.chapter.locale)
      },
    })
    watch = own
    show()
  } else {
    if (id === undefined) setText(joinError, words('open_invalid'))
    document.title = `chaptercast · ${words('tagline')}`
    void recent.refresh()
    showConnection()
  }
}

/** With what is known now: another token. */
function reopen() {
  watch?.close()
  watch = null
  open(chapterInAddress())
  byId(watch === null ? 'home-heading' : 'chapter-title', HTMLElement).focus({ preventScroll: true })
}

addEventListener('popstate', () => {
  open(chapterInAddress())
  const heading = byId(watch === null ? 'home-heading' : 'chapter-title', HTMLElement)
  heading.focus({ preventScroll: true })
})

// Links of the page that lead to another chapter or home, without loading the page again.
document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a') : null
  if (link === null || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  if (link.dataset.chapter !== undefined) {
    event.preventDefault()
    navigate(Number(link.dataset.chapter))
  } else if (link.id === 'brand' || link.id === 'back') {
    event.preventDefault()
    navigate(null)
  }
})

joinForm.addEventListener('submit', (event) => {
  event.preventDefault()
  const id = readId(joinId.value)
  joinError.hidden = id !== undefined
  if (id === undefined) {
    setText(joinError, words('open_invalid'))
    joinId.setAttribute('aria-invalid', 'true')
    joinId.focus()
    return
  }
  joinId.removeAttribute('aria-invalid')
  joinId.value = ''
  navigate(id)
})

// What can be asked of a chapter.

byId('retry', HTMLElement).addEventListener('click', () => {
  if (watch !== null && canRetry(watch.chapter)) void act('retry')
})
byId('cancel', HTMLElement).addEventListener('click', () => {
  if (watch !== null && canCancel(watch.chapter)) dialog.showModal()
})
byId('cancel-no', HTMLElement).addEventListener('click', () => dialog.close())
byId('cancel-yes', HTMLElement).addEventListener('click', () => {
  dialog.close()
  void act('cancel')
})

/** @param {'retry' | 'cancel'} what */
async function act(what) {
  const own = watch
  if (own === null || acting) return
  acting = true
  actionError = null
  try {
    await chapters[what](own.id)
  } catch (error) {
    if (watch === own && !refusedForToken(error)) actionError = error
  } finally {
    acting = false
    // Its event says the same, if it comes; this does not need the connection.
    if (watch === own) {
      own.refresh()
      show()
    }
  }
}

// What is shown.

let showing = false

/** Changes come in bursts: what they lead to is shown once. */
function showSoon() {
  if (showing) return
  showing = true
  setTimeout(() => {
    showing = false
    show()
  }, 16)
}

function show() {
  if (watch === null) return
  showConnection()
  page.show(watch, tokenForm.take(watch.error) ? null : (actionError ?? watch.error))
  const { title, status, progress, id } = watch.chapter
  const sign = {
    processing: `${Math.floor(progress)}%`,
    completed: '✓',
    failed: '✗',
    cancelled: '–',
  }
  const prefix = status === null ? '' : `${sign[status]} `
  document.title = `${prefix}${title ?? words('chapter_n', { n: id })} · chaptercast`
}

setInterval(() => {
  if (watch !== null && document.visibilityState === 'visible') page.tick(watch.chapter)
}, 1000)

/** The start page has no connection: what it shows is asked for. */
function showConnection() {
  const before = connection
  connection = watch?.connection ?? null
  if (before === 'live' && connection === 'reconnecting') say(words('connection_lost'), language())
  if (before === 'reconnecting' && connection === 'live') say(words('connection_back'), language())
  const isLost = connection === 'reconnecting'
  const box = byId('connection', HTMLElement)
  // Closed is what was refused, and that is said where it was asked for.
  box.hidden = connection === null || connection === 'closed'
  byId('offline', HTMLElement).hidden = !isLost
  if (connection === null || connection === 'closed') return
  const shown = isLost && !navigator.onLine ? 'offline' : connection
  box.dataset.state = shown
  setText(byId('connection-words', HTMLElement), words(shown))
}

/** Whoever comes back sees what is. */
function lookAgain() {
  if (watch !== null) watch.refresh()
  else void recent.refresh()
}

document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') lookAgain()
})
addEventListener('pageshow', (shown) => {
  if (shown.persisted) lookAgain()
})
addEventListener('online', lookAgain)
addEventListener('offline', showConnection)
addEventListener('online', showConnection)

/** Whether someone who cannot see the page should hear of it. @param {import('chaptercast-client').EventName} name */
function isImportant(name) {
  const { kind, what } = splitName(name)
  if (kind === null) return name !== 'chapter_processing_started'
  return what === 'completed' || what === 'failed' || what === 'retrying'
}

/** Asked by the person: where to give a token is where they are led. @param {unknown} error */
function refusedForToken(error) {
  const isAboutToken = tokenForm.take(error)
  if (isAboutToken) tokenForm.focus()
  return isAboutToken
}

/**
 * Says it to those who cannot see it. What comes in one moment is said in one breath: a live region
 * that changes twice at once is read once.
 * @param {string} text @param {string | null} lang
 */
function say(text, lang) {
  if (toSay.length === 0) {
    setTimeout(() => {
      announcer.textContent = toSay.join(' ')
      toSay = []
    }, 400)
  }
  announcer.lang = lang ?? ''
  toSay.push(text)
}

// The language.

for (const button of document.querySelectorAll('[data-language]')) {
  button.addEventListener('click', () => {
    setLanguage(button.getAttribute('data-language') === 'ko' ? 'ko' : 'en')
    speak()
  })
}

function speak() {
  document.documentElement.lang = language()
  translate(document)
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.getAttribute('data-language') === language()))
  }
  for (const id of ['brand', 'back']) byId(id, HTMLAnchorElement).href = location.pathname
  createForm.translated()
  recent.translated()
  tokenForm.translated()
  page.translated()
  showConnection()
  if (watch === null) document.title = `chaptercast · ${words('tagline')}`
  else show()
}
