/**
 * A node without HTTP, sockets and timers: the stores and the commit groups on a database, and all that they
 * told after their commits. Several may share one database, or one store that lives in memory and can fail.
 */
import { randomUUID } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Test } from 'tap'
import {
  type CommitGroupOptions,
  type CommitGroups,
  type Committed,
  createCommitGroups,
  GROUP_LIMITS,
} from '../../src/chapters/commit-group.js'
import type { ChapterEvent } from '../../src/contract/event.js'
import type { JobKind, JobResults } from '../../src/contract/job.js'
import type { CreatedChapter } from '../../src/domain/chapter.js'
import type { ChapterCommand, FinishResult } from '../../src/domain/command.js'
import type { NewChapter } from '../../src/domain/create.js'
import { type ChapterStore, createChapterStore } from '../../src/store/chapters.js'
import type { Database } from '../../src/store/database.js'
import { createEventStore, type EventStore } from '../../src/store/events.js'
import { createJobStore, type JobStore } from '../../src/store/jobs.js'
import { NEW_CHAPTER, POLICY } from './chapters.js'

export interface TestGroups extends CommitGroups {
  /** What was told after commits, in order. */
  told: Committed[]
  /** What was reported as an error. */
  errors: unknown[]
  /** Makes a chapter; gives its id. */
  make(fields?: Partial<NewChapter>): Promise<number>
}

/**
 * Commit groups on `store`; retries do not wait, unless given a `random` of their own, and nothing is remembered between
 * groups, unless given a `limits.rememberedLength`.
 */
export function groupsOn(
  store: CommitGroupOptions['store'],
  options: Partial<CommitGroupOptions> = {},
): TestGroups {
  const told: Committed[] = []
  const errors: unknown[] = []
  const groups = createCommitGroups({
    store,
    policy: POLICY,
    now: Date.now,
    random: () => 0,
    newId: randomUUID,
    leaseMs: 15_000,
    onCommit: (committed) => told.push(...committed),
    onError: (error) => errors.push(error),
    ...options,
    limits: { rememberedLength: 0, ...options.limits },
  })
  return {
    ...groups,
    told,
    errors,
    make: async (fields) =>
      (await groups.create({ chapter: { ...NEW_CHAPTER, ...fields } })).chapter.chapterId,
  }
}

export interface StoreNode extends TestGroups {
  chapters: ChapterStore
  jobs: JobStore
  events: EventStore
}

export function nodeOn(database: Database, options: Partial<CommitGroupOptions> = {}): StoreNode {
  const chapters = createChapterStore(database.db)
  return {
    ...groupsOn(chapters, {
      random: Math.random,
      ...options,
      limits: { rememberedLength: GROUP_LIMITS.rememberedLength, ...options.limits },
    }),
    chapters,
    jobs: createJobStore(database.db),
    events: createEventStore(database.db),
  }
}

/** A result that tells by its text whose it is. */
export function resultOf<K extends JobKind>(kind: K, mark: string): FinishResult {
  const results: JobResults = {
    concept: { title: mark, content: `content ${mark}` },
    exercise: { question: mark, answer: `answer ${mark}` },
    quiz: { quizzes: [{ question: mark, correct_answer: 'True', type: 'boolean' }] },
  }
  return { kind, result: results[kind] } as FinishResult
}

export function finishOf(chapterId: number, kind: JobKind, mark = kind as string) {
  return { type: 'finish', chapterId, named: {}, ...resultOf(kind, mark) } satisfies ChapterCommand
}

export function failOf(chapterId: number, kind: JobKind, fields: object = {}) {
  return {
    type: 'fail',
    chapterId,
    kind,
    named: {},
    reason: 'model_error',
    error: 'no answer',
    retryable: true,
    retryAfterMs: 0,
    ...fields,
  } satisfies ChapterCommand
}

export function progressOf(chapterId: number, progress: number, kind?: JobKind) {
  const of = kind === undefined ? {} : { kind }
  return {
    type: 'progress',
    chapterId,
    named: {},
    progress,
    message: `${progress} %`,
    ...of,
  } satisfies ChapterCommand
}

/** Rows of a statement, on either database. */
export async function query<Row = Record<string, unknown>>(
  { db }: Database,
  statement: SQL | string,
): Promise<Row[]> {
  const result = (await db.execute(typeof statement === 'string' ? sql.raw(statement) : statement)) as unknown
  return [...(Array.isArray(result) ? result : (result as { rows: Row[] }).rows)]
}

/** The log as it is stored, by chapter. */
export async function readLogs(database: Database): Promise<Map<number, ChapterEvent[]>> {
  const rows = await query<{ chapter_id: string; event: ChapterEvent }>(
    database,
    `select chapter_id, json_build_object('name', name, 'payload', payload) as event
     from event order by chapter_id, seq`,
  )
  const logs = new Map<number, ChapterEvent[]>()
  for (const { chapter_id, event } of rows) {
    const log = logs.get(Number(chapter_id)) ?? []
    logs.set(Number(chapter_id), log)
    log.push(typeof event === 'string' ? (JSON.parse(event) as ChapterEvent) : event)
  }
  return logs
}

/**
 * What holds of every chapter whatever happened: seq 1, 2, 3, … up to `last_seq`; one end per run; and the
 * nodes were told of exactly the events that are stored, once, each node in order.
 */
export async function checkLogs(t: Test, database: Database, nodes: TestGroups[]): Promise<void> {
  const logs = await readLogs(database)
  const chapters = await query<{ id: string; last_seq: string }>(database, 'select id, last_seq from chapter')
  const told = new Map<number, ChapterEvent[]>()
  let disorder = 0
  for (const node of nodes) {
    const last = new Map<number, number>()
    for (const { name, payload } of node.told.flatMap(({ events }) => events)) {
      if (payload.seq <= (last.get(payload.chapter_id) ?? 0)) disorder += 1
      last.set(payload.chapter_id, payload.seq)
      const heard = told.get(payload.chapter_id) ?? []
      told.set(payload.chapter_id, heard)
      heard.push({ name, payload } as ChapterEvent)
    }
  }
  t.equal(disorder, 0, 'each node was told in order')
  const wrong = chapters.flatMap(({ id, last_seq }) => {
    const log = logs.get(Number(id)) ?? []
    const heard = (told.get(Number(id)) ?? []).toSorted((a, b) => a.payload.seq - b.payload.seq)
    const isDense = log.every(({ payload }, index) => payload.seq === index + 1)
    const isWhole = log.length === Number(last_seq)
    const isTold = JSON.stringify(heard) === JSON.stringify(log)
    const names = log.map(({ name }) => name)
    return isDense && isWhole && isTold && endsOnce(names) ? [] : [{ id, isDense, isWhole, isTold, names }]
  })
  t.strictSame(wrong, [], `${chapters.length} chapters: dense, whole, told once, ended once a run`)
}

function endsOnce(names: string[]): boolean {
  let failedInRun = 0
  const count = (name: string) => names.filter((other) => other === name).length
  for (const name of names) {
    if (name === 'chapter_retrying') failedInRun = 0
    if (name === 'chapter_failed' && ++failedInRun > 1) return false
  }
  return count('all_completed') <= 1 && count('chapter_cancelled') <= 1
}

export interface MemoryStore {
  readGroup: ChapterStore['readGroup']
  writeGroup: ChapterStore['writeGroup']
  /** How many commands or chapters each call was about. */
  reads: number[]
  writes: number[]
  chapters: Map<
    number,
    { state: Parameters<ChapterStore['writeGroup']>[0][number]['state']; writeId: string }
  >
  /** Called with the number of the call, from 1; may wait or throw. */
  onRead: (call: number) => Promise<void> | void
  beforeWrite: (call: number) => Promise<void> | void
  /** What was written stays written, whatever this throws. */
  afterWrite: (call: number) => Promise<void> | void
}

/** The two statements of a commit group without a database, countable and breakable. */
export function memoryStore(): MemoryStore {
  const created = new Map<string, CreatedChapter>()
  const keys = new Map<
    string,
    { ownerId: number; key: string; bodyHash: string; chapters: CreatedChapter[] }
  >()
  let lastId = 0
  const draw = (count: number) => Array.from({ length: count }, () => ++lastId)
  const store: MemoryStore = {
    reads: [],
    writes: [],
    chapters: new Map(),
    onRead() {},
    beforeWrite() {},
    afterWrite() {},
    async readGroup({ chapterIds, createIds, keys: wanted, newChapters, newQuizzes }) {
      await store.onRead(store.reads.push(chapterIds.length + createIds.length))
      const found = <K, V>(map: Map<K, V>, ids: K[]) =>
        new Map(
          ids.flatMap((id) => {
            const value = map.get(id)
            return value === undefined ? [] : [[id, value] as const]
          }),
        )
      return {
        chapters: found(store.chapters, chapterIds),
        created: found(created, createIds),
        keys: [
          ...found(
            keys,
            wanted.map(({ ownerId, key }) => `${ownerId} ${key}`),
          ).values(),
        ],
        ids: {
          chapters: draw(newChapters),
          concepts: draw(newChapters),
          exercises: draw(newChapters),
          quizzes: draw(newQuizzes),
        },
      }
    },
    async writeGroup(writes, writeId) {
      const call = store.writes.push(writes.length)
      await store.beforeWrite(call)
      const won = writes.filter(({ expectedVersion, state, creation }) => {
        const keyed = writes.find(({ state: { id } }) => id === creation?.keyedBy)?.creation?.idempotency
        if (keyed !== undefined && keys.has(`${state.ownerId} ${keyed.key}`)) return false
        return (store.chapters.get(state.id)?.state.version ?? null) === expectedVersion
      })
      for (const { state, creation, isDeleted } of won) {
        if (isDeleted) {
          store.chapters.delete(state.id)
          continue
        }
        store.chapters.set(state.id, { state, writeId })
        if (creation === undefined) continue
        const { createId, quizIds, idempotency } = creation
        const { ownerId, conceptId, exerciseId, quizCount, status, createdAt } = state
        const chapter = {
          chapterId: state.id,
          conceptId,
          exerciseId,
          quizIds,
          quizCount,
          status,
          createdAt,
        }
        created.set(createId, chapter)
        if (idempotency)
          keys.set(`${ownerId} ${idempotency.key}`, { ownerId, chapters: [chapter], ...idempotency })
        else if (creation.keyedBy !== undefined)
          for (const { chapters } of keys.values())
            if (chapters[0]?.chapterId === creation.keyedBy) chapters.push(chapter)
      }
      await store.afterWrite(call)
      const written = new Set(won.map(({ state }) => state.id))
      const lost = writes.flatMap(({ state: { id } }) => {
        const stored = store.chapters.get(id)
        return written.has(id) || stored === undefined ? [] : [[id, stored] as const]
      })
      return { written, moved: new Map(lost) }
    },
  }
  return store
}

/** A gate for a call to wait at: `passed` resolves when someone stands there. */
export function gate(): { wait(): Promise<void>; passed: Promise<void>; open(): void } {
  let arrive = () => {}
  let open = () => {}
  const passed = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    wait() {
      arrive()
      return opened
    },
    passed,
    open,
  }
}

export function databaseError(code: string, message = `error ${code}`): Error {
  return Object.assign(new Error(message), { code })
}
