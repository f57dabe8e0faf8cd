/**
 * A list of titles, pasted, becomes the chapters of a course: one title a line, as many requests as the server’s limit
 * needs. What was created leaves the list, so that a failure in the middle leaves what is still to be done.
 */
import { newKey, recall, remember } from './create-form.js'
import { byId, setText } from './dom.js'
import { describeError, hideProblem, showProblem } from './problem.js'
import { chapters } from './server.js'
import { language, words } from './strings.js'
import { describeViolation } from './violation.js'

/** @typedef {import('chaptercast-client').Violation} Violation */

const BATCH = 100

/**
 * @param {(courseId: number) => void} created
 * @param {(error: unknown) => boolean} isAboutToken whether somebody else sees to what was refused
 */
export function openListForm(created, isAboutToken) {
  const form = byId('list-form', HTMLFormElement)
  const input = byId('titles', HTMLTextAreaElement)
  const said = byId('titles-error', HTMLElement)
  const button = byId('list-button', HTMLButtonElement)
  const box = byId('list-problem', HTMLElement)
  const course = byId('list-course', HTMLInputElement)
  const owner = byId('list-owner', HTMLInputElement)
  const count = byId('list-quiz-count', HTMLInputElement)
  let isSending = false
  let key = newKey()
  let keyOf = ''
  /** @type {unknown} */
  let refused = null
  /** What is wrong, by line; described in the page's language. @type {{ line: number, violation: Violation }[]} */
  let wrong = []

  course.value = recall('course_id') ?? '1'
  owner.value = recall('owner_id') ?? '1'
  input.addEventListener('input', () => {
    showWrong([])
    showCount()
  })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (!isSending) void send()
  })

  /** Lines that say something, and where they stand. */
  function titles() {
    return input.value.split('\n').flatMap((text, index) => {
      const title = text.replace(/^\s*(?:[-*•]|\d{1,3}[.)])\s+/, '').trim()
      return title === '' ? [] : [{ title, line: index + 1 }]
    })
  }

  async function send() {
    hideProblem(box, form)
    showWrong([])
    refused = null
    const violation = /** @type {Violation} */ ({ path: '', message: '', code: 'required' })
    if (titles().length === 0) {
      showWrong([{ line: 0, violation }])
      input.focus()
      return
    }
    setSending(true)
    const courseId = course.value.trim() === '' ? 0 : Number(course.value)
    try {
      for (let list = titles(); list.length > 0; list = titles()) {
        const batch = list.slice(0, BATCH)
        const body = {
          owner_id: Number(owner.value),
          locale: language(),
          ...(count.value.trim() === '' ? {} : { quiz_count: Number(count.value) }),
          chapters: batch.map(({ title }) => ({ title })),
        }
        const written = JSON.stringify([courseId, body])
        if (written !== keyOf) key = newKey()
        keyOf = written
        await chapters.createAll(courseId, body, { idempotencyKey: key })
        const last = batch.at(-1)?.line ?? 0
        input.value = input.value.split('\n').slice(last).join('\n')
        showCount()
      }
      keyOf = ''
      remember('course_id', course.value)
      remember('owner_id', owner.value)
      created(courseId)
    } catch (error) {
      if (isAboutToken(error)) return
      refused = error
      showRefused()?.focus()
    } finally {
      setSending(false)
    }
  }

  function showRefused() {
    const problem = describeError(refused, 'create_many')
    /** @type {typeof wrong} */
    const lines = []
    const list = titles()
    const others = problem.errors.flatMap((violation) => {
      const [, , field, index] = violation.path.split('/')
      const line = list[Number(index)]?.line
      if (field === 'chapters' && line !== undefined) {
        lines.push({ line, violation })
        return []
      }
      // The number of the course stands in the address of the request.
      return [violation.path === '/params/id' ? { ...violation, path: '/body/course_id' } : violation]
    })
    const first = showProblem(box, { ...problem, errors: others }, form)
    showWrong(lines)
    return first ?? (lines.length > 0 ? input : null)
  }

  /** @param {typeof wrong} lines */
  function showWrong(lines) {
    wrong = lines
    said.hidden = lines.length === 0
    input.toggleAttribute('aria-invalid', false)
    if (lines.length > 0) input.setAttribute('aria-invalid', 'true')
    const texts = lines.map(({ line, violation }) => {
      const { text } = describeViolation(violation)
      return line === 0 ? text : words('line_n', { n: line, text })
    })
    setText(said, texts.join(' '))
  }

  /** @param {boolean} now */
  function setSending(now) {
    isSending = now
    button.setAttribute('aria-disabled', String(now))
    showCount()
  }

  function showCount() {
    const n = titles().length
    setText(button, isSending ? words('creating') : n === 0 ? words('create_list') : words('create_n', { n }))
  }

  return {
    /** In the page of this course, or on the start page. @param {number | null} courseId */
    place(courseId) {
      const home = byId(courseId === null ? 'list-home' : 'list-course-place', HTMLElement)
      const block = byId('list', HTMLElement)
      if (block.parentElement !== home) home.append(block)
      if (courseId !== null) course.value = String(courseId)
      byId('list-course-field', HTMLElement).hidden = courseId !== null
      hideProblem(box, form)
    },
    close() {
      byId('list', HTMLDetailsElement).open = false
    },
    /** The page speaks another language now. */
    translated() {
      showCount()
      if (refused !== null && !box.hidden) showRefused()
      else showWrong(wrong)
    },
  }
}
