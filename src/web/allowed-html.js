/**
 * The HTML that may stand in what an AI wrote: text, tables, code and links. The worker keeps nothing else of it, and
 * DOMPurify, which guards the page, allows nothing else, except what the worker itself makes of formulas and code.
 */

// biome-ignore format: one line per sort
export const ALLOWED_TAGS = [
  'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'p', 'br', 'hr', 'blockquote', 'pre', 'ul', 'ol', 'li', 'dl', 'dt', 'dd',
  'a', 'strong', 'b', 'em', 'i', 'del', 's', 'code', 'kbd', 'samp', 'var', 'mark', 'sub', 'sup', 'small', 'q', 'abbr',
  'table', 'caption', 'thead', 'tbody', 'tfoot', 'tr', 'th', 'td',
]
export const ALLOWED_ATTR = ['href', 'title', 'start', 'align', 'colspan', 'rowspan']

/** With what only the worker writes: MathML of formulas, and the words of code by their sort. */
// biome-ignore format: one line per sort
export const RENDERED_TAGS = [
  ...ALLOWED_TAGS, 'span',
  'math', 'semantics', 'mrow', 'mi', 'mn', 'mo', 'ms', 'mtext', 'mspace', 'msub', 'msup', 'msubsup', 'mfrac', 'msqrt',
  'mroot', 'munder', 'mover', 'munderover', 'mtable', 'mtr', 'mtd', 'mlabeledtr', 'mstyle', 'mpadded', 'mphantom',
  'menclose', 'mmultiscripts', 'mprescripts',
]
// biome-ignore format: one line per sort
export const RENDERED_ATTR = [
  ...ALLOWED_ATTR, 'class',
  'display', 'displaystyle', 'scriptlevel', 'mathvariant', 'stretchy', 'fence', 'separator', 'symmetric', 'largeop',
  'movablelimits', 'accent', 'accentunder', 'linethickness', 'lspace', 'rspace', 'minsize', 'maxsize', 'width',
  'height', 'depth', 'voffset', 'notation', 'columnalign', 'columnspacing', 'rowspacing', 'columnlines', 'rowlines',
]
