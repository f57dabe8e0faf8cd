/**
 * The quizzes as a self check: choose or type, look the answer up, try again. What was answered is kept in this
 * browser. Where a token shows no answers, choices are kept and nothing is judged.
 */
import { createElement, icon, setText } from './dom.js'
import { splitFormulas } from './formulas.js'
import { words } from './strings.js'
import { renderLine, renderText } from './text.js'

/** @typedef {import('../contract/chapter.js').LearningView} LearningView */
/** @typedef {LearningView['quizzes'][number]} Quiz */
/** @typedef {import('./answers.js').Answers} Answers */
/** @typedef {import('./answers.js').Answer} Answer */
/** @typedef {{ text: string, right: boolean }} Option */
/** @typedef {{ solved: boolean, atOnce: boolean, begun: boolean }} Standing */

const TRUE = ['true', 't', 'yes', 'y', 'o', '○', '1', '참', '예', '맞다', '맞음']
const FALSE = ['false', 'f', 'no', 'n', 'x', '×', '0', '거짓', '아니오', '아니요', '틀리다', '틀림']

/** @param {Quiz[]} quizzes @param {string} lang @param {Answers} answers */
export function renderQuizzes(quizzes, lang, answers) {
  const score = createElement('p', { class: 'score', role: 'status' })
  /** @type {(Standing | null)[]} */
  const standings = quizzes.map(() => null)
  const list = createElement('ol', { class: 'quizzes' })
  quizzes.forEach((quiz, index) => {
    const check = renderQuiz(quiz, lang, answers, (standing) => {
      standings[index] = standing
      showScore()
    })
    list.append(
      createElement(
        'li',
        { class: 'quiz' },
        createElement('h3', {}, words('quiz_n', { n: index + 1 })),
        check,
      ),
    )
  })
  function showScore() {
    const judged = standings.filter((standing) => standing !== null)
    const isBegun = judged.some(({ begun }) => begun)
    const right = judged.filter(({ atOnce }) => atOnce).length
    setText(score, isBegun ? words('quiz_score', { right, all: judged.length }) : '')
  }
  const fragment = document.createDocumentFragment()
  fragment.append(list, score)
  return fragment
}

/** The answer of a question as text; null when it is not shown to this reader. @param {Quiz} quiz */
export function answerOf(quiz) {
  const right = optionsOf(quiz)?.find((option) => option.right)
  return right?.text ?? (quiz.correct_answer || null)
}

/**
 * @param {Quiz} quiz @param {string} lang @param {Answers} answers
 * @param {(standing: Standing | null) => void} changed null while nothing can be judged
 */
function renderQuiz(quiz, lang, answers, changed) {
  const about = `${quiz.id} ${quiz.question}`
  const name = `quiz-${quiz.id}`
  const question = createElement('div', { id: name, class: 'written', lang }, renderText(quiz.question ?? ''))
  const options = optionsOf(quiz)
  const known = answerOf(quiz)
  const verdict = createElement('p', { class: 'verdict', role: 'status' })
  const shown = createElement('div', { class: 'written shown', lang, hidden: true })
  const show = button('show_answer', () => set({ ...answers.of(about), isShown: true }, again))
  const again = button('try_again', () => {
    set({ choices: [], typed: '', isChecked: false, isShown: false }, undefined)
    body.focus()
  })

  /** @param {Answer} answer @param {HTMLElement} [focus] in place of a button that goes */
  function set(answer, focus) {
    answers.keep(about, answer)
    paint(answer)
    focus?.focus()
  }

  const body =
    options === null
      ? typedAnswer(name, lang, {
          canCheck: known !== null,
          typed: (typed) => set({ ...answers.of(about), typed, isChecked: false }),
          checked: (typed) => typed.trim() !== '' && set({ ...answers.of(about), typed, isChecked: true }),
        })
      : choices(name, lang, options, (text) => {
          const answer = answers.of(about)
          if (known === null) set({ ...answer, choices: [text] })
          else if (!answer.choices.includes(text)) set({ ...answer, choices: [...answer.choices, text] })
        })

  /** @param {Answer} answer */
  function paint(answer) {
    const isRight =
      known !== null &&
      (options === null
        ? answer.isChecked && isSame(answer.typed, known)
        : options.some((option) => option.right && answer.choices.includes(option.text)))
    const isTried = options === null ? answer.isChecked : answer.choices.length > 0
    body.paint(answer, { isOver: isRight || answer.isShown, isJudged: known !== null })
    /** @type {'answer_kept' | 'right' | 'wrong' | 'wrong_typed' | null} */
    let said = null
    if (known === null) said = answer.choices.length > 0 || answer.typed !== '' ? 'answer_kept' : null
    else if (isRight) said = 'right'
    else if (isTried && !answer.isShown) said = options === null ? 'wrong_typed' : 'wrong'
    setText(verdict, said === null ? '' : words(said))
    verdict.className = `verdict ${isRight ? 'right' : isTried && known !== null ? 'wrong' : ''}`
    const isAnswerOut = answer.isShown && options === null
    shown.hidden = !isAnswerOut
    shown.replaceChildren(...(isAnswerOut ? [renderText(known ?? '')] : []))
    show.hidden = known === null || isRight || answer.isShown
    again.hidden = !isTried && !answer.isShown && (known !== null || answer.typed === '')
    if (known === null) return changed(null)
    const atOnce = isRight && (options === null || answer.choices.length === 1) && !answer.isShown
    changed({ solved: isRight, atOnce, begun: isRight || answer.isShown })
  }

  paint(answers.of(about))
  const fragment = document.createDocumentFragment()
  fragment.append(
    question,
    body.root,
    verdict,
    shown,
    createElement('div', { class: 'quiz-actions' }, show, again),
  )
  return fragment
}

/**
 * @param {string} name id of the question
 * @param {string} lang
 * @param {Option[]} options
 * @param {(text: string) => void} choose
 */
function choices(name, lang, options, choose) {
  const root = createElement('div', { class: 'options', role: 'group', 'aria-labelledby': name })
  const buttons = options.map((option) => {
    const mark = createElement('span', { class: 'mark' })
    const text = renderLine(option.text)
    text.lang = lang
    const button = createElement('button', { type: 'button', class: 'option' }, text, mark)
    button.addEventListener('click', () => {
      if (button.getAttribute('aria-disabled') !== 'true') choose(option.text)
    })
    root.append(button)
    return { option, button, mark }
  })
  return {
    root,
    focus: () => buttons[0]?.button.focus(),
    /** @param {Answer} answer @param {{ isOver: boolean, isJudged: boolean }} standing */
    paint(answer, { isOver, isJudged }) {
      for (const { option, button, mark } of buttons) {
        const isChosen = answer.choices.includes(option.text)
        const isMarked = isJudged && (isChosen || (answer.isShown && option.right))
        button.classList.toggle('right', isMarked && option.right)
        button.classList.toggle('wrong', isMarked && !option.right)
        button.classList.toggle('chosen', isChosen && !isJudged)
        button.setAttribute('aria-pressed', String(isChosen))
        // Not `disabled`: the focus would be lost.
        button.setAttribute('aria-disabled', String(isOver || (isChosen && isJudged)))
        const said = option.right ? 'option_right' : 'option_wrong'
        const hidden = createElement('span', { class: 'visually-hidden' }, words(said))
        nameFormula(button, option.text, isMarked ? words(said) : null)
        mark.replaceChildren(...(isMarked ? [icon(option.right ? 'check' : 'cross'), hidden] : []))
      }
    },
  }
}

/**
 * A button that holds nothing but a formula has no name for screen readers.
 * @param {HTMLElement} button @param {string} text @param {string | null} mark
 */
function nameFormula(button, text, mark) {
  const parts = splitFormulas(text)
  if (parts.every((part) => typeof part === 'string')) return
  const name = parts.map((part) => (typeof part === 'string' ? part : part.tex)).join(' ')
  button.setAttribute('aria-label', mark === null ? name : `${name}, ${mark}`)
}

/**
 * @param {string} name @param {string} lang
 * @param {{ canCheck: boolean, typed: (text: string) => void, checked: (text: string) => void }} on
 */
function typedAnswer(name, lang, on) {
  const input = createElement('input', {
    ...{ id: `${name}-answer`, type: 'text', dir: 'auto', lang, autocomplete: 'off', enterkeyhint: 'done' },
    ...{ autocapitalize: 'off', spellcheck: 'false', maxlength: 2000, 'aria-describedby': name },
  })
  const check = createElement('button', { type: 'submit' }, words('check_answer'))
  check.hidden = !on.canCheck
  const root = createElement(
    'form',
    { class: 'typed' },
    createElement('label', { for: input.id }, words('your_answer')),
    createElement('div', { class: 'row' }, input, check),
  )
  input.addEventListener('input', () => on.typed(input.value))
  root.addEventListener('submit', (event) => {
    event.preventDefault()
    on.checked(input.value)
  })
  return {
    root,
    focus: () => input.focus(),
    /** @param {Answer} answer @param {{ isOver: boolean }} standing */
    paint(answer, { isOver }) {
      if (input.value !== answer.typed) input.value = answer.typed
      input.readOnly = isOver
      check.hidden = !on.canCheck || isOver
    },
  }
}

/** @param {'show_answer' | 'try_again'} key @param {() => void} clicked */
function button(key, clicked) {
  const made = createElement('button', { type: 'button', class: 'quiet' }, words(key))
  made.addEventListener('click', clicked)
  return made
}

/**
 * What there is to choose from; null when the answer is typed.
 * @param {Quiz} quiz
 * @returns {Option[] | null}
 */
function optionsOf(quiz) {
  if (quiz.type === 'short') return null
  const answer = fold(quiz.correct_answer ?? '')
  const texts = quiz.options ?? []
  // Exactly one is right: of two that look alike, the one that is spelled as the answer.
  const exact = texts.indexOf(quiz.correct_answer ?? '')
  const right = exact >= 0 ? exact : texts.findIndex((text) => fold(text) === answer)
  if (texts.length > 1 && (right >= 0 || answer === ''))
    return texts.map((text, index) => ({ text, right: answer !== '' && index === right }))
  if (quiz.type === 'boolean' && (answer === '' || TRUE.includes(answer) || FALSE.includes(answer))) {
    return [
      { text: words('true'), right: TRUE.includes(answer) },
      { text: words('false'), right: FALSE.includes(answer) },
    ]
  }
  return null
}

/** A typed answer is compared without case, spaces and the marks around it. @param {string} one @param {string} other */
function isSame(one, other) {
  /** @param {string} text */
  const bare = (text) => fold(text).replace(/[\s\p{P}]+/gu, '')
  return fold(one) === fold(other) || (bare(one) !== '' && bare(one) === bare(other))
}

/** @param {string} text */
function fold(text) {
  return text.normalize('NFKC').trim().toLowerCase()
}
