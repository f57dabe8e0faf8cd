/**
 * What an AI wrote, shown safely: the concept as Markdown, everything else as text.
 * Markdown goes through marked and then DOMPurify with a list of what is allowed: text, tables,
 * code and absolute links. Images become links, for loading one tells a stranger who reads.
 * What cannot be rendered, or not in time, is shown as text: no content hides another one or holds the page up.
 */
import { ALLOWED_ATTR, ALLOWED_TAGS } from './allowed-html.js'
import { createElement, icon } from './dom.js'
import { markdownToHtml } from './markdown.js'
import { language, words } from './strings.js'
import DOMPurify from './vendor/purify.js'

/** @typedef {import('../contract/chapter.js').LearningView} LearningView */
/** @typedef {LearningView['quizzes'][number]} Quiz */

const ABSOLUTE_LINK = /^(?:https?:|mailto:)/i
/** Headings of the page above the content: chapter, section, title. */
const FIRST_HEADING = 4

const TRUE = ['true', 't', 'yes', 'y', 'o', '○', '1', '참', '예', '맞다', '맞음']
const FALSE = ['false', 'f', 'no', 'n', 'x', '×', '0', '거짓', '아니오', '아니요', '틀리다', '틀림']

/** A text with more code marks is shown as it is: each would be an element. */
const MAX_MARKS = 2000

/**
 * @param {LearningView['concept']} concept
 * @param {string} lang of what the AI wrote, as below
 */
export function renderConcept(concept, lang) {
  const fragment = document.createDocumentFragment()
  const content = legible(concept.content ?? '')
  const written = createElement('div', { class: 'written', lang, 'aria-busy': 'true' })
  fragment.append(createElement('h3', { dir: 'auto', lang }, legible(concept.title ?? '')), written)
  markdownToHtml(content).then((html) => {
    written.removeAttribute('aria-busy')
    written.replaceChildren(
      html === null ? plainText(content) : either(() => cleanElements(html, concept.title), content),
    )
  })
  return fragment
}

/** @param {LearningView['exercise']} exercise @param {string} lang */
export function renderExercise(exercise, lang) {
  const fragment = document.createDocumentFragment()
  if (exercise.difficulty) {
    fragment.append(createElement('p', { class: 'difficulty' }, words(`difficulty_${exercise.difficulty}`)))
  }
  fragment.append(createElement('div', { class: 'written', lang }, renderText(exercise.question ?? '')))
  if (exercise.answer) fragment.append(renderAnswer(exercise.answer, lang))
  return fragment
}

/**
 * The quizzes as a self check: choose until it is right.
 * @param {Quiz[]} quizzes @param {string} lang
 */
export function renderQuizzes(quizzes, lang) {
  const checks = quizzes.filter((quiz) => optionsOf(quiz) !== null).length
  const score = createElement('p', { class: 'score', role: 'status' })
  let right = 0
  const list = createElement('ol', { class: 'quizzes' })
  quizzes.forEach((quiz, index) => {
    const name = `quiz-${quiz.id}`
    const options = optionsOf(quiz)
    const question = createElement(
      'div',
      { id: name, class: 'written', lang },
      renderText(quiz.question ?? ''),
    )
    const body =
      options === null
        ? renderAnswer(quiz.correct_answer ?? '', lang)
        : renderOptions(name, options, lang, (first) => {
            if (first) right += 1
            score.textContent = words('quiz_score', { right, all: checks })
          })
    list.append(
      createElement(
        'li',
        { class: 'quiz' },
        createElement('h3', {}, words('quiz_n', { n: index + 1 })),
        question,
        body,
      ),
    )
  })
  const fragment = document.createDocumentFragment()
  fragment.append(list, score)
  return fragment
}

/**
 * HTML as elements that cannot run, load or send anything.
 * @param {string} html @param {string | null} title a first heading that repeats it is left out
 */
function cleanElements(html, title = null) {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR,
    ALLOWED_URI_REGEXP: ABSOLUTE_LINK,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  })
  const first = fragment.firstElementChild
  if (title !== null && first?.matches('h1, h2') && first.textContent?.trim() === title.trim()) first.remove()
  lowerHeadings(fragment)
  for (const link of fragment.querySelectorAll('a')) makeLinkSafe(link)
  for (const block of fragment.querySelectorAll(
    'p, li, h1, h2, h3, h4, h5, h6, blockquote, th, td, dt, dd',
  )) {
    block.setAttribute('dir', 'auto')
  }
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
 * Accents and other marks on one letter, of which no language has many: browsers take minutes for a hundred thousand.
 * @param {string} text
 */
function legible(text) {
  return text.replace(/(\p{M}{20})\p{M}+/gu, '$1')
}

/** The text alone. @param {string} text */
export function plainText(text) {
  return createElement('p', { class: 'text', dir: 'auto' }, legible(text))
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

/**
 * Plain text, where only code fences and `code` mean something: `__init__` is no bold type.
 * @param {string} written
 */
function renderText(written) {
  const text = legible(written)
  if (countOf(text, '`') > MAX_MARKS) return plainText(text)
  const fragment = document.createDocumentFragment()
  for (const { isCode, lines } of blocksOf(text)) {
    const block = lines.join('\n')
    if (block.trim() === '') continue
    fragment.append(
      isCode
        ? createElement('pre', { dir: 'ltr', ...scrollable('code') }, createElement('code', {}, block))
        : createElement('p', { class: 'text', dir: 'auto' }, renderInline(block.trim())),
    )
  }
  return fragment
}

/**
 * The lines between two fences are code; a fence that nothing ends is text.
 * @param {string} text
 */
function blocksOf(text) {
  /** @type {{ isCode: boolean, lines: string[] }[]} */
  const blocks = []
  let lines = /** @type {string[]} */ ([])
  /** The line of the fence that is open; it is text again if nothing ends it. @type {string | undefined} */
  let opened
  for (const line of text.split('\n')) {
    if (opened === undefined && line.startsWith('```')) {
      blocks.push({ isCode: false, lines })
      opened = line
      lines = []
    } else if (opened !== undefined && /^```[^\S\n]*$/.test(line)) {
      blocks.push({ isCode: true, lines })
      opened = undefined
      lines = []
    } else lines.push(line)
  }
  blocks.push({ isCode: false, lines: opened === undefined ? lines : [opened, ...lines] })
  return blocks
}

/** @param {string} text @param {string} mark */
function countOf(text, mark) {
  let count = 0
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) count += 1
  return count
}

/**
 * @param {string} name id of the question
 * @param {{ text: string, right: boolean }[]} options
 * @param {string} lang
 * @param {(first: boolean) => void} solved whether at the first choice
 */
function renderOptions(name, options, lang, solved) {
  const verdict = createElement('p', { class: 'verdict', role: 'status' })
  const group = createElement('div', {
    class: 'options',
    role: 'group',
    'aria-labelledby': name,
  })
  let choices = 0
  for (const option of options) {
    const mark = createElement('span', { class: 'mark' })
    const button = createElement(
      'button',
      { type: 'button', class: 'option' },
      createElement('span', { dir: 'auto', lang }, renderInline(option.text)),
      mark,
    )
    button.addEventListener('click', () => {
      if (button.getAttribute('aria-disabled') === 'true') return
      choices += 1
      button.classList.add(option.right ? 'right' : 'wrong')
      mark.replaceChildren(
        icon(option.right ? 'check' : 'cross'),
        visuallyHidden(words(option.right ? 'option_right' : 'option_wrong')),
      )
      verdict.textContent = words(option.right ? 'right' : 'wrong')
      verdict.className = `verdict ${option.right ? 'right' : 'wrong'}`
      // Not `disabled`: the focus would be lost.
      const done = option.right ? group.querySelectorAll('button') : [button]
      for (const each of done) each.setAttribute('aria-disabled', 'true')
      if (option.right) solved(choices === 1)
    })
    group.append(button)
  }
  const fragment = document.createDocumentFragment()
  fragment.append(group, verdict)
  return fragment
}

/**
 * What there is to choose from; null when the answer can only be revealed.
 * @param {Quiz} quiz
 * @returns {{ text: string, right: boolean }[] | null}
 */
function optionsOf(quiz) {
  const answer = fold(quiz.correct_answer ?? '')
  if (answer === '' || quiz.type === 'short') return null
  const texts = quiz.options ?? []
  // Exactly one is right: of two that look alike, the one that is spelled as the answer.
  const exact = texts.indexOf(quiz.correct_answer ?? '')
  const right = exact >= 0 ? exact : texts.findIndex((text) => fold(text) === answer)
  if (texts.length > 1 && right >= 0) return texts.map((text, index) => ({ text, right: index === right }))
  if (quiz.type === 'boolean' && (TRUE.includes(answer) || FALSE.includes(answer))) {
    return [
      { text: words('true'), right: TRUE.includes(answer) },
      { text: words('false'), right: FALSE.includes(answer) },
    ]
  }
  return null
}

/** @param {string} answer @param {string} lang */
function renderAnswer(answer, lang) {
  return createElement(
    'details',
    { class: 'answer' },
    createElement('summary', {}, words('show_answer')),
    createElement('div', { class: 'written', lang }, renderText(answer)),
  )
}

/** @param {string} text */
function renderInline(text) {
  const fragment = document.createDocumentFragment()
  if (countOf(text, '`') > MAX_MARKS) return plainText(text)
  text.split(/`([^`\n]+)`/).forEach((part, index) => {
    if (part !== '') fragment.append(index % 2 === 1 ? createElement('code', { dir: 'ltr' }, part) : part)
  })
  return fragment
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
  const hint = visuallyHidden(` (${words('links_new_tab')})`)
  hint.lang = language()
  link.append(hint)
}

/** @param {'code' | 'table'} key @returns {Record<string, string>} */
function scrollable(key) {
  return { tabindex: '0', role: 'region', 'aria-label': words(key) }
}

/** @param {string} text */
function visuallyHidden(text) {
  return createElement('span', { class: 'visually-hidden' }, text)
}

/** @param {string} text */
function fold(text) {
  return text.normalize('NFKC').trim().toLowerCase()
}
