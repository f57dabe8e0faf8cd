/** The error responses of a route, for OpenAPI. */
import { Type } from '@sinclair/typebox'
import { ERRORS } from '../contract/problem.js'

export type ProblemStatus = (typeof ERRORS)[keyof typeof ERRORS]['status']

export function problems(...statuses: ProblemStatus[]) {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(ERRORS).filter(([, error]) => error.status === status)
      const description = codes.map(([code, { title }]) => `\`${code}\`: ${title}`).join('; ')
      return [
        status,
        { description, content: { 'application/problem+json': { schema: Type.Ref('Problem') } } },
      ]
    }),
  )
}
