/**
 * Shows what a watch knows. Called for every change, it touches only what differs: focus, open
 * answers, given answers and scroll positions stay.
 */
import { canCancel, canRetry, KINDS } from './chapter.js'
import { renderConcept, renderExercise, renderQuizzes } from './content.js'
import { byId, element, icon, setAttribute, setText } from './element.js'
import { hideProblem, showProblem } from './problem.js'
import { serverNow } from './server.js'
import { language, words, wordsOr } from './strings.js'

/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('./chapter.js').Job} Job */
/** @typedef {import('./chapter.js').JobKind} JobKind */
/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */

export function openChapterPage() {
  const title = byId('chapter-title', HTMLElement)
  const timeline = byId('timeline', HTMLElement)
  const content = byId('content', HTMLElement)
  const problem = byId('chapter-problem', HTMLElement)
  const jobs = openJobs(byId('jobs', HTMLElement))
  const parts = openParts(content)
  /** @type {Chapter | null} */
  let shown = null
  let eventsShown = 0
  let problemShown = ''
  // It scrolls beside the content: not every browser lets the keyboard scroll it otherwise.
  timeline.parentElement?.setAttribute('tabindex', '0')

  /** @param {ChapterWatch} watch @param {string} actionProblem what the last retry or cancel was refused with, as JSON */
  function show(watch, actionProblem) {
    const { chapter } = watch
    if (chapter !== shown) forget()
    shown = chapter
    showHead(chapter)
    showProgress(chapter)
    jobs.show(chapter)
    parts.show(watch)
    showTimeline(chapter)
    const problemNow = watch.joinProblem ?? watch.readProblem
    const wanted = actionProblem || (problemNow === null ? '' : JSON.stringify(problemNow))
    if (wanted !== problemShown) {
      problemShown = wanted
      if (wanted === '') hideProblem(problem)
      else showProblem(problem, JSON.parse(wanted))
    }
  }

  function forget() {
    eventsShown = 0
    timeline.replaceChildren()
    parts.forget()
  }

  /** @param {Chapter} chapter */
  function showHead(chapter) {
    const { view } = chapter
    const waiting = chapter.exists === false
    const status = chapter.status ?? (waiting ? 'waiting' : 'loading')
    setText(byId('chapter-number', HTMLElement), words('chapter_n', { n: chapter.id }))
    setText(title, chapter.title ?? words('chapter_n', { n: chapter.id }))
    setAttribute(title, 'lang', chapter.title === null ? null : localeOf(chapter))
    const pill = byId('chapter-status', HTMLElement)
    setText(pill, words(`status_${status}`))
    setAttribute(pill, 'data-status', status)

    const description = byId('chapter-description', HTMLElement)
    description.hidden = !view?.description
    setText(description, view?.description ?? '')
    setAttribute(description, 'lang', localeOf(chapter))
    const meta = byId('chapter-meta', HTMLElement)
    meta.hidden = view === null
    if (view !== null) {
      const facts = [words('course_n', { n: view.course_id }), words('owner_n', { n: view.owner_id })]
      setText(meta, `${facts.join(' · ')} · ${words('created')} ${formatDay(view.created_at)}`)
    }

    const note = byId('chapter-waiting', HTMLElement)
    note.hidden = !waiting
    if (waiting) setText(note, words('waiting_text', { n: chapter.id }))
    byId('chapter-progress', HTMLElement).hidden = waiting
    byId('columns', HTMLElement).hidden = waiting
  }

  /** @param {Chapter} chapter */
  function showProgress(chapter) {
    const percent = Math.floor(chapter.progress)
    const bar = byId('whole-bar', HTMLElement)
    setText(byId('whole-percent', HTMLElement), `${percent}%`)
    setBar(bar, percent, `${percent}%, ${words(`status_${chapter.status ?? 'loading'}`)}`)
    setAttribute(bar, 'data-status', chapter.status)
    const message = byId('whole-message', HTMLElement)
    setText(message, chapter.message)
    setAttribute(message, 'lang', localeOf(chapter))

    const retry = byId('retry', HTMLElement)
    const cancel = byId('cancel', HTMLElement)
    const offers = new Map([
      [retry, canRetry(chapter)],
      [cancel, canCancel(chapter)],
    ])
    for (const [button, possible] of offers) {
      // What cannot be asked is not offered; who just asked for it keeps a place to be.
      if (!possible && button === document.activeElement) title.focus({ preventScroll: true })
      button.hidden = !possible
    }
    byId('actions', HTMLElement).hidden = retry.hidden && cancel.hidden
  }

  /** @param {Chapter} chapter */
  function showTimeline(chapter) {
    const note = byId('timeline-note', HTMLElement)
    note.hidden = chapter.events.length > 0 && !chapter.expired
    setText(note, words(chapter.expired ? 'timeline_expired' : 'timeline_empty'))
    for (const { name, data, live } of chapter.events.slice(eventsShown)) {
      const time = element('time', { datetime: data.at, title: formatDay(data.at) }, formatTime(data.at))
      timeline.prepend(
        element(
          'li',
          {
            class: live ? 'live' : '',
            'data-seq': data.seq,
            'data-tone': toneOf(name),
          },
          element('p', { class: 'said', dir: 'auto', lang: localeOf(chapter) }, data.message),
          data.error ? element('p', { class: 'why', dir: 'auto' }, data.error) : null,
          element(
            'p',
            { class: 'facts' },
            time,
            element('code', {}, name),
            element(
              'span',
              {
                'aria-label': words('event_number', { n: data.seq }),
                role: 'img',
              },
              `#${data.seq}`,
            ),
          ),
        ),
      )
    }
    eventsShown = chapter.events.length
  }

  return {
    show,
    /** The countdowns alone, every second. @param {Chapter} chapter */
    tick: (chapter) => jobs.show(chapter),
    /** The page speaks another language now: everything is put together anew. */
    translated() {
      shown = null
      problemShown = ''
    },
  }
}

/** The box per kind: status, bar, attempt, what went wrong before. @param {HTMLElement} root */
function openJobs(root) {
  const boxes = KINDS.map((kind) => {
    const name = element('h3', { id: `${kind}-label` })
    const status = element('p', { class: 'status' })
    const bar = element('div', {
      class: 'bar',
      id: `${kind}-bar`,
      role: 'progressbar',
      'aria-labelledby': `${kind}-label`,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
    })
    const facts = element('p', { class: 'facts' })
    const tries = element('ul', { class: 'tries' })
    const box = element(
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
        const state = stateOf(job)
        const percent = Math.floor(job.progress)
        setAttribute(box, 'data-status', state)
        setText(name, words(kind))
        setText(status, words(`job_${state}`))
        setBar(bar, percent, `${percent}%, ${words(`job_${state}`)}`)
        setText(facts, factsOf(job, state, percent))
        const lines = [...job.tries]
          .sort(([one], [other]) => one - other)
          .map(([n, { reason, error }]) => {
            const why = wordsOr(`reason_${reason}`, reason)
            return { text: words('tried', { n, reason: why }), error }
          })
        if (tries.dataset.lines !== JSON.stringify(lines)) {
          tries.dataset.lines = JSON.stringify(lines)
          tries.replaceChildren(
            ...lines.map(({ text, error }) =>
              element('li', {}, text, error ? element('span', { class: 'why', dir: 'auto' }, error) : null),
            ),
          )
        }
      }
    },
  }
}

/** The content per kind. A part is put together again only when it differs. @param {HTMLElement} root */
function openParts(root) {
  const sections = KINDS.map((kind) => {
    const heading = element('h2', { id: `content-${kind}` }, icon(kind), element('span'))
    const body = element('div', { class: 'body' })
    root.append(
      element('section', { class: `card part ${kind}`, 'aria-labelledby': `content-${kind}` }, heading, body),
    )
    return { kind, heading, body, shown: '' }
  })

  return {
    /** @param {ChapterWatch} watch */
    show(watch) {
      for (const section of sections) {
        const { kind, heading, body } = section
        setText(/** @type {Element} */ (heading.lastElementChild), words(kind))
        const data = dataOf(watch, kind)
        const state = watch.chapter.jobs[kind].status
        const ended = state === 'failed' || state === 'cancelled'
        const wanted = JSON.stringify([language(), watch.chapter.id, data ?? (ended ? 'ended' : 'open')])
        if (section.shown === wanted) continue
        section.shown = wanted
        body.replaceChildren(data === null ? placeholder(ended) : renderPart(watch, kind))
      }
    },
    forget() {
      for (const section of sections) section.shown = ''
    },
  }
}

/** @param {ChapterWatch} watch @param {JobKind} kind */
function dataOf({ learning }, kind) {
  if (learning === null) return null
  if (kind === 'quiz') {
    const written = learning.quizzes.filter((quiz) => quiz.is_complete)
    return written.length === 0 ? null : written
  }
  return learning[kind].is_complete ? learning[kind] : null
}

/** @param {ChapterWatch} watch @param {JobKind} kind */
function renderPart({ learning, chapter }, kind) {
  if (learning === null) throw new Error('nothing to show yet')
  const lang = localeOf(chapter) ?? ''
  if (kind === 'concept') return renderConcept(learning.concept, lang)
  if (kind === 'exercise') return renderExercise(learning.exercise, lang)
  return renderQuizzes(
    learning.quizzes.filter((quiz) => quiz.is_complete),
    lang,
  )
}

/** @param {boolean} ended */
function placeholder(ended) {
  const fragment = document.createDocumentFragment()
  fragment.append(element('p', { class: 'muted' }, words(ended ? 'not_written' : 'writing')))
  if (!ended) {
    const lines = element('div', { class: 'skeleton', 'aria-hidden': 'true' })
    for (let line = 0; line < 3; line += 1) lines.append(element('span'))
    fragment.append(lines)
  }
  return fragment
}

/** @param {Job} job @returns {Job['status'] | 'started' | 'retrying'} */
function stateOf(job) {
  if (job.status === 'queued' && job.retry?.attempt === job.attempt) return 'retrying'
  if (job.status === 'published' && (job.startedAttempt === job.attempt || job.progress > 0)) return 'started'
  return job.status
}

/** @param {Job} job @param {ReturnType<typeof stateOf>} state @param {number} percent */
function factsOf(job, state, percent) {
  const facts = []
  if (state !== 'waiting') facts.push(`${percent}%`)
  if (job.maxAttempts !== null && state !== 'waiting') {
    facts.push(words('attempt', { n: job.attempt, max: job.maxAttempts }))
  }
  if (state === 'retrying' && job.retry !== null) {
    const left = Date.parse(job.retry.at) - serverNow()
    facts.push(left > 0 ? words('retry_in', { left: formatLeft(left) }) : words('retry_now'))
  }
  if ((state === 'published' || state === 'started') && job.deadlineAt !== null) {
    const left = Date.parse(job.deadlineAt) - serverNow()
    const time = formatTime(job.deadlineAt)
    facts.push(
      left > 0 ? words('deadline', { time, left: formatLeft(left) }) : words('deadline_over', { time }),
    )
  }
  return facts.join(' · ')
}

/** @param {HTMLElement} bar @param {number} percent @param {string} text */
function setBar(bar, percent, text) {
  setAttribute(bar, 'aria-valuenow', String(percent))
  setAttribute(bar, 'aria-valuetext', text)
  bar.style.setProperty('--value', String(percent / 100))
}

/** @param {string} name */
function toneOf(name) {
  if (name.endsWith('_completed')) return 'good'
  if (name.endsWith('_failed')) return 'bad'
  if (name.endsWith('_timeout') || name.endsWith('_retrying') || name.endsWith('_cancelled')) return 'warn'
  return 'plain'
}

/** @param {Chapter} chapter */
function localeOf(chapter) {
  return chapter.view?.locale ?? null
}

/** m:ss, rounded up: 0:00 is over. @param {number} ms */
function formatLeft(ms) {
  const seconds = Math.ceil(ms / 1000)
  const rest = String(seconds % 60).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${rest}`
  return `${Math.floor(seconds / 3600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}:${rest}`
}

/** @param {string} at */
function formatTime(at) {
  return new Intl.DateTimeFormat(language(), { timeStyle: 'medium' }).format(new Date(at))
}

/** @param {string} at */
function formatDay(at) {
  return new Intl.DateTimeFormat(language(), {
    dateStyle: 'medium',
    timeStyle: 'medium',
  }).format(new Date(at))
}
