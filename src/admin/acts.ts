/**
 * An act of an operator: written into the audit log, then done, then its outcome is written. When the entry cannot be
 * written, the act is not done. When the outcome cannot, the act is done and its entry says `begun`.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { AuditAction } from '../contract/admin.js'
import type { JobKind } from '../contract/job.js'
import { AppError } from '../errors.js'
import type { AuditStore } from '../store/audit.js'

export interface Act {
  actor: string
  action: AuditAction
  requestId: string
  chapterId?: number
  kind?: JobKind
  details?: Record<string, unknown>
}

export interface Acts {
  /** @returns what the act returns; throws what it throws */
  perform<Result>(act: Act, perform: () => Promise<Result>): Promise<Result>
}

/** Longer texts are cut. */
const PROBLEM_MAX = 500

export function createActs({
  audit,
  now,
  log,
}: {
  audit: Pick<AuditStore, 'begin' | 'settle'>
  now: () => number
  log: FastifyBaseLogger
}): Acts {
  return {
    async perform({ actor, action, requestId, chapterId = null, kind = null, details = {} }, perform) {
      const ids = (
        await audit.begin([{ at: now(), actor, action, chapterId, kind, details, requestId }])
      ).map(({ id }) => id)
      const about = { actor, action, chapter_id: chapterId, kind, ...details }
      const settle = (outcome: 'done' | 'refused' | 'failed', problem: string | null) =>
        audit.settle(ids, outcome, problem).catch((error: unknown) => {
          log.warn({ err: error, ...about, outcome }, 'the outcome of an act is not in the audit log')
        })
      try {
        const result = await perform()
        await settle('done', null)
        log.info(about, 'an operator acted')
        return result
      } catch (error) {
        const isRefused = error instanceof AppError && error.statusCode < 500
        const problem = error instanceof Error ? error.message : String(error)
        await settle(isRefused ? 'refused' : 'failed', problem.slice(0, PROBLEM_MAX))
        throw error
      }
    },
  }
}
