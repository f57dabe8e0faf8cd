/**
 * The HTML that may stand in what an AI wrote: text, tables, code and links. The worker keeps nothing else of it, and
 * DOMPurify, which guards the page, allows nothing else.
 */

// biome-ignore format: one line per sort
export const ALLOWED_TAGS = [
  'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'p', 'br', 'hr', 'blockquote', 'pre', 'ul', 'ol', 'li', 'dl', 'dt', 'dd',
  'a', 'strong', 'b', 'em', 'i', 'del', 's', 'code', 'kbd', 'samp', 'var', 'mark', 'sub', 'sup', 'small', 'q', 'abbr',
  'table', 'caption', 'thead', 'tbody', 'tfoot', 'tr', 'th', 'td',
]
export const ALLOWED_ATTR = ['href', 'title', 'start', 'align', 'colspan', 'rowspan']
