/**
 * A store in memory with the rules of the one in PostgreSQL (`src/store/`), statement by statement: a write takes only
 * chapters that are at the version that was decided on and that nobody has locked; claims lease rows that nobody else
 * has; a publisher’s mark raises no version. Each statement sees and changes everything at one moment, but for the
 * group’s write, which has its chapters locked for a while. Constraints are those of `schema.ts`.
 *
 * States are shared with whoever reads them, and frozen.
 */
import type { ChapterEvent } from '../../src/contract/event.js'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { dueJobOf } from '../../src/dispatch/message.js'
import {
  type ChapterState,
  type CreatedChapter,
  isDue,
  isMessageKnown,
  isRunning,
  type JobState,
  jobsOf,
} from '../../src/domain/chapter.js'
import type { OwedDeadLetter } from '../../src/domain/command.js'
import type { ChapterStore, ChapterWrite, GroupQuestion, StoredChapter } from '../../src/store/chapters.js'
import type { EventStore, LogPage, NewsCursor } from '../../src/store/events.js'
import type { AttemptRef, DueDeadLetter, JobStore } from '../../src/store/jobs.js'

/** What a row of `job` has besides its state. */
interface Lease {
  leasedUntil: number | null
  heldUntil: number | null
}

export interface Row {
  state: ChapterState
  writeId: string
  createId: string
  quizIds: number[]
  /** In order of seq, from 1. */
  events: ChapterEvent[]
  leases: Record<JobKind, Lease>
  /** Every result that was ever stored, and the revision that it was stored as. */
  results: { kind: JobKind; revision: number; result: object }[]
  instructions: Map<string, string | null>
  isLocked: boolean
}

interface DeadLetterRow extends OwedDeadLetter {
  chapterId: number
  leasedUntil: number | null
}

/** Answers a statement: from then on, its effect is there for everybody. */
export type Statement<T> = (commit: (value: T) => void, refuse: (error: unknown) => void) => void

/** Brings a statement of whoever runs now to the database, and its answer back. */
export type Connection = <T>(name: string, statement: Statement<T>) => Promise<T>

export interface MemoryStoreOptions {
  connect: Connection
  /** Calls back after as long as a write takes, from when it has its locks. */
  whileWriting: (call: () => void) => void
  /** Rows were left out because somebody was changing them. */
  onSkipped: () => void
  onWritten?: (row: Row, write: ChapterWrite) => void
  onDeleted?: (row: Row) => void
  /** Without it a write takes a chapter wherever it stands: a fault that has to be found. */
  checksVersion: boolean
}

const UNIQUE = '23505'
const CHECK = '23514'

export class MemoryStore {
  readonly rows = new Map<number, Row>()
  readonly deleted = new Set<number>()
  readonly deadLetters = new Map<string, DeadLetterRow>()
  /** Rows that have not ended: all that claims look at. */
  private readonly active = new Set<Row>()
  private readonly byCreateId = new Map<string, Row>()
  private readonly keys = new Map<string, { bodyHash: string; chapterIds: number[] }>()
  private readonly jobIds = new Set<string>()
  private lastId = 0
  private readonly options: MemoryStoreOptions

  constructor(options: MemoryStoreOptions) {
    this.options = options
  }

  get chapters(): Pick<ChapterStore, 'readGroup' | 'writeGroup'> {
    const { connect } = this.options
    return {
      readGroup: (question) => connect('read', (commit) => commit(this.readGroup(question))),
      writeGroup: (writes, writeId, leasedUntil) =>
        connect('write', (commit, refuse) => this.writeGroup(writes, writeId, leasedUntil, commit, refuse)),
    }
  }

  get events(): EventStore {
    const { connect } = this.options
    return {
      readPages: (cursors) =>
        connect('pages', (commit) =>
          commit(
            new Map(
              cursors.flatMap(({ chapterId, after }) => {
                const page = this.page(chapterId, after)
                return page === undefined ? [] : [[chapterId, page]]
              }),
            ),
          ),
        ),
      readNews: (cursors) => connect('news', (commit) => commit(this.news(cursors))),
      deleteLogsEndedBefore: async () => 0,
      deleteKeysBefore: async () => 0,
    }
  }

  get jobs(): Omit<JobStore, 'count' | 'voidLeases'> {
    const { connect } = this.options
    return {
      claimDue: (claim) =>
        connect('claim due', (commit) => {
          const due = this.free(claim.now, (job) => job.status === 'queued' && job.dueAt <= claim.now)
          due.sort((a, b) => a.job.dueAt - b.job.dueAt)
          commit(
            due.slice(0, claim.limit).map(({ row, job }) => {
              row.leases[job.kind].leasedUntil = claim.leasedUntil
              return this.dueJob(row, job)
            }),
          )
        }),
      unclaim: (attempts) =>
        connect('unclaim', (commit) => {
          for (const ref of attempts) {
            const row = this.named(ref, 'queued')
            if (row !== undefined) row.leases[ref.kind].leasedUntil = null
          }
          commit(undefined)
        }),
      claimOverdue: (claim) =>
        connect('claim overdue', (commit) => {
          const due = this.free(claim.now, (job) => (job.deadlineAt ?? Number.POSITIVE_INFINITY) <= claim.now)
          commit(
            due.slice(0, claim.limit).map(({ row, job }) => {
              row.leases[job.kind].leasedUntil = claim.leasedUntil
              return refOf(row, job)
            }),
          )
        }),
      claimExpiredHolds: (claim) =>
        connect('claim holds', (commit) => {
          const expired = this.unlocked().filter(({ row, job }) => {
            const { heldUntil } = row.leases[job.kind]
            return job.status === 'published' && heldUntil !== null && heldUntil <= claim.now
          })
          commit(
            expired.slice(0, claim.limit).map(({ row, job }) => {
              row.leases[job.kind].heldUntil = claim.leasedUntil
              return refOf(row, job)
            }),
          )
        }),
      claimDeadLetters: (claim) =>
        connect('claim letters', (commit) => {
          const free = [...this.deadLetters.values()].filter(
            ({ leasedUntil }) => leasedUntil === null || leasedUntil <= claim.now,
          )
          commit(
            free.slice(0, claim.limit).map((letter) => {
              letter.leasedUntil = claim.leasedUntil
              return this.dueDeadLetter(letter)
            }),
          )
        }),
      deleteDeadLetters: (jobIds) =>
        connect('delete letters', (commit) => {
          for (const jobId of jobIds) this.deadLetters.delete(jobId)
          commit(undefined)
        }),
      markPublished: (attempts) =>
        connect('mark', (commit) => {
          let marked = 0
          for (const { deadlineAt, ...ref } of attempts) {
            const row = this.named(ref, 'queued')
            if (row === undefined) continue
            marked += 1
            this.setJob(row, { ...row.state.jobs[ref.kind], status: 'published', deadlineAt })
            row.leases[ref.kind].leasedUntil = null
          }
          commit(marked)
        }),
      hold: (jobs, until) =>
        connect('hold', (commit) => {
          for (const { chapterId, kind, jobId } of jobs) {
            const row = this.rows.get(chapterId)
            if (row?.state.jobs[kind].jobId !== jobId) continue
            // Those that are locked at this moment are asked for again at once.
            row.leases[kind].heldUntil = until
          }
          commit(undefined)
        }),
    }
  }

  /** Whether anything is owed to anyone. */
  get isAtRest(): boolean {
    return this.active.size === 0 && this.deadLetters.size === 0
  }

  private readGroup({ chapterIds, createIds, keys, newChapters, newQuizzes }: GroupQuestion) {
    const draw = (count: number) => Array.from({ length: count }, () => ++this.lastId)
    const stored = chapterIds.flatMap((id) => {
      const row = this.rows.get(id)
      return row === undefined ? [] : [[id, storedOf(row)] as const]
    })
    const created = createIds.flatMap((createId) => {
      const row = this.byCreateId.get(createId)
      return row === undefined ? [] : [[createId, createdOf(row)] as const]
    })
    return {
      chapters: new Map(stored),
      created: new Map(created),
      keys: keys.flatMap(({ ownerId, key }) => {
        const found = this.keys.get(`${ownerId} ${key}`)
        const chapters = found?.chapterIds.flatMap((id) => this.rows.get(id) ?? []).map(createdOf)
        return found === undefined || chapters?.length !== found.chapterIds.length
          ? []
          : [{ ownerId, key, bodyHash: found.bodyHash, chapters }]
      }),
      ids: {
        chapters: draw(newChapters),
        concepts: draw(newChapters),
        exercises: draw(newChapters),
        quizzes: draw(newQuizzes),
      },
    }
  }

  private writeGroup(
    writes: ChapterWrite[],
    writeId: string,
    leasedUntil: number | null,
    commit: (value: { written: Set<number>; moved: Map<number, StoredChapter> }) => void,
    refuse: (error: unknown) => void,
  ): void {
    const locked = new Map<ChapterWrite, Row>()
    const moved = new Map<number, StoredChapter>()
    for (const write of writes) {
      const row = this.rows.get(write.state.id)
      if (write.creation !== undefined || row === undefined) continue
      if (this.isUnmoved(row, write) && !row.isLocked) locked.set(write, row)
      else if (!write.isDeleted) moved.set(row.state.id, storedOf(row))
    }
    for (const row of locked.values()) row.isLocked = true
    this.options.whileWriting(() => {
      for (const row of locked.values()) row.isLocked = false
      const made = writes.filter((write) => write.creation !== undefined && this.isKeyFree(write, writes))
      const violation =
        [...locked].map(([write, row]) => this.violationOf(write, row)).find(Boolean) ??
        made.map((write) => this.violationOf(write, undefined)).find(Boolean)
      if (violation !== undefined) {
        refuse(violation)
        return
      }
      for (const write of made) this.create(write, writeId, leasedUntil)
      for (const [write, row] of locked) this.change(write, row, writeId, leasedUntil)
      commit({ written: new Set([...made, ...locked.keys()].map(({ state }) => state.id)), moved })
    })
  }

  private isUnmoved(row: Row, { expectedVersion, expectedWriteId }: ChapterWrite): boolean {
    if (!this.options.checksVersion) return true
    return (
      row.state.version === expectedVersion &&
      (expectedWriteId === undefined || expectedWriteId === row.writeId)
    )
  }

  /** A create whose key was taken meanwhile writes nothing; those of one request are written together. */
  private isKeyFree({ creation, state }: ChapterWrite, writes: ChapterWrite[]): boolean {
    if (creation?.keyedBy === undefined) return true
    const keyed = writes.find((write) => write.state.id === creation.keyedBy)?.creation?.idempotency
    return keyed !== undefined && !this.keys.has(`${state.ownerId} ${keyed.key}`)
  }

  /** A constraint that the write would break; the whole statement fails then. */
  private violationOf(
    { state, events, creation, deadLetters, isDeleted }: ChapterWrite,
    row: Row | undefined,
  ) {
    if (isDeleted) return undefined
    const broken = (code: string, name: string) => Object.assign(new Error(`breaks ${name}`), { code })
    if (creation !== undefined && this.byCreateId.has(creation.createId))
      return broken(UNIQUE, 'chapter_create_id')
    for (const { payload } of events)
      if (row?.events[payload.seq - 1] !== undefined) return broken(UNIQUE, 'event_of_chapter')
    for (const { jobId } of deadLetters)
      if (this.deadLetters.has(jobId)) return broken(UNIQUE, 'dead_letter_pkey')
    for (const kind of JOB_KINDS) {
      const { jobId } = state.jobs[kind]
      if (row?.state.jobs[kind].jobId !== jobId && this.jobIds.has(jobId)) return broken(UNIQUE, 'job_job_id')
    }
    if ((state.status === 'completed') !== (state.completedAt !== null))
      return broken(CHECK, 'chapter_completed')
    if (!isPercent(state.progress)) return broken(CHECK, 'chapter_progress')
    for (const job of jobsOf(state)) {
      if (!isPercent(job.progress)) return broken(CHECK, 'job_progress')
      if (job.attempt < 1 || job.attempt > job.maxAttempts) return broken(CHECK, 'job_attempt')
      if ((job.status === 'published') !== (job.deadlineAt !== null)) return broken(CHECK, 'job_deadline')
    }
    return undefined
  }

  private create(write: ChapterWrite, writeId: string, leasedUntil: number | null): void {
    const { state, creation } = write
    if (creation === undefined) return
    const lease = (kind: JobKind): Lease => ({
      leasedUntil: isLeased(state.jobs[kind], state) ? leasedUntil : null,
      heldUntil: null,
    })
    const row: Row = {
      state: frozen(state),
      writeId,
      createId: creation.createId,
      quizIds: creation.quizIds,
      events: [],
      leases: { concept: lease('concept'), exercise: lease('exercise'), quiz: lease('quiz') },
      results: [],
      instructions: new Map(),
      isLocked: false,
    }
    this.rows.set(state.id, row)
    this.byCreateId.set(creation.createId, row)
    if (creation.idempotency !== undefined) {
      const { key, bodyHash, chapterIds = [state.id] } = creation.idempotency
      this.keys.set(`${state.ownerId} ${key}`, { bodyHash, chapterIds })
    }
    this.settle(row, write)
  }

  private change(write: ChapterWrite, row: Row, writeId: string, leasedUntil: number | null): void {
    const { state } = write
    if (write.isDeleted) {
      this.rows.delete(state.id)
      this.deleted.add(state.id)
      this.byCreateId.delete(row.createId)
      this.active.delete(row)
      this.options.onDeleted?.(row)
      for (const [jobId, { chapterId }] of this.deadLetters)
        if (chapterId === state.id) this.deadLetters.delete(jobId)
      return
    }
    const jobs = { ...row.state.jobs }
    for (const kind of write.changedKinds) {
      const [was, is] = [row.state.jobs[kind], state.jobs[kind]]
      const lease = row.leases[kind]
      // The publisher’s mark may have come between the decision’s read and its write.
      const isMarked =
        was.status === 'published' &&
        is.status === 'queued' &&
        was.jobId === is.jobId &&
        was.attempt === is.attempt &&
        was.dueAt === is.dueAt
      jobs[kind] = isMarked ? { ...is, status: was.status, deadlineAt: was.deadlineAt } : is
      lease.leasedUntil = !isMarked && isLeased(is, state) ? leasedUntil : null
      if (is.status === 'queued' && !isMarked) lease.heldUntil = null
    }
    row.state = frozen({ ...state, jobs })
    row.writeId = writeId
    this.settle(row, write)
  }

  private settle(row: Row, write: ChapterWrite): void {
    const { state } = row
    for (const event of write.events) row.events[event.payload.seq - 1] = event
    for (const { kind, result } of write.results)
      row.results.push({ kind, revision: state.jobs[kind].revision, result })
    for (const { kind, revision, instruction } of write.revisions)
      row.instructions.set(`${kind} ${revision}`, instruction)
    for (const letter of write.deadLetters)
      this.deadLetters.set(letter.jobId, { ...letter, chapterId: state.id, leasedUntil: null })
    for (const { jobId } of jobsOf(state)) this.jobIds.add(jobId)
    if (jobsOf(state).some(isRunning)) this.active.add(row)
    else this.active.delete(row)
    this.options.onWritten?.(row, write)
  }

  private setJob(row: Row, job: JobState): void {
    row.state = frozen({ ...row.state, jobs: { ...row.state.jobs, [job.kind]: job } })
  }

  private unlocked(): { row: Row; job: JobState }[] {
    return [...this.active].flatMap((row) =>
      row.isLocked ? [] : jobsOf(row.state).map((job) => ({ row, job })),
    )
  }

  /** Jobs that nobody has leased. */
  private free(now: number, isWanted: (job: JobState) => boolean): { row: Row; job: JobState }[] {
    const found: { row: Row; job: JobState }[] = []
    for (const row of this.active) {
      if (row.isLocked) continue
      for (const kind of JOB_KINDS) {
        const job = row.state.jobs[kind]
        const { leasedUntil } = row.leases[kind]
        if (isWanted(job) && (leasedUntil === null || leasedUntil <= now)) found.push({ row, job })
      }
    }
    return found
  }

  private named(
    { chapterId, kind, jobId, attempt }: AttemptRef,
    status: JobState['status'],
  ): Row | undefined {
    const row = this.rows.get(chapterId)
    const job = row?.state.jobs[kind]
    if (job?.jobId !== jobId || job.attempt !== attempt || job.status !== status) return undefined
    if (row?.isLocked !== true) return row
    this.options.onSkipped()
    return undefined
  }

  private dueJob(row: Row, { kind, revision }: JobState) {
    const due = dueJobOf(row.state, kind)
    if (revision === 1) return due
    const content = row.results.filter((stored) => stored.kind === kind).at(-1)?.result ?? null
    const current = content as Record<string, unknown> | null
    return { ...due, instruction: row.instructions.get(`${kind} ${revision}`) ?? null, current }
  }

  private dueDeadLetter(letter: DeadLetterRow): DueDeadLetter {
    const row = this.rows.get(letter.chapterId)
    if (row === undefined) throw new Error('a dead letter outlived its chapter')
    const { leasedUntil: _, ...rest } = letter
    return { ...dueJobOf(row.state, letter.kind), ...rest } as DueDeadLetter
  }

  private page(chapterId: number, after: number): LogPage | undefined {
    const row = this.rows.get(chapterId)
    if (row === undefined) return undefined
    const { courseId, ownerId, status, progress, progressVersion, latestProgress, lastSeq } = row.state
    return {
      ...{ chapterId, courseId, ownerId, status, progress, progressVersion, latestProgress, lastSeq },
      logFrom: 1,
      events: row.events.slice(after > lastSeq ? 0 : after),
      partials: [],
    }
  }

  private news(cursors: NewsCursor[]): Map<number, LogPage | null> {
    const news = new Map<number, LogPage | null>()
    for (const { chapterId, after, progressVersion } of cursors) {
      const state = this.rows.get(chapterId)?.state
      if (state === undefined) {
        if (after > 0) news.set(chapterId, null)
      } else if (state.lastSeq !== after || state.progressVersion > progressVersion)
        news.set(chapterId, this.page(chapterId, after) ?? null)
    }
    return news
  }
}

function storedOf(row: Row): StoredChapter {
  return { state: row.state, writeId: row.writeId }
}

function createdOf({ state, quizIds }: Row): CreatedChapter {
  const { id: chapterId, status, createdAt, quizCount, conceptId, exerciseId } = state
  return { chapterId, status, createdAt, quizCount, conceptId, exerciseId, quizIds }
}

function refOf({ state }: Row, { kind, jobId, attempt }: JobState): AttemptRef {
  return { chapterId: state.id, kind, jobId, attempt }
}

function isLeased(job: JobState, { updatedAt }: ChapterState): boolean {
  return isDue(job, updatedAt) && isMessageKnown(job)
}

function isPercent(value: number): boolean {
  return value >= 0 && value <= 100
}

function frozen(state: ChapterState): ChapterState {
  for (const kind of JOB_KINDS) Object.freeze(state.jobs[kind])
  Object.freeze(state.jobs)
  return Object.freeze(state)
}
