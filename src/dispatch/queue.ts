/**
 * Where work goes out to those who do it. One interface: `kafka-queue.ts`, `http-queue.ts`, and `local-queue.ts` in this
 * process.
 */
import type { DeadLetter } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import type { Message } from './message.js'

export interface JobQueue {
  /** How many more messages it takes now. */
  readonly capacity: number
  /** How long jobs wait for others, to be sent together and to be marked together, ms; only of queues with a cost per send. */
  readonly lingerMs?: number
  /**
   * Resolves when the messages are with the queue, all of them; rejects when it is not certain that they are.
   * The same message may be given again.
   */
  publish(messages: Message[], signal: AbortSignal): Promise<void>
  publishDeadLetters(letters: Message<DeadLetter>[], signal: AbortSignal): Promise<void>
  /**
   * Only of queues that take few jobs at a time: they mark published what they take, and call back when there is room
   * again. What they do not take waits in the database for whichever node has room.
   */
  whenRoom?(callback: () => void): void
  /** Resolves when it would take a message; only of queues that can be away. */
  probe?(): Promise<void>
  /** Why it takes nothing at the moment, as it last showed; only of queues that cannot be asked. */
  trouble?(): string | undefined
  /**
   * Only of queues that keep jobs before somebody works on them: those of these kinds are queued again, same attempt.
   * What is worked on stays.
   */
  giveBack?(kinds: ReadonlySet<JobKind>): Promise<void>
  /** Stops work under way; what was not finished is left for another process. */
  close(): Promise<void>
}
