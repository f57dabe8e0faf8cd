/**
 * What an AI wrote, shown safely: the concept as Markdown, everything else as text (`text.js`, `quiz.js`).
 * Markdown goes through marked and then DOMPurify with a list of what is allowed: text, tables,
 * code, formulas and absolute links. Images become links, for loading one tells a stranger who reads.
 * What cannot be rendered, or not in time, is shown as text: no content hides another one or holds the page up.
 */
import { cleanHtml } from './clean-html.js'
import { createElement } from './dom.js'
import { markdownToHtml } from './markdown.js'
import { language, words } from './strings.js'
import { legible, plainText, renderText, scrollable } from './text.js'

/** @typedef {import('../contract/chapter.js').LearningView} LearningView */
/** @typedef {import('./answers.js').Answers} Answers */

/** Headings of the page above the content: chapter, section, title. */
const FIRST_HEADING = 4

/**
 * @param {LearningView['concept']} concept
 * @param {string} lang of what the AI wrote, as below
 */
export function renderConcept(concept, lang) {
  const fragment = document.createDocumentFragment()
  const written = createElement('div', { class: 'written', lang, 'aria-busy': 'true' })
  fragment.append(createElement('h3', { dir: 'auto', lang }, legible(concept.title ?? '')), written)
  renderMarkdown(concept.content ?? '', concept.title).then((content) => {
    written.removeAttribute('aria-busy')
    written.replaceChildren(content)
  })
  return fragment
}

/**
 * Markdown as elements, or the text that it is; never rejects.
 * @param {string} source @param {string | null} [title] a first heading that repeats it is left out
 * @returns {Promise<Node>}
 */
export async function renderMarkdown(source, title = null) {
  const content = legible(source)
  const html = await markdownToHtml(content)
  return html === null ? plainText(content) : either(() => cleanElements(html, title), content)
}

/**
 * @param {LearningView['exercise']} exercise @param {string} lang
 * @param {Answers} answers of this browser: an answer that was shown stays so
 */
export function renderExercise(exercise, lang, answers) {
  const fragment = document.createDocumentFragment()
  if (exercise.difficulty) {
    fragment.append(createElement('p', { class: 'difficulty' }, words(`difficulty_${exercise.difficulty}`)))
  }
  fragment.append(createElement('div', { class: 'written', lang }, renderText(exercise.question ?? '')))
  if (exercise.answer) {
    const { answer } = exercise
    const about = `exercise ${exercise.question}`
    const box = createElement('div', { class: 'written', lang })
    const details = createElement(
      'details',
      { class: 'answer', open: answers.of(about).isShown },
      createElement('summary', {}, words('show_answer')),
      box,
    )
    const fill = () => details.open && box.childElementCount === 0 && box.append(renderText(answer))
    fill()
    details.addEventListener('toggle', () => {
      fill()
      answers.keep(about, { ...answers.of(about), isShown: details.open })
    })
    fragment.append(details)
  }
  return fragment
}

/**
 * What was Markdown, as elements.
 * @param {string} html @param {string | null} title a first heading that repeats it is left out
 */
function cleanElements(html, title = null) {
  const fragment = cleanHtml(html)
  const first = fragment.firstElementChild
  if (title !== null && first?.matches('h1, h2') && first.textContent?.trim() === title.trim()) first.remove()
  lowerHeadings(fragment)
  for (const link of fragment.querySelectorAll('a')) makeLinkSafe(link)
  for (const block of fragment.querySelectorAll('p, li, h1, h2, h3, h4, h5, h6, th, td, dt, dd'))
    block.setAttribute('dir', 'auto')
  // `auto` does not look into elements that have it themselves.
  for (const frame of fragment.querySelectorAll('ul, ol, blockquote, table'))
    frame.setAttribute('dir', directionOf(frame.textContent ?? ''))
  // What scrolls sideways can be reached and scrolled with the keyboard.
  for (const pre of fragment.querySelectorAll('pre')) {
    for (const [name, value] of Object.entries(scrollable('code'))) pre.setAttribute(name, value)
    pre.setAttribute('dir', 'ltr')
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = createElement('div', { class: 'scroll', ...scrollable('table') })
    table.replaceWith(frame)
    frame.append(table)
  }
  return fragment
}

/**
 * What `render` makes, or the text when it fails.
 * @param {() => Node} render @param {string} text
 */
function either(render, text) {
  try {
    return render()
  } catch {
    return plainText(text)
  }
}

/** Of its first letter, as browsers decide it. @param {string} text */
function directionOf(text) {
  const first = /\p{L}/u.exec(text)?.[0] ?? ''
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(first) ? 'rtl' : 'ltr'
}

/** The shallowest heading of the content comes under the content’s title. @param {DocumentFragment} fragment */
function lowerHeadings(fragment) {
  const headings = [...fragment.querySelectorAll('h1, h2, h3, h4, h5, h6')]
  const shallowest = Math.min(...headings.map((heading) => Number(heading.tagName[1])))
  for (const heading of headings) {
    const level = Math.min(6, FIRST_HEADING + Number(heading.tagName[1]) - shallowest)
    const lowered = document.createElement(`h${level}`)
    lowered.append(...heading.childNodes)
    heading.replaceWith(lowered)
  }
}

/** @param {HTMLAnchorElement} link */
function makeLinkSafe(link) {
  if (!link.hasAttribute('href')) return
  link.target = '_blank'
  link.rel = 'noopener noreferrer nofollow'
  const hint = createElement('span', { class: 'visually-hidden' }, ` (${words('links_new_tab')})`)
  hint.lang = language()
  link.append(hint)
}
