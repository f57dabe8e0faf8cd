/** Redrives that are under way, and the latest that are over. */
import { createElement } from '../dom.js'
import { wordsOr } from '../strings.js'
import { formatDay } from '../time.js'
import { actButton, actions, pill, reasonOf, rowOf, said } from './parts.js'
import { words } from './strings.js'

/** @typedef {import('../../contract/admin.js').Redrive} Redrive */

/** @type {Record<Redrive['status'], { tone: 'busy' | 'good' | 'plain', key: import('./strings.js').StringKey }>} */
const STATUSES = {
  running: { tone: 'busy', key: 'redrive_running' },
  done: { tone: 'good', key: 'redrive_status_done' },
  cancelled: { tone: 'plain', key: 'redrive_cancelled' },
}

/** @param {Redrive} redrive */
export function redriveRow(redrive) {
  const { redrive_id: id, status, filter, ids, limit } = redrive
  const name = words('redrive_n', { n: id })
  const what =
    ids !== null
      ? words('redrive_of_ids', { n: ids.length })
      : filter === null || Object.keys(filter).length === 0
        ? words('redrive_of_all')
        : describeFilter(filter)
  const pace = [
    what,
    words('redrive_pace', { n: redrive.rate_per_s }),
    ...(limit === null ? [] : [words('redrive_at_most', { n: limit })]),
  ]
  const { tone, key } = STATUSES[status]
  return rowOf(
    `redrive-${id}`,
    createElement(
      'p',
      { class: 'head' },
      createElement('strong', {}, name),
      pill(words(key), tone),
      createElement(
        'span',
        { class: 'counts' },
        words('redrive_counts', { redriven: redrive.redriven, skipped: redrive.skipped }),
      ),
    ),
    createElement('p', { class: 'muted', dir: 'auto' }, pace.join(' · ')),
    createElement(
      'p',
      { class: 'muted' },
      words('asked_by', { actor: redrive.actor, time: formatDay(redrive.created_at) }),
    ),
    said(redrive.last_error === null ? null : words('redrive_stands', { error: redrive.last_error })),
    status === 'running' ? actions(actButton('cancel_redrive', { id }, words('cancel_redrive'), name)) : null,
  )
}

/** @param {object} filter */
export function describeFilter(filter) {
  return Object.entries(filter)
    .map(([name, value]) => `${wordsOr(`field_${name}`, name)}: ${describeValue(name, String(value))}`)
    .join(' · ')
}

/** @param {string} name @param {string} value */
function describeValue(name, value) {
  if (name === 'kind') return wordsOr(value, value)
  if (name === 'reason') return reasonOf(value) ?? value
  return name === 'from' || name === 'to' ? formatDay(value) : value
}
