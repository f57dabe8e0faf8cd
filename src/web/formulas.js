/**
 * Where formulas stand in a text: `$…$`, `$$…$$`, `\(…\)` and `\[…\]`. Pure: the worker and the page use it.
 * A single `$` follows pandoc's rule, so that prices stay text: no space inside, no digit after.
 */

/** At the beginning of a text. Bounded, so that marks without an end cost little. */
const INLINE =
  /^(?:\$\$((?:[^$\\]|\\[\s\S]|\$(?!\$)){1,2000})\$\$|\$(?![\s$])((?:[^$\\\n]|\\[^\n]){1,1000})(?<!\s)\$(?!\d)|\\\(((?:[^\\]|\\[^)]){1,2000})\\\)|\\\[((?:[^\\]|\\[^\]]){1,2000})\\\])/
const BLOCK =
  /^ {0,3}(?:\$\$((?:[^$\\]|\\[\s\S]|\$(?!\$)){1,4000})\$\$|\\\[((?:[^\\]|\\[^\]]){1,4000})\\\])[^\S\n]*(?:\n|$)/

/** @typedef {{ raw: string, tex: string, isDisplay: boolean }} Formula */

/** The formula with which the text begins. @param {string} text @returns {Formula | undefined} */
export function formulaAt(text) {
  const found = INLINE.exec(text)
  if (found === null) return undefined
  const [raw, doubled, single, round, square] = found
  return {
    raw,
    tex: (doubled ?? single ?? round ?? square ?? '').trim(),
    isDisplay: (doubled ?? square) !== undefined,
  }
}

/** One with lines of its own. @param {string} text @returns {Formula | undefined} */
export function formulaBlockAt(text) {
  const found = BLOCK.exec(text)
  if (found === null) return undefined
  return { raw: found[0], tex: (found[1] ?? found[2] ?? '').trim(), isDisplay: true }
}

/** Where one may begin; undefined when none does. @param {string} text */
export function nextFormula(text) {
  const at = text.search(/\$|\\[([]/)
  return at < 0 ? undefined : at
}

/** The text and its formulas, in order. @param {string} text @returns {(string | Formula)[]} */
export function splitFormulas(text) {
  /** @type {(string | Formula)[]} */
  const parts = []
  let from = 0
  for (const { index } of text.matchAll(/\$+|\\[([]/g)) {
    if (index < from) continue
    const found = formulaAt(text.slice(index, index + 4100))
    if (found === undefined) continue
    if (index > from) parts.push(text.slice(from, index))
    parts.push(found)
    from = index + found.raw.length
  }
  if (from < text.length) parts.push(text.slice(from))
  return parts
}
