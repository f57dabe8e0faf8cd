/**
 * What an operator wants to know of one part: whether a worker has begun, when it was last heard, how long it has
 * taken, the job's id, and the attempts that have ended.
 */
import { createElement, setAttribute } from './dom.js'
import { serverNow } from './server.js'
import { words, wordsOr } from './strings.js'
import { formatDay, formatLeft } from './time.js'

/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('chaptercast-client').ChapterView['jobs'][number]} JobView */

/** @param {HTMLElement} root @param {JobKind} kind */
export function openPartFacts(root, kind) {
  const list = createElement('dl', { class: 'details' })
  const history = createElement('div', { class: 'history' })
  root.append(list, history)

  /** @param {Chapter} chapter @param {string | null} requestId */
  function show({ jobs }, requestId) {
    const { seen, state } = jobs[kind]
    root.hidden = seen === null
    if (seen === null) return
    const facts = factsOf(seen, state, requestId)
    if (list.dataset.facts !== JSON.stringify(facts)) {
      setAttribute(list, 'data-facts', JSON.stringify(facts))
      list.replaceChildren(
        ...facts.map(([name, value, isCode]) =>
          createElement(
            'div',
            {},
            createElement('dt', {}, name),
            createElement('dd', {}, isCode ? createElement('code', {}, value) : value),
          ),
        ),
      )
    }
    const wanted = JSON.stringify([words('history'), seen.history])
    if (history.dataset.shown === wanted) return
    history.dataset.shown = wanted
    history.replaceChildren(
      ...(seen.history.length === 0
        ? []
        : [
            createElement('p', { class: 'heading' }, words('history')),
            createElement('ol', {}, ...seen.history.map(describeAttempt)),
          ]),
    )
  }

  return { show }
}

/** @param {JobView} job @param {string} state @param {string | null} requestId @returns {[name: string, value: string, isCode?: boolean][]} */
function factsOf(job, state, requestId) {
  const isOpen = job.status === 'queued' || job.status === 'published'
  const began = job.started_at
  const isBegun = began !== null || state === 'started'
  /** @type {[string, string, boolean?][]} */
  const facts = [
    [
      words('fact_worker'),
      began !== null
        ? words('fact_started_at', { at: formatDay(began) })
        : words(isBegun ? 'fact_started' : isOpen ? 'fact_not_started' : 'fact_never_started'),
    ],
    [words('fact_heard'), job.last_heard_at === null ? words('fact_never') : agoOf(job.last_heard_at)],
  ]
  if (isOpen) {
    const key = began === null ? 'fact_since_request' : 'fact_since_start'
    const ms = Math.max(0, serverNow() - Date.parse(began ?? job.requested_at))
    facts.push([words('fact_elapsed'), words(key, { time: formatLeft(ms) })])
  } else {
    const last = job.history.at(-1)
    if (last?.ended_at) {
      const from = last.started_at ?? job.requested_at
      facts.push([
        words('fact_elapsed'),
        formatLeft(Math.max(0, Date.parse(last.ended_at) - Date.parse(from))),
      ])
    }
  }
  facts.push([words('fact_attempt'), words('attempt', { n: job.attempt, max: job.max_attempts })])
  if (job.revision > 1) facts.push([words('fact_revision'), String(job.revision)])
  facts.push([words('fact_job'), job.job_id, true])
  if (requestId !== null) facts.push([words('fact_request'), requestId, true])
  return facts
}

/** An attempt that has ended. @param {JobView['history'][number]} attempt */
export function describeAttempt({
  attempt,
  revision,
  job_id: jobId,
  outcome,
  reason,
  error,
  started_at,
  ended_at,
}) {
  const why = reason === null ? '' : `: ${wordsOr(`reason_${reason}`, reason)}`
  const times = [started_at, ended_at].map((at) => (at === null ? '–' : formatDay(at))).join(' → ')
  const name =
    revision > 1 ? words('attempt_of_version', { n: attempt, revision }) : words('attempt_n', { n: attempt })
  return createElement(
    'li',
    { 'data-outcome': outcome },
    createElement('p', {}, `${name} · ${words(`outcome_${outcome}`)}${why}`),
    error ? createElement('p', { class: 'why', dir: 'auto' }, error) : null,
    createElement('p', { class: 'facts' }, times),
    createElement('p', { class: 'facts' }, createElement('code', {}, jobId)),
  )
}

/** @param {string} at */
function agoOf(at) {
  const ms = Math.max(0, serverNow() - Date.parse(at))
  return words('fact_ago', { time: formatLeft(ms) })
}
