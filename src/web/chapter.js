/**
 * What the page knows of one chapter, put together from two sources that overtake each other: the
 * event log (Socket.IO) and the view (`GET /v1/chapter/{id}`). Rules only: no network, no DOM.
 *
 * - `seq` is the log’s cursor: every event up to it is in `events`, once and in order. An event that
 *   came too early is held.
 * - `knownSeq` is how far the log’s effect is in `status`, `progress` and `jobs`. A view that knows
 *   more of the log replaces them; one that knows less is outdated. An event beyond it moves them;
 *   one that a view was ahead of only adds what views do not tell (earlier attempts, `retry_at`).
 */

/** @typedef {import('../contract/job.js').JobKind} JobKind */
/** @typedef {import('../contract/job.js').JobStatus} JobStatus */
/** @typedef {import('../contract/chapter.js').ChapterStatus} ChapterStatus */
/** @typedef {import('../contract/chapter.js').ChapterView} ChapterView */
/** @typedef {import('../contract/event.js').EventName} EventName */
/** @typedef {import('../contract/event.js').ProgressUpdate} ProgressUpdate */
/** @typedef {import('../contract/socket.js').JoinedChapter} JoinedChapter */

/**
 * Any logged event’s payload; which fields are there depends on its name.
 * @typedef {{
 *   chapter_id: number, seq: number, at: string, message: string, title?: string, attempt?: number,
 *   max_attempts?: number, retry_at?: string, reason?: string, error?: string, quiz_count?: number
 * }} EventData
 */

/**
 * @typedef {{
 *   status: JobStatus | 'waiting',
 *   attempt: number,
 *   maxAttempts: number | null,
 *   progress: number,
 *   deadlineAt: string | null,
 *   startedAttempt: number,
 *   retry: { attempt: number, at: string } | null,
 *   tries: Map<number, { reason: string, error: string | null }>,
 * }} Job
 */

/**
 * @typedef {{
 *   id: number,
 *   exists: boolean | null,
 *   view: ChapterView | null,
 *   title: string | null,
 *   status: ChapterStatus | null,
 *   progress: number,
 *   message: string,
 *   jobs: Record<JobKind, Job>,
 *   events: { name: EventName, data: EventData, live: boolean }[],
 *   seq: number,
 *   knownSeq: number,
 *   replayUntil: number,
 *   held: Map<number, { name: EventName, data: EventData }>,
 *   expired: boolean,
 * }} Chapter
 */

/** @type {readonly JobKind[]} */
export const KINDS = ['concept', 'exercise', 'quiz']

/** @param {number} id @returns {Chapter} */
export function newChapter(id) {
  return {
    id,
    exists: null,
    view: null,
    title: null,
    status: null,
    progress: 0,
    message: '',
    jobs: { concept: newJob(), exercise: newJob(), quiz: newJob() },
    events: [],
    seq: 0,
    knownSeq: 0,
    replayUntil: 0,
    held: new Map(),
    expired: false,
  }
}

/** @returns {Job} */
function newJob() {
  return {
    status: 'waiting',
    attempt: 1,
    maxAttempts: null,
    progress: 0,
    deadlineAt: null,
    startedAttempt: 0,
    retry: null,
    tries: new Map(),
  }
}

/**
 * Takes an event, in whatever order events come. Returns those it added to the log, in order:
 * none when it was seen before or has to wait, several when it was the one that others waited for.
 * @param {Chapter} chapter @param {EventName} name @param {EventData} data
 */
export function takeEvent(chapter, name, data) {
  if (data.chapter_id !== chapter.id || data.seq <= chapter.seq) return []
  chapter.held.set(data.seq, { name, data })
  return releaseHeld(chapter)
}

/**
 * Takes the answer to a join. What the log had by then is replayed, and not news.
 * @param {Chapter} chapter @param {JoinedChapter} joined
 */
export function takeJoined(chapter, joined) {
  if (joined.status === undefined) {
    chapter.exists ??= false
    return
  }
  chapter.exists = true
  chapter.status ??= joined.status
  chapter.progress = Math.max(chapter.progress, joined.progress ?? 0)
  chapter.replayUntil = Math.max(chapter.replayUntil, joined.last_seq ?? 0)
  if (joined.expired) {
    chapter.expired = true
    chapter.seq = Math.max(chapter.seq, joined.last_seq ?? 0)
    releaseHeld(chapter)
  }
}

/**
 * Takes a view. False when it is outdated, so that another one is worth asking for.
 * @param {Chapter} chapter @param {ChapterView} view
 */
export function takeView(chapter, view) {
  if (view.last_seq < chapter.knownSeq) return false
  const rerun = chapter.status !== null && chapter.status !== 'processing' && view.status === 'processing'
  chapter.exists = true
  chapter.view = view
  chapter.title = view.title
  chapter.status = view.status
  // Progress is not logged: an update may have been faster than a view of the same log.
  chapter.progress = rerun ? view.progress : Math.max(chapter.progress, view.progress)
  for (const seen of view.jobs) {
    const job = chapter.jobs[seen.kind]
    const same = job.attempt === seen.attempt && view.last_seq === chapter.knownSeq
    job.progress = same ? Math.max(job.progress, seen.progress) : seen.progress
    job.status = seen.status
    job.attempt = seen.attempt
    job.maxAttempts = seen.max_attempts
    job.deadlineAt = seen.deadline_at
    // The view’s error is the last attempt’s that failed: unless the job has, that is the one before.
    if (seen.error)
      job.tries.set(seen.status === 'failed' ? seen.attempt : seen.attempt - 1, {
        reason: seen.error.reason,
        error: seen.error.message,
      })
  }
  chapter.knownSeq = view.last_seq
  return true
}

/** @param {Chapter} chapter @param {ProgressUpdate} update */
export function takeProgress(chapter, update) {
  if (update.chapter_id !== chapter.id) return
  chapter.exists = true
  chapter.progress = Math.max(chapter.progress, update.progress)
  // The latest one is sent again at every join; after the end, how it ended is what counts.
  if (chapter.status === 'processing') chapter.message = update.message
  if (update.kind === undefined || update.kind_progress === undefined) return
  const job = chapter.jobs[update.kind]
  if (job.status === 'queued' || job.status === 'published') job.progress = update.kind_progress
}

/** @param {Chapter} chapter */
export function canRetry(chapter) {
  const open = chapter.status === 'processing' || chapter.status === 'failed'
  return open && KINDS.some((kind) => chapter.jobs[kind].status === 'failed')
}

/** @param {Chapter} chapter */
export function canCancel(chapter) {
  return chapter.status === 'processing'
}

/** @param {Chapter} chapter */
function releaseHeld(chapter) {
  const added = []
  for (const seq of chapter.held.keys()) if (seq <= chapter.seq) chapter.held.delete(seq)
  for (;;) {
    const next = chapter.held.get(chapter.seq + 1)
    if (next === undefined) return added
    chapter.seq += 1
    chapter.held.delete(chapter.seq)
    const event = { ...next, live: chapter.seq > chapter.replayUntil }
    chapter.events.push(event)
    added.push(event)
    takeNote(chapter, next.name, next.data)
    if (chapter.seq > chapter.knownSeq) {
      advance(chapter, next.name, next.data)
      chapter.knownSeq = chapter.seq
    }
  }
}

/** What only the log tells. @param {Chapter} chapter @param {EventName} name @param {EventData} data */
function takeNote(chapter, name, data) {
  chapter.exists = true
  chapter.message = data.message
  if (data.title !== undefined) chapter.title ??= data.title
  if (name === 'chapter_retrying') {
    if (chapter.view)
      chapter.progress = Math.min(chapter.progress, Math.max(chapter.view.progress, mean(chapter)))
    for (const kind of KINDS) {
      const job = chapter.jobs[kind]
      if (job.status !== 'completed')
        Object.assign(job, {
          startedAttempt: 0,
          retry: null,
          tries: new Map(),
        })
    }
    return
  }
  const { kind, what } = splitName(name)
  if (kind === null) return
  const job = chapter.jobs[kind]
  const attempt = data.attempt ?? job.attempt
  if (data.max_attempts !== undefined) job.maxAttempts = data.max_attempts
  if (what === 'started') job.startedAttempt = attempt
  if (what === 'timeout') job.tries.set(attempt, { reason: 'timeout', error: null })
  if (what === 'failed')
    job.tries.set(attempt, {
      reason: data.reason ?? '',
      error: data.error ?? null,
    })
  if (what === 'retrying') {
    job.tries.set(attempt - 1, {
      reason: data.reason ?? '',
      error: data.error ?? null,
    })
    if (data.retry_at !== undefined) job.retry = { attempt, at: data.retry_at }
  }
}

/** What views tell as well. @param {Chapter} chapter @param {EventName} name @param {EventData} data */
function advance(chapter, name, data) {
  const { kind, what } = splitName(name)
  if (kind !== null) {
    advanceJob(chapter.jobs[kind], what, data)
    chapter.progress = Math.max(chapter.progress, mean(chapter))
    return
  }
  if (name === 'chapter_processing_started') chapter.status = 'processing'
  if (name === 'chapter_failed') chapter.status = 'failed'
  if (name === 'all_completed') {
    chapter.status = 'completed'
    chapter.progress = 100
  }
  if (name === 'chapter_cancelled') {
    chapter.status = 'cancelled'
    for (const kind of KINDS) {
      const job = chapter.jobs[kind]
      if (job.status === 'queued' || job.status === 'published') job.status = 'cancelled'
    }
  }
  if (name === 'chapter_retrying') {
    chapter.status = 'processing'
    for (const kind of KINDS) {
      const job = chapter.jobs[kind]
      if (job.status === 'failed')
        Object.assign(job, {
          status: 'queued',
          attempt: 1,
          progress: 0,
          deadlineAt: null,
        })
    }
    chapter.progress = mean(chapter)
  }
}

/** @param {Job} job @param {string} what @param {EventData} data */
function advanceJob(job, what, data) {
  if (what === 'processing') job.status = 'queued'
  if (what === 'started')
    Object.assign(job, {
      status: 'published',
      attempt: data.attempt ?? job.attempt,
    })
  if (what === 'completed')
    Object.assign(job, {
      status: 'completed',
      progress: 100,
      deadlineAt: null,
    })
  if (what === 'failed') Object.assign(job, { status: 'failed', deadlineAt: null })
  if (what === 'retrying') {
    Object.assign(job, {
      status: 'queued',
      attempt: data.attempt ?? job.attempt + 1,
      progress: 0,
      deadlineAt: null,
    })
  }
}

/** @param {Chapter} chapter */
function mean(chapter) {
  return KINDS.reduce((sum, kind) => sum + chapter.jobs[kind].progress, 0) / KINDS.length
}

/** @param {EventName} name @returns {{ kind: JobKind | null, what: string }} */
export function splitName(name) {
  const kind = KINDS.find((each) => name.startsWith(`${each}_`)) ?? null
  return { kind, what: kind === null ? name : name.slice(kind.length + 1) }
}
