/**
 * Markdown to HTML in a thread of its own: some texts take the parser seconds, or all of its stack, and then only this
 * thread. The page ends it when it takes too long (`markdown.js`). Formulas and code of other texts are set here too.
 *
 * HTML in the text is kept only as far as it is plain: an allowed tag with allowed attributes. So every `<` that comes
 * out of here begins a tag, and the page can count them. DOMPurify cleans the rest there.
 */
import { emphasis } from './emphasis.js'
import { formulaAt, formulaBlockAt, nextFormula } from './formulas.js'
import { plainHtml } from './plain-html.js'
import { prepareFor, typesetCode, typesetFormula } from './typeset.js'
import { Marked } from './vendor/marked.js'

/** @typedef {{ tex: string, isDisplay: boolean } | { code: string, language: string }} Piece */

const markdown = new Marked({
  gfm: true,
  renderer: {
    code({ text, lang }) {
      return `<pre><code>${typesetCode(text, lang ?? '') ?? escapeHtml(text)}</code></pre>\n`
    },
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
  extensions: [
    {
      name: 'formulaBlock',
      level: 'block',
      tokenizer(text) {
        const found = formulaBlockAt(text)
        return found && { type: 'formulaBlock', ...found }
      },
      renderer: ({ raw, tex }) => typesetFormula(tex, true) ?? `<p>${escapeHtml(raw)}</p>`,
    },
    {
      name: 'formula',
      level: 'inline',
      start: nextFormula,
      tokenizer(text) {
        const found = formulaAt(text)
        return found && { type: 'formula', ...found }
      },
      renderer: ({ raw, tex, isDisplay }) => typesetFormula(tex, isDisplay) ?? escapeHtml(raw),
    },
  ],
})
markdown.use(emphasis)

addEventListener('message', async ({ data }) => {
  /** @type {{ id: number, source?: string, pieces?: Piece[] }} */
  const { id, source = '', pieces } = data
  const needs =
    pieces === undefined
      ? { math: nextFormula(source) !== undefined, code: /(?:```|~~~)[^\S\n]*\w/.test(source) }
      : { math: pieces.some((piece) => 'tex' in piece), code: pieces.some((piece) => 'code' in piece) }
  await prepareFor(needs, () => postMessage({ id, isLoading: true }))
  postMessage({ id, isLoading: false })
  try {
    const html = pieces === undefined ? markdown.parse(source, { async: false }) : pieces.map(setPiece)
    postMessage({ id, html })
  } catch {
    postMessage({ id, html: null })
  }
})

/** @param {Piece} piece */
function setPiece(piece) {
  return 'tex' in piece ? typesetFormula(piece.tex, piece.isDisplay) : typesetCode(piece.code, piece.language)
}

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
