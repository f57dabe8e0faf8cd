/**
 * Asks before an act is done, and stays open while it is refused: what was wrong stands beside what was given.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { byId, createElement, setAttribute, setText } from '../dom.js'
import { describeError, hideProblem, showProblem } from '../problem.js'
import { language } from '../strings.js'
import { ACTS } from './acts.js'
import { words } from './strings.js'

/** An act that nobody answered may have been done. Why the server refuses one is known to its own words alone. @param {unknown} error */
function describe(error) {
  const problem = describeError(error)
  if (error instanceof UnreachableError)
    return { ...problem, detail: { text: words('maybe_done'), lang: language() } }
  const own = error instanceof RefusedError ? { text: error.message, lang: 'en' } : null
  return { ...problem, detail: problem.detail ?? own }
}

/**
 * @param {(done: string) => void} done an act was done
 * @param {(error: unknown) => boolean} isAboutToken whether somebody else sees to what was refused
 */
export function openAskDialog(done, isAboutToken) {
  const dialog = byId('ask', HTMLDialogElement)
  const form = byId('ask-form', HTMLFormElement)
  const box = byId('ask-problem', HTMLElement)
  const yes = byId('ask-yes', HTMLButtonElement)
  /** @type {import('./acts.js').Act | null} */
  let act = null
  let isSending = false

  byId('ask-no', HTMLElement).addEventListener('click', () => dialog.close())
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (act !== null && !isSending) void send(act)
  })

  /** @param {import('./acts.js').Act} own */
  async function send(own) {
    setSending(true)
    hideProblem(box, form)
    try {
      const answer = await own.send(given())
      if (act === own) dialog.close()
      done(own.done(answer))
    } catch (error) {
      if (isAboutToken(error)) dialog.close()
      else showProblem(box, describe(error), form)?.focus()
    } finally {
      setSending(false)
    }
  }

  /** What was given, as the API takes it: what is empty is left out, and what is no number is sent as it is. */
  function given() {
    const data = new FormData(form)
    /** @param {string} name */
    const text = (name) => String(data.get(name) ?? '').trim() || undefined
    return {
      text,
      /** @param {string} name @returns {number | undefined} */
      number: (name) => {
        const value = text(name)
        if (value === undefined) return undefined
        return Number.isNaN(Number(value)) ? /** @type {any} */ (value) : Number(value)
      },
      /** @param {string} name */
      has: (name) => data.has(name),
    }
  }

  /** @param {boolean} now */
  function setSending(now) {
    isSending = now
    setAttribute(yes, 'aria-disabled', String(now))
  }

  return {
    close: () => dialog.close(),
    /** @param {keyof typeof ACTS} name @param {import('./acts.js').Data} data */
    open(name, data) {
      if (isSending) return
      act = ACTS[name](data)
      hideProblem(box)
      setText(byId('ask-question', HTMLElement), act.question)
      const lines = [...act.lines, words('recorded')].map((line) => createElement('p', { dir: 'auto' }, line))
      byId('ask-text', HTMLElement).replaceChildren(...lines)
      byId('ask-fields', HTMLElement).replaceChildren(...(act.fields ?? []))
      setText(yes, act.yes)
      yes.classList.toggle('danger', act.isGrave === true)
      dialog.showModal()
    },
  }
}
