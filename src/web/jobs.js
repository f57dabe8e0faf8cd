/**
 * The box per kind: status, bar, attempt, countdown, and what went wrong before.
 */
import { JOB_KINDS } from 'chaptercast-client'
import { createElement, icon, setAttribute, setBar, setText } from './dom.js'
import { serverNow } from './server.js'
import { words, wordsOr } from './strings.js'
import { formatLeft, formatTime } from './time.js'

/** A deadline that is further away says nothing yet. */
const NEAR_MS = 120_000

/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('./chapter.js').Job} Job */

/** @param {HTMLElement} root */
export function openJobs(root) {
  const boxes = JOB_KINDS.map((kind) => {
    const name = createElement('h3', { id: `${kind}-label` })
    const status = createElement('p', { class: 'status' })
    const bar = createElement('div', {
      class: 'bar',
      id: `${kind}-bar`,
      role: 'progressbar',
      'aria-labelledby': `${kind}-label`,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
    })
    const facts = createElement('p', { class: 'facts' })
    const tries = createElement('ul', { class: 'tries' })
    const box = createElement(
      'div',
      { class: 'job', id: `job-${kind}` },
      icon(kind),
      name,
      status,
      bar,
      facts,
      tries,
    )
    root.append(box)
    return { kind, box, name, status, bar, facts, tries }
  })

  return {
    /** @param {Chapter} chapter */
    show(chapter) {
      for (const { kind, box, name, status, bar, facts, tries } of boxes) {
        const job = chapter.jobs[kind]
        const { waitingBefore } = job
        const state =
          waitingBefore === null ? words(`job_${job.state}`) : words('job_waiting_turn', { n: waitingBefore })
        const percent = Math.floor(job.progress)
        setAttribute(box, 'data-status', job.state)
        setText(name, words(kind))
        setText(status, state)
        setBar(bar, percent, `${percent}%, ${state}`)
        setText(facts, factsOf(job, percent))
        const lines = job.tries.map(([n, { reason, error }]) => {
          const why = wordsOr(`reason_${reason}`, reason)
          return { text: words('tried', { n, reason: why }), error }
        })
        if (tries.dataset.lines !== JSON.stringify(lines)) {
          tries.dataset.lines = JSON.stringify(lines)
          tries.replaceChildren(
            ...lines.map(({ text, error }) =>
              createElement(
                'li',
                {},
                text,
                error ? createElement('span', { class: 'why', dir: 'auto' }, error) : null,
              ),
            ),
          )
        }
      }
    },
  }
}

/** @param {Job} job @param {number} percent */
function factsOf({ state, attempt, maxAttempts, retryAt, deadlineAt }, percent) {
  if (state === 'waiting') return ''
  const facts = [`${percent}%`]
  if (maxAttempts !== null) facts.push(words('attempt', { n: attempt, max: maxAttempts }))
  if (retryAt !== null) {
    const left = Date.parse(retryAt) - serverNow()
    facts.push(left > 0 ? words('retry_in', { left: formatLeft(left) }) : words('retry_now'))
  }
  if (deadlineAt !== null) {
    const left = Date.parse(deadlineAt) - serverNow()
    const time = formatTime(deadlineAt)
    if (left <= 0) facts.push(words('deadline_over', { time }))
    else if (left <= NEAR_MS) facts.push(words('deadline', { time, left: formatLeft(left) }))
  }
  return facts.join(' · ')
}
