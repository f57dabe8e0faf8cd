/**
 * The form that creates a chapter, and the curl command that does the same.
 * What is right is the server’s to say: the form sends what it has and shows the answer. Sending it
 * again after a failure gives the same chapter, because both carry one `Idempotency-Key`.
 */
import { byId } from './dom.js'
import { describeError, hideProblem, showProblem } from './problem.js'
import { chapters } from './server.js'
import { language, words } from './strings.js'

/** @typedef {import('chaptercast-client').ChapterCreate} ChapterCreate */

const REMEMBERED = ['course_id', 'owner_id', 'quiz_count']

/**
 * @param {(chapterId: number) => void} created
 * @param {(error: unknown) => boolean} isAboutToken whether somebody else sees to what was refused
 */
export function openCreateForm(created, isAboutToken) {
  const form = byId('create', HTMLFormElement)
  const button = byId('create-button', HTMLButtonElement)
  const box = byId('create-problem', HTMLElement)
  const locale = byId('locale', HTMLSelectElement)
  const command = byId('curl-command', HTMLPreElement)
  const copy = byId('curl-copy', HTMLButtonElement)
  let localeChosen = false
  let sending = false
  let key = newKey()
  let keyOf = ''
  /** What the last answer refused; null when it did not. @type {unknown} */
  let refused = null

  for (const name of REMEMBERED) {
    const value = recall(name)
    if (value !== null) byId(name, HTMLInputElement).value = value
  }

  locale.addEventListener('change', () => {
    localeChosen = true
  })
  form.addEventListener('input', showCommand)
  form.addEventListener('change', showCommand)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void send()
  })
  copy.addEventListener('click', async () => {
    await copyText(command.textContent ?? '')
    copy.textContent = words('copied')
    setTimeout(() => {
      copy.textContent = words('copy')
    }, 2000)
  })

  async function send() {
    if (sending) return
    const body = read(form)
    const written = JSON.stringify(body)
    if (written !== keyOf) key = newKey()
    keyOf = written
    setSending(true)
    refused = null
    hideProblem(box, form)
    try {
      const chapter = await chapters.create(/** @type {ChapterCreate} */ (/** @type {unknown} */ (body)), {
        idempotencyKey: key,
      })
      keyOf = ''
      for (const name of REMEMBERED) remember(name, String(body[name] ?? ''))
      byId('title', HTMLInputElement).value = ''
      byId('description', HTMLTextAreaElement).value = ''
      showCommand()
      created(chapter.chapter_id)
    } catch (error) {
      if (isAboutToken(error)) return
      refused = error
      const field = showProblem(box, describeError(error, 'create'), form)
      // What is wrong there is not to be looked for.
      const more = byId('more', HTMLDetailsElement)
      if (more.querySelector('[aria-invalid]') !== null) more.open = true
      field?.focus()
    } finally {
      setSending(false)
    }
  }

  /** Not `disabled`: the focus would be lost. @param {boolean} now */
  function setSending(now) {
    sending = now
    button.setAttribute('aria-disabled', String(now))
    button.textContent = words(now ? 'creating' : 'create')
  }

  function showCommand() {
    const body = JSON.stringify(read(form), null, 2).replaceAll("'", "'\\''")
    command.textContent = `curl ${location.origin}/v1/chapter/ \\\n  -H 'content-type: application/json' \\\n  -d '${body}'`
  }

  return {
    /** The page speaks another language now. */
    translated() {
      if (!localeChosen) locale.value = language()
      if (!box.hidden && refused !== null) showProblem(box, describeError(refused, 'create'), form)
      showCommand()
    },
  }
}

/**
 * What is sent: empty fields are left out, so that the server applies its defaults or asks for them;
 * an empty title is sent, for it is the one thing nobody can leave out.
 * @param {HTMLFormElement} form
 */
function read(form) {
  /** @type {Record<string, string | number | null>} */
  const body = {}
  for (const [name, value] of new FormData(form)) {
    const text = String(value)
    const field = /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name))
    const number = field?.type === 'number'
    // What is no number reads as empty: the server is to say so rather than to take its default.
    if (number && field.validity.badInput) body[name] = null
    else if (name === 'title') body[name] = text
    else if (text.trim() !== '') body[name] = number ? Number(text) : text
  }
  return body
}

/** `crypto.randomUUID` is missing on plain http from another computer. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}

/** @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // No clipboard on plain http from another computer: select it, so that Ctrl+C does.
    getSelection()?.selectAllChildren(byId('curl-command', HTMLPreElement))
  }
}

/** @param {string} name */
export function recall(name) {
  try {
    return localStorage.getItem(`chaptercast.${name}`) || null
  } catch {
    return null
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(`chaptercast.${name}`, value)
  } catch {
    // Storage may be blocked.
  }
}
