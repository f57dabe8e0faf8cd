/**
 * A queue that sends nothing and keeps what it was given, in order: the test is the worker.
 */
import type { DeadLetter, GenerationMessage } from '../../src/contract/generation.js'
import type { JobKind } from '../../src/contract/job.js'
import type { Message } from '../../src/dispatch/message.js'
import type { JobQueue } from '../../src/dispatch/queue.js'

export interface RecordingQueue extends JobQueue {
  messages: GenerationMessage[]
  letters: DeadLetter[]
  /** Of each message, in the same order. */
  headers: Message['headers'][]
  /** The messages of one job, oldest first. */
  of(chapterId: number, kind: JobKind): GenerationMessage[]
}

export function recordingQueue(): RecordingQueue {
  const messages: GenerationMessage[] = []
  const letters: DeadLetter[] = []
  const headers: Message['headers'][] = []
  return {
    messages,
    letters,
    headers,
    of: (chapterId, kind) =>
      messages.filter((message) => message.chapter_id === chapterId && message.kind === kind),
    capacity: 1000,
    async publish(batch) {
      messages.push(...batch.map(({ value }) => value))
      headers.push(...batch.map((message) => message.headers))
    },
    async publishDeadLetters(batch) {
      letters.push(...batch.map(({ value }) => value))
    },
    async close() {},
  }
}
