/**
 * Asks for a token when the server wants one or no longer takes the one it had. A token is tried before it is
 * used, kept for this tab alone, and never part of an address.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { byId, setAttribute, setText } from './dom.js'
import { chapters, currentToken, keepToken } from './server.js'
import { words } from './strings.js'

/** A header can hold nothing else, and no token has anything else. */
const TOKEN = /^[\x21-\x7e]+$/

/**
 * @param {() => void} asked the form is shown
 * @param {() => void} given a token that the server takes
 */
export function openTokenForm(asked, given) {
  const form = byId('token-form', HTMLFormElement)
  const input = byId('token', HTMLInputElement)
  const button = byId('token-button', HTMLButtonElement)
  const said = byId('token-error', HTMLElement)
  /** @type {import('./strings.js').StringKey | null} */
  let complaint = null
  let isChecking = false

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (!isChecking) void check(input.value.trim())
  })

  /** @param {string} token */
  async function check(token) {
    setChecking(true)
    try {
      const refusal = TOKEN.test(token) ? await refusalOf(token) : 'token_refused'
      complain(refusal)
      if (refusal !== null) {
        input.focus()
        return
      }
      input.value = ''
      form.hidden = true
      given()
    } finally {
      setChecking(false)
    }
  }

  /** @param {boolean} now */
  function setChecking(now) {
    isChecking = now
    setAttribute(button, 'aria-disabled', String(now))
    setText(button, words(now ? 'token_checking' : 'token_use'))
  }

  /** @param {typeof complaint} about */
  function complain(about) {
    complaint = about
    said.hidden = about === null
    setText(said, about === null ? '' : words(about))
    setAttribute(input, 'aria-invalid', about === null ? null : 'true')
  }

  return {
    /** Asks for a token if the error is about one, and tells whether it is. @param {unknown} error */
    take(error) {
      if (!isAboutToken(error)) return false
      if (isChecking) return true
      if (currentToken() !== undefined) complain(complaintOf(error))
      keepToken(undefined)
      if (form.hidden) {
        form.hidden = false
        asked()
      }
      return true
    },
    /** Asks for another token than the one there is. */
    ask() {
      keepToken(undefined)
      form.hidden = false
      input.focus()
    },
    focus: () => input.focus(),
    /** The page speaks another language now. */
    translated() {
      complain(complaint)
      setChecking(isChecking)
    },
  }
}

/**
 * What is wrong with the token; null when the server takes it, and from then on it is the one in use.
 * @param {string} token
 */
async function refusalOf(token) {
  keepToken(token)
  try {
    await chapters.list({ limit: 1 })
    return null
  } catch (error) {
    // What else it may not do is another question.
    if (error instanceof RefusedError && !isAboutToken(error)) return null
    keepToken(undefined)
    return error instanceof UnreachableError ? 'unreachable' : complaintOf(error)
  }
}

/** @param {unknown} error */
function complaintOf(error) {
  return error instanceof RefusedError && error.code === 'token_expired' ? 'token_expired' : 'token_refused'
}

/** @param {unknown} error */
function isAboutToken(error) {
  return error instanceof RefusedError && (error.code === 'unauthorized' || error.code === 'token_expired')
}
