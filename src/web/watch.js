/**
 * Watches one chapter until it is closed. The client brings the events, each once and in order, and the snapshot
 * that follows from them; read beside it is what events do not tell: description, deadlines, content. It is read
 * again when an event says that there may be more.
 */
import { RefusedError, UnreachableError } from 'chaptercast-client'
import { describeChapter, newNotes, takeNote } from './chapter.js'
import { rights } from './rights.js'
import { chapters, serverNow } from './server.js'

/** @typedef {import('chaptercast-client').ChapterEvent} ChapterEvent */
/** @typedef {import('chaptercast-client').ChapterView} ChapterView */
/** @typedef {import('chaptercast-client').LearningView} LearningView */
/** @typedef {ReturnType<typeof watchChapter>} ChapterWatch */

/** Events come in bursts: one reading serves those of this long. */
const BURST_MS = 120
/** Publishing is no event, and brings the deadline: a look now and then while work is under way. */
const LOOK_AGAIN_MS = 10_000
/** What is older was missed, and is no news. */
const NEWS_MS = 10_000

/**
 * @param {number} id
 * @param {{ changed: () => void, news: (event: ChapterEvent) => void }} tell
 */
export function watchChapter(id, tell) {
  const abort = new AbortController()
  const { signal } = abort
  const client = chapters.watch(id, { signal })
  let notes = newNotes()
  /** @type {ChapterView | null} */
  let view = null
  let connection = client.snapshot.connection
  let isFollowing = false
  let hasMoved = false
  let isReadingWanted = false
  /** Ends the reading that is under way. @type {AbortController | null} */
  let reading = null

  const watch = {
    id,
    /** Of this life of the chapter; another one has another array. @type {{ event: ChapterEvent, isNews: boolean }[]} */
    events: [],
    get chapter() {
      return describeChapter({ snapshot: client.snapshot, view, notes })
    },
    get view() {
      return view
    },
    /** @type {LearningView | null} */
    learning: null,
    /** What is written so far. */
    get partial() {
      return client.snapshot.partial
    },
    get connection() {
      return client.snapshot.connection
    },
    /** Why it cannot be read; null while it can. @type {unknown} */
    readError: null,
    /** Why it cannot be watched any more, or be read. @returns {unknown} */
    get error() {
      return client.snapshot.error ?? watch.readError
    },
    refresh,
    close() {
      abort.abort()
      reading?.abort()
      clearInterval(looking)
    },
  }

  const looking = setInterval(() => {
    const mayChange = watch.chapter.status === 'processing' || isContentMissing()
    if (mayChange && document.visibilityState === 'visible') refresh()
  }, LOOK_AGAIN_MS)

  client.subscribe(() => {
    const { snapshot } = client
    if (client.cursor < lastSeq()) beginAgain()
    hasMoved = true
    if (!isFollowing && snapshot.error === null) void follow()
    const isBack = connection === 'reconnecting' && snapshot.connection === 'live'
    connection = snapshot.connection
    if (isBack) refreshNow()
    else if (snapshot.last_seq > (view?.last_seq ?? 0)) refresh()
    tell.changed()
  })
  refresh()
  return watch

  /** The end of a run is the end of an iteration, but a retry or a late result may go on with the log. */
  async function follow() {
    isFollowing = true
    try {
      while (hasMoved) {
        hasMoved = false
        for await (const event of chapters.watch(id, { after: lastSeq(), signal })) take(event)
      }
    } catch (error) {
      // Closed, or refused: the snapshot says why.
      if (!signal.aborted && client.snapshot.error === null) throw error
    } finally {
      isFollowing = false
    }
  }

  /** @param {ChapterEvent} event */
  function take(event) {
    if (event.payload.seq <= lastSeq()) beginAgain()
    const isNews = Math.abs(serverNow() - Date.parse(event.payload.at)) < NEWS_MS
    watch.events.push({ event, isNews })
    takeNote(notes, event)
    tell.changed()
    if (isNews) tell.news(event)
  }

  function lastSeq() {
    return watch.events.at(-1)?.event.payload.seq ?? 0
  }

  /** The chapter has another life, for instance in a restored database: nothing of this one holds. */
  function beginAgain() {
    watch.events = []
    watch.learning = null
    notes = newNotes()
    view = null
    refreshNow()
  }

  function refresh() {
    isReadingWanted = true
    if (reading === null) void read()
  }

  /** Instead of what is under way, which may be waiting for a server that is back. */
  function refreshNow() {
    reading?.abort()
    reading = null
    refresh()
  }

  async function read() {
    const own = new AbortController()
    reading = own
    while (isReadingWanted && !own.signal.aborted) {
      isReadingWanted = false
      await readOnce(own.signal)
      // The burst that asked for this reading may go on.
      if (isReadingWanted) await new Promise((resolve) => setTimeout(resolve, BURST_MS))
    }
    if (reading === own) reading = null
  }

  /** @param {AbortSignal} signal */
  async function readOnce(signal) {
    try {
      const answer = await chapters.get(id, { signal })
      if (signal.aborted) return
      view = answer
      watch.readError = null
      tell.changed()
      if (!isContentMissing()) return
      const learning = await readContent(signal)
      if (signal.aborted) return
      watch.learning = learning
      tell.changed()
    } catch (error) {
      if (signal.aborted || isNotCreatedYet(error)) return
      // What is shown stays, and that the connection is lost is said elsewhere.
      if (view !== null && mayPass(error)) return
      watch.readError = error
      tell.changed()
    }
  }

  /** With the answers, where they may be seen. @param {AbortSignal} signal */
  async function readContent(signal) {
    if (!rights().mayAnswer) return await chapters.learning(id, { signal })
    try {
      return await chapters.learning(id, { answers: true, signal })
    } catch (error) {
      if (!(error instanceof RefusedError && error.code === 'forbidden')) throw error
      return await chapters.learning(id, { signal })
    }
  }

  /** Or is not what can be read now. */
  function isContentMissing() {
    const { learning } = watch
    const shown = {
      concept: learning?.concept.revision,
      exercise: learning?.exercise.revision,
      quiz: learning?.quizzes[0]?.revision,
    }
    return (view?.jobs ?? []).some(
      ({ kind, content_revision: current }) => current !== null && shown[kind] !== current,
    )
  }
}

/** @param {unknown} error */
function mayPass(error) {
  return error instanceof UnreachableError || (error instanceof RefusedError && (error.status ?? 0) >= 429)
}

/** It may be watched all the same; where it may not, the answer to the join says so. @param {unknown} error */
function isNotCreatedYet(error) {
  return error instanceof RefusedError && error.code === 'chapter_not_found'
}
