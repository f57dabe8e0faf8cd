/**
 * Looks at JSON before it is parsed: a megabyte of brackets takes the parser, and whatever looks at its result, many
 * times longer than a megabyte of text. Nothing that anybody means to send is nested so deep or has so many parts.
 */

/** Deepest nesting of a body, in objects and lists. */
export const MAX_BODY_DEPTH = 500
/** Objects, lists, and the fields and items in them; a larger body may have one for each 40 bytes. */
export const MAX_BODY_PARTS = 25_000
const MIN_BYTES_A_PART = 40

/** Smaller bodies cannot have enough of either to matter. */
const SMALL_BYTES = 16_384

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** @returns what is wrong with it; undefined also for what is no JSON at all, which the parser tells */
export function structureProblem(body: Uint8Array): string | undefined {
  if (body.length <= SMALL_BYTES) return undefined
  let depth = 0
  let parts = 0
  const maxParts = Math.max(MAX_BODY_PARTS, Math.floor(body.length / MIN_BYTES_A_PART))
  for (let at = 0; at < body.length; at += 1) {
    switch (body[at]) {
      case QUOTE:
        at = endOfText(body, at)
        break
      case 0x7b: // {
      case 0x5b: // [
        depth += 1
        parts += 1
        if (depth > MAX_BODY_DEPTH) return `is nested deeper than ${MAX_BODY_DEPTH} levels`
        break
      case 0x2c: // , before every field and item but the first
        parts += 1
        break
      case 0x7d: // }
      case 0x5d: // ]
        depth -= 1
        break
    }
    if (parts > maxParts) return `has more than ${maxParts} objects, lists, fields and items`
  }
  return undefined
}

/** The position of the quotation mark that ends a text; the end of the body when there is none. */
function endOfText(body: Uint8Array, start: number): number {
  for (let end = body.indexOf(QUOTE, start + 1); end !== -1; end = body.indexOf(QUOTE, end + 1)) {
    let backslashes = 0
    while (body[end - 1 - backslashes] === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return end
  }
  return body.length
}
