/**
 * What the page shows of one chapter, put together from what the client knows from events (the snapshot) and
 * from what only one source tells: a view has deadlines, and says that a job was handed to a writer; events
 * have the attempts before. Rules only: no network, no DOM.
 */
import { JOB_KINDS } from 'chaptercast-client'

/** @typedef {import('chaptercast-client').ChapterEvent} ChapterEvent */
/** @typedef {import('chaptercast-client').ChapterSnapshot} ChapterSnapshot */
/** @typedef {import('chaptercast-client').ChapterView} ChapterView */
/** @typedef {import('chaptercast-client').EventName} EventName */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('chaptercast-client').JobStatus} JobStatus */

/**
 * What events tell of a job beside the snapshot. `since` is the event with which its present try began.
 * @typedef {{ since: number, attempt: number, isDone: boolean, tries: Map<number, Try> }} JobNotes
 * @typedef {{ reason: string, error: string | null }} Try
 * @typedef {Record<JobKind, JobNotes>} Notes
 */

/**
 * @typedef {{
 *   state: JobStatus | 'waiting' | 'started' | 'retrying',
 *   attempt: number,
 *   maxAttempts: number | null,
 *   progress: number,
 *   deadlineAt: string | null,
 *   retryAt: string | null,
 *   waitingBefore: number | null,
 *   tries: [attempt: number, Try][],
 *   contentRevision: number | null,
 *   seen: import('chaptercast-client').ChapterView['jobs'][number] | null,
 * }} Job
 */

/** @typedef {ReturnType<typeof describeChapter>} Chapter */

/** @returns {Notes} */
export function newNotes() {
  return { concept: newJobNotes(0), exercise: newJobNotes(0), quiz: newJobNotes(0) }
}

/** @param {number} since @returns {JobNotes} */
function newJobNotes(since) {
  return { since, attempt: 1, isDone: false, tries: new Map() }
}

/** Takes the next event. @param {Notes} notes @param {ChapterEvent} event */
export function takeNote(notes, { name, payload }) {
  if (name === 'chapter_retrying') {
    for (const kind of JOB_KINDS) if (!notes[kind].isDone) notes[kind] = newJobNotes(payload.seq)
    return
  }
  const { kind, what } = splitName(name)
  if (kind === null) return
  const job = notes[kind]
  const {
    attempt = 1,
    reason = 'timeout',
    error = null,
  } = /** @type {Partial<Try & { attempt: number }>} */ (payload)
  if (what === 'completed') job.isDone = true
  if (what === 'timeout') job.tries.set(attempt, { reason: 'timeout', error: null })
  if (what === 'failed') job.tries.set(attempt, { reason, error })
  if (what === 'retrying') {
    // A busy model costs no attempt: the same one is tried again.
    job.tries.set(job.attempt === attempt ? attempt : attempt - 1, { reason, error })
    job.attempt = attempt
    job.since = payload.seq
  }
}

/** @param {{ snapshot: ChapterSnapshot, view: ChapterView | null, notes: Notes }} known */
export function describeChapter({ snapshot, view, notes }) {
  // Requests may come through where events do not: then the view goes on alone.
  const ahead = view !== null && view.last_seq > snapshot.last_seq ? view : null
  /** @param {JobKind} kind */
  const jobOf = (kind) => describeJob(kind, { snapshot, view, ahead }, notes[kind])
  const jobs = { concept: jobOf('concept'), exercise: jobOf('exercise'), quiz: jobOf('quiz') }
  const sum = JOB_KINDS.reduce((total, kind) => total + jobs[kind].progress, 0)
  return {
    id: snapshot.chapter_id,
    exists: view === null ? snapshot.exists : true,
    title: view?.title ?? snapshot.title,
    status: (ahead ?? snapshot).status,
    /** Of what is shown beside it: a worker may report more for the chapter than for its parts. */
    progress: Math.floor(sum / JOB_KINDS.length),
    message: snapshot.message,
    locale: view?.locale ?? null,
    isExpired: snapshot.expired,
    lastSeq: (ahead ?? snapshot).last_seq,
    jobs,
  }
}

/** The word for where it stands. Nothing is being written before a worker has begun. @param {Chapter} chapter */
export function standingOf({ status, exists, jobs }) {
  if (status === null) return exists === false ? 'waiting' : 'loading'
  if (status !== 'processing') return status
  return JOB_KINDS.some((kind) => jobs[kind].state === 'started') ? 'processing' : 'queued'
}

/** @param {Chapter} chapter @param {JobKind} kind */
export function canRetry({ status, jobs }, kind) {
  return (status === 'processing' || status === 'failed') && jobs[kind].state === 'failed'
}

/** @param {Chapter} chapter */
export function canRegenerate({ status }) {
  return status === 'completed' || status === 'failed'
}

/** @param {Chapter} chapter */
export function canCancel({ status }) {
  return status === 'processing'
}

/** @param {EventName} name @returns {{ kind: JobKind | null, what: string }} */
export function splitName(name) {
  const kind = JOB_KINDS.find((each) => name.startsWith(`${each}_`)) ?? null
  return { kind, what: kind === null ? name : name.slice(kind.length + 1) }
}

/**
 * @param {JobKind} kind
 * @param {{ snapshot: ChapterSnapshot, view: ChapterView | null, ahead: ChapterView | null }} known
 * @param {JobNotes} notes
 * @returns {Job}
 */
function describeJob(kind, { snapshot, view, ahead }, notes) {
  const told = snapshot.jobs[kind]
  const seen = view?.jobs.find((job) => job.kind === kind)
  const isSameAttempt = seen?.attempt === told.attempt && view !== null && view.last_seq >= notes.since
  const job = ahead !== null && seen !== undefined ? seen : told
  // What the other source says holds as long as the attempt does.
  const fromEvents = job === told || isSameAttempt ? told : undefined
  const fromView = job === seen || isSameAttempt ? seen : undefined

  const isHandedOver = job.status === 'queued' && fromView?.status === 'published'
  const status = isHandedOver ? 'published' : (job.status ?? 'waiting')
  const isOpen = status === 'queued' || status === 'published'
  const progress = isOpen ? Math.max(fromView?.progress ?? 0, fromEvents?.progress ?? 0) : job.progress
  const isHeard = fromEvents?.started || fromView?.started_at != null || progress > 0
  const isStarted = isOpen && (snapshot.partial[kind] !== null || (status === 'published' && isHeard))
  const waitingBefore = status === 'queued' && !isStarted ? (fromView?.waiting_before ?? null) : null
  const isRetrying = status === 'queued' && !isStarted && waitingBefore === null
  const retryAt = isRetrying ? (fromEvents?.retry_at ?? null) : null
  const tries = new Map(notes.tries)
  if (fromView?.error) {
    // It is the last attempt’s that failed: unless the job has, that is the one before.
    const { reason, message } = fromView.error
    const failed = fromView.status === 'failed' ? fromView.attempt : Math.max(1, fromView.attempt - 1)
    if (!tries.has(failed)) tries.set(failed, { reason, error: message })
  }
  return {
    state: retryAt !== null ? 'retrying' : isStarted ? 'started' : status,
    attempt: job.attempt,
    maxAttempts: seen?.max_attempts ?? told.max_attempts,
    progress,
    deadlineAt: isOpen ? (fromView?.deadline_at ?? null) : null,
    retryAt,
    waitingBefore,
    tries: [...tries].sort(([one], [other]) => one - other),
    contentRevision: Math.max(told.content_revision ?? 0, seen?.content_revision ?? 0) || null,
    seen: seen ?? null,
  }
}
