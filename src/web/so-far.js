/**
 * What is written of a part so far. It grows: blocks that are there stay, so that they can be selected and scrolled;
 * only those that differ are put in anew.
 */
import { renderMarkdown } from './content.js'
import { createElement } from './dom.js'
import { words } from './strings.js'
import { renderText } from './text.js'

/** @typedef {import('chaptercast-client').PartialSnapshot} Partial */
/** @typedef {NonNullable<Partial['concept'] | Partial['quiz']>} SoFar */
/** @typedef {import('chaptercast-client').JobKind} JobKind */

/** Between two renderings of a text that grows. */
const PAUSE_MS = 250

/** @typedef {{ root: HTMLElement, wanted: SoFar | null, shown: SoFar | null, isBusy: boolean }} Part */
/** What each part shows. @type {WeakMap<HTMLElement, Part>} */
const parts = new WeakMap()

/** @param {HTMLElement} body @param {JobKind} kind @param {SoFar} soFar @param {string} lang */
export function showSoFar(body, kind, soFar, lang) {
  let part = parts.get(body)
  if (part === undefined || part.root.parentElement !== body) {
    // Read out whole at every word it would be no help.
    const root = createElement('div', { class: 'written so-far', lang, 'aria-busy': 'true' })
    part = { root, wanted: null, shown: null, isBusy: false }
    parts.set(body, part)
    // Takes the place of the title, which comes with the result, so that headings in the text have one above them.
    const heading = createElement(
      'h3',
      { class: 'visually-hidden', 'data-words': 'writing' },
      words('writing'),
    )
    body.replaceChildren(...(kind === 'concept' ? [heading, root] : [root]))
  }
  part.wanted = soFar
  if (!part.isBusy) void showWanted(part, kind)
}

/** The latest, until there is nothing later. @param {Part} part @param {JobKind} kind */
async function showWanted(part, kind) {
  part.isBusy = true
  while (part.shown !== part.wanted && part.wanted !== null) {
    const soFar = part.wanted
    if ('text' in soFar) {
      const content = kind === 'concept' ? await renderMarkdown(soFar.text) : renderText(soFar.text)
      growTo(part.root, content)
    } else showQuestions(part.root, soFar.quizzes)
    part.shown = soFar
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  part.isBusy = false
}

/** @param {HTMLElement} root @param {Node} content */
function growTo(root, content) {
  const blocks = content instanceof DocumentFragment ? [...content.childNodes] : [content]
  blocks.forEach((block, index) => {
    const there = root.childNodes[index]
    if (there === undefined) root.append(block)
    else if (!there.isEqualNode(block)) there.replaceWith(block)
  })
  while (root.childNodes.length > blocks.length) root.lastChild?.remove()
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
      renderText(quiz.question),
      options.length === 0 ? null : createElement('ul', {}, ...options),
    )
    made.dataset.quiz = wanted
    if (item === undefined) list.append(made)
    else item.replaceWith(made)
  })
  while (list.children.length > quizzes.length) list.lastElementChild?.remove()
}
