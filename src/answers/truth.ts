/**
 * True or false, in the words that people and models use.
 */
import type { Locale } from '../contract/scalar.js'
import { fold } from './text.js'

/** What a question without options gets, the true one first. */
export const TRUTH_PAIRS: Record<Locale, readonly [string, string]> = {
  ko: ['참', '거짓'],
  en: ['True', 'False'],
}

const words = (text: string) => new Set(text.split(',').map(fold))
const TRUE = words(
  'true,t,yes,y,correct,right,참,맞음,맞다,맞습니다,맞아요,옳음,옳다,옳습니다,예,네,그렇다,○,◯,⭕,✓,✔,✅',
)
const FALSE = words(
  'false,f,no,n,incorrect,wrong,거짓,틀림,틀리다,틀렸다,틀립니다,아니오,아니요,아니다,그렇지 않다,옳지 않다,옳지 않음,맞지 않다,맞지 않음,×,✕,✗,✘,❌',
)

/**
 * @param isKorean in Korean, `O` and `X` are true and false
 * @returns undefined for other words
 */
export function truthOf(text: string, isKorean: boolean): boolean | undefined {
  const word = fold(text).replace(/[\ufe0f.!]+$/u, '')
  if (TRUE.has(word) || (isKorean && word === 'o')) return true
  if (FALSE.has(word) || (isKorean && word === 'x')) return false
  return undefined
}
