/**
 * What is asked of a chapter, one thing at a time. A failure names what failed, and is forgotten as soon as the chapter
 * moves on or something else is asked.
 */

/** @typedef {import('./problem.js').Action} Action */
/** @typedef {import('./watch.js').ChapterWatch} ChapterWatch */

/**
 * @param {{ watch: () => ChapterWatch | null, isAboutToken: (error: unknown) => boolean, changed: () => void }} parts
 */
export function openChapterActions({ watch, isAboutToken, changed }) {
  /** @type {{ error: unknown, action: Action, seq: number } | null} */
  let failure = null
  let isActing = false

  return {
    /** @param {Action} action @param {(id: number) => Promise<unknown>} request */
    async act(action, request) {
      const own = watch()
      if (own === null || isActing) return false
      isActing = true
      failure = null
      try {
        await request(own.id)
        return true
      } catch (error) {
        if (watch() === own && !isAboutToken(error)) failure = { error, action, seq: own.chapter.lastSeq }
        return false
      } finally {
        isActing = false
        // Its event says the same, if it comes; this does not need the connection.
        if (watch() === own) {
          own.refresh()
          changed()
        }
      }
    },
    /** What is to be shown now. @param {ChapterWatch} own */
    failureOf(own) {
      if (failure !== null && own.chapter.lastSeq > failure.seq) failure = null
      return failure
    },
    forget() {
      failure = null
    },
  }
}
