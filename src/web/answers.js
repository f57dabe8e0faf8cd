/**
 * What a learner answered, kept per chapter in this browser and nowhere else. A question that was written again is
 * another question, and begins without an answer.
 */

/**
 * `choices` are the options in the order in which they were chosen, `isChecked` whether the typed answer was compared.
 * @typedef {{ choices: string[], typed: string, isChecked: boolean, isShown: boolean }} Answer
 */
/** @typedef {ReturnType<typeof openAnswers>} Answers */

/** @type {Answer} */
const NOTHING = { choices: [], typed: '', isChecked: false, isShown: false }

/** Where storage is blocked they hold until the page is left. @type {Map<number, Record<string, Answer>>} */
const inMemory = new Map()

/** @param {number} chapterId */
export function openAnswers(chapterId) {
  const storedAs = `chaptercast.answers.${chapterId}`
  const all = read()

  function read() {
    const known = inMemory.get(chapterId)
    if (known !== undefined) return known
    /** @type {Record<string, Answer>} */
    let stored = {}
    try {
      const value = JSON.parse(localStorage.getItem(storedAs) ?? '{}')
      if (typeof value === 'object' && value !== null) stored = value
    } catch {
      // Blocked, or not ours.
    }
    inMemory.set(chapterId, stored)
    return stored
  }

  return {
    /** @param {string} question @returns {Answer} */
    of(question) {
      return { ...NOTHING, ...all[keyOf(question)] }
    },
    /** @param {string} question @param {Answer} answer */
    keep(question, answer) {
      const isNothing = JSON.stringify(answer) === JSON.stringify(NOTHING)
      if (isNothing) delete all[keyOf(question)]
      else all[keyOf(question)] = answer
      try {
        if (Object.keys(all).length === 0) localStorage.removeItem(storedAs)
        else localStorage.setItem(storedAs, JSON.stringify(all))
      } catch {
        // Blocked or full.
      }
    },
  }
}

/** FNV-1a: short, and the same question gives the same key. @param {string} text */
function keyOf(text) {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(36)
}
