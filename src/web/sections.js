/**
 * The content per kind, or what is there instead. A part is put together again only when it differs: open
 * answers and given ones stay.
 */
import { JOB_KINDS } from 'chaptercast-client'
import { plainText, renderConcept, renderExercise, renderQuizzes } from './content.js'
import { createElement, icon, setText } from './dom.js'
import { showSoFar } from './so-far.js'
import { language, words } from './strings.js'

/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('chaptercast-client').LearningView} LearningView */

/** @param {HTMLElement} root */
export function openSections(root) {
  const sections = JOB_KINDS.map((kind) => {
    const heading = createElement('h2', { id: `content-${kind}` }, icon(kind), createElement('span'))
    const body = createElement('div', { class: 'body' })
    root.append(
      createElement(
        'section',
        { class: `card part ${kind}`, 'aria-labelledby': `content-${kind}` },
        heading,
        body,
      ),
    )
    return { kind, heading, body, shown: '' }
  })

  return {
    /** @param {ChapterWatch} watch */
    show({ learning, chapter, partial }) {
      for (const section of sections) {
        const { kind, heading, body } = section
        setText(/** @type {Element} */ (heading.lastElementChild), words(kind))
        const data = learning && dataOf(learning, kind)
        const { state } = chapter.jobs[kind]
        const soFar = partial[kind]
        if (data === null && soFar !== null && isBeingWritten(state)) {
          section.shown = `so far ${chapter.id}`
          showSoFar(body, soFar, chapter.locale ?? '')
          continue
        }
        // Its result is being read: what was read along stays until then.
        if (data === null && state === 'completed' && section.shown === `so far ${chapter.id}`) continue
        const ended = state === 'failed' || state === 'cancelled'
        const wanted = JSON.stringify([
          language(),
          chapter.id,
          chapter.locale,
          data ?? (ended ? 'ended' : 'open'),
        ])
        if (section.shown === wanted) continue
        section.shown = wanted
        body.replaceChildren(
          learning === null || data === null
            ? placeholder(ended)
            : renderPart(kind, learning, chapter.locale ?? ''),
        )
      }
    },
    forget() {
      for (const section of sections) section.shown = ''
    },
  }
}

/** @param {import('./chapter.js').Job['state']} state */
function isBeingWritten(state) {
  return state !== 'completed' && state !== 'failed' && state !== 'cancelled'
}

/** What is written of a part; null while nothing is. @param {LearningView} learning @param {JobKind} kind */
function dataOf({ concept, exercise, quizzes }, kind) {
  const written = { concept: [concept], exercise: [exercise], quiz: quizzes }[kind].filter(
    (item) => item.is_complete,
  )
  return written.length === 0 ? null : written
}

/** @param {JobKind} kind @param {LearningView} learning @param {string} lang */
function renderPart(kind, { concept, exercise, quizzes }, lang) {
  const complete = quizzes.filter((quiz) => quiz.is_complete)
  try {
    if (kind === 'concept') return renderConcept(concept, lang)
    if (kind === 'exercise') return renderExercise(exercise, lang)
    return renderQuizzes(complete, lang)
  } catch (error) {
    // Each part by itself: what is wrong with one must not hide the others.
    console.warn(`The ${kind} could not be rendered`, error)
    const texts = {
      concept: [concept.title, concept.content],
      exercise: [exercise.question],
      quiz: complete.map(({ question }) => question),
    }
    const fragment = document.createDocumentFragment()
    fragment.append(...texts[kind].map((text) => plainText(text ?? '')))
    return fragment
  }
}

/** @param {boolean} ended */
function placeholder(ended) {
  const fragment = document.createDocumentFragment()
  fragment.append(createElement('p', { class: 'muted' }, words(ended ? 'not_written' : 'writing')))
  if (!ended) {
    const lines = createElement('div', { class: 'skeleton', 'aria-hidden': 'true' })
    for (let line = 0; line < 3; line += 1) lines.append(createElement('span'))
    fragment.append(lines)
  }
  return fragment
}
