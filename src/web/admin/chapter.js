/** The whole story of one chapter in one view. */
import { createElement, icon } from '../dom.js'
import { describeAttempt } from '../part-facts.js'
import { formatDay } from '../time.js'
import { toneOf } from '../timeline.js'
import { addressOf } from './address.js'
import { read } from './api.js'
import { auditRow } from './audit.js'
import { deadLetterRow } from './dead-letters.js'
import { noticeRow } from './notices.js'
import { code, factsOf, fold, json, listOf, pill, reasonOf, sectionOf, when } from './parts.js'
import { words } from './strings.js'
import { becauseOf, jobActions, whyPill } from './stuck.js'

/** @typedef {import('../../contract/admin.js').AdminChapter} AdminChapter */
/** @typedef {import('../../contract/admin.js').AdminJob} AdminJob */
/** @typedef {'busy' | 'good' | 'bad' | 'plain'} Tone */

/** @type {Record<AdminChapter['chapter']['status'], Tone>} */
const TONES = { processing: 'busy', completed: 'good', failed: 'bad', cancelled: 'plain' }
/** @type {Record<AdminJob['status'], Tone>} */
const JOB_TONES = { queued: 'plain', published: 'busy', completed: 'good', failed: 'bad', cancelled: 'plain' }

/** @type {import('./parts.js').View<AdminChapter | null>} */
export const chapter = {
  filters: ['id'],
  read: async ({ id, answers }, signal) =>
    id === undefined ? null : read(`/chapter/${encodeURIComponent(id)}`, { answers }, signal),
  show: (story, { query }) =>
    story === null
      ? [createElement('p', { class: 'muted', 'data-key': 'none' }, words('which_chapter'))]
      : storyOf(story, query.answers === 'true'),
}

/** @param {AdminChapter} story @param {boolean} hasAnswers */
function storyOf(story, hasAnswers) {
  return [
    headOf(story.chapter),
    sectionOf(
      'jobs',
      words('jobs'),
      createElement(
        'div',
        { class: 'cards' },
        ...story.jobs.map((job) => jobCard(job, story.chapter.chapter_id)),
      ),
    ),
    story.dead_letters.length === 0
      ? null
      : sectionOf(
          'dead-letters',
          words('view_dead-letters'),
          listOf(
            'none_here',
            story.dead_letters.map((letter) => deadLetterRow(letter)),
          ),
        ),
    eventsOf(story),
    sectionOf('deliveries', words('view_notices'), listOf('none_here', story.deliveries.map(noticeRow))),
    sectionOf('audit', words('audit_of_it'), listOf('none_here', story.audit.map(auditRow))),
    contentOf(story, hasAnswers),
  ]
}

/** @param {AdminChapter['chapter']} chapter */
function headOf(chapter) {
  const { chapter_id: id, status } = chapter
  return createElement(
    'section',
    { 'data-key': 'head', 'aria-labelledby': 'story-title' },
    createElement(
      'div',
      { class: 'head' },
      createElement(
        'h2',
        { id: 'story-title', class: 'story-title', dir: 'auto', lang: chapter.locale },
        chapter.title,
      ),
      pill(words(`status_${status}`), TONES[status]),
    ),
    factsOf([
      [words('progress'), `${chapter.progress}%`],
      [
        words('course'),
        createElement(
          'a',
          { class: 'tall', href: `/?course=${chapter.course_id}` },
          String(chapter.course_id),
        ),
      ],
      [words('owner'), String(chapter.owner_id)],
      [words('created'), when(chapter.created_at)],
      [words('updated'), when(chapter.updated_at)],
      [words('completed_at'), when(chapter.completed_at)],
      [words('content_language'), chapter.locale],
      [words('quiz_count'), String(chapter.quiz_count)],
      [words('last_event'), `#${chapter.last_seq}`],
    ]),
    createElement(
      'p',
      {},
      createElement('a', { class: 'tall', href: `/?chapter=${id}&view=details` }, words('readers_page')),
    ),
  )
}

/** @param {AdminJob} job @param {number} chapterId */
function jobCard(job, chapterId) {
  const { kind, status, why, error, history } = job
  const id = `job-${kind}`
  return createElement(
    'section',
    { class: 'card', 'data-key': kind, 'aria-labelledby': id },
    createElement(
      'div',
      { class: 'head' },
      icon(kind),
      createElement('h3', { id }, words(kind)),
      pill(words(`job_${status}`), JOB_TONES[status]),
      why === null ? null : whyPill(why),
    ),
    why === null ? null : createElement('p', { 'data-key': 'why' }, becauseOf(why, job.waiting_before)),
    factsOf([
      [words('fact_attempt'), words('attempt', { n: job.attempt, max: job.max_attempts })],
      [words('progress'), `${job.progress}%`],
      [words('last_failure'), error === null ? null : reasonOf(error.reason, error.message)],
      [words('requested'), when(job.requested_at)],
      [words('due'), status === 'queued' ? when(job.due_at) : null],
      [words('placed'), when(job.placed_at)],
      [
        words('fact_worker'),
        job.started_at === null ? null : words('fact_started_at', { at: formatDay(job.started_at) }),
      ],
      [words('fact_heard'), when(job.last_heard_at)],
      [words('until_deadline'), when(job.deadline_at)],
      [words('lease_ends'), when(job.lease_ends_at)],
      [words('hold_ends'), when(job.hold_ends_at)],
      [words('fact_revision'), job.revision > 1 ? String(job.revision) : null],
      [words('fact_job'), code(job.job_id)],
    ]),
    history.length === 0
      ? null
      : fold(
          'history',
          `${words('history')} (${history.length})`,
          createElement(
            'div',
            { class: 'history' },
            createElement('ol', {}, ...history.map(describeAttempt)),
          ),
        ),
    jobActions({ chapter: chapterId, kind, status }),
  )
}

/** The latest first, as in the chapter’s own page. @param {AdminChapter} story */
function eventsOf({ events, is_log_expired: isExpired, chapter: { locale } }) {
  const entries = events.toReversed().map(({ event, data }) => {
    const { seq, at, message, error } =
      /** @type {{ seq: number, at: string, message?: string, error?: string }} */ (data)
    return createElement(
      'li',
      { 'data-key': `event-${seq}`, 'data-tone': toneOf(event) },
      createElement('p', { class: 'said', dir: 'auto', lang: locale }, message ?? ''),
      error ? createElement('p', { class: 'why', dir: 'auto' }, error) : null,
      createElement(
        'p',
        { class: 'facts' },
        createElement('time', { datetime: at }, formatDay(at)),
        code(event),
        createElement('span', {}, `#${seq}`),
      ),
    )
  })
  return createElement(
    'section',
    { class: 'timeline', 'data-key': 'events', 'aria-labelledby': 'part-events' },
    createElement('h2', { id: 'part-events' }, words('story')),
    isExpired ? createElement('p', { class: 'muted', 'data-key': 'expired' }, words('story_expired')) : null,
    createElement('ol', { reversed: true, 'data-key': 'log' }, ...entries),
  )
}

/** @param {AdminChapter} story @param {boolean} hasAnswers */
function contentOf({ chapter: { chapter_id: id }, content, revisions }, hasAnswers) {
  const rows = Object.entries(revisions).flatMap(([kind, list]) =>
    list.map(({ revision, instruction, created_at: at, is_current: isCurrent }) =>
      createElement(
        'li',
        { class: 'row-of-list', 'data-key': `${kind}-${revision}` },
        createElement(
          'p',
          { class: 'head' },
          createElement(
            'strong',
            {},
            `${words(/** @type {import('chaptercast-client').JobKind} */ (kind))} · ${words('version_n', { n: revision })}`,
          ),
          isCurrent ? pill(words('version_current'), 'good') : null,
          when(at),
        ),
        instruction === null ? null : createElement('p', { class: 'why', dir: 'auto' }, instruction),
      ),
    ),
  )
  const query = hasAnswers ? { id } : { id, answers: 'true' }
  return sectionOf(
    'content',
    words('revisions'),
    listOf('no_revisions', rows),
    fold('now', words('content'), json(content)),
    createElement(
      'p',
      {},
      createElement(
        'a',
        { class: 'tall', href: addressOf('chapter', query) },
        words(hasAnswers ? 'without_answers' : 'with_answers'),
      ),
    ),
  )
}
