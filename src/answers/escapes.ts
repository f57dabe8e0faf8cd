/**
 * Backslashes in a JSON text that a model wrote as LaTeX and not as JSON.
 *
 * JSON knows nine escapes. A model that writes `"$\sigma$"` breaks the JSON; one that writes `"$\frac{1}{2}$"`
 * does not, and means no form feed. So each backslash is read twice, as an escape of JSON and as the beginning
 * of a LaTeX command:
 *
 * - what JSON does not know gets its backslash doubled;
 * - `\b` is always one: no text needs a backspace;
 * - `\f`, `\n`, `\t` and `\r` are commands only if the letters after the backslash spell a LaTeX command. Some of
 *   those are also a line break and a word (`\nu = 1`, `\tan`): they are commands only inside mathematics, and
 *   only while the text does not escape its other commands properly.
 *
 * In doubt a text keeps the meaning that JSON gives it.
 */

/** A line break or a tab before the rest would be no word: commands wherever they stand. */
const COMMANDS = new Set(
  (
    'nabla nleq ngeq notin nsubseteq nsupseteq nearrow nwarrow nrightarrow nleftarrow ' +
    'nRightarrow nLeftarrow nleftrightarrow newline noindent nonumber nolimits normalsize ncong nprec nsucc ' +
    'nvdash nVdash nvDash ntriangleleft ntriangleright newcommand nicefrac nobreakspace ' +
    'text textbf textit textrm textsf texttt textsc textup textstyle textcolor textnormal textwidth textsubscript ' +
    'textsuperscript textbackslash textasciitilde texteuro theta thetasym times tilde triangle triangleq ' +
    'triangleleft triangleright trianglelefteq trianglerighteq triangledown therefore thicksim thickapprox tanh ' +
    'tfrac tbinom tiny twoheadrightarrow twoheadleftarrow ' +
    'frac forall flat frown footnotesize fbox fboxsep fcolorbox frak foreignlanguage ' +
    'rho right rightarrow rightarrowtail rightleftarrows rightleftharpoons rightharpoonup rightharpoondown ' +
    'rightrightarrows rightsquigarrow rangle rceil rfloor rgroup rVert rvert rbrace rbrack rtimes risingdotseq ' +
    'rmoustache rotatebox'
  ).split(' '),
)

/** A line break, a tab or a return before the rest could be a word: commands inside mathematics only. */
const MATH_COMMANDS = new Set(
  (
    'nu ne neq neg ni not nless ngtr nmid nsim nparallel nsubset nsupset nexists norm natural ' +
    'tan tau to top tag tt thinspace thickspace rm root ref rule'
  ).split(' '),
)

/**
 * Mathematics inside one string: dollars, round and square brackets, environments. A dollar before a space opens
 * nothing, and one before a digit only what is closed as no sum of money is. Lengths are bounded, for time.
 */
const MATH = new RegExp(
  [
    String.raw`(?<!\\)\$\$(?:\\[^]|[^"\\$]){1,1500}?\$\$`,
    String.raw`(?<!\\)\$(?![\s$\d])(?:\\(?!\$)[^]|[^"\\$\n]){0,400}?(?<!\s)\$(?![A-Za-z\d_])`,
    String.raw`(?<!\\)\$\d(?:\\(?!\$)[^]|[^"\\$\n]){0,400}?(?<!\s)\$(?![A-Za-z\d_])`,
    String.raw`\\{1,2}\((?:\\[^)]|[^"\\]){0,400}?\\{1,2}\)`,
    String.raw`\\{1,2}\[(?:\\[^\]]|[^"\\]){0,1500}?\\{1,2}\]`,
    String.raw`\\{1,2}begin\{(?:\\[^]|[^"\\]){0,1500}?\\end\{\w+\*?\}`,
  ].join('|'),
  'gu',
)

/** In a longer text, mathematics is not looked for: only what is a command anywhere is mended. */
const MAX_MATH_CHARS = 60_000

/** An escape, or a backslash that should be one. */
const BACKSLASH = /\\(?:u[0-9a-fA-F]{4}|\\|[a-zA-Z]+|[\s\S]|$)/g

/**
 * @param json text that is JSON, or nearly
 * @returns the same, with backslashes doubled where LaTeX was meant
 */
export function mendEscapes(json: string): string {
  if (!json.includes('\\')) return json
  const isEscapedElsewhere = escapesCommands(json)
  const spans = json.length > MAX_MATH_CHARS ? [] : [...json.matchAll(MATH)]
  const math = spans.map(({ 0: span, index }) => ({
    from: index,
    to: index + span.length,
  }))
  let at = 0
  /** Offsets rise, so the spans are walked once. */
  const mathAround = (offset: number) => {
    while (at < math.length && (math[at]?.to ?? 0) <= offset) at += 1
    const span = math[at]
    return span !== undefined && span.from <= offset ? span : undefined
  }
  return json.replaceAll(BACKSLASH, (found, offset: number) => {
    const run = found.slice(1)
    const first = run[0] ?? ''
    const around = mathAround(offset)
    if (first === '\\') {
      // In mathematics whose commands are not escaped, two backslashes are its line break.
      const isBreak = around !== undefined && !isEscapedElsewhere && isLineBreak(json, around, offset)
      return isBreak ? '\\\\\\\\' : found
    }
    if (/^u[0-9a-fA-F]{4}$/.test(run) || first === '"' || first === '/') return found
    if (first === "'") return around === undefined ? "'" : `\\${found}`
    if (!'bfnrt'.includes(first) || first === '') return `\\${found}`
    if (first === 'b') return `\\${found}`
    if (COMMANDS.has(run)) return `\\${found}`
    if (around === undefined || isEscapedElsewhere || !MATH_COMMANDS.has(run)) return found
    return isOwnLine(json, around, offset) ? found : `\\${found}`
  })
}

/**
 * The same for text that somebody has parsed already: there the command has become a control character.
 */
export function mendControls(text: string): string {
  if (!/[\f\n\r\t][A-Za-z]|[\b]/.test(text)) return text
  return JSON.parse(mendEscapes(JSON.stringify(text))) as string
}

/** Whether the commands of this text have their backslash doubled, as JSON wants it, and none is bare. */
function escapesCommands(json: string): boolean {
  let isEscaped = false
  for (const [found] of json.matchAll(/\\\\[a-zA-Z]{2,}|\\u[0-9a-fA-F]{4}|\\\\|\\["/nrt]|\\/g)) {
    if (found.length === 1) return false
    if (found.startsWith('\\\\') && found.length > 2) isEscaped = true
  }
  return isEscaped
}

function isLineBreak(json: string, span: { from: number; to: number }, offset: number): boolean {
  const inside = json.slice(span.from, span.to)
  const isMatrix = /\\begin\{/.test(inside) && !/\\\\begin\{/.test(inside)
  const isAlone = json[offset - 1] !== '\\'
  return isMatrix && isAlone && /^(?:\s|\\[^\\]|&|\[\d|$)/.test(json.slice(offset + 2, offset + 4))
}

/** `$$\nu = 1\n$$`: a formula on lines of its own begins with a line break. */
function isOwnLine(json: string, { from, to }: { from: number; to: number }, offset: number): boolean {
  return json.startsWith('$$', from) && offset === from + 2 && json.slice(from, to).endsWith('\\n$$')
}
