/**
 * What has to hold, whatever happens: at each write, at each message to a worker, and at the end, when nothing is under
 * way any more.
 */
import type { CreateReply, CreateRequest } from '../../src/chapters/group-plan.js'
import type { CallbackAnswer, StartAnswer } from '../../src/contract/callback.js'
import { isEndEvent } from '../../src/contract/event.js'
import type { DeadLetter, GenerationMessage } from '../../src/contract/generation.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { contentRevisionOf, isRunning, jobsOf } from '../../src/domain/chapter.js'
import type { ChapterCommand } from '../../src/domain/command.js'
import type { ChapterWrite } from '../../src/store/chapters.js'
import type { MemoryStore, Row } from './memory-store.js'
import { POLICY } from './node.js'
import type { World } from './world.js'

export interface Checks {
  /** A message is with the queue, or with a worker. */
  sent(message: GenerationMessage): void
  buried(letter: DeadLetter): void
  answered(command: ChapterCommand, reply: unknown): void
  created(request: CreateRequest, reply: CreateReply): void
  written(row: Row, write: ChapterWrite): void
  deleted(row: Row): void
  unexpected(error: unknown): void
  /** Nothing is under way any more. */
  atTheEnd(store: MemoryStore): void
}

export function createChecks(options: {
  world: World
  /** How far the clocks of two nodes may be apart. */
  clocksMs: number
  /** Dead letters go to a queue; without one they are only logged. */
  hasLetters: boolean
}): Checks {
  const { world, clocksMs } = options
  const sentAt = new Map<string, number>()
  const startedAt = new Map<string, number>()
  const owedLetters = new Map<string, number>()
  const buried = new Set<string>()
  const titles = new Set<string>()
  /** What somebody was told, to be found in the store for ever. */
  const promises: { command: ChapterCommand; reply: unknown }[] = []
  const promisedChapters: { chapterId: number; title: string }[] = []

  function promiseFault({ command, reply }: (typeof promises)[number], row: Row): string | undefined {
    const { state, events, results } = row
    const about = `chapter ${state.id}: an acknowledged ${command.type}`
    const hasEvent = (name: string) => events.some((event) => event.name === name)
    switch (command.type) {
      case 'finish': {
        const { status } = reply as CallbackAnswer
        const stored = results.filter(
          ({ kind, result }) => kind === command.kind && isSame(result, command.result),
        )
        if (status === 'success' && stored.length === 0) return `${about} of ${command.kind} is lost`
        if (status === 'duplicate' && contentRevisionOf(state.jobs[command.kind]) === null)
          return `${about} of ${command.kind} was called a duplicate, and there is no content`
        return undefined
      }
      case 'cancel':
        return state.status === 'cancelled' ? undefined : `${about} is lost: it is ${state.status}`
      case 'delete':
        return `${about} is lost: it is there`
      case 'retry':
        return hasEvent('chapter_retrying') ? undefined : `${about} is lost`
      case 'regenerate':
        return hasEvent(`${command.kind}_regenerating`) ? undefined : `${about} of ${command.kind} is lost`
      case 'start':
        return !(reply as StartAnswer).run || hasEvent(`${command.kind}_started`)
          ? undefined
          : `${about} is lost`
      default:
        return undefined
    }
  }

  return {
    sent({ job_id, attempt, chapter_id, kind }) {
      const name = `${job_id} ${attempt}`
      const before = sentAt.get(name)
      world.count('sent')
      world.record('sent', { chapterId: chapter_id, kind, job_id, attempt })
      if (before !== undefined) {
        world.count('sent again')
        if (world.troubleUntil < before)
          world.fault(`attempt ${attempt} of ${kind} of chapter ${chapter_id} is sent again for no reason`)
      }
      sentAt.set(name, world.time.now)
    },

    buried({ job_id }) {
      buried.add(job_id)
    },

    answered(command, reply) {
      promises.push({ command, reply })
      if (command.type !== 'start' || !(reply as StartAnswer).run) return
      const name = `${command.jobId} ${command.attempt}`
      const before = startedAt.get(name)
      const { now } = world.time
      if (
        before !== undefined &&
        now - before < POLICY.heartbeatMs / 2 - clocksMs &&
        world.troubleUntil < before
      )
        world.fault(`attempt ${name} of chapter ${command.chapterId} is run by two workers at once`)
      startedAt.set(name, now)
    },

    created({ chapters }, reply) {
      reply.chapters.forEach(({ chapterId }, index) => {
        promisedChapters.push({ chapterId, title: chapters[index]?.title ?? '' })
      })
    },

    written(row, write) {
      const { state, events } = row
      world.count('writes')
      world.record('written', {
        chapterId: state.id,
        version: state.version,
        status: state.status,
        jobs: jobsOf(state).map(({ kind, status, attempt }) => `${kind} ${status} ${attempt}`),
        events: write.events.map(({ name, payload }) => `${payload.seq} ${name}`),
      })
      if (events.length !== state.lastSeq)
        world.fault(
          `chapter ${state.id}: its last event is ${state.lastSeq}, and its log ends with ${events.length}`,
        )
      if (events.includes(undefined as never)) world.fault(`chapter ${state.id}: its log has a hole`)
      if ((state.status === 'processing') !== jobsOf(state).some(isRunning))
        world.fault(`chapter ${state.id} is ${state.status}, and its jobs say something else`)
      for (const { jobId } of write.deadLetters) owedLetters.set(jobId, state.id)
      if (write.creation === undefined) return
      if (titles.has(state.title)) world.fault(`chapter ${state.id} was made twice: ${state.title}`)
      titles.add(state.title)
    },

    // A create whose node gave it up may land after all: once the chapter is deleted, no constraint refuses it.
    deleted({ state }) {
      titles.delete(state.title)
    },

    unexpected(error) {
      world.fault(`unexpected: ${error instanceof Error ? error.stack : String(error)}`)
    },

    atTheEnd({ rows, deleted }) {
      for (const { chapterId, title } of promisedChapters)
        if (rows.get(chapterId)?.state.title !== title && !deleted.has(chapterId))
          world.fault(`chapter ${chapterId}, which was acknowledged, is lost`)
      for (const promise of promises) {
        const row = rows.get(promise.command.chapterId)
        const fault = row && promiseFault(promise, row)
        if (fault !== undefined) world.fault(fault)
      }
      for (const [jobId, chapterId] of owedLetters)
        if (options.hasLetters && !buried.has(jobId) && rows.has(chapterId))
          world.fault(`job ${jobId} of chapter ${chapterId} failed for good, and there is no dead letter`)
      for (const row of rows.values()) {
        const fault = logFault(row)
        if (fault !== undefined) world.fault(`chapter ${row.state.id}: ${fault}`)
        for (const { jobId, attempt, kind, status } of jobsOf(row.state))
          if (status !== 'cancelled' && attempt === 1 && !sentAt.has(`${jobId} 1`) && status !== 'completed')
            world.fault(`chapter ${row.state.id}: its ${kind} was never sent`)
      }
    },
  }
}

/** What is wrong with a chapter’s log, whose runs are over. */
function logFault({ state, events, results }: Row): string | undefined {
  let isOpen = true
  let end = ''
  let before = ''
  const completed = new Set<string>()
  for (const [index, { name, payload }] of events.entries()) {
    if (payload.seq !== index + 1) return `event ${payload.seq} is in the place of ${index + 1}`
    for (const kind of JOB_KINDS) {
      if (name !== `${kind}_completed`) continue
      const revision = `${kind} ${(payload as { revision?: number }).revision ?? 1}`
      if (completed.has(revision)) return `${revision} is completed twice`
      completed.add(revision)
    }
    if (name.endsWith('_regenerating') && isOpen) return `${name} within a run`
    if (name.endsWith('_regenerating') || name === 'chapter_retrying') isOpen = true
    if (isEndEvent(name)) {
      // A late result completes what had failed.
      const isLate = name === 'all_completed' && before.endsWith('_completed') && end !== 'chapter_cancelled'
      if (!isOpen && !isLate) return `${name} after the end of its run`
      isOpen = false
      end = name
    }
    before = name
  }
  const expected = { all_completed: 'completed', chapter_failed: 'failed', chapter_cancelled: 'cancelled' }
  if (isOpen) return `it hangs: its run has no end, it is ${state.status}`
  if (state.status !== expected[end as keyof typeof expected]) return `it is ${state.status} after ${end}`
  if (results.length !== completed.size)
    return `${results.length} results and ${completed.size} events of them`
  return undefined
}

/** A quiz is settled with its chapter at hand, so only its questions are compared. */
function isSame(stored: object, given: object): boolean {
  return textOf(stored) === textOf(given)
}

function textOf(result: object): string | undefined {
  const { content, question, quizzes } = result as {
    content?: string
    question?: string
    quizzes?: { question: string }[]
  }
  return content ?? question ?? quizzes?.[0]?.question
}
