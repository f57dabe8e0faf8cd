/**
 * Text that is not Markdown, as elements: only code fences, `code` and formulas mean something in it. It is there at
 * once; formulas and the words of code are set as soon as the worker has made them.
 */
import { cleanHtml } from './clean-html.js'
import { createElement } from './dom.js'
import { splitFormulas } from './formulas.js'
import { typesetPieces } from './markdown.js'
import { words } from './strings.js'

/** A text with more code marks is shown as it is: each would be an element. */
const MAX_MARKS = 2000

/** Formulas of one text that are set. */
const MAX_FORMULAS = 300

/** What an element stands for until it is set. @type {WeakMap<Element, import('./markdown-worker.js').Piece>} */
const unset = new WeakMap()

/**
 * `__init__` is no bold type here.
 * @param {string} written
 */
export function renderText(written) {
  const text = legible(written)
  if (countOf(text, '`') > MAX_MARKS) return plainText(text)
  const fragment = document.createDocumentFragment()
  for (const { isCode, language, lines } of blocksOf(text)) {
    const block = lines.join('\n')
    if (block.trim() === '') continue
    fragment.append(isCode ? codeBlock(block, language) : textBlock(block.trim()))
  }
  setPieces(fragment)
  return fragment
}

/** As `renderText`, within a line. @param {string} written */
export function renderLine(written) {
  const line = createElement('span', { dir: 'auto' }, renderInline(legible(written)))
  setPieces(line)
  return line
}

/** The text alone. @param {string} text */
export function plainText(text) {
  return createElement('p', { class: 'text', dir: 'auto' }, legible(text))
}

/**
 * Accents and other marks on one letter, of which no language has many: browsers take minutes for a hundred thousand.
 * @param {string} text
 */
export function legible(text) {
  return text.replace(/(\p{M}{20})\p{M}+/gu, '$1')
}

/** @param {'code' | 'table'} key @returns {Record<string, string>} */
export function scrollable(key) {
  return { tabindex: '0', role: 'group', 'aria-label': words(key) }
}

/** @param {string} block */
function textBlock(block) {
  return createElement('p', { class: 'text', dir: 'auto' }, renderInline(block))
}

/** @param {string} code @param {string} language */
function codeBlock(code, language) {
  const inner = createElement('code', {}, code)
  if (language !== '') unset.set(inner, { code, language })
  return createElement('pre', { dir: 'ltr', ...scrollable('code') }, inner)
}

/** @param {string} text */
function renderInline(text) {
  const fragment = document.createDocumentFragment()
  if (countOf(text, '`') > MAX_MARKS) return document.createTextNode(text)
  let formulas = 0
  text.split(/`([^`\n]+)`/).forEach((part, index) => {
    if (index % 2 === 1) {
      fragment.append(createElement('code', { dir: 'ltr' }, part))
      return
    }
    for (const piece of countOf(part, '$') > MAX_MARKS ? [part] : splitFormulas(part)) {
      if (typeof piece === 'string' || formulas >= MAX_FORMULAS) {
        fragment.append(typeof piece === 'string' ? piece : piece.raw)
        continue
      }
      formulas += 1
      const place = createElement('span', {}, piece.raw)
      unset.set(place, { tex: piece.tex, isDisplay: piece.isDisplay })
      fragment.append(place)
    }
  })
  return fragment
}

/** @param {DocumentFragment | HTMLElement} root */
function setPieces(root) {
  const places = [...root.querySelectorAll('span, code')].flatMap((place) => {
    const piece = unset.get(place)
    return piece === undefined ? [] : [{ place, piece }]
  })
  if (places.length === 0) return
  typesetPieces(places.map(({ piece }) => piece)).then((htmls) => {
    places.forEach(({ place }, index) => {
      const html = htmls[index]
      if (typeof html === 'string') place.replaceChildren(cleanHtml(html))
    })
  })
}

/**
 * The lines between two fences are code; a fence that nothing ends is text.
 * @param {string} text
 */
function blocksOf(text) {
  /** @type {{ isCode: boolean, language: string, lines: string[] }[]} */
  const blocks = []
  let lines = /** @type {string[]} */ ([])
  /** The line of the fence that is open; it is text again if nothing ends it. @type {string | undefined} */
  let opened
  for (const line of text.split('\n')) {
    if (opened === undefined && line.startsWith('```')) {
      blocks.push({ isCode: false, language: '', lines })
      opened = line
      lines = []
    } else if (opened !== undefined && /^```[^\S\n]*$/.test(line)) {
      blocks.push({ isCode: true, language: opened.slice(3).trim(), lines })
      opened = undefined
      lines = []
    } else lines.push(line)
  }
  blocks.push({ isCode: false, language: '', lines: opened === undefined ? lines : [opened, ...lines] })
  return blocks
}

/** @param {string} text @param {string} mark */
function countOf(text, mark) {
  let count = 0
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) count += 1
  return count
}
