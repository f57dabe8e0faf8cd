/**
 * Commands in, committed events out. Commands that arrive while a group is being written form the next
 * group: one read of every chapter concerned, pure decisions, one conditional write. A lone command waits for
 * nobody, and a busy node pays two round trips for a hundred. Each group has a fixed cost, so after a group of
 * several the next one waits some milliseconds if it is small. Finishes of chapters that this node wrote last need no
 * read (`remembered.ts`).
 *
 * Guarantees: what a command answers is in the database, unless it changed nothing; a chapter’s decisions
 * are written whole or not at all; `onCommit` hears of each write once, in commit order per chapter, after the
 * commit; no command takes its neighbours down; every retry is bounded, then `UnavailableError`.
 *
 * A write does not win when its chapter moved or is locked: then *all* commands of that chapter are decided
 * again, those without a change of their own too (`duplicate` must not be answered for a result that was not stored).
 * After a lost connection nobody knows whether a write won: the next read of the chapter, whoever asks for it,
 * tells by its `write_id`. (Unless another node wrote the chapter in between: then its commands are decided
 * again on what is stored, and the feed’s repair and the lease’s end stand in for `onCommit`.)
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { backoffMs } from '../async/backoff.js'
import type { GenerationPolicy } from '../config/config.js'
import type { ChapterEvent } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import { type ChapterState, type CreatedChapter, isDue, isMessageKnown } from '../domain/chapter.js'
import type {
  ChapterCommand,
  DecisionContext,
  EndedAttempt,
  OwedDeadLetter,
  Replies,
} from '../domain/command.js'
import type { NewChapter } from '../domain/create.js'
import { InvalidRequestError, UnavailableError } from '../errors.js'
import type {
  ChapterStore,
  ChapterWrite,
  GroupAnswer,
  GroupWritten,
  StoredChapter,
} from '../store/chapters.js'
import { failureKindOf, isUniqueViolation } from '../store/failure.js'
import { traceIdOf } from '../telemetry/traceparent.js'
import type { Span, Tracing } from '../telemetry/tracing.js'
import {
  type Again,
  type CreateReply,
  type CreateRequest,
  decideGroup,
  type Outcome,
  type Planned,
  questionOf,
  type Waiting,
} from './group-plan.js'
import { createRememberedChapters } from './remembered.js'

/** One chapter’s write, after its commit. */
export interface Committed {
  /** As it was; null: the chapter is new. */
  before: ChapterState | null
  state: ChapterState
  events: ChapterEvent[]
  /** Jobs that are to be published now, leased to this node. */
  dueKinds: JobKind[]
  /** Others are due, which any node claims. */
  isMoreDue: boolean
  /** The chapter is gone, with all of its rows. */
  isDeleted: boolean
  deadLetters: OwedDeadLetter[]
  /** For the log: they are stored. */
  attempts: EndedAttempt[]
  /** `traceparent` of the work that wrote it, in the chapter’s trace; undefined without telemetry. */
  trace?: string | undefined
}

export interface CommitGroups {
  create(request: {
    chapter: NewChapter
    idempotency?: { key: string; bodyHash: string }
  }): Promise<{ chapter: CreatedChapter; isNew: boolean }>
  /** All of the chapters or none, in one write, whoever else’s are in it. Of one owner, at least one. */
  createAll(request: CreateRequest): Promise<CreateReply>
  /** @throws {ChapterNotFoundError | WrongStateError | UnavailableError} */
  submit<C extends ChapterCommand>(command: C): Promise<Replies[C['type']]>
  /** Refuses what comes, and resolves when all that came is done. */
  close(): Promise<void>
}

export interface CommitGroupOptions {
  store: Pick<ChapterStore, 'readGroup' | 'writeGroup'>
  policy: GenerationPolicy
  now: () => number
  random: () => number
  newId: () => string
  /** How long this node may take to publish what it made, ms; null: its jobs wait for a place in the window. */
  leaseMs: number | null
  onCommit: (committed: Committed[]) => void
  onError: (error: unknown, about: string) => void
  /** How many commands a group had, and how long it took, ms. */
  onGroup?: (commands: number, ms: number) => void
  tracing?: Tracing | undefined
  limits?: Partial<GroupLimits>
}

export interface GroupLimits {
  /** A request for many chapters counts as that many. */
  groupCommands: number
  groupBytes: number
  waitingCommands: number
  waitingBytes: number
  /** Of the chapters that are remembered, UTF-16 units; 0: none are. */
  rememberedLength: number
  /** A group of so many commands is worth its cost. */
  worthwhileCommands: number
  /** How long a smaller one waits for more, if the group before had several, ms. */
  lingerMs: number
}

export const GROUP_LIMITS: GroupLimits = {
  groupCommands: 128,
  groupBytes: 4 * 1_048_576,
  waitingCommands: 4000,
  waitingBytes: 64 * 1_048_576,
  rememberedLength: 8 * 1_048_576,
  worthwhileCommands: 8,
  lingerMs: 3,
}

/**
 * Maximum tries of one command. Others may win a chapter often, but not for ever; a database that is away is not waited
 * for long.
 */
const MAX_TRIES: Record<Again, number> = { moved: 40, conflict: 8, connection: 5 }
/** A command that waited so long for a database that does not answer is not tried again: a try may be long by itself. */
const CONNECTION_PATIENCE_MS = 8000
/** Cap of the first full-jitter wait, ms, and of the last. */
const WAIT_MS: Record<Again, [first: number, last: number]> = {
  moved: [4, 64],
  conflict: [10, 200],
  connection: [100, 1000],
}

export function createCommitGroups(options: CommitGroupOptions): CommitGroups {
  const { store, now, random, newId, leaseMs, onCommit, onError, tracing } = options
  const limits = { ...GROUP_LIMITS, ...options.limits }
  const queue: Waiting[] = []
  const remembered = createRememberedChapters(limits.rememberedLength)
  /** Writes whose outcome is unknown, while someone waits for it. */
  const unknown = new Set<Planned>()
  let waitingCount = 0
  let waitingBytes = 0
  let isRunning = false
  /** Commands of the group before. */
  let lastSize = 0
  /** Ends the wait of a group that has become worthwhile. */
  let whenFilled: (() => void) | undefined
  let wanted = 0
  let isClosed = false
  let idle: Promise<void> | undefined
  let whenIdle: (() => void) | undefined

  function enqueue<Reply>(task: Waiting['task'], bytes: number, chapters = 1): Promise<Reply> {
    if (isClosed) return Promise.reject(new UnavailableError('This node is shutting down'))
    if (waitingCount >= limits.waitingCommands || waitingBytes + bytes > limits.waitingBytes)
      return Promise.reject(new UnavailableError('Too much is waiting to be stored'))
    return new Promise<Reply>((resolve, reject) => {
      waitingCount += 1
      waitingBytes += bytes
      queue.push({
        task,
        bytes,
        chapters,
        since: performance.now(),
        tries: { moved: 0, conflict: 0, connection: 0 },
        unknown: [],
        isSettled: false,
        span: tracing && startSpan(tracing, task),
        resolve: resolve as Waiting['resolve'],
        reject,
      })
      if (!isRunning) void run()
      else if (queue.length >= wanted) whenFilled?.()
    })
  }

  async function run(): Promise<void> {
    isRunning = true
    while (queue.length > 0) {
      // Requests that have arrived already are read in this turn of the event loop, and join the group.
      await nextTurn()
      await fill()
      const group = takeGroup()
      lastSize = group.length
      const startedAt = performance.now()
      const span = tracing && startGroupSpan(tracing, group)
      try {
        await commit(group)
        options.onGroup?.(group.length, performance.now() - startedAt)
      } catch (error) {
        // Nothing above is expected to throw; an unexpected error must not leave anyone waiting.
        onError(error, 'a commit group failed')
        for (const waiting of group) settle(waiting, { error })
      }
      span?.end()
    }
    isRunning = false
  }

  /** On a busy node a small group waits for more. */
  async function fill(): Promise<void> {
    wanted = lastSize > 1 ? limits.worthwhileCommands : 0
    if (queue.length >= wanted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limits.lingerMs)
      whenFilled = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    whenFilled = undefined
  }

  function takeGroup(): Waiting[] {
    let bytes = 0
    let chapters = 0
    let count = 0
    for (const waiting of queue) {
      bytes += waiting.bytes
      chapters += waiting.chapters
      // Whatever is larger than a group is a group by itself.
      if (count > 0 && (chapters > limits.groupCommands || bytes > limits.groupBytes)) break
      count += 1
    }
    return queue.splice(0, count)
  }

  async function commit(group: Waiting[]): Promise<void> {
    let answer: GroupAnswer
    const known = knownChapters(group)
    try {
      answer = await readUnlessKnown(group, known)
    } catch (error) {
      await failed(group, error)
      return
    }
    const context: DecisionContext = {
      now: now(),
      policy: options.policy,
      random,
      newId,
    }
    lookForUnknown(answer, group)
    const undecided = group.filter((waiting) => !wasWritten(waiting))
    const { planned, postponed, unchanged } = decideGroup(undecided, answer, context)
    for (const { waiting, outcome } of unchanged) if (!isKnown(waiting, known)) settle(waiting, outcome)
    // What changes nothing is not checked by a write, so it must not be answered from memory.
    readAgain(unchanged.flatMap(({ waiting }) => (isKnown(waiting, known) ? [waiting] : [])))
    tryAgain(postponed, 'moved')
    if (planned.length === 0) return

    let result: GroupWritten
    try {
      const writes = planned.flatMap((plan) => plan.writes)
      const leasedUntil = leaseMs === null ? null : now() + leaseMs
      result = await store.writeGroup(writes, planned[0]?.writeId ?? newId(), leasedUntil)
    } catch (error) {
      const members = planned.flatMap((plan) => plan.members.map((member) => member.waiting))
      if (failureKindOf(error) === 'connection')
        for (const plan of planned) {
          for (const { state } of plan.writes) remembered.delete(state.id)
          unknown.add(plan)
          for (const { waiting } of plan.members) waiting.unknown.push(plan)
        }
      await failed(members, error)
      return
    }
    const { written, moved } = result
    const isWritten = (plan: Planned) => plan.writes.every(({ state }) => written.has(state.id))
    committed(planned.filter(isWritten))
    for (const plan of planned) {
      if (isWritten(plan)) continue
      const waiting = plan.members.map((member) => member.waiting)
      const stale = plan.writes.find(({ state, expectedVersion }) => {
        const current = moved.get(state.id)
        return known.has(state.id) && current !== undefined && current.state.version !== expectedVersion
      })
      const current = stale && moved.get(stale.state.id)
      // Memory was out of date. The first time, decide at once on the chapter as it is now.
      if (current !== undefined && waiting.every(({ tries }) => tries.moved === 0)) {
        remembered.set(current)
        for (const each of waiting) each.tries.moved += 1
        queue.unshift(...waiting)
      } else {
        for (const { state } of plan.writes) remembered.delete(state.id)
        tryAgain(waiting, 'moved')
      }
    }
  }

  /** Chapters of this group that are remembered and that only finishes are about. */
  function knownChapters(group: Waiting[]): Map<number, StoredChapter> {
    const known = new Map<number, StoredChapter>()
    for (const { task } of group) {
      if (task.type !== 'command' || task.command.type !== 'finish') continue
      const chapter = remembered.get(task.command.chapterId)
      if (chapter !== undefined) known.set(chapter.state.id, chapter)
    }
    for (const { task } of group)
      if (task.type === 'command' && task.command.type !== 'finish') known.delete(task.command.chapterId)
    return known
  }

  /** The group's read, of what is not known already. */
  async function readUnlessKnown(
    group: Waiting[],
    known: ReadonlyMap<number, StoredChapter>,
  ): Promise<GroupAnswer> {
    const toRead = known.size === 0 ? group : group.filter((waiting) => !isKnown(waiting, known))
    const answer = toRead.length === 0 ? EMPTY_ANSWER() : await store.readGroup(questionOf(toRead))
    for (const [id, chapter] of known) answer.chapters.set(id, chapter)
    return answer
  }

  /** Decides them in the next group, on what the database says. */
  function readAgain(group: Waiting[]): void {
    for (const { task } of group) if (task.type === 'command') remembered.delete(task.command.chapterId)
    queue.unshift(...group)
  }

  /** Finds writes that won although their answer was lost: before anything is decided on what they did. */
  function lookForUnknown(answer: GroupAnswer, group: Waiting[]): void {
    for (const plan of unknown) {
      const won = plan.writes.every(({ state, creation, isDeleted }) => {
        // A create that was decided twice has drawn other ids: only the chapter that is there is this write's.
        if (creation !== undefined) return answer.created.get(creation.createId)?.chapterId === state.id
        const found = answer.chapters.get(state.id)
        if (isDeleted) return found === undefined && questionOf(group).chapterIds.includes(state.id)
        return found?.writeId === plan.writeId
      })
      if (!won) continue
      unknown.delete(plan)
      tell([plan])
    }
  }

  /** Settles a command whose write was stored after all. */
  function wasWritten(waiting: Waiting): boolean {
    const plan = waiting.unknown.find(({ isTold }) => isTold)
    const member = plan?.members.find((member) => member.waiting === waiting)
    if (member === undefined) return false
    settle(waiting, member.outcome)
    return true
  }

  function committed(plans: Planned[]): void {
    if (plans.length === 0) return
    tell(plans)
    for (const { members } of plans) for (const { waiting, outcome } of members) settle(waiting, outcome)
  }

  /** Once for each write, whichever of its commands finds out that it won. */
  function tell(plans: Planned[]): void {
    const news = plans.filter((plan) => plan.isTold === undefined)
    for (const plan of news) {
      plan.isTold = true
      for (const { state, isDeleted } of plan.writes)
        if (isDeleted) remembered.delete(state.id)
        else remembered.set({ state, writeId: plan.writeId })
    }
    try {
      onCommit(news.flatMap((plan) => committedOf(plan, tracing !== undefined)))
    } catch (error) {
      onError(error, 'a commit was not passed on')
    }
  }

  async function failed(group: Waiting[], error: unknown): Promise<void> {
    const kind = failureKindOf(error)
    if (kind === 'conflict' || kind === 'connection') {
      tryAgain(group, kind, error)
      return
    }
    // One bad command must not take its neighbours down: each is tried alone, and the bad one is found.
    if (group.length > 1) {
      for (const waiting of group) await commit([waiting])
      return
    }
    if (isUniqueViolation(error)) tryAgain(group, 'moved', error)
    else if (kind === 'data') {
      onError(error, 'a value could not be stored')
      for (const waiting of group)
        settle(waiting, {
          error: new InvalidRequestError([
            { path: '/body', message: 'holds a value that cannot be stored', code: 'not_storable' },
          ]),
        })
    } else for (const waiting of group) settle(waiting, { error })
  }

  /** Puts them back in front of the queue after a wait: together, because they failed together. */
  function tryAgain(group: Waiting[], why: Again, cause?: unknown): void {
    const again = group.filter((waiting) => {
      waiting.tries[why] += 1
      const isPatient = why !== 'connection' || performance.now() - waiting.since < CONNECTION_PATIENCE_MS
      if (waiting.tries[why] <= MAX_TRIES[why] && isPatient) return true
      const text = why === 'moved' ? 'The chapter is being changed too often' : 'The database does not answer'
      settle(waiting, { error: new UnavailableError(text, { cause }) })
      return false
    })
    if (again.length === 0) return
    const [retryBaseMs, retryMaxMs] = WAIT_MS[why]
    const tries = Math.max(...again.map((waiting) => waiting.tries[why]))
    const waitMs = backoffMs(tries + 1, { retryBaseMs, retryMaxMs }, random)
    void delay(waitMs).then(() => {
      queue.unshift(...again)
      if (!isRunning) void run()
    })
  }

  function settle(waiting: Waiting, outcome: Outcome): void {
    if (waiting.isSettled) return
    waiting.isSettled = true
    waiting.span?.end('error' in outcome ? outcome.error : undefined)
    for (const plan of waiting.unknown)
      if (plan.members.every((member) => member.waiting.isSettled)) unknown.delete(plan)
    waitingCount -= 1
    waitingBytes -= waiting.bytes
    if ('error' in outcome) waiting.reject(outcome.error)
    else waiting.resolve(outcome.reply as never)
    if (waitingCount === 0) whenIdle?.()
  }

  function createAll(request: CreateRequest): Promise<CreateReply> {
    const { chapters } = request
    const bytes = chapters.reduce(
      (sum, { title, description }) => sum + 500 + 4 * (title.length + description.length),
      0,
    )
    const createIds = chapters.map(() => newId())
    return enqueue<CreateReply>({ type: 'create', createIds, request }, bytes, chapters.length)
  }

  return {
    async create({ chapter: input, ...rest }) {
      const { chapters, isNew } = await createAll({ chapters: [input], ...rest })
      const [chapter] = chapters
      if (chapter === undefined) throw new Error('A create was answered without its chapter')
      return { chapter, isNew }
    },
    createAll,
    submit(command) {
      return enqueue({ type: 'command', command }, sizeOf(command))
    },
    async close() {
      isClosed = true
      if (waitingCount === 0) return
      idle ??= new Promise<void>((resolve) => {
        whenIdle = resolve
      })
      await idle
    },
  }
}

function isKnown({ task }: Waiting, known: ReadonlyMap<number, StoredChapter>): boolean {
  return task.type === 'command' && known.has(task.command.chapterId)
}

const EMPTY_ANSWER = (): GroupAnswer => ({
  chapters: new Map(),
  created: new Map(),
  keys: [],
  ids: { chapters: [], concepts: [], exercises: [], quizzes: [] },
})

function committedOf(plan: Planned, isTraced: boolean): Committed[] {
  return plan.writes.map((write) => {
    const { before, state, events, deadLetters, attempts, isDeleted } = write
    const due = write.changedKinds.filter((kind) => isDue(state.jobs[kind], state.updatedAt))
    const dueKinds = due.filter((kind) => isMessageKnown(state.jobs[kind]))
    const isMoreDue = dueKinds.length < due.length
    const trace = isTraced ? traceOf(plan, write) : undefined
    return { before, state, events, deadLetters, attempts, dueKinds, isMoreDue, isDeleted, trace }
  })
}

/** Of one command, from its request to its answer; none for what nobody’s trace asked for. */
function startSpan(tracing: Tracing, task: Waiting['task']): Span | undefined {
  const parent = tracing.current()
  if (parent === undefined) return undefined
  if (task.type === 'create') return tracing.start('commit create', { parent })
  const { type, chapterId } = task.command
  return tracing.start(`commit ${type}`, { parent, attributes: { 'chaptercast.chapter_id': chapterId } })
}

/** Of a group, which serves many: it is linked to each of them, and each to it. */
function startGroupSpan(tracing: Tracing, group: readonly Waiting[]): Span | undefined {
  const spans = group.flatMap(({ span }) => span ?? [])
  if (spans.length === 0) return undefined
  const attributes = { 'chaptercast.commands': group.length }
  const links = spans.map(({ traceparent }) => traceparent)
  const span = tracing.start('commit group', { parent: null, links, attributes })
  for (const each of spans) each.link(span.traceparent)
  return span
}

/** What follows goes on in the chapter’s trace. A worker whose callbacks bring no trace is in another, and linked. */
function traceOf({ members }: Planned, { state: { traceparent } }: ChapterWrite): string | undefined {
  const span = members.find(({ waiting }) => waiting.span !== undefined)?.waiting.span
  if (span === undefined || traceparent === null) return span?.traceparent ?? traceparent ?? undefined
  if (traceIdOf(span.traceparent) === traceIdOf(traceparent)) return span.traceparent
  span.link(traceparent)
  return traceparent
}

/** About what a command adds to the write, in bytes. */
function sizeOf(command: ChapterCommand): number {
  if (command.type === 'finish') return 500 + 2 * textLength(command.result)
  if (command.type === 'restore') return 500 + 2 * textLength(command.content)
  if (command.type === 'fail') return 500 + 2 * command.error.length
  if (command.type === 'progress') return 500 + 2 * command.message.length
  return 500
}

function textLength(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let length = 0
  for (const inner of Object.values(value)) length += 20 + textLength(inner)
  return length
}
