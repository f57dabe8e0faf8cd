/**
 * Asks `markdown-worker.js` for HTML, within bounds: time, length, elements and nesting. What exceeds them is not
 * rendered, and shown as the text that it is.
 */

import { isBounded } from './plain-html.js'

/** From when the worker begins with a text. */
const TIME_MS = 2000
/** Loading the worker, or a library that it needs, the first time. */
const START_MS = 10_000
const MAX_SOURCE = 300_000

/** @typedef {{ createScriptURL(input: string): unknown }} Policy */
/** @typedef {{ createPolicy(name: string, rules: { createScriptURL: () => string }): Policy }} TrustedTypes */

/** @type {Policy | undefined} */
let policy
/** @type {Worker | undefined} */
let worker
let isStarted = false
/** One at a time, so that each has its whole time. @type {Promise<unknown>} */
let last = Promise.resolve()
let lastId = 0

/**
 * @param {string} source Markdown
 * @returns {Promise<string | null>} null when it cannot be rendered within the bounds; never rejects
 */
export async function markdownToHtml(source) {
  if (source.length > MAX_SOURCE) return null
  const html = await inTurn({ source })
  return typeof html === 'string' && isBounded(html) ? html : null
}

/**
 * Formulas and code that stand in other texts.
 * @param {import('./markdown-worker.js').Piece[]} pieces
 * @returns {Promise<(string | null)[]>} null for what stays text; never rejects
 */
export async function typesetPieces(pieces) {
  const html = await inTurn({ pieces })
  return Array.isArray(html) && isBounded(html.join('')) ? html : pieces.map(() => null)
}

/** @param {object} question @returns {Promise<unknown>} */
function inTurn(question) {
  const html = last.then(() => ask(question)).catch(() => null)
  last = html
  return html
}

/** @param {object} question @returns {Promise<unknown>} */
function ask(question) {
  const asked = worker ?? startWorker()
  worker = asked
  lastId += 1
  const id = lastId
  return new Promise((resolve) => {
    /** @param {unknown} html */
    const answer = (html) => {
      clearTimeout(timer)
      asked.removeEventListener('message', onMessage)
      asked.removeEventListener('error', giveUp)
      resolve(html)
    }
    const giveUp = () => {
      asked.terminate()
      if (worker === asked) worker = undefined
      isStarted = false
      answer(null)
    }
    /** @param {MessageEvent} event */
    const onMessage = ({ data }) => {
      if (data.id !== id) return
      isStarted = true
      if ('html' in data) return answer(data.html)
      // It begins now, or what it needs is being loaded first.
      clearTimeout(timer)
      timer = setTimeout(giveUp, data.isLoading ? START_MS : TIME_MS)
    }
    let timer = setTimeout(giveUp, isStarted ? TIME_MS : START_MS)
    asked.addEventListener('message', onMessage)
    asked.addEventListener('error', giveUp)
    asked.postMessage({ id, ...question })
  })
}

function startWorker() {
  const address = new URL('./markdown-worker.js', import.meta.url).href
  const { trustedTypes } = /** @type {{ trustedTypes?: TrustedTypes }} */ (
    /** @type {unknown} */ (globalThis)
  )
  policy ??= trustedTypes?.createPolicy('markdown-worker', { createScriptURL: () => address })
  const trusted = /** @type {string} */ (/** @type {unknown} */ (policy?.createScriptURL('') ?? address))
  return new Worker(trusted, { type: 'module' })
}
