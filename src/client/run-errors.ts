/**
 * How a run ended other than complete, as what `completed` rejects with.
 */
import type { JobKind } from './contract.js'
import { ChaptercastError } from './errors.js'
import type { ChapterSnapshot } from './snapshot.js'

/** The run ended and a part of it could not be written; `chapters.retry(id)` tries again. */
export class ChapterFailedError extends ChaptercastError {
  override readonly name = 'ChapterFailedError'
  readonly snapshot: ChapterSnapshot

  constructor(snapshot: ChapterSnapshot) {
    super('chapter_failed', `Chapter ${snapshot.chapter_id} failed: ${failedOf(snapshot).join(', ')}`)
    this.snapshot = snapshot
  }

  /** Which parts. */
  get failed(): JobKind[] {
    return failedOf(this.snapshot)
  }
}

export class ChapterCancelledError extends ChaptercastError {
  override readonly name = 'ChapterCancelledError'
  readonly snapshot: ChapterSnapshot

  constructor(snapshot: ChapterSnapshot) {
    super('chapter_cancelled', `Chapter ${snapshot.chapter_id} was cancelled`)
    this.snapshot = snapshot
  }
}

function failedOf({ jobs }: ChapterSnapshot): JobKind[] {
  return Object.values(jobs).flatMap(({ kind, status }) => (status === 'failed' ? [kind] : []))
}
