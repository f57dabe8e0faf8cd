/**
 * HTML as elements that cannot run, load or send anything: DOMPurify with the list of what is allowed.
 */
import { RENDERED_ATTR, RENDERED_TAGS } from './allowed-html.js'
import DOMPurify from './vendor/purify.js'

const ABSOLUTE_LINK = /^(?:https?:|mailto:)/i
/** Of formulas and of the words of code. */
const CLASSES = /^(?:katex|hljs-[\w-]+(?: \w+_?)*)$/

/** @param {string} html */
export function cleanHtml(html) {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: RENDERED_TAGS,
    ALLOWED_ATTR: RENDERED_ATTR,
    ALLOWED_URI_REGEXP: ABSOLUTE_LINK,
    // Otherwise DOMPurify takes every attribute for a URL, and drops those that are not.
    ADD_URI_SAFE_ATTR: RENDERED_ATTR.filter((name) => name !== 'href'),
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  })
  for (const node of fragment.querySelectorAll('[class]'))
    if (!CLASSES.test(node.getAttribute('class') ?? '')) node.removeAttribute('class')
  for (const formula of fragment.querySelectorAll('math')) formula.setAttribute('dir', 'ltr')
  return fragment
}
