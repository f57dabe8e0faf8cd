/**
 * Text that PostgreSQL and JSON can keep: no NUL, and no half of a surrogate pair.
 */

export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** NUL is removed, half a character becomes U+FFFD. */
export function toStorable(text: string): string {
  return text.replaceAll('\0', '').toWellFormed()
}
