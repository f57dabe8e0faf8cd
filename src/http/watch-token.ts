/**
 * Read-only tokens for a chapter or a course, given by its owner or an admin.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { preValidationHookHandler } from 'fastify'
import type { TokenSigner, WatchClaims } from '../auth/watch-token.js'
import { ChapterParams } from '../contract/chapter.js'
import { Id } from '../contract/scalar.js'
import { WATCH_TOKEN_TTL_S, WatchToken, WatchTokenRequest } from '../contract/watch-token.js'
import { toWire } from '../contract/wire.js'
import { ForbiddenError, TokensOffError } from '../errors.js'
import type { ChapterStore } from '../store/chapters.js'
import { type ClientAuth, CLIENT_SECURITY as security } from './auth.js'
import { ownerCheck } from './owner.js'
import { problems } from './responses.js'

export interface WatchTokenRoutesOptions {
  /** undefined: tokens are signed elsewhere, or nobody needs one. */
  sign: TokenSigner | undefined
  chapters: Pick<ChapterStore, 'readChapter' | 'list'>
  clients: ClientAuth
}

const tags = ['Tokens']

/** Nothing has to be said. */
const maySayNothing: preValidationHookHandler = (request, _reply, done) => {
  request.body ??= {}
  done()
}

export const watchTokenRoutes: FastifyPluginAsyncTypebox<WatchTokenRoutesOptions> = async (app, options) => {
  const { sign, chapters, clients } = options
  const requireOwner = ownerCheck(clients, chapters)
  app.addHook('onRequest', clients.authenticate)

  async function tokenFor(
    claims: WatchClaims,
    { ttl_s: ttlS = WATCH_TOKEN_TTL_S.default, answers = false }: WatchTokenRequest,
  ): Promise<WatchToken> {
    if (sign === undefined) throw new TokensOffError()
    return toWire(WatchToken, await sign({ ...claims, ...(answers ? { answers: true } : {}) }, ttlS))
  }

  const responses = (...more: 404[]) => ({
    201: { ...WatchToken, description: 'A token that may read, join and stream, and nothing else' },
    ...problems(400, 401, 403, ...more, 409, 413, 415, 503),
  })

  app.post(
    '/v1/chapter/:id/watch-token',
    {
      preValidation: maySayNothing,
      schema: {
        operationId: 'createChapterWatchToken',
        tags,
        security,
        summary: 'A short-lived token that may only watch this chapter',
        description: 'For its owner and an admin. 409 when this server has no `JWT_SECRET`.',
        params: ChapterParams,
        body: WatchTokenRequest,
        response: responses(404),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      if (sign === undefined) throw new TokensOffError()
      await requireOwner(request, id)
      return reply.code(201).send(await tokenFor({ chapters: [id] }, request.body))
    },
  )

  app.post(
    '/v1/course/:id/watch-token',
    {
      preValidation: maySayNothing,
      schema: {
        operationId: 'createCourseWatchToken',
        tags,
        security,
        summary: 'A short-lived token that may only watch this course',
        description:
          'For an admin, and for an owner of chapters in it: then it shows that owner’s chapters of the course, also later ' +
          'ones. 409 when this server has no `JWT_SECRET`.',
        params: Type.Object({ id: Id }),
        body: WatchTokenRequest,
        response: responses(),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      if (sign === undefined) throw new TokensOffError()
      const owner = await requireTeacher(request, id)
      return reply.code(201).send(await tokenFor({ courses: [id], ...owner }, request.body))
    },
  )

  /** Whose chapters of the course the caller may show; all of them, if none is named. */
  async function requireTeacher(request: object, courseId: number): Promise<{ courses_of?: number }> {
    const { access } = clients.identityOf(request)
    if (access.kind === 'viewer')
      throw new ForbiddenError('This token may watch what it lists and nothing else')
    if (access.kind !== 'owner') return {}
    const { ownerId } = access
    const own = await chapters.list({ ownerId, courseId, limit: 1 })
    if (own.length === 0) throw new ForbiddenError(`This token’s owner has no chapter in course ${courseId}`)
    return { courses_of: ownerId }
  }
}
