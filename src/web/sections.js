/**
 * The three parts: what is written of each, what is there instead, and in it what can be asked of it. A part is put
 * together again only when it differs, so that text that is read stays where it is; answers are kept elsewhere.
 */
import { JOB_KINDS } from 'chaptercast-client'
import { openAnswers } from './answers.js'
import { renderConcept, renderExercise } from './content.js'
import { createElement, icon, setText } from './dom.js'
import { openPartFacts } from './part-facts.js'
import { openPartTools } from './part-tools.js'
import { renderQuizzes } from './quiz.js'
import { lastRequestId } from './server.js'
import { showSoFar } from './so-far.js'
import { language, words } from './strings.js'
import { plainText } from './text.js'

/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */
/** @typedef {import('./address.js').View} View */
/** @typedef {import('./chapter.js').Job} Job */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('chaptercast-client').LearningView} LearningView */

/** @param {HTMLElement} parent @param {import('./part-tools.js').Act} act */
export function openSections(parent, act) {
  const sections = JOB_KINDS.map((kind) => {
    const heading = createElement('h2', { id: `content-${kind}` }, icon(kind), createElement('span'))
    const note = createElement('p', { class: 'note', hidden: true })
    const body = createElement('div', { class: 'body' })
    const toolBox = createElement('div', { class: 'tools' })
    const factBox = createElement('div', { class: 'operator', hidden: true })
    const root = createElement(
      'section',
      { class: `card part ${kind}`, 'aria-labelledby': `content-${kind}` },
      ...[heading, note, body],
    )
    parent.append(root)
    const tools = openPartTools(toolBox, kind, act)
    const facts = openPartFacts(factBox, kind)
    return { kind, root, heading, note, body, tools, toolBox, facts, factBox, shown: '' }
  })

  return {
    /** @param {ChapterWatch} watch @param {View} view */
    show(watch, view) {
      for (const section of sections) {
        const { kind, root, heading, note, tools, toolBox, facts, factBox } = section
        const job = watch.chapter.jobs[kind]
        setText(/** @type {Element} */ (heading.lastElementChild), words(kind))
        const isAgain = job.contentRevision !== null && isOpen(job.state)
        note.hidden = !isAgain
        setText(note, words(job.state === 'started' ? 'written_again' : 'to_be_written_again'))
        showBody(section, watch)
        // For learners they are not even there.
        if (view === 'learner') {
          toolBox.remove()
          factBox.remove()
          continue
        }
        if (toolBox.parentElement === null) root.append(toolBox, factBox)
        tools.show(watch.chapter)
        if (view === 'details') facts.show(watch.chapter, lastRequestId())
        else factBox.hidden = true
      }
    },
    translated() {
      for (const { tools } of sections) tools.translated()
    },
  }
}

/** @param {{ kind: JobKind, body: HTMLElement, shown: string }} section @param {ChapterWatch} watch */
function showBody(section, { learning, chapter, partial }) {
  const { kind, body } = section
  const data = learning && dataOf(learning, kind)
  const { state } = chapter.jobs[kind]
  const soFar = partial[kind]
  if (data === null && soFar !== null && isOpen(state)) {
    section.shown = `so far ${chapter.id}`
    showSoFar(body, kind, soFar, chapter.locale ?? '')
    return
  }
  // Its result is being read: what was read along stays until then.
  if (data === null && state === 'completed' && section.shown === `so far ${chapter.id}`) return
  const wanted = JSON.stringify([language(), chapter.id, chapter.locale, data ?? state])
  if (section.shown === wanted) return
  section.shown = wanted
  body.replaceChildren(
    learning === null || data === null
      ? placeholder(state)
      : renderPart(kind, learning, chapter.locale ?? '', openAnswers(chapter.id)),
  )
}

/** @param {Job['state']} state */
function isOpen(state) {
  return state !== 'completed' && state !== 'failed' && state !== 'cancelled'
}

/** What is written of a part; null while nothing is. @param {LearningView} learning @param {JobKind} kind */
function dataOf({ concept, exercise, quizzes }, kind) {
  const written = { concept: [concept], exercise: [exercise], quiz: quizzes }[kind].filter(
    (item) => item.is_complete,
  )
  return written.length === 0 ? null : written
}

/** @param {JobKind} kind @param {LearningView} learning @param {string} lang @param {import('./answers.js').Answers} answers */
function renderPart(kind, { concept, exercise, quizzes }, lang, answers) {
  const complete = quizzes.filter((quiz) => quiz.is_complete)
  try {
    if (kind === 'concept') return renderConcept(concept, lang)
    if (kind === 'exercise') return renderExercise(exercise, lang, answers)
    return renderQuizzes(complete, lang, answers)
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

/** @param {Job['state']} state */
function placeholder(state) {
  const fragment = document.createDocumentFragment()
  const isOver = !isOpen(state) && state !== 'completed'
  const key =
    state === 'failed'
      ? 'part_failed'
      : isOver
        ? 'not_written'
        : state === 'completed'
          ? 'loading'
          : state === 'started'
            ? 'writing'
            : 'not_begun'
  fragment.append(createElement('p', { class: 'muted' }, words(key)))
  if (state === 'started') {
    const lines = createElement('div', { class: 'skeleton', 'aria-hidden': 'true' })
    for (let line = 0; line < 3; line += 1) lines.append(createElement('span'))
    fragment.append(lines)
  }
  return fragment
}
