/**
 * What `NOTIFY_URL` is told when a run of a chapter ends: thin, so that the receiver reads what it needs. It may come
 * more than once; `webhook-id`, which is `{chapter_id}-{seq}`, tells.
 */
import { type Static, Type } from '@sinclair/typebox'
import type { END_EVENTS } from './event.js'
import { Id, Instant, stringEnum } from './scalar.js'

export const NOTICE_TYPES = ['chapter.completed', 'chapter.failed', 'chapter.cancelled'] as const
export type NoticeType = (typeof NOTICE_TYPES)[number]

/** The notice of each event that ends a run. */
export const NOTICES: Record<(typeof END_EVENTS)[number], NoticeType> = {
  all_completed: 'chapter.completed',
  chapter_failed: 'chapter.failed',
  chapter_cancelled: 'chapter.cancelled',
}

const NOTICE_STATUSES = ['completed', 'failed', 'cancelled'] as const

export const Notice = Type.Object({
  type: stringEnum(NOTICE_TYPES),
  timestamp: Instant,
  data: Type.Object({
    chapter_id: Id,
    course_id: Id,
    owner_id: Id,
    status: stringEnum(NOTICE_STATUSES, 'How the run ended; a client may have started another one since'),
    seq: Type.Integer({ minimum: 1, description: 'Of the event that ended the run' }),
  }),
})
export type Notice = Static<typeof Notice>

export const DELIVERY_STATUSES = ['pending', 'delivered', 'failed'] as const
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number]
