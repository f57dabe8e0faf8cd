/**
 * What one group of commands will write: pure, from what was read. Commands on one chapter see each other’s effect, and
 * equal idempotency keys are one create.
 */
import { JOB_KINDS } from '../contract/job.js'
import type { CreatedChapter, NewChapterIds } from '../domain/chapter.js'
import type { ChapterCommand, Decision, DecisionContext } from '../domain/command.js'
import { createChapter, type NewChapter } from '../domain/create.js'
import { decide } from '../domain/decide.js'
import { ChapterNotFoundError, IdempotencyKeyReusedError } from '../errors.js'
import type { ChapterWrite, GroupAnswer, GroupQuestion } from '../store/chapters.js'
import type { Span } from '../telemetry/tracing.js'

/** Chapters of one owner that are made together: all of them, or none. */
export interface CreateRequest {
  chapters: readonly NewChapter[]
  idempotency?: { key: string; bodyHash: string }
}

export interface CreateReply {
  /** In the order of the request. */
  chapters: CreatedChapter[]
  /** False when an earlier request with the same idempotency key made them. */
  isNew: boolean
}

/** Why a command is decided again. */
export type Again = 'moved' | 'conflict' | 'connection'

export interface Waiting {
  task:
    | { type: 'create'; createIds: string[]; request: CreateRequest }
    | { type: 'command'; command: ChapterCommand }
  bytes: number
  /** How many chapters it writes. */
  chapters: number
  /** By `performance.now()`. */
  since: number
  tries: Record<Again, number>
  /** Writes whose outcome was not known when they ended; a late one may still land. */
  unknown: Planned[]
  isSettled: boolean
  /** Only with telemetry. */
  span?: Span | undefined
  resolve: (reply: never) => void
  reject: (error: unknown) => void
}

export type Outcome = { reply: unknown } | { error: unknown }

/** What is written together or not at all, in a group’s write, and everybody who waits for it. */
export interface Planned {
  writeId: string
  /** A chapter’s, or those of all chapters that one request makes; never empty. */
  writes: ChapterWrite[]
  members: { waiting: Waiting; outcome: Outcome }[]
  isTold?: true
}

export function questionOf(group: Waiting[]): GroupQuestion {
  const creates = group.flatMap(({ task }) => (task.type === 'create' ? [task] : []))
  const commands = group.flatMap(({ task }) => (task.type === 'command' ? [task.command] : []))
  const newChapters = creates.flatMap(({ request }) => request.chapters)
  return {
    chapterIds: [...new Set(commands.map(({ chapterId }) => chapterId))],
    // Only a create whose outcome is unknown can have made its chapter already.
    createIds: group.flatMap(({ task, unknown }) =>
      task.type === 'create' && unknown.length > 0 ? task.createIds : [],
    ),
    keys: creates.flatMap(({ request: { idempotency, chapters } }) =>
      idempotency === undefined ? [] : [{ ownerId: ownerOf(chapters), key: idempotency.key }],
    ),
    newChapters: newChapters.length,
    newQuizzes: newChapters.reduce((sum, { quizCount }) => sum + quizCount, 0),
  }
}

interface GroupPlan {
  planned: Planned[]
  /** Commands that the next group has to take: they need content that this one only writes. */
  postponed: Waiting[]
  /** Commands of chapters that nothing in this group changes: their answers hold already. */
  unchanged: { waiting: Waiting; outcome: Outcome }[]
}

export function decideGroup(group: Waiting[], answer: GroupAnswer, context: DecisionContext): GroupPlan {
  const writeId = context.newId()
  const plan: GroupPlan = { planned: [], postponed: [], unchanged: [] }
  planCreates(group, answer, context, writeId, plan)
  planCommands(group, answer, context, writeId, plan)
  return plan
}

function planCreates(
  group: Waiting[],
  answer: GroupAnswer,
  context: DecisionContext,
  writeId: string,
  plan: GroupPlan,
): void {
  const keyOf = (ownerId: number, key: string) => `${ownerId} ${key}`
  const known = new Map(answer.keys.map((row) => [keyOf(row.ownerId, row.key), row]))
  const first = new Map<string, { planned: Planned; bodyHash: string; chapters: CreatedChapter[] }>()

  for (const waiting of group) {
    if (waiting.task.type !== 'create') continue
    const { createIds, request } = waiting.task
    const { idempotency, chapters: inputs } = request
    const key = idempotency === undefined ? undefined : keyOf(ownerOf(inputs), idempotency.key)
    // Written together, so all are there or none is.
    const own = createIds.flatMap((createId) => answer.created.get(createId) ?? [])
    const before = key === undefined ? undefined : known.get(key)
    const beside = key === undefined ? undefined : first.get(key)
    const same = (chapters: CreatedChapter[], bodyHash: string): Outcome =>
      bodyHash === idempotency?.bodyHash
        ? { reply: { chapters, isNew: false } satisfies CreateReply }
        : { error: new IdempotencyKeyReusedError() }

    if (own.length > 0)
      plan.unchanged.push({
        waiting,
        outcome: { reply: { chapters: own, isNew: true } satisfies CreateReply },
      })
    else if (before !== undefined)
      plan.unchanged.push({
        waiting,
        outcome: same(before.chapters, before.bodyHash),
      })
    else if (beside !== undefined)
      beside.planned.members.push({
        waiting,
        outcome: same(beside.chapters, beside.bodyHash),
      })
    else {
      let made: Decision<'create'>[]
      try {
        made = inputs.map((input) => createChapter(input, idsFor(input, answer), context))
      } catch (error) {
        plan.unchanged.push({ waiting, outcome: { error } })
        continue
      }
      const chapters = made.map(({ reply }) => reply)
      const planned: Planned = {
        writeId,
        writes: creationsOf(made, createIds, idempotency),
        members: [
          {
            waiting,
            outcome: { reply: { chapters, isNew: true } satisfies CreateReply },
          },
        ],
      }
      plan.planned.push(planned)
      if (key !== undefined && idempotency !== undefined)
        first.set(key, { planned, bodyHash: idempotency.bodyHash, chapters })
    }
  }
}

function idsFor({ quizCount }: NewChapter, { ids }: GroupAnswer): NewChapterIds {
  return {
    chapterId: drawn(ids.chapters),
    conceptId: drawn(ids.concepts),
    exerciseId: drawn(ids.exercises),
    quizIds: Array.from({ length: quizCount }, () => drawn(ids.quizzes)),
  }
}

/** The key of the request goes with its first chapter, and the others are written only with that one. */
function creationsOf(
  made: Decision<'create'>[],
  createIds: string[],
  idempotency: CreateRequest['idempotency'],
): ChapterWrite[] {
  const chapterIds = made.map(({ reply }) => reply.chapterId)
  return made.map(({ state, events, reply: { quizIds } }, index) => ({
    expectedVersion: null,
    before: null,
    state,
    changedKinds: JOB_KINDS,
    events,
    results: [],
    deadLetters: [],
    attempts: [],
    revisions: [],
    isDeleted: false,
    creation: {
      createId: createIds[index] ?? '',
      quizIds,
      ...(idempotency === undefined ? {} : { keyedBy: chapterIds[0] ?? 0 }),
      ...(idempotency === undefined || index > 0
        ? {}
        : { idempotency: { ...idempotency, ...(chapterIds.length === 1 ? {} : { chapterIds }) } }),
    },
  }))
}

/** All chapters of one request have the same. */
function ownerOf(chapters: readonly NewChapter[]): number {
  return chapters[0]?.ownerId ?? 0
}

function planCommands(
  group: Waiting[],
  answer: GroupAnswer,
  context: DecisionContext,
  writeId: string,
  plan: GroupPlan,
): void {
  const byChapter = new Map<number, { waiting: Waiting; command: ChapterCommand }[]>()
  for (const waiting of group) {
    if (waiting.task.type !== 'command') continue
    const { command } = waiting.task
    const others = byChapter.get(command.chapterId)
    if (others === undefined) byChapter.set(command.chapterId, [{ waiting, command }])
    else others.push({ waiting, command })
  }

  for (const [chapterId, commands] of byChapter) {
    const stored = answer.chapters.get(chapterId)
    if (stored === undefined) {
      const outcome = { error: new ChapterNotFoundError(chapterId) }
      plan.unchanged.push(...commands.map(({ waiting }) => ({ waiting, outcome })))
      continue
    }
    const { state: before, writeId: expectedWriteId } = stored
    const members: Planned['members'] = []
    const write: ChapterWrite = {
      expectedVersion: before.version,
      before,
      expectedWriteId,
      state: before,
      changedKinds: [],
      events: [],
      results: [],
      deadLetters: [],
      attempts: [],
      revisions: [],
      isDeleted: false,
    }
    for (const [index, { waiting, command }] of commands.entries()) {
      if (isTooEarly(write, command)) {
        plan.postponed.push(...commands.slice(index).map((later) => later.waiting))
        break
      }
      members.push({ waiting, outcome: decideInto(write, command, context) })
    }
    if (write.state === before) plan.unchanged.push(...members)
    else {
      write.changedKinds = write.isDeleted
        ? []
        : JOB_KINDS.filter((kind) => write.state.jobs[kind] !== before.jobs[kind])
      plan.planned.push({ writeId, writes: [write], members })
    }
  }
}

/** What keeps the content there is reads it in the statement that writes: not what the same statement stores. */
function isTooEarly({ results, revisions }: ChapterWrite, { type }: ChapterCommand): boolean {
  return (type === 'regenerate' || type === 'restore') && (results.length > 0 || revisions.length > 0)
}

/** Decides on what the commands before it in the group left; a refused command leaves no trace. */
function decideInto(write: ChapterWrite, command: ChapterCommand, context: DecisionContext): Outcome {
  if (write.isDeleted) return { error: new ChapterNotFoundError(command.chapterId) }
  let decision: Decision
  try {
    decision = decide(write.state, command, context)
  } catch (error) {
    return { error }
  }
  write.state = decision.state
  write.events.push(...decision.events)
  write.results.push(...decision.results)
  write.deadLetters.push(...decision.deadLetters)
  write.attempts.push(...decision.attempts)
  write.revisions.push(...decision.revisions)
  if (decision.isDeleted) {
    write.isDeleted = true
    // What the commands before it did is erased with the chapter; nobody is told of it.
    for (const list of [write.events, write.results, write.deadLetters, write.attempts, write.revisions])
      list.length = 0
  }
  return { reply: decision.reply }
}

function drawn(ids: number[]): number {
  const id = ids.shift()
  if (id === undefined) throw new Error('The group’s read drew too few ids')
  return id
}
