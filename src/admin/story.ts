/**
 * The whole story of one chapter: its state, every attempt, the log, notices, dead letters, and what operators did.
 */
import { type AdminChapter, type AdminJob, STORY_ENTRIES_MAX, STORY_EVENTS_MAX } from '../contract/admin.js'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import { RevisionSummary } from '../contract/revision.js'
import { toInstant, toWire } from '../contract/wire.js'
import { jobsOf } from '../domain/chapter.js'
import { ChapterNotFoundError } from '../errors.js'
import { jobView } from '../http/chapters.js'
import type { AuditStore } from '../store/audit.js'
import { type ChapterStore, summaryOf } from '../store/chapters.js'
import type { DeliveryStore } from '../store/deliveries.js'
import type { EventStore } from '../store/events.js'
import type { FailedJobStore } from '../store/failed-jobs.js'
import type { RevisionStore } from '../store/revisions.js'
import type { RunningJobStore } from '../store/running-jobs.js'
import { stuckOf } from './stuck.js'
import { type StuckParts, stuckRules } from './stuck-list.js'
import { auditView, deadLetterView, deliveryView } from './views.js'

export interface StoryParts extends Omit<StuckParts, 'running'> {
  chapters: Pick<ChapterStore, 'readChapter' | 'readLearning'>
  revisions: Pick<RevisionStore, 'readHistory' | 'readRevisions'>
  events: Pick<EventStore, 'readPages'>
  deliveries: Pick<DeliveryStore, 'listDeliveries'>
  failed: Pick<FailedJobStore, 'ofChapter'>
  audit: Pick<AuditStore, 'list'>
  running: Pick<RunningJobStore, 'holdsOf' | 'list'>
  publicUrl: () => string
}

/** @throws {ChapterNotFoundError} */
export async function tellStory(id: number, withAnswers: boolean, parts: StoryParts): Promise<AdminChapter> {
  const { chapters, revisions, events, deliveries, failed, audit, running, waitingBefore } = parts
  const state = await chapters.readChapter(id)
  if (state === undefined) throw new ChapterNotFoundError(id)
  const [content, history, pages, notices, letters, entries, holds, rules, waiting, ...revisionsOf] =
    await Promise.all([
      chapters.readLearning(id, withAnswers),
      revisions.readHistory(id),
      events.readPages([{ chapterId: id, after: Math.max(0, state.lastSeq - STORY_EVENTS_MAX) }]),
      deliveries.listDeliveries({ chapterId: id, limit: STORY_ENTRIES_MAX }),
      failed.ofChapter(id),
      audit.list({ chapterId: id, limit: STORY_ENTRIES_MAX }),
      running.holdsOf(id),
      stuckRules(parts),
      waitingBefore?.(id),
      ...JOB_KINDS.map((kind) => revisions.readRevisions(id, kind)),
    ])
  const page = pages.get(id)
  // Deleted between the two reads.
  if (content === undefined || page === undefined) throw new ChapterNotFoundError(id)

  const { concept, exercise, quizzes } = content
  return {
    chapter: summaryOf(state),
    jobs: jobsOf(state).map((job): AdminJob => {
      const { leasedUntil = null, heldUntil = null, placedAt = null, endedAt = null } = holds[job.kind] ?? {}
      const times = { ...job, leasedUntil, heldUntil, placedAt, endedAt }
      return {
        ...jobView(state, job, history[job.kind], waiting?.[job.kind]),
        due_at: toInstant(job.dueAt),
        lease_ends_at: orNull(leasedUntil),
        hold_ends_at: orNull(heldUntil),
        placed_at: orNull(placedAt),
        why: stuckOf(times, rules)?.why ?? null,
      }
    }),
    content: { concept, exercise, quizzes },
    revisions: Object.fromEntries(
      JOB_KINDS.map((kind, index) => [
        kind,
        (revisionsOf[index]?.revisions ?? []).map((revision) => toWire(RevisionSummary, revision)),
      ]),
    ) as Record<JobKind, RevisionSummary[]>,
    events: page.events.slice(-STORY_EVENTS_MAX).map(({ name, payload }) => ({ event: name, data: payload })),
    is_log_expired: page.logFrom > page.lastSeq,
    deliveries: notices.map(deliveryView),
    dead_letters: letters.map((letter) => deadLetterView(letter, parts.publicUrl())),
    audit: entries.items.map(auditView),
  } as AdminChapter
}

function orNull(instant: number | null): string | null {
  return instant === null ? null : toInstant(instant)
}
