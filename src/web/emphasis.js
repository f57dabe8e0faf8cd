/**
 * Emphasis in languages that write a particle right after a word: Korean, Chinese, Japanese. CommonMark leaves the
 * asterisks of `**변수(variable)**는` as they are, since a punctuation mark stands before them and a letter after them.
 * Here such a letter counts as a punctuation mark. Source: commonmark/commonmark-spec issue 650.
 */

const LETTER = String.raw`[\p{sc=Hangul}\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]`
const MARK = String.raw`(?![*~])[\p{P}\p{S}]`
/** A letter that asterisks or tildes part from a punctuation mark. It is found by the letter, so that a long row of asterisks costs little. */
const PARTED = new RegExp(`${LETTER}(?:(?=[*~]+${MARK})|(?<=${MARK}[*~]+${LETTER}))`, 'gu')
const LAST_LETTER = new RegExp(`${LETTER}$`, 'u')
const BEFORE_MARK = new RegExp(`^[*~]+${MARK}`, 'u')

/**
 * An extension for marked.
 * @type {import('marked').MarkedExtension}
 */
export const emphasis = {
  hooks: {
    /** The text in which marked looks for the end of emphasis. Its length must stay. */
    emStrongMask: (text) => text.replace(PARTED, (letter) => '.'.repeat(letter.length)),
  },
  tokenizer: {
    emStrong(text, masked, before = '') {
      return isParted(text, before) && Object.getPrototypeOf(this).emStrong.call(this, text, masked, '.')
    },
    del(text, masked, before = '') {
      return isParted(text, before) && Object.getPrototypeOf(this).del.call(this, text, masked, '.')
    },
  },
}

/** Whether a row of asterisks or tildes begins here, after a letter and before a mark. @param {string} text @param {string} before */
function isParted(text, before) {
  return LAST_LETTER.test(before) && BEFORE_MARK.test(text)
}
