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

/**
 * @param json text that is JSON, or nearly
 * @returns the same, with backslashes doubled where LaTeX was meant
 */
export function mendEscapes(json: string): string {
  if (!json.includes('\\')) return json
  const spans = json.length > MAX_MATH_CHARS ? [] : [...json.matchAll(MATH)]
  const math = spans.map(({ 0: span, index }) => ({
    from: index,
    to: index + span.length,
  }))
  // It matters in mathematics only.
  const isEscapedElsewhere = math.length > 0 && escapesCommands(json)
  let span = 0
  /** Offsets rise, so the spans are walked once. */
  const mathAround = (offset: number) => {
    while (span < math.length && (math[span]?.to ?? 0) <= offset) span += 1
    const found = math[span]
    return found !== undefined && found.from <= offset ? found : undefined
  }
  let mended = ''
  let from = 0
  let to: number
  // By hand, because a text of a megabyte may hold half a million backslashes.
  for (let at = json.indexOf('\\'); at >= 0; at = json.indexOf('\\', to)) {
    to = endOfEscape(json, at)
    const instead = insteadOf(at, to)
    if (instead === undefined) continue
    mended += json.slice(from, at) + instead
    from = to
  }
  return from === 0 ? json : mended + json.slice(from)

  /** @returns undefined when the escape stays */
  function insteadOf(at: number, to: number): string | undefined {
    const first = json[at + 1] ?? ''
    if (first === '"' || first === '/' || isUnicode(json, at)) return undefined
    const found = json.slice(at, to)
    const around = math.length === 0 ? undefined : mathAround(at)
    if (first === '\\') {
      // In mathematics whose commands are not escaped, two backslashes are its line break.
      const isBreak = around !== undefined && !isEscapedElsewhere && isLineBreak(json, around, at)
      return isBreak ? '\\\\\\\\' : undefined
    }
    if (first === "'") return around === undefined ? "'" : `\\${found}`
    if (!'fnrt'.includes(first) || first === '') return `\\${found}`
    const run = found.slice(1)
    if (COMMANDS.has(run)) return `\\${found}`
    if (around === undefined || isEscapedElsewhere || !MATH_COMMANDS.has(run)) return undefined
    return isOwnLine(json, around, at) ? undefined : `\\${found}`
  }
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
  let to: number
  for (let at = json.indexOf('\\'); at >= 0; at = json.indexOf('\\', to)) {
    const next = json[at + 1] ?? ''
    to = at + 2
    if (next === '\\') isEscaped ||= isLetter(json.charCodeAt(to)) && isLetter(json.charCodeAt(to + 1))
    else if (!'"/nrt'.includes(next) || next === '') {
      to = endOfEscape(json, at)
      if (!isUnicode(json, at)) return false
    }
  }
  return isEscaped
}

/** Length of an escape such as `\u0041`. */
const UNICODE_ESCAPE = 6

function isUnicode(json: string, at: number): boolean {
  return json[at + 1] === 'u' && /^[0-9a-fA-F]{4}$/.test(json.slice(at + 2, at + UNICODE_ESCAPE))
}

/** Behind the escape, or the command, whose backslash is at `at`. */
function endOfEscape(json: string, at: number): number {
  if (!isLetter(json.charCodeAt(at + 1))) return Math.min(at + 2, json.length)
  if (isUnicode(json, at)) return at + UNICODE_ESCAPE
  let end = at + 2
  while (isLetter(json.charCodeAt(end))) end += 1
  return end
}

/** Of ASCII. */
function isLetter(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)
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
