/**
 * What is written of a part so far, as text. It grows: what is there stays, so that it can be selected and scrolled.
 */
import { plainText } from './content.js'
import { createElement, setText } from './dom.js'
import { words } from './strings.js'

/** @typedef {import('chaptercast-client').PartialSnapshot} Partial */
/** @typedef {NonNullable<Partial['concept'] | Partial['quiz']>} SoFar */

/** What each part shows. @type {WeakMap<HTMLElement, { root: HTMLElement, shown: SoFar | null }>} */
const parts = new WeakMap()

/** @param {HTMLElement} body @param {SoFar} soFar @param {string} lang */
export function showSoFar(body, soFar, lang) {
  let part = parts.get(body)
  if (part === undefined || part.root.parentElement !== body) {
    // Read out whole at every word it would be no help.
    const root = createElement('div', { class: 'written so-far', lang, 'aria-busy': 'true' })
    part = { root, shown: null }
    parts.set(body, part)
    body.replaceChildren(root)
  }
  if (part.shown === soFar) return
  part.shown = soFar
  if ('text' in soFar) showText(part.root, soFar.text)
  else showQuestions(part.root, soFar.quizzes)
}

/** @param {HTMLElement} root @param {string} text */
function showText(root, text) {
  if (root.firstElementChild?.tagName !== 'P') root.replaceChildren(plainText(''))
  setText(/** @type {Element} */ (root.firstElementChild), text)
}

/** @param {HTMLElement} root @param {NonNullable<Partial['quiz']>['quizzes']} quizzes */
function showQuestions(root, quizzes) {
  if (root.firstElementChild?.tagName !== 'OL')
    root.replaceChildren(createElement('ol', { class: 'quizzes' }))
  const list = /** @type {Element} */ (root.firstElementChild)
  quizzes.forEach((quiz, index) => {
    const wanted = JSON.stringify(quiz)
    const item = /** @type {HTMLElement | undefined} */ (list.children[index])
    if (item?.dataset.quiz === wanted) return
    const options = (quiz.options ?? []).map((option) => createElement('li', { dir: 'auto' }, option))
    const made = createElement(
      'li',
      { class: 'quiz' },
      createElement('h3', {}, words('quiz_n', { n: index + 1 })),
      plainText(quiz.question),
      options.length === 0 ? null : createElement('ul', {}, ...options),
    )
    made.dataset.quiz = wanted
    if (item === undefined) list.append(made)
    else item.replaceWith(made)
  })
  while (list.children.length > quizzes.length) list.lastElementChild?.remove()
}
