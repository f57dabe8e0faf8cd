/**
 * Dead letters where no topic takes them: they are told to the log.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { DeadLetter } from '../contract/generation.js'
import type { Message } from './message.js'

export function logDeadLetters(letters: readonly Message<DeadLetter>[], log: FastifyBaseLogger): void {
  for (const { value } of letters) {
    const { chapter_id, kind, job_id, attempt, reason, error } = value
    log.warn({ chapter_id, kind, job_id, attempt, reason, error }, 'a job failed for good')
  }
}
