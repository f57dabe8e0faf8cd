/** Notices to `NOTIFY_URL`: what became of each, and sending it again. */
import { createElement } from '../dom.js'
import { read } from './api.js'
import { actButton, actions, chapterLink, factsOf, listOf, pill, rowOf, said, when } from './parts.js'
import { words } from './strings.js'

/** @typedef {import('../../contract/admin.js').DeliveryView} DeliveryView */

/** @type {Record<DeliveryView['state'], 'busy' | 'good' | 'bad'>} */
const TONES = { pending: 'busy', delivered: 'good', failed: 'bad' }

/** @type {import('./parts.js').View<import('../../contract/admin.js').DeliveryList>} */
export const notices = {
  filters: ['state', 'chapter_id'],
  read: (query, signal) => read('/deliveries', query, signal),
  show: ({ items }, { empty }) => [listOf(empty, items.map(noticeRow))],
}

/** @param {DeliveryView} delivery */
export function noticeRow(delivery) {
  const { chapter_id: chapter, seq, state, type } = delivery
  const name = words('notice_of', { n: chapter, seq })
  return rowOf(
    `${chapter}-${seq}`,
    createElement(
      'p',
      { class: 'head' },
      chapterLink({ chapter_id: chapter }, name),
      createElement('code', {}, type),
      pill(words(`state_${state}`), TONES[state]),
    ),
    said(delivery.last_error),
    factsOf([
      [words('notice_ended'), when(delivery.ended_at)],
      [words('notice_attempts'), words('notice_times', { n: delivery.attempts })],
      [words('notice_status'), delivery.last_status === null ? null : String(delivery.last_status)],
      [words('notice_due'), when(delivery.due_at)],
      [words('notice_give_up'), state === 'pending' ? when(delivery.give_up_at) : null],
      [words('notice_delivered'), when(delivery.delivered_at)],
      [words('notice_failed'), when(delivery.failed_at)],
      [words('course'), String(delivery.course_id)],
      [words('owner'), String(delivery.owner_id)],
    ]),
    actions(actButton('resend', { chapter, seq }, words('resend'), name)),
  )
}
