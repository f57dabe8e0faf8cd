/**
 * The names of what the judge mends. Metrics and logs use them.
 */
export const MENDS = [
  /** The JSON stood inside other text: prose, a code fence, a model’s thoughts. */
  'extracted',
  /** The text was not quite JSON: a trailing comma, a raw line break, single quotes. */
  'repaired',
  /** The result was inside another object, or was JSON as a string, or a bare list of questions. */
  'unwrapped',
  /** LaTeX commands whose backslash JSON had taken for an escape. */
  'latex',
  /** NUL was removed, half a character replaced. */
  'characters',
  /** A field, a type or a difficulty had another name. */
  'names',
  /** Options came in another shape, with letters before them, or twice. */
  'options',
  /** The key was a letter, a number, or the option’s text written slightly differently. */
  'key',
  /** The key of a true-or-false question was in other words than its options. */
  'truth',
  /** Bad questions were left out. */
  'dropped',
  /** There were more questions than were asked for. */
  'cut',
] as const
export type Mend = (typeof MENDS)[number]

/** Notes that something was mended; may be called more than once for the same thing. */
export type Note = (mend: Mend) => void
