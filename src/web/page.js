/**
 * The live page, for three people: learners read a chapter as it is written, teachers follow a course and see to it,
 * operators look at the details. The address is the state (`address.js`); everything else follows from it.
 */
import { addressOf, currentPlace, readId } from './address.js'
import { canCancel, splitName, standingOf } from './chapter.js'
import { openChapterActions } from './chapter-actions.js'
import { openChapterPage } from './chapter-page.js'
import { openCoursePage } from './course-page.js'
import { openCreateForm } from './create-form.js'
import { byId, setAttribute, setText } from './dom.js'
import { openListForm } from './list-form.js'
import { openRecent } from './recent.js'
import { rights } from './rights.js'
import { chapters } from './server.js'
import { language, setLanguage, translate, words } from './strings.js'
import { openTokenForm } from './token-form.js'
import { watchChapter } from './watch.js'

/** @typedef {import('./address.js').Place} Place */
/** @typedef {import('./address.js').View} View */

const home = byId('home', HTMLElement)
const chapterArticle = byId('chapter', HTMLElement)
const courseArticle = byId('course', HTMLElement)
const announcer = byId('announcer', HTMLElement)
const dialog = byId('cancel-dialog', HTMLDialogElement)

/** Of what is watched; null on the start page. @type {import('chaptercast-client').ChapterConnection | null} */
let connection = null
/** @type {import('./watch.js').ChapterWatch | null} */
let watch = null
/** That the address asks for. @type {View} */
let asked = 'learner'
/** @type {string[]} */
let toSay = []

const tokenForm = openTokenForm(() => say(words('token_heading'), language()), reopen)
const actions = openChapterActions({ watch: () => watch, isAboutToken: refusedForToken, changed: show })
const page = openChapterPage(actions.act)
const course = openCoursePage({ changed: showCourse, say, refused: tokenForm.take })
const recent = openRecent(tokenForm.take)
const createForm = openCreateForm((id) => navigate({ chapter: id, view: 'teacher' }), refusedForToken)
const listForm = openListForm((id) => {
  listForm.close()
  navigate({ course: id })
}, refusedForToken)

speak()
open(currentPlace())

// Where the page is.

/** Goes there and moves the focus, since the person asked for it. @param {Place} place */
function navigate(place) {
  const address = addressOf(place)
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  open(place)
  focusHeading()
  scrollTo(0, 0)
}

function focusHeading() {
  const shown = watch !== null ? 'chapter-title' : course.id !== null ? 'course-title' : 'home-heading'
  byId(shown, HTMLElement).focus({ preventScroll: true })
}

/** @param {Place} place */
function open(place) {
  const chapter = place !== null && 'chapter' in place ? place.chapter : null
  const courseId = place !== null && 'course' in place ? place.course : null
  const wrong = place !== null && 'wrong' in place ? place.wrong : null
  if (chapter === null || watch?.id !== chapter) {
    watch?.close()
    watch = null
    actions.forget()
    page.forget()
    toSay = []
    if (dialog.open) dialog.close()
  }
  home.hidden = chapter !== null || courseId !== null
  chapterArticle.hidden = chapter === null
  courseArticle.hidden = courseId === null
  for (const name of /** @type {const} */ (['chapter', 'course'])) {
    const error = byId(`join-${name}-error`, HTMLElement)
    error.hidden = wrong !== name
    setText(error, wrong === name ? words(`open_${name}_invalid`) : '')
  }
  if (courseId === null) course.close()
  else if (course.id !== courseId) course.watch(courseId)
  if (chapter === null) listForm.place(courseId)
  if (place !== null && 'chapter' in place) openChapter(place)
  else if (courseId !== null) showCourse()
  else {
    document.title = `chaptercast · ${words('tagline')}`
    void recent.refresh()
    showConnection()
  }
}

/** @param {{ chapter: number, view: View }} place */
function openChapter({ chapter, view }) {
  asked = view
  if (watch === null) {
    const own = watchChapter(chapter, {
      changed: () => watch === own && showSoon(),
      news({ name, payload }) {
        if (watch === own && isImportant(name)) say(payload.message, own.chapter.locale)
      },
    })
    watch = own
  }
  show()
}

/** Who may only read sees what learners see, whatever the address says. @returns {View} */
function viewNow() {
  return rights().mayChange ? asked : 'learner'
}

/** With what is known now: another token. */
function reopen() {
  watch?.close()
  watch = null
  course.close()
  open(currentPlace())
  focusHeading()
}

addEventListener('popstate', () => {
  open(currentPlace())
  focusHeading()
})

// Links of the page that lead to another place of it, without loading it again.
document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a') : null
  if (link === null || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const { chapter, course: courseId, view } = link.dataset
  /** @type {Place | undefined} */
  let place
  if (chapter !== undefined)
    place = { chapter: Number(chapter), view: /** @type {View} */ (view ?? 'learner') }
  else if (courseId !== undefined) place = { course: Number(courseId) }
  else if (link.id === 'brand' || link.matches('.back')) place = null
  if (place === undefined) return
  event.preventDefault()
  navigate(place)
})

for (const name of /** @type {const} */ (['chapter', 'course'])) {
  const input = byId(`join-${name}-id`, HTMLInputElement)
  const error = byId(`join-${name}-error`, HTMLElement)
  byId(`join-${name}`, HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault()
    const id = readId(input.value)
    error.hidden = id !== undefined
    setText(error, id === undefined ? words(`open_${name}_invalid`) : '')
    setAttribute(input, 'aria-invalid', id === undefined ? 'true' : null)
    if (id === undefined) {
      input.focus()
      return
    }
    input.value = ''
    navigate(name === 'chapter' ? { chapter: id, view: 'learner' } : { course: id })
  })
  input.addEventListener('input', () => {
    if (readId(input.value) === undefined) return
    error.hidden = true
    input.removeAttribute('aria-invalid')
  })
}

// What can be asked of a whole chapter; `part-tools.js` has what can be asked of a part.

byId('cancel', HTMLElement).addEventListener('click', () => {
  if (watch !== null && canCancel(watch.chapter)) dialog.showModal()
})
byId('cancel-no', HTMLElement).addEventListener('click', () => dialog.close())
byId('cancel-yes', HTMLElement).addEventListener('click', () => {
  dialog.close()
  void actions.act('cancel', (id) => chapters.cancel(id))
})
byId('same-again', HTMLElement).addEventListener('click', async () => {
  const view = watch?.view
  if (!view) return
  const { course_id, owner_id, title, description, locale, quiz_count, metadata } = view
  /** @type {number | undefined} */
  let made
  await actions.act('create', async () => {
    const same = { course_id, owner_id, title, description, locale, quiz_count, metadata }
    made = (await chapters.create(same)).chapter_id
  })
  if (made !== undefined) navigate({ chapter: made, view: asked })
})

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
  const error = tokenForm.take(watch.error) ? null : watch.error
  page.show(watch, viewNow(), actions.failureOf(watch) ?? (error === null ? null : { error }))
  const { title, progress, id } = watch.chapter
  const sign = {
    processing: `${progress}% `,
    queued: '… ',
    completed: '✓ ',
    failed: '✗ ',
    cancelled: '– ',
    waiting: '',
    loading: '',
  }
  const standing = standingOf(watch.chapter)
  document.title = `${sign[standing]}${title ?? words('chapter_n', { n: id })} · chaptercast`
}

function showCourse() {
  if (course.id === null) return
  showConnection()
  document.title = `${course.name} · chaptercast`
}

setInterval(() => {
  if (watch !== null && document.visibilityState === 'visible') page.tick(watch, viewNow())
}, 1000)

/** The start page has no connection: what it shows is asked for. */
function showConnection() {
  const before = connection
  connection = watch?.connection ?? course.connection
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

/** Shows the current state when the user comes back. */
function lookAgain() {
  if (watch !== null) watch.refresh()
  else if (course.id === null) void recent.refresh()
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
  for (const link of document.querySelectorAll('#brand, .back')) setAttribute(link, 'href', location.pathname)
  for (const name of /** @type {const} */ (['chapter', 'course'])) {
    const error = byId(`join-${name}-error`, HTMLElement)
    if (!error.hidden) setText(error, words(`open_${name}_invalid`))
  }
  createForm.translated()
  listForm.translated()
  recent.translated()
  tokenForm.translated()
  page.translated()
  course.translated()
  showConnection()
  if (watch !== null) show()
  else if (course.id !== null) showCourse()
  else document.title = `chaptercast · ${words('tagline')}`
}
