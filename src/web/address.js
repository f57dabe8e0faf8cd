/**
 * The address is the state: `/?chapter=12` for learners, with `&view=teacher` or `&view=details` for those who see to
 * it, `/?course=42` for a course, and the start page.
 */

/** @typedef {'learner' | 'teacher' | 'details'} View */
/** @typedef {{ chapter: number, view: View } | { course: number } | { wrong: 'chapter' | 'course' } | null} Place */

/** @returns {Place} null is the start page */
export function currentPlace() {
  const asked = new URL(location.href).searchParams
  const chapter = asked.get('chapter')
  const course = asked.get('course')
  const view = asked.get('view')
  if (chapter !== null) {
    const id = readId(chapter)
    if (id === undefined) return { wrong: 'chapter' }
    return { chapter: id, view: view === 'teacher' || view === 'details' ? view : 'learner' }
  }
  if (course === null) return null
  const id = readId(course)
  return id === undefined ? { wrong: 'course' } : { course: id }
}

/** @param {Place} place */
export function addressOf(place) {
  if (place === null || 'wrong' in place) return location.pathname
  if ('course' in place) return `${location.pathname}?course=${place.course}`
  const view = place.view === 'learner' ? '' : `&view=${place.view}`
  return `${location.pathname}?chapter=${place.chapter}${view}`
}

/** @param {string} text @returns {number | undefined} */
export function readId(text) {
  const id = /^\s*#?\d{1,16}\s*$/.test(text) ? Number(text.replace('#', '')) : 0
  return id >= 1 && Number.isSafeInteger(id) ? id : undefined
}
