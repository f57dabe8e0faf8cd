/** What operators did, the latest first. */
import { createElement } from '../dom.js'
import { read } from './api.js'
import { chapterLink, code, factsOf, jobOf, listOf, pill, rowOf, said, when } from './parts.js'
import { words } from './strings.js'

/** @typedef {import('../../contract/admin.js').AuditEntry} AuditEntry */

/** @type {Record<AuditEntry['outcome'], 'busy' | 'good' | 'warn' | 'bad'>} */
const TONES = { begun: 'busy', done: 'good', refused: 'warn', failed: 'bad' }

/** @type {import('./parts.js').View<import('../../contract/admin.js').AuditList>} */
export const audit = {
  filters: ['action', 'actor', 'chapter_id'],
  read: (query, signal) => read('/audit', query, signal),
  show: ({ items }, { empty }) => [listOf(empty, items.map(auditRow))],
}

/** @param {AuditEntry} entry */
export function auditRow(entry) {
  const { chapter_id: chapter, kind, outcome } = entry
  const about =
    chapter !== null
      ? chapterLink(
          { chapter_id: chapter },
          kind === null ? words('chapter_n', { n: chapter }) : jobOf(kind, chapter),
        )
      : kind !== null
        ? createElement('span', {}, words(kind))
        : null
  return rowOf(
    `audit-${entry.audit_id}`,
    createElement(
      'p',
      { class: 'head' },
      createElement('strong', {}, words(`action_${entry.action}`)),
      about,
      pill(words(`outcome_${outcome}`), TONES[outcome]),
    ),
    said(entry.problem),
    factsOf([
      [words('field_actor'), entry.actor],
      [words('at'), when(entry.at)],
      [
        words('details'),
        Object.keys(entry.details).length === 0 ? null : code(JSON.stringify(entry.details)),
      ],
      [words('request'), code(entry.request_id)],
    ]),
  )
}
