/**
 * `/v1/admin/`: what operators may see and do, over HTTP. Every act goes through the audit log (`acts.ts`), and through the
 * same commands as everybody’s: an operator can do nothing to a chapter that the rules do not know.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest, preValidationHookHandler } from 'fastify'
import type { CommitGroups } from '../chapters/commit-group.js'
import type { Config } from '../config/config.js'
import {
  ADMIN_LIMIT_DEFAULT,
  AdminAccepted,
  AdminChapter,
  AdminChapterQuery,
  AdminKindParams,
  AuditList,
  AuditQuery,
  DeadLetterList,
  DeadLetterQuery,
  DeliveryList,
  DeliveryParams,
  DeliveryQuery,
  DeliveryView,
  EndRequest,
  KindList,
  KindState,
  PauseRequest,
  REDRIVE_RATE_DEFAULT,
  Redrive,
  RedriveList,
  RedriveListQuery,
  RedriveParams,
  RedriveRequest,
  StuckList,
  StuckQuery,
} from '../contract/admin.js'
import { ChapterParams } from '../contract/chapter.js'
import type { JobKind } from '../contract/job.js'
import { KindParams } from '../contract/revision.js'
import { PATIENCE_MS } from '../dispatch/notices.js'
import { isRunning } from '../domain/chapter.js'
import {
  ChapterNotFoundError,
  DeliveryNotFoundError,
  InvalidRequestError,
  RedriveNotFoundError,
  WrongStateError,
} from '../errors.js'
import { type ClientAuth, CLIENT_SECURITY as security } from '../http/auth.js'
import { jobView } from '../http/chapters.js'
import { problems } from '../http/responses.js'
import type { AuditStore } from '../store/audit.js'
import { shownOf } from '../store/bounded-page.js'
import type { DeliveryStore } from '../store/deliveries.js'
import type { FailedJobStore } from '../store/failed-jobs.js'
import type { JobCounts } from '../store/jobs.js'
import type { PauseStore } from '../store/pauses.js'
import type { RedriveStore } from '../store/redrives.js'
import { type Act, createActs } from './acts.js'
import { fromCursor, toCursor } from './cursors.js'
import { actorOf, requireOperator } from './operator.js'
import { filterOf } from './redriver.js'
import { type StoryParts, tellStory } from './story.js'
import { listStuck } from './stuck-list.js'
import { auditView, deadLetterView, deliveryView, kindStates, redriveView } from './views.js'

export interface AdminRoutesOptions extends StoryParts {
  groups: Pick<CommitGroups, 'submit'>
  pauses: PauseStore
  /** This node is to know of it at once. */
  onPausesChanged: () => Promise<unknown>
  countJobs: () => Promise<JobCounts>
  failed: Pick<FailedJobStore, 'list' | 'ofChapter'>
  redrives: Pick<RedriveStore, 'create' | 'read' | 'list' | 'cancel'>
  onRedrive: () => void
  deliveries: Pick<DeliveryStore, 'listDeliveries' | 'read' | 'redeliver'>
  /** Whether notices are sent at all. */
  isNotifying: boolean
  audit: AuditStore
  clients: ClientAuth
  corsOrigin: Config['corsOrigin']
}

const tags = ['admin']

/** Nothing has to be said. */
const maySayNothing: preValidationHookHandler = (request, _reply, done) => {
  request.body ??= {}
  done()
}

const ENDED_BY_HAND = 'an operator ended this attempt'

export const adminRoutes: FastifyPluginAsyncTypebox<AdminRoutesOptions> = async (app, options) => {
  const { groups, chapters, revisions, pauses, failed, redrives, deliveries, audit, clients, now } = options
  app.addHook('onRequest', clients.authenticate)
  app.addHook('onRequest', requireOperator(clients, options.corsOrigin))
  const acts = createActs({ audit, now, log: app.log })

  const perform = <Result>(
    request: FastifyRequest,
    act: Omit<Act, 'actor' | 'requestId'>,
    work: () => Promise<Result>,
  ) => acts.perform({ ...act, actor: actorOf(clients, request), requestId: request.id }, work)

  app.get(
    '/v1/admin/stuck',
    {
      schema: {
        operationId: 'listStuck',
        tags,
        security,
        summary: 'Jobs that do not go on, and why',
        description:
          'The oldest chapter first. A request looks at a bounded number of chapters, so a page may be short, or empty, ' +
          'although `next_cursor` says that another one follows.',
        querystring: StuckQuery,
        response: { 200: StuckList, ...problems(400, 401, 403, 503) },
      },
    },
    async ({ query }) => listStuck(query, query.limit ?? ADMIN_LIMIT_DEFAULT, options),
  )

  app.get(
    '/v1/admin/chapter/:id',
    {
      schema: {
        operationId: 'getChapterStory',
        tags,
        security,
        summary: 'The whole story of one chapter',
        description: 'Where it stands, what was tried, its log, its notices, and what operators did to it.',
        params: ChapterParams,
        querystring: AdminChapterQuery,
        response: { 200: AdminChapter, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async ({ params, query }) => tellStory(params.id, query.answers === true, options),
  )

  app.post(
    '/v1/admin/chapter/:id/:kind/end',
    {
      preValidation: maySayNothing,
      schema: {
        operationId: 'endAttempt',
        tags,
        security,
        summary: 'End the attempt under way',
        description:
          'It has failed, as if its worker had said so: the next attempt is scheduled, or the job fails for good. A result ' +
          'that still comes counts.',
        params: KindParams,
        body: EndRequest,
        response: { 202: AdminAccepted, ...problems(400, 401, 403, 404, 409, 413, 415, 503) },
      },
    },
    async (request, reply) => {
      const { id: chapterId, kind } = request.params
      const { reason = 'timeout', error = ENDED_BY_HAND, retryable = true } = request.body
      const act = { action: 'end', chapterId, kind, details: { reason, error, retryable } } as const
      const message = await perform(request, act, async () => {
        const state = await chapters.readChapter(chapterId)
        if (state === undefined) throw new ChapterNotFoundError(chapterId)
        const job = state.jobs[kind]
        if (!isRunning(job))
          throw new WrongStateError(
            `The ${kind} of chapter ${chapterId} is ${job.status}; no attempt is under way`,
          )
        const named = { jobId: job.jobId, attempt: job.attempt }
        const failure = { reason, error, retryable, retryAfterMs: 0 }
        const answer = await groups.submit({ type: 'fail', chapterId, kind, named, ...failure })
        if (answer.status !== 'success')
          throw new WrongStateError(
            `The ${kind} of chapter ${chapterId} went on meanwhile: ${answer.message}`,
          )
        return answer.message
      })
      return reply.code(202).send(await accepted(chapterId, kind, message))
    },
  )

  app.post(
    '/v1/admin/chapter/:id/:kind/restart',
    {
      schema: {
        operationId: 'restartJob',
        tags,
        security,
        summary: 'Start a job anew now',
        description:
          'An attempt under way is given up and sent again, under a new `job_id` and with the same number: it costs none. A ' +
          'job that waits for its retry is sent now. A failed one begins again at attempt 1.',
        params: KindParams,
        response: { 202: AdminAccepted, ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { id: chapterId, kind } = request.params
      const { message } = await perform(request, { action: 'restart', chapterId, kind }, () =>
        groups.submit({ type: 'restart', chapterId, kind }),
      )
      return reply.code(202).send(await accepted(chapterId, kind, message))
    },
  )

  /** Where the job stands after an act. */
  async function accepted(chapterId: number, kind: JobKind, message: string): Promise<AdminAccepted> {
    const [state, history] = await Promise.all([
      chapters.readChapter(chapterId),
      revisions.readHistory(chapterId),
    ])
    if (state === undefined) throw new ChapterNotFoundError(chapterId)
    const job = jobView(state, state.jobs[kind], history[kind], undefined)
    return { chapter_id: chapterId, kind, message, job, last_seq: state.lastSeq }
  }

  app.get(
    '/v1/admin/dead-letters',
    {
      schema: {
        operationId: 'listDeadLetters',
        tags,
        security,
        summary: 'Jobs that failed for good',
        description:
          'The latest first, each with what was asked and what came back. Not those of cancelled chapters, and not a ' +
          'regeneration whose failure left the text before it in place. With filters a page may be short although another ' +
          'one follows.',
        querystring: DeadLetterQuery,
        response: { 200: DeadLetterList, ...problems(400, 401, 403, 503) },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? ADMIN_LIMIT_DEFAULT
      const cursor = fromCursor('dead-letters', query.cursor, ['instant', 'number', 'string'])
      const [at, chapterId, kind] = cursor ?? []
      const after =
        cursor === undefined
          ? undefined
          : { at: Number(at), chapterId: Number(chapterId), kind: String(kind) as JobKind }
      const page = await failed.list({ ...filterOf(query), after, limit: limit + 1 })
      const { items, next } = shownOf(page, limit, ({ job, failedAt }) => ({
        ...{ at: failedAt, chapterId: job.chapterId, kind: job.kind },
      }))
      const publicUrl = options.publicUrl()
      return {
        items: items.map((item) => deadLetterView(item, publicUrl)),
        next_cursor: next === null ? null : toCursor('dead-letters', [next.at, next.chapterId, next.kind]),
      }
    },
  )

  app.post(
    '/v1/admin/dead-letters/redrive',
    {
      schema: {
        operationId: 'redrive',
        tags,
        security,
        summary: 'Try failed jobs again, at a bounded rate',
        description:
          'As a retry by a client, for those that are named or that the filter finds. Any node does it, a batch after the ' +
          'other; how far it is can be read at `Location`.',
        body: RedriveRequest,
        response: {
          202: {
            ...Redrive,
            description: 'It was begun',
            headers: { location: { type: 'string', description: 'Where its progress is' } },
          },
          ...problems(400, 401, 403, 413, 415, 503),
        },
      },
    },
    async (request, reply) => {
      const { filter, ids, rate_per_s: ratePerS = REDRIVE_RATE_DEFAULT, limit } = request.body
      if ((filter === undefined) === (ids === undefined))
        throw new InvalidRequestError([
          { path: '/body', message: 'must have either `filter` or `ids`', code: 'invalid' },
        ])
      const details = {
        ...(filter === undefined ? { ids: ids?.length } : { filter }),
        ...{ rate_per_s: ratePerS, limit: limit ?? null },
      }
      const redrive = await perform(request, { action: 'redrive', details }, () =>
        redrives.create({
          filter: filter ?? null,
          ids: ids ?? null,
          ratePerS,
          maxJobs: limit ?? null,
          actor: actorOf(clients, request),
          requestId: request.id,
          createdAt: now(),
        }),
      )
      options.onRedrive()
      return reply.code(202).header('location', `/v1/admin/redrives/${redrive.id}`).send(redriveView(redrive))
    },
  )

  app.get(
    '/v1/admin/redrives',
    {
      schema: {
        operationId: 'listRedrives',
        tags,
        security,
        summary: 'Redrives, the latest first',
        description: 'With how far each one is.',
        querystring: RedriveListQuery,
        response: { 200: RedriveList, ...problems(400, 401, 403, 503) },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? ADMIN_LIMIT_DEFAULT
      const [before] = fromCursor('redrives', query.cursor, ['number']) ?? []
      const rows = await redrives.list(before === undefined ? undefined : Number(before), limit + 1)
      const last = rows[limit - 1]
      return {
        items: rows.slice(0, limit).map(redriveView),
        next_cursor: rows.length > limit && last !== undefined ? toCursor('redrives', [last.id]) : null,
      }
    },
  )

  app.get(
    '/v1/admin/redrives/:id',
    {
      schema: {
        operationId: 'getRedrive',
        tags,
        security,
        summary: 'How far a redrive is',
        description: 'What was started again, and what was skipped because it no longer stood failed.',
        params: RedriveParams,
        response: { 200: Redrive, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async ({ params: { id } }) => {
      const redrive = await redrives.read(id)
      if (redrive === undefined) throw new RedriveNotFoundError(id)
      return redriveView(redrive)
    },
  )

  app.delete(
    '/v1/admin/redrives/:id',
    {
      schema: {
        operationId: 'cancelRedrive',
        tags,
        security,
        summary: 'Stop a redrive',
        description:
          'The batch under way is finished; what was started again goes on. One that is over stays as it is.',
        params: RedriveParams,
        response: { 200: Redrive, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { id } = request.params
      const act = { action: 'cancel_redrive', details: { redrive_id: id } } as const
      return perform(request, act, async () => {
        const redrive = await redrives.cancel(id, now())
        if (redrive === undefined) throw new RedriveNotFoundError(id)
        return redriveView(redrive)
      })
    },
  )

  async function readKinds(): Promise<KindState[]> {
    const [paused, counts] = await Promise.all([pauses.read(), options.countJobs()])
    return kindStates(paused, counts)
  }

  async function readKind(kind: JobKind): Promise<KindState> {
    const state = (await readKinds()).find((each) => each.kind === kind)
    if (state === undefined) throw new Error(`There is no kind ${kind}`)
    return state
  }

  app.get(
    '/v1/admin/kinds',
    {
      schema: {
        operationId: 'listKinds',
        tags,
        security,
        summary: 'Which kinds are paused',
        description: 'With how many jobs of each are under way.',
        response: { 200: KindList, ...problems(401, 403, 503) },
      },
    },
    async () => ({ kinds: await readKinds() }),
  )

  app.post(
    '/v1/admin/kinds/:kind/pause',
    {
      preValidation: maySayNothing,
      schema: {
        operationId: 'pauseKind',
        tags,
        security,
        summary: 'Send nothing of a kind any more',
        description:
          'Holds on every node within about a second, and until it is resumed. What is with workers goes on, and everything ' +
          'that comes back is taken. No deadline of what was not sent runs out.',
        params: AdminKindParams,
        body: PauseRequest,
        response: { 200: KindState, ...problems(400, 401, 403, 413, 415, 503) },
      },
    },
    async (request) => {
      const { kind } = request.params
      const { reason = null } = request.body
      await perform(request, { action: 'pause', kind, details: { reason } }, async () => {
        await pauses.pause({ kind, pausedAt: now(), pausedBy: actorOf(clients, request), reason })
        await options.onPausesChanged()
      })
      return readKind(kind)
    },
  )

  app.post(
    '/v1/admin/kinds/:kind/resume',
    {
      schema: {
        operationId: 'resumeKind',
        tags,
        security,
        summary: 'Send jobs of a kind again',
        description: 'Those that waited are sent within seconds, the oldest first.',
        params: AdminKindParams,
        response: { 200: KindState, ...problems(400, 401, 403, 503) },
      },
    },
    async (request) => {
      const { kind } = request.params
      await perform(request, { action: 'resume', kind }, async () => {
        await pauses.resume(kind)
        await options.onPausesChanged()
      })
      return readKind(kind)
    },
  )

  app.get(
    '/v1/admin/deliveries',
    {
      schema: {
        operationId: 'listDeliveries',
        tags,
        security,
        summary: 'Notices to NOTIFY_URL',
        description: 'The latest end of a run first, each with what became of it.',
        querystring: DeliveryQuery,
        response: { 200: DeliveryList, ...problems(400, 401, 403, 503) },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? ADMIN_LIMIT_DEFAULT
      const cursor = fromCursor('deliveries', query.cursor, ['instant', 'number', 'number'])
      const [endedAt, chapterId, seq] = cursor ?? []
      const rows = await deliveries.listDeliveries({
        ...(query.state === undefined ? {} : { status: query.state }),
        ...(query.chapter_id === undefined ? {} : { chapterId: query.chapter_id }),
        ...(cursor === undefined
          ? {}
          : { after: { endedAt: Number(endedAt), chapterId: Number(chapterId), seq: Number(seq) } }),
        limit: limit + 1,
      })
      const last = rows[limit - 1]
      return {
        items: rows.slice(0, limit).map(deliveryView),
        next_cursor:
          rows.length > limit && last !== undefined
            ? toCursor('deliveries', [last.endedAt, last.chapterId, last.seq])
            : null,
      }
    },
  )

  app.post(
    '/v1/admin/deliveries/:chapter_id/:seq/resend',
    {
      schema: {
        operationId: 'resendDelivery',
        tags,
        security,
        summary: 'Send a notice again',
        description:
          'Whatever became of it, for as long as a new one is tried. 409 when this server has no `NOTIFY_URL`.',
        params: DeliveryParams,
        response: { 202: DeliveryView, ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { chapter_id: chapterId, seq } = request.params
      const delivery = await perform(request, { action: 'resend', chapterId, details: { seq } }, async () => {
        if (!options.isNotifying)
          throw new WrongStateError('NOTIFY_URL is not set on this server, so no notice is sent')
        const isThere = await deliveries.redeliver({ chapterId, seq }, now(), now() + PATIENCE_MS)
        const sent = isThere ? await deliveries.read({ chapterId, seq }) : undefined
        if (sent === undefined) throw new DeliveryNotFoundError(chapterId, seq)
        return sent
      })
      return reply.code(202).send(deliveryView(delivery))
    },
  )

  app.get(
    '/v1/admin/audit',
    {
      schema: {
        operationId: 'listAudit',
        tags,
        security,
        summary: 'What operators did',
        description:
          'The latest first; kept for `AUDIT_RETENTION_MS`. With filters a page may be short although another one follows.',
        querystring: AuditQuery,
        response: { 200: AuditList, ...problems(400, 401, 403, 503) },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? ADMIN_LIMIT_DEFAULT
      const [before] = fromCursor('audit', query.cursor, ['number']) ?? []
      const page = await audit.list({
        action: query.action,
        chapterId: query.chapter_id,
        actor: query.actor,
        before: before === undefined ? undefined : Number(before),
        limit: limit + 1,
      })
      const { items, next } = shownOf(page, limit, ({ id }) => id)
      return {
        items: items.map(auditView),
        next_cursor: next === null ? null : toCursor('audit', [next]),
      }
    },
  )
}
