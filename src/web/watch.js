/**
 * Watches one chapter until it is closed: joins its room, reads its view and its content, and reads
 * them again when an event says that there is more to know. What still comes after `close` is
 * ignored, so that chapters can be switched in the middle of everything.
 */
import { KINDS, newChapter, splitName, takeEvent, takeJoined, takeProgress, takeView } from './chapter.js'
import { request, ServerProblem } from './server.js'

/** @typedef {import('../contract/chapter.js').ChapterView} ChapterView */
/** @typedef {import('../contract/chapter.js').LearningView} LearningView */
/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('./server.js').ProblemShown} ProblemShown */
/** @typedef {ReturnType<typeof watchChapter>} ChapterWatch */

/** Events come in bursts: one reading serves those of this long. */
const BURST_MS = 120
const MAX_FAILURES = 6
/** How long the log may be behind what a view says before it is asked for again. */
const BEHIND_MS = 3000
/** Publishing is no event, and brings the deadline: a look now and then while work is under way. */
const LOOK_AGAIN_MS = 10_000

/**
 * @param {number} id
 * @param {ReturnType<typeof import('./live.js').openLive>} live
 * @param {{ changed: () => void, news: (events: Chapter['events']) => void }} tell
 */
export function watchChapter(id, live, tell) {
  const abort = new AbortController()
  const { signal } = abort
  let wanted = false
  let reading = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let behind

  const watch = {
    id,
    chapter: newChapter(id),
    /** @type {LearningView | null} */
    learning: null,
    /** Why it cannot be joined or read; null while it can. @type {ProblemShown | null} */
    joinProblem: null,
    /** @type {ProblemShown | null} */
    readProblem: null,
    refresh,
    close() {
      abort.abort()
      clearTimeout(behind)
      clearInterval(looking)
      live.leave()
    },
  }

  const looking = setInterval(() => {
    if (watch.chapter.status === 'processing' && document.visibilityState === 'visible') refresh()
  }, LOOK_AGAIN_MS)

  live.watch({
    id,
    cursor: () => watch.chapter.seq,
    joined(joined) {
      // A chapter that is unknown now and was not before: another life of it, just as a reset.
      if (joined.reset || (joined.status === undefined && watch.chapter.seq > 0)) {
        watch.chapter = newChapter(id)
        watch.learning = null
      }
      watch.joinProblem = null
      takeJoined(watch.chapter, joined)
      tell.changed()
      refresh()
    },
    refused(refusal) {
      watch.joinProblem = {
        code: refusal.code,
        title: refusal.message,
        detail: '',
      }
      tell.changed()
    },
    event(name, data) {
      const added = takeEvent(watch.chapter, name, data)
      if (watch.chapter.held.size > 0) resyncIfBehind(Math.max(...watch.chapter.held.keys()))
      if (added.length === 0) return
      // A replay is shown when it is through: what a chapter once was must not flash by.
      if (watch.chapter.seq >= watch.chapter.replayUntil) tell.changed()
      tell.news(added.filter((event) => event.live))
      if (watch.chapter.seq > (watch.chapter.view?.last_seq ?? 0) || isContentMissing()) refresh()
    },
    progress(update) {
      takeProgress(watch.chapter, update)
      tell.changed()
    },
  })
  refresh()
  return watch

  function refresh() {
    wanted = true
    if (!reading) void read()
  }

  async function read() {
    reading = true
    let failures = 0
    while (wanted && !signal.aborted && failures < MAX_FAILURES) {
      wanted = false
      try {
        if (await readOnce()) failures = 0
        else {
          // Outdated by an event that came meanwhile.
          failures += 1
          wanted = true
        }
      } catch (error) {
        if (signal.aborted) break
        const problem = error instanceof ServerProblem ? error : null
        if (problem === null || !problem.retryable) {
          watch.readProblem = problem?.problem ?? {
            code: 'bad_answer',
            title: String(error),
            detail: '',
          }
          tell.changed()
          break
        }
        failures += 1
        wanted = true
      }
      // The burst that asked for this reading may go on.
      if (wanted) await pause(failures === 0 ? BURST_MS : (0.5 + Math.random()) * 300 * 2 ** failures)
    }
    reading = false
  }

  /** False when what was read is older than what events told meanwhile. */
  async function readOnce() {
    const { chapter } = watch
    const options = { signal }
    /** @type {ChapterView | null} */
    const view = await request('GET', `/v1/chapter/${id}`, options).catch((error) => {
      if (error instanceof ServerProblem && error.problem.code === 'chapter_not_found') return null
      throw error
    })
    if (signal.aborted || chapter !== watch.chapter) return true
    if (view === null) {
      // Only news while nothing else is known; the answer to a join tells of another life.
      chapter.exists ??= false
      tell.changed()
      return true
    }
    watch.readProblem = null
    const current = takeView(chapter, view)
    tell.changed()
    if (!chapter.expired && view.last_seq > chapter.seq) resyncIfBehind(view.last_seq)
    if (isContentMissing()) {
      /** @type {LearningView} */
      const learning = await request('GET', `/v1/chapter/${id}/learning?answers=true`, options)
      if (signal.aborted || chapter !== watch.chapter) return true
      watch.learning = learning
      tell.changed()
    }
    return current
  }

  function isContentMissing() {
    const { jobs } = watch.chapter
    const { learning } = watch
    const has = {
      concept: learning?.concept.is_complete,
      exercise: learning?.exercise.is_complete,
      quiz: learning?.quizzes.some((quiz) => quiz.is_complete),
    }
    return KINDS.some((kind) => jobs[kind].status === 'completed' && !has[kind])
  }

  /** The last resort: the log should have reached `seq` by now, and has not. @param {number} seq */
  function resyncIfBehind(seq) {
    clearTimeout(behind)
    behind = setTimeout(() => {
      if (!watch.chapter.expired && watch.chapter.seq < seq) live.resync()
    }, BEHIND_MS)
  }

  /** @param {number} ms */
  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve(undefined)
      })
    })
  }
}

/** Whether someone who cannot see the page should hear of it. @param {string} name */
export function isImportant(name) {
  const { kind, what } = splitName(/** @type {import('./chapter.js').EventName} */ (name))
  if (kind === null) return name !== 'chapter_processing_started'
  return what === 'completed' || what === 'failed' || what === 'retrying'
}
