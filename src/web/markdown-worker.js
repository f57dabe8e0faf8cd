/**
 * Markdown to HTML in a thread of its own: some texts take the parser seconds, or all of its stack, and then only this
 * thread. The page ends it when it takes too long (`markdown.js`). The HTML is not clean yet.
 */
import { Marked } from './vendor/marked.js'

const markdown = new Marked({
  gfm: true,
  renderer: {
    image({ href, text }) {
      return `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`
    },
    checkbox({ checked }) {
      return checked ? '☑ ' : '☐ '
    },
  },
})

addEventListener('message', ({ data }) => {
  /** @type {{ id: number, source: string }} */
  const { id, source } = data
  try {
    postMessage({ id, html: markdown.parse(source, { async: false }) })
  } catch {
    postMessage({ id, html: null })
  }
})

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
