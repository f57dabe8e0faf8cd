/**
 * Chapters as this node last wrote them, so that a finish that follows costs one round trip instead of two. What is
 * remembered may be out of date: a write expects the version and the write that were remembered, and says what there
 * is now when it loses. Only finishes are decided on it: a publisher's mark changes a job without raising the version,
 * and a finish does not depend on such a mark.
 */
import type { StoredChapter } from '../store/chapters.js'

export interface RememberedChapters {
  get(id: number): StoredChapter | undefined
  /** Forgets chapters that have ended: nothing is expected for them. */
  set(chapter: StoredChapter): void
  delete(id: number): void
}

/** About what a state takes besides its texts, in UTF-16 units. */
const STATE_LENGTH = 2000

/** @param maxLength of all that is remembered, in UTF-16 units; the chapters that were written longest ago go first */
export function createRememberedChapters(maxLength: number): RememberedChapters {
  const chapters = new Map<number, StoredChapter>()
  let length = 0

  function forget(id: number): void {
    const chapter = chapters.get(id)
    if (chapter === undefined) return
    chapters.delete(id)
    length -= lengthOf(chapter)
  }

  return {
    get: (id) => chapters.get(id),
    set(chapter) {
      forget(chapter.state.id)
      if (chapter.state.status !== 'processing') return
      chapters.set(chapter.state.id, chapter)
      length += lengthOf(chapter)
      for (const id of chapters.keys()) {
        if (length <= maxLength) break
        forget(id)
      }
    },
    delete: forget,
  }
}

function lengthOf({ state: { title, description } }: StoredChapter): number {
  return STATE_LENGTH + title.length + description.length
}
