/**
 * Markdown to HTML in a thread of its own: some texts take the parser seconds, or all of its stack, and then only this
 * thread. The page ends it when it takes too long (`markdown.js`).
 *
 * HTML in the text is kept only as far as it is plain: an allowed tag with allowed attributes. So every `<` that comes
 * out of here begins a tag, and the page can count them. DOMPurify cleans the rest there.
 */
import { plainHtml } from './plain-html.js'
import { Marked } from './vendor/marked.js'

const markdown = new Marked({
  gfm: true,
  renderer: {
    image({ href, text }) {
      return `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`
    },
    html({ text }) {
      return plainHtml(text)
    },
    text(token) {
      if ('tokens' in token && token.tokens) return this.parser.parseInline(token.tokens)
      // Inside `<script>` or `<pre>` marked would leave it as it is.
      return 'escaped' in token && token.escaped ? token.text.replace(/</g, '&lt;') : escapeText(token.text)
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

/** References such as `&amp;` stay. @param {string} text */
function escapeText(text) {
  return text
    .replace(/&(?!#\d{1,7};|#x[\da-f]{1,6};|\w+;)/gi, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
}

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
