/**
 * Formulas and code as HTML, in the worker. KaTeX and highlight.js are loaded when a text first needs them. Formulas
 * become MathML, which browsers draw without styles or fonts of ours. Whatever cannot be set stays text.
 */

/** Elements that formulas and code of one text may have; what follows stays text. */
const MAX_ELEMENTS = 2500
const MAX_CODE = 50_000

/** @type {typeof import('./vendor/katex.js').default | undefined} */
let katex
/** @type {typeof import('./vendor/highlight.js').default | undefined} */
let highlighter
let elements = 0

/**
 * Before each text. Loads what it needs, and calls `loading` when that takes its time.
 * @param {{ math: boolean, code: boolean }} needs @param {() => void} loading
 */
export async function prepareFor({ math, code }, loading) {
  elements = 0
  const isMissing = (math && katex === undefined) || (code && highlighter === undefined)
  if (!isMissing) return
  loading()
  try {
    if (math) katex ??= (await import('./vendor/katex.js')).default
    if (code) highlighter ??= (await import('./vendor/highlight.js')).default
  } catch {
    // Not reachable now: the text is shown without.
  }
}

/** @param {string} tex @param {boolean} isDisplay @returns {string | null} null when it is no formula */
export function typesetFormula(tex, isDisplay) {
  if (katex === undefined || elements > MAX_ELEMENTS) return null
  try {
    const html = katex
      .renderToString(tex, {
        displayMode: isDisplay,
        output: 'mathml',
        throwOnError: true,
        strict: 'ignore',
        trust: false,
        maxSize: 10,
        maxExpand: 200,
      })
      .replace(/<annotation[^>]*>[\s\S]*?<\/annotation>/g, '')
    return withinBounds(html)
  } catch {
    return null
  }
}

/** The words of a programming language. @param {string} code @param {string} name @returns {string | null} */
export function typesetCode(code, name) {
  if (highlighter === undefined || elements > MAX_ELEMENTS || code.length > MAX_CODE) return null
  const language = name.trim().split(/[\s,{]/, 1)[0] ?? ''
  if (language === '' || highlighter.getLanguage(language) === undefined) return null
  try {
    return withinBounds(highlighter.highlight(code, { language, ignoreIllegals: true }).value)
  } catch {
    return null
  }
}

/** @param {string} html */
function withinBounds(html) {
  const count = html.split('<').length / 2
  if (elements + count > MAX_ELEMENTS) return null
  elements += count
  return html
}
