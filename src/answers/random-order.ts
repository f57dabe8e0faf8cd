/**
 * The order of a question’s options. Models put the right one at the same place again and again, so the order is
 * drawn from the chapter’s id and the question’s place: the same for every repeat, and even over many chapters.
 */

/** Says that the others are right or wrong, so it reads well only behind them. */
const LAST =
  /\b(?:all|none|neither|both|any|some)\s+(?:of\s+)?(?:the\s+|these\b|those\b|them\b)?(?:above|these|those|them|options|answers|choices)\b|^\W*(?:all|none|both|neither)\W*$|^\W*위(?:의)?\s|^\W*(?:모두|전부)(?:\W*$|\s*(?:정답|맞|옳|해당|참|거짓|틀))|(?:정답|해당|해당\s*사항|답)\s*(?:은|이)?\s*없(?:음|다)|^\W*없음\W*$|보기\s*모두/iu

/** Names another option by its place (`A and B`, `①과 ③`), or carries a place itself: then all keep theirs. */
const PLACED =
  /[\u2460-\u2473\u24b6-\u24e9]|\b[A-H]\b\s*(?:,|와|과|및|and|or|&|\/)\s*\b[A-H]\b|\d\s*번(?:과|와|,|\s*및)|^\s*[([]?(?:[A-Ha-h]|\d{1,2})[)\]]|^\s*[A-H][.:]\s|^\s*[([]?[IVX]{1,4}[)\].:]\s|\b(?:options?|choices?)\s+(?:[A-H]|\d)\b|\b(?:first|second|third|fourth)\s+(?:option|choice)\b/u

/** @returns the same options in another order */
export function orderOptions(options: readonly string[], chapterId: number, question: number): string[] {
  if (options.some((option) => PLACED.test(option))) return [...options]
  const last = options.filter((option) => LAST.test(option))
  const first = options.filter((option) => !LAST.test(option))
  const random = drawFrom(chapterId, question)
  // Fisher and Yates.
  for (let at = first.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1))
    const [a, b] = [first[at], first[other]]
    if (a !== undefined && b !== undefined) [first[at], first[other]] = [b, a]
  }
  return [...first, ...last]
}

/** Numbers in [0, 1) that depend on nothing but the seed. Source: splitmix32 (public domain). */
function drawFrom(chapterId: number, question: number): () => number {
  let state = (chapterId ^ Math.floor(chapterId / 2 ** 32) ^ Math.imul(question + 1, 0x85ebca6b)) | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    mixed ^= mixed >>> 15
    return (mixed >>> 0) / 2 ** 32
  }
}
