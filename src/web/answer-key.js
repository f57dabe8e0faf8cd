/**
 * On paper the answers stand at the end: they are put there when the page is printed, and taken away afterwards.
 */
import { byId, createElement } from './dom.js'
import { answerOf } from './quiz.js'
import { words } from './strings.js'
import { renderText } from './text.js'

/** @typedef {import('chaptercast-client').LearningView} LearningView */

/** @param {() => { learning: LearningView | null, lang: string } | null} shown what is shown now */
export function openAnswerKey(shown) {
  const root = byId('answer-key', HTMLElement)
  const fill = () => {
    const now = shown()
    root.replaceChildren()
    if (now?.learning) root.append(...describeAnswers(now.learning, now.lang))
  }
  addEventListener('beforeprint', fill)
  addEventListener('afterprint', () => root.replaceChildren())
  // Some ways to print only say that the medium is another one.
  matchMedia('print').addEventListener('change', ({ matches }) => {
    if (matches) fill()
    else root.replaceChildren()
  })
}

/** @param {LearningView} learning @param {string} lang */
function describeAnswers({ exercise, quizzes }, lang) {
  /** @type {HTMLElement[]} */
  const answers = []
  /** @param {string} heading @param {string} text */
  const add = (heading, text) => {
    const written = createElement('div', { class: 'written', lang }, renderText(text))
    answers.push(createElement('h3', {}, heading), written)
  }
  if (exercise.is_complete && exercise.answer) add(words('exercise'), exercise.answer)
  quizzes
    .filter((quiz) => quiz.is_complete)
    .forEach((quiz, index) => {
      const answer = answerOf(quiz)
      if (answer !== null) add(words('quiz_n', { n: index + 1 }), answer)
    })
  return answers.length === 0 ? [] : [createElement('h2', {}, words('answers')), ...answers]
}
