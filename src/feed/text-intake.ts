/**
 * Text so far as workers post it to this node. The first post of an attempt is a decision: whether it is the current
 * work, and the heartbeat that starts it. What follows costs no decision. It is
 *
 * 1. written into the chapter's room here, which this node keeps open while posts come: so it hears what other nodes are
 *    posted, and that the attempt has ended;
 * 2. told to other nodes, before the worker is answered: so it does not come after the result;
 * 3. stored, at most two times a second a job, the last one always, with the job's heartbeat.
 *
 * A post that is appended must know the length. Another node may have been posted the text before it: then it is waited
 * for, for a moment, over the bus or from the database.
 */
import { createBatcher } from '../async/batcher.js'
import { type Repeating, repeat } from '../async/repeat.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import type { GenerationPolicy } from '../config/config.js'
import type { JobKind } from '../contract/job.js'
import { PARTIAL_MAX_BYTES, type PartialAnswer, type PartialQuestion } from '../contract/partial.js'
import { matchOf, type WorkName } from '../domain/job-table.js'
import { appendText, type PartialText, wholeQuestions, wholeText } from '../domain/partial-text.js'
import { AppError } from '../errors.js'
import type { PartialOutcome, PartialStore, PartialWrite } from '../store/partials.js'
import type { PageReader } from './catch-up.js'
import type { Feed, RoomShare } from './feed.js'
import type { KindText } from './texts.js'

export interface PartialPost {
  chapterId: number
  kind: JobKind
  named: WorkName
  content: { text: string; offset?: number | undefined } | { quizzes: readonly PartialQuestion[] }
}

export interface TextIntake {
  /** @throws {ChapterNotFoundError | AppError | UnavailableError} */
  post(post: PartialPost): Promise<PartialAnswer>
  /** Stores what is not stored yet. */
  close(): Promise<void>
}

export interface TextIntakeOptions {
  groups: Pick<CommitGroups, 'submit'>
  feed: Pick<Feed, 'open' | 'publishText' | 'refresh'>
  readPage: PageReader
  store: PartialStore
  policy: Pick<GenerationPolicy, 'timeoutMs' | 'heartbeatMs'>
  now: () => number
  /** Whether other nodes may be posted the text of the same job. */
  hasOthers: boolean
  onError: (error: unknown) => void
  /** Least time between two writes of a job, ms. */
  writeMs?: number
  /** How long this node follows a job whose worker posts nothing, ms. */
  idleMs?: number
}

/** Two a second are 500; a second that begins in the middle must not have three. */
const WRITE_MS = 600
const IDLE_MS = 15_000
/** A deadline need not be exact; a heartbeat is a change of the job's row. */
const HEARTBEAT_MS = 5000
const TIDY_MS = 30_000
/** Waits for text that another node was posted. */
const WAIT_MS = 150
const WAITS = 5
const TRIES = 3

/** An attempt whose text comes to this node. */
interface Work {
  chapterId: number
  kind: JobKind
  jobId: string
  attempt: number
  room: RoomShare
  text: KindText
  /** By `performance.now()`. */
  writtenAt: number
  /** By the clock of the program. */
  heardAt: number
  storedStamp: number
  isHeard: boolean
  isOver: boolean
  timer: NodeJS.Timeout | undefined
  writing: Promise<void> | undefined
  catchingUp: Promise<void> | undefined
  idle: NodeJS.Timeout
}

export function createTextIntake(options: TextIntakeOptions): TextIntake {
  const { groups, feed, readPage, store, policy, now, onError } = options
  const { writeMs = WRITE_MS, idleMs = IDLE_MS } = options
  const works = new Map<string, Work>()
  const admitting = new Map<string, Promise<unknown>>()
  const heartbeatMs = Math.min(HEARTBEAT_MS, policy.timeoutMs / 4, policy.heartbeatMs / 4)
  const write = createBatcher<PartialWrite, PartialOutcome>((writes) => store.write(writes))
  const tidying: Repeating = repeat(
    async () => {
      await store.deleteEnded()
      return false
    },
    TIDY_MS,
    onError,
  )
  let isClosed = false

  async function post(given: PartialPost): Promise<PartialAnswer> {
    const key = `${given.chapterId} ${given.kind}`
    for (let tries = 1; ; tries++) {
      const known = works.get(key)
      const isKnown = known !== undefined && matchOf(known, given.named) === 'current' && !hasEnded(known)
      const work = isKnown ? known : await admit(key, given)
      if (!('room' in work)) return work
      const answer = await take(work, given.content)
      if (answer !== undefined) return answer
      // It ended meanwhile: the next decision says how.
      drop(work)
      if (tries === TRIES) return ignored(given.chapterId, 'the attempt has ended')
    }
  }

  /** Asks whether this is the current work; one question at a time for each job. */
  async function admit(key: string, given: PartialPost): Promise<Work | PartialAnswer> {
    const before = admitting.get(key)
    if (before !== undefined) {
      await before.catch(() => {})
      const known = works.get(key)
      if (known !== undefined && matchOf(known, given.named) === 'current' && !hasEnded(known)) return known
      return await admit(key, given)
    }
    const admission = begin(key, given)
    admitting.set(key, admission)
    try {
      return await admission
    } finally {
      admitting.delete(key)
    }
  }

  async function begin(key: string, { chapterId, kind, named }: PartialPost): Promise<Work | PartialAnswer> {
    const { work: current, ...reply } = await groups.submit({ type: 'partial', chapterId, kind, named })
    if (current === undefined) return { ...reply, length: 0 }
    const { lastSeq, ...names } = current
    const room = feed.open(chapterId)
    try {
      await room.subscribed
      room.absorb(await readPage(chapterId, Math.min(lastSeq, room.position ?? lastSeq)))
    } catch (error) {
      room.close()
      throw error
    }
    const text = room.text(kind)
    const work: Work = {
      chapterId,
      kind,
      ...names,
      room,
      text,
      writtenAt: Number.NEGATIVE_INFINITY,
      heardAt: now(),
      storedStamp: text.rowOf(names)?.stamp ?? 0,
      isHeard: false,
      isOver: false,
      timer: undefined,
      writing: undefined,
      catchingUp: undefined,
      idle: setTimeout(() => void rest(work), idleMs),
    }
    const older = works.get(key)
    if (older !== undefined) drop(older)
    works.set(key, work)
    return work
  }

  /** @returns undefined when the attempt has ended */
  async function take(work: Work, content: PartialPost['content']): Promise<PartialAnswer | undefined> {
    work.idle.refresh()
    const { chapterId, text } = work
    let after: PartialText
    if ('quizzes' in content) after = wholeQuestions(content.quizzes)
    else if (content.offset === undefined) after = wholeText(content.text)
    else {
      if (content.offset > text.textOf(work).length && options.hasOthers)
        await catchUpWith(work, content.offset)
      const before = text.textOf(work)
      if (content.offset !== before.length && !hasEnded(work)) {
        hear(work)
        const message = `the offset is ${content.offset}, and ${before.length} units are here`
        return { ...ignored(chapterId, message), length: before.length }
      }
      after = appendText(before, content.text)
    }
    if (hasEnded(work)) return undefined
    if (sizeInBytes(after) > PARTIAL_MAX_BYTES)
      throw new AppError(
        'too_large',
        `The text so far may be ${PARTIAL_MAX_BYTES} bytes; send only its beginning`,
      )
    const message = text.write(work, after, now())
    if (message !== undefined) feed.publishText(chapterId, message)
    hear(work)
    return { status: 'success', chapter_id: chapterId, length: after.length }
  }

  /** What another node was posted arrives over the bus or, when it does not, is in the database soon. */
  function catchUpWith(work: Work, offset: number): Promise<void> {
    const wait = async () => {
      for (let waits = 1; waits <= WAITS; waits++) {
        if (hasEnded(work) || work.text.textOf(work).length >= offset) return
        await work.text.changed(WAIT_MS)
        if (work.text.textOf(work).length < offset) await feed.refresh(work.chapterId).catch(onError)
      }
    }
    work.catchingUp ??= wait().finally(() => {
      work.catchingUp = undefined
    })
    return work.catchingUp
  }

  /** The worker is there: its text and its heartbeat are stored when their time has come. */
  function hear(work: Work): void {
    work.isHeard = true
    schedule(work)
  }

  function schedule(work: Work): void {
    if (work.timer !== undefined || work.writing !== undefined || work.isOver) return
    const waitMs = isClosed ? 0 : Math.max(0, work.writtenAt + writeMs - performance.now())
    work.timer = setTimeout(() => void storeOnce(work), waitMs)
  }

  function storeOnce(work: Work): Promise<void> {
    clearTimeout(work.timer)
    work.timer = undefined
    work.writing ??= storeNow(work).finally(() => {
      work.writing = undefined
      if (work.isHeard) schedule(work)
    })
    return work.writing
  }

  async function storeNow(work: Work): Promise<void> {
    const { chapterId, kind, jobId, attempt } = work
    const at = now()
    const row = work.text.rowOf(work)
    const isNew = row !== undefined && row.stamp > work.storedStamp
    const isDue = at - work.heardAt >= heartbeatMs || at < work.heardAt
    work.isHeard = false
    if (hasEnded(work) || (!isNew && !isDue)) return
    work.writtenAt = performance.now()
    try {
      const outcome = await write({
        chapterId,
        kind,
        jobId,
        attempt,
        text: isNew ? row : null,
        heartbeat: isDue ? { at, deadlineAt: at + policy.timeoutMs } : null,
      })
      if (outcome === 'not current') work.isOver = true
      if (outcome === 'busy') work.isHeard = true
      if (outcome !== 'written') return
      if (isDue) work.heardAt = at
      if (isNew) work.storedStamp = row.stamp
    } catch (error) {
      work.isHeard = !isClosed
      onError(error)
    }
  }

  function hasEnded(work: Work): boolean {
    return work.isOver || work.text.isOver(work)
  }

  function drop(work: Work): void {
    clearTimeout(work.timer)
    clearTimeout(work.idle)
    work.isOver = true
    work.room.close()
    const key = `${work.chapterId} ${work.kind}`
    if (works.get(key) === work) works.delete(key)
  }

  /** Its worker is silent, or gone, or posts elsewhere. */
  async function rest(work: Work): Promise<void> {
    if (work.isHeard && !hasEnded(work)) await storeOnce(work)
    drop(work)
  }

  return {
    post,
    async close() {
      isClosed = true
      await tidying.stop()
      const open = [...works.values()]
      await Promise.all(open.map((work) => work.writing))
      await Promise.all(open.map((work) => storeOnce(work)))
      for (const work of open) drop(work)
    },
  }
}

function ignored(chapterId: number, message: string): PartialAnswer {
  return { status: 'ignored', message, chapter_id: chapterId, length: 0 }
}

function sizeInBytes({ content }: PartialText): number {
  return Buffer.byteLength(typeof content === 'string' ? content : JSON.stringify(content))
}
