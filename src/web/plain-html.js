/**
 * HTML that stands in Markdown, made plain before a browser sees it, and counted. Pure: the worker and the page use it.
 */
import { ALLOWED_ATTR, ALLOWED_TAGS } from './allowed-html.js'

const MAX_HTML = 1_000_000
/** What browsers lay out and DOMPurify cleans in a moment. */
const MAX_ELEMENTS = 5000
const MAX_DEPTH = 60
/** Elements that browsers open again in the next block, when nothing ended them (HTML, “formatting elements”). */
const MARKS = new Set(['a', 'b', 'code', 'em', 'i', 's', 'small', 'strong'])
/** The end of what they are in, or the next of them, ends them. */
const ENDS_BY_ITSELF = new Set([
  'p',
  'li',
  'dt',
  'dd',
  'td',
  'th',
  'tr',
  'thead',
  'tbody',
  'tfoot',
  'caption',
])
/** They have no end. */
const VOID = new Set(['br', 'hr', 'img', 'input', 'wbr'])

/** A comment or a tag, as CommonMark has them. */
const TAG =
  /<!--[\s\S]*?(?:-->|$)|<(\/?)([a-z][a-z0-9-]*)((?:\s+[a-z_:][\w.:-]*(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*)\s*\/?>/gi
const ATTRIBUTE = /([a-z_:][\w.:-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/gi
/** What is in them is no text for readers. */
const UNREAD = /<(script|style|template|iframe|object|svg|math|title|textarea)\b[\s\S]*?(?:<\/\1\s*>|$)/gi

/**
 * Allowed tags with allowed attributes; every other `<` is escaped.
 * @param {string} html
 */
export function plainHtml(html) {
  const read = html.replace(UNREAD, (all, name) => (/<\/\w+\s*>$/.test(all) ? '' : `<${name}>`))
  let plain = ''
  let from = 0
  for (const { 0: all, 1: slash, 2: name = '', 3: attributes = '', index } of read.matchAll(TAG)) {
    plain += read.slice(from, index).replace(/</g, '&lt;') + plainTag(slash, name.toLowerCase(), attributes)
    from = index + all.length
  }
  return plain + read.slice(from).replace(/</g, '&lt;')
}

/** @param {string | undefined} slash @param {string} name @param {string} attributes */
function plainTag(slash, name, attributes) {
  if (!ALLOWED_TAGS.includes(name)) return ''
  if (slash === '/') return `</${name}>`
  let kept = ''
  for (const [, attribute = '', double, single, bare] of attributes.matchAll(ATTRIBUTE)) {
    const value = double ?? single ?? bare
    if (value !== undefined && ALLOWED_ATTR.includes(attribute.toLowerCase()))
      kept += ` ${attribute}="${value.replace(/</g, '&lt;').replace(/"/g, '&quot;')}"`
  }
  return `<${name}${kept}>`
}

/**
 * Counted in the text, before any element is made of it. Every `<` there begins a tag (`markdown-worker.js`).
 *
 * An end that does not fit is not counted as one, because browsers ignore it. What marks text and is not ended is made
 * anew in every block that follows, so each block counts for as many elements.
 * @param {string} html
 */
export function isBounded(html) {
  if (html.length > MAX_HTML) return false
  /** @type {string[]} */
  const open = []
  let elements = 0
  let marks = 0
  const close = () => {
    if (MARKS.has(open.pop() ?? '')) marks -= 1
  }
  for (const [, slash, written = ''] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)/gi)) {
    const name = written.toLowerCase()
    if (slash === '/' || ENDS_BY_ITSELF.has(name)) {
      const at = open.lastIndexOf(name)
      if (at >= 0 && open.slice(at + 1).every((inner) => ENDS_BY_ITSELF.has(inner)))
        while (open.length > at) close()
    }
    if (slash === '/') continue
    elements += MARKS.has(name) ? 1 : 1 + marks
    if (!VOID.has(name)) {
      open.push(name)
      if (MARKS.has(name)) marks += 1
    }
    if (elements > MAX_ELEMENTS || open.length > MAX_DEPTH) return false
  }
  return true
}
