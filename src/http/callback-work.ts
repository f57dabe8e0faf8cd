/**
 * Which work a callback is about: its address names it (`?job_id=…&attempt=…`, as the message gave it), its body may,
 * and where both do they must agree. So a worker that only posts to the address it was given has named its work.
 */
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { FinishBody } from './callback-body.js'

export const WorkQuery = Type.Object({
  job_id: Type.Optional(
    Type.String({ description: 'From the message; stands in the callback’s address already' }),
  ),
  attempt: Type.Optional(Type.Integer({ minimum: 1, description: 'From the message, too' })),
})
type WorkQuery = Static<typeof WorkQuery>

/** The names in an address, as they came: this runs before anything is validated. */
export function workInQuery(request: FastifyRequest): WorkQuery {
  const { job_id, attempt } = request.query as { job_id?: unknown; attempt?: unknown }
  return {
    ...(typeof job_id === 'string' && job_id !== '' ? { job_id } : {}),
    ...(typeof attempt === 'string' && /^[1-9]\d{0,8}$/.test(attempt) ? { attempt: Number(attempt) } : {}),
  }
}

/**
 * Puts the address’s names into the body.
 * @returns false when the body names other work
 */
export function nameBody(request: FastifyRequest): boolean {
  if (!request.url.includes('?')) return true
  const named = workInQuery(request)
  if (Object.keys(named).length === 0) return true
  const { body } = request
  // A finish may be text or a list, which can carry no names: the judge reads it as well inside an object.
  if (typeof body === 'string') request.body = { raw: body, ...named }
  else if (Array.isArray(body)) request.body = { quizzes: body, ...named }
  else if (body === undefined || body === null) request.body = named
  else if (typeof body === 'object') {
    const own = body as Partial<FinishBody>
    if (own.attempt !== undefined && named.attempt !== undefined && own.attempt !== named.attempt)
      return false
    if (own.job_id !== undefined && named.job_id !== undefined && !isSame(own.job_id, named.job_id))
      return false
    request.body = { ...named, ...own }
  }
  return true
}

function isSame(a: unknown, b: string): boolean {
  return typeof a === 'string' && a.toLowerCase() === b.toLowerCase()
}
