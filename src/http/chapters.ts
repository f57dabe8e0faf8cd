/**
 * Chapters for clients: create, list, read, retry, cancel. Events are in `events.ts`.
 */
import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { readable, requireAnswers, requireChange, requireRead } from '../auth/access.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import {
  ChapterAccepted,
  ChapterCreate,
  ChapterCreated,
  ChapterList,
  ChapterListQuery,
  ChapterParams,
  ChapterView,
  DEFAULT_QUIZ_COUNT,
  LearningView,
  LIST_LIMIT_DEFAULT,
  METADATA_MAX_BYTES,
} from '../contract/chapter.js'
import { type JobKind, JobView } from '../contract/job.js'
import type { Violation } from '../contract/problem.js'
import type { Locale } from '../contract/scalar.js'
import { toWire } from '../contract/wire.js'
import { type ChapterState, type JobState, jobsOf } from '../domain/chapter.js'
import type { NewChapter } from '../domain/create.js'
import { ChapterNotFoundError, InvalidRequestError, WrongStateError } from '../errors.js'
import { type ChapterStore, summaryOf } from '../store/chapters.js'
import type { ChapterHistory, RevisionStore } from '../store/revisions.js'
import { isTraceparent } from '../telemetry/traceparent.js'
import { type ClientAuth, CLIENT_SECURITY as security } from './auth.js'
import { changedNumbers } from './json.js'
import { ownerCheck } from './owner.js'
import type { RouteLimit } from './rate-limit.js'
import { problems } from './responses.js'
import { revisionFields } from './revisions.js'

export interface ChapterRoutesOptions {
  groups: Pick<CommitGroups, 'create' | 'submit'>
  chapters: Pick<ChapterStore, 'readChapter' | 'readLearning' | 'list'>
  /** How many jobs come before those of a chapter that wait for a place; undefined without a window. */
  waitingBefore: ((chapterId: number) => Promise<Partial<Record<JobKind, number>>>) | undefined
  revisions: Pick<RevisionStore, 'readHistory'>
  defaultLocale: Locale
  clients: ClientAuth
  createLimit: RouteLimit
}

const tags = ['Chapters']

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The same key and body give the same chapter again; kept at least 24 hours, per owner',
    }),
  ),
})

export const chapterRoutes: FastifyPluginAsyncTypebox<ChapterRoutesOptions> = async (app, options) => {
  const { groups, chapters, revisions, waitingBefore, defaultLocale, clients, createLimit } = options
  app.addHook('onRequest', clients.authenticate)

  const requireOwner = ownerCheck(clients, chapters)

  app.post(
    '/v1/chapter/',
    {
      config: { rateLimit: createLimit, keepsNumbers: true },
      // Trimmed before it is measured: the limit is on what is kept.
      preValidation: (request, _reply, done) => {
        const body = request.body as { title?: unknown } | null | undefined
        if (typeof body?.title === 'string') body.title = body.title.trim()
        done()
      },
      attachValidation: true,
      schema: {
        operationId: 'createChapter',
        tags,
        security,
        summary: 'Create a chapter and have its content generated',
        description:
          'Answers at once; the content follows. Join the chapter’s room, or stream its events, to hear of it.',
        body: ChapterCreate,
        headers: IdempotencyHeaders,
        response: {
          200: { ...ChapterCreated, description: 'The chapter that an earlier request with this key made' },
          201: { ...ChapterCreated, description: 'Created' },
          ...problems(400, 401, 403, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request, reply) => {
      refuseInvalid(request)
      requireChange(clients.identityOf(request).access, request.body.owner_id)
      const chapter = newChapter(request.body, defaultLocale, request.headers.traceparent)
      const key = request.headers['idempotency-key']
      const { chapter: created, isNew } = await groups.create({
        chapter,
        ...(key === undefined
          ? {}
          : { idempotency: { key, bodyHash: hashOf({ ...chapter, traceparent: null }) } }),
      })
      return reply
        .code(isNew ? 201 : 200)
        .header('location', `/v1/chapter/${created.chapterId}`)
        .send(toWire(ChapterCreated, created))
    },
  )

  app.get(
    '/v1/chapter/',
    {
      schema: {
        operationId: 'listChapters',
        tags,
        security,
        summary: 'List chapters, newest first',
        description: 'With client authentication on, only those that the token may read.',
        querystring: ChapterListQuery,
        response: { 200: ChapterList, ...problems(400, 401, 403, 503) },
      },
    },
    async (request) => {
      const { query } = request
      const limit = query.limit ?? LIST_LIMIT_DEFAULT
      const items = await chapters.list({
        limit: limit + 1,
        ...readable(clients.identityOf(request).access, {
          ownerId: query.owner_id,
          courseId: query.course_id,
        }),
        ...(query.status === undefined ? {} : { status: query.status }),
        ...(query.cursor === undefined ? {} : { before: cursorToId(query.cursor) }),
      })
      const page = items.slice(0, limit)
      const last = page.at(-1)
      return {
        items: page,
        next_cursor: items.length > limit && last !== undefined ? idToCursor(last.chapter_id) : null,
      }
    },
  )

  app.get(
    '/v1/chapter/:id',
    {
      schema: {
        operationId: 'getChapter',
        tags,
        security,
        summary: 'Where a chapter and its jobs stand',
        description:
          'Without its content. Each job has its attempt, its deadline and the attempts that have ended.',
        params: ChapterParams,
        response: { 200: ChapterView, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { id } = request.params
      const state = await chapters.readChapter(id)
      if (state === undefined) throw new ChapterNotFoundError(id)
      const { ownerId, courseId } = state
      requireRead(clients.identityOf(request).access, { chapterId: id, ownerId, courseId })
      const isQueued = jobsOf(state).some(({ status }) => status === 'queued')
      const [history, waiting] = await Promise.all([
        revisions.readHistory(id),
        isQueued ? waitingBefore?.(id) : undefined,
      ])
      return chapterView(state, history, waiting)
    },
  )

  app.get(
    '/v1/chapter/:id/learning',
    {
      schema: {
        operationId: 'getLearning',
        tags,
        security,
        summary: 'A chapter’s content, as far as it is there',
        description:
          'Parts that are not written yet are null. Answers are left out unless they are asked for.',
        params: ChapterParams,
        querystring: Type.Object({
          answers: Type.Optional(
            Type.Boolean({
              description: 'Also the answers: for the owner, an admin, or a token with `answers: true`',
              default: false,
            }),
          ),
        }),
        response: { 200: LearningView, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { id } = request.params
      const view = await chapters.readLearning(id, request.query.answers === true)
      if (view === undefined) throw new ChapterNotFoundError(id)
      const { owner_id: ownerId, course_id: courseId } = view
      const { access } = clients.identityOf(request)
      requireRead(access, { chapterId: id, ownerId, courseId })
      if (request.query.answers === true) requireAnswers(access, { chapterId: id, ownerId, courseId })
      return view
    },
  )

  app.delete(
    '/v1/chapter/:id',
    {
      schema: {
        operationId: 'deleteChapter',
        tags,
        security,
        summary: 'Erase a chapter and everything of it',
        description:
          'Running jobs are cancelled first. Its room hears `chapter_deleted` and is empty then; late callbacks get 404. An ' +
          'idempotency key that made it may make another one.',
        params: ChapterParams,
        response: {
          204: { type: 'null', description: 'It is gone' },
          ...problems(400, 401, 403, 404, 503),
        },
      },
    },
    async (request, reply) => {
      const { id: chapterId } = request.params
      await requireOwner(request, chapterId)
      await groups.submit({ type: 'cancel', chapterId }).catch((error: unknown) => {
        // Nothing runs.
        if (!(error instanceof WrongStateError)) throw error
      })
      await groups.submit({ type: 'delete', chapterId })
      return reply.code(204).send()
    },
  )

  app.post(
    '/v1/chapter/:id/retry',
    {
      schema: {
        operationId: 'retryChapter',
        tags,
        security,
        summary: 'Generate again what failed',
        description: 'Every failed job starts again at attempt 1, under a new `job_id`.',
        params: ChapterParams,
        response: { 202: ChapterAccepted, ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await requireOwner(request, id)
      const { restarted: _, ...accepted } = await groups.submit({ type: 'retry', chapterId: id })
      return reply.code(202).send(accepted)
    },
  )

  app.post(
    '/v1/chapter/:id/cancel',
    {
      schema: {
        operationId: 'cancelChapter',
        tags,
        security,
        summary: 'Stop generating a chapter',
        description: 'For good: a cancelled chapter cannot be retried. What is finished already stays.',
        params: ChapterParams,
        response: {
          200: { ...ChapterAccepted, description: 'It was cancelled before' },
          202: { ...ChapterAccepted, description: 'Cancelled' },
          ...problems(400, 401, 403, 404, 409, 503),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await requireOwner(request, id)
      const { already, ...accepted } = await groups.submit({ type: 'cancel', chapterId: id })
      return reply.code(already ? 200 : 202).send(accepted)
    },
  )
}

/** A caller’s own metadata, and where in the request it stands. */
export type PlacedMetadata = [path: string, metadata: unknown]

function metadataOf(body: unknown): PlacedMetadata[] {
  const { metadata } = (body ?? {}) as { metadata?: unknown }
  return metadata === undefined ? [] : [['/body/metadata', metadata]]
}

/**
 * JSON Schema cannot limit bytes or say which numbers can be carried, so both are checked here.
 * @throws {InvalidRequestError} also when the schema refused the request
 */
export function refuseInvalid(request: FastifyRequest, metadataIn = metadataOf): void {
  const { validationError, body } = request
  const error: unknown = validationError
  if (error !== undefined && !(error instanceof InvalidRequestError)) throw error
  const violations = [...(error?.violations ?? [])]
  const refused = violations.map(({ path }) => path)
  const isUsable = !refused.includes('/body')
  const usable = isUsable
    ? metadataIn(body).filter(([at]) => !refused.some((path) => path.startsWith(at)))
    : []
  const tooLarge = usable.flatMap(([path, metadata]) => {
    const bytes = Buffer.byteLength(JSON.stringify(metadata))
    const message = `is ${bytes} bytes of JSON; at most ${METADATA_MAX_BYTES} are kept`
    return bytes > METADATA_MAX_BYTES
      ? [{ path, message, code: 'too_long' as const, limit: METADATA_MAX_BYTES }]
      : []
  })
  violations.push(...tooLarge)
  if (isUsable && tooLarge.length === 0)
    violations.push(...numberViolations(request, usable, violations.length === 0))
  if (violations.length > 0) throw new InvalidRequestError(violations)
}

/** UTF-16 units. */
const MAX_LOOKED_THROUGH = 65_536

/** Metadata is passed on as it came, so a number in it must not change on the way. */
function numberViolations(request: FastifyRequest, metadata: PlacedMetadata[], isOnly: boolean): Violation[] {
  // A large body that is refused anyway is not looked through.
  const numbers = isOnly ? changedNumbers(request) : changedNumbers(request, MAX_LOOKED_THROUGH)
  const paths = numbers.map((number) => pathOf(metadata, Number(number)))
  // One that stands elsewhere is most likely told of already, by the schema.
  const found = new Set(paths.flatMap((path) => path ?? (isOnly ? '/body' : [])))
  const message = 'has a number that cannot be kept exactly; send it as text'
  return [...found].map((path) => ({ path, message, code: 'not_storable' }))
}

/** Where a number stands in metadata. */
function pathOf(metadata: PlacedMetadata[], number: number): string | undefined {
  const open = [...metadata]
  for (const [path, value] of open) {
    if (value === number) return path
    if (typeof value === 'object' && value !== null)
      for (const [name, inner] of Object.entries(value)) open.push([`${path}/${escapeName(name)}`, inner])
  }
  return undefined
}

/** For a JSON Pointer (RFC 6901). */
function escapeName(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

export function newChapter(body: ChapterCreate, defaultLocale: Locale, traceparent: unknown): NewChapter {
  return {
    courseId: body.course_id,
    ownerId: body.owner_id,
    title: body.title,
    description: body.description ?? '',
    locale: body.locale ?? defaultLocale,
    quizCount: body.quiz_count ?? DEFAULT_QUIZ_COUNT,
    metadata: body.metadata ?? {},
    // An invalid traceparent is ignored.
    traceparent: typeof traceparent === 'string' && isTraceparent(traceparent) ? traceparent : null,
  }
}

/** The same for the same request, however its fields are ordered. */
export function hashOf(request: object): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(request)))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([name, inner]) => [name, sorted(inner)])
}

/** A job’s view. @param before how many are given a place in the window before it */
export function jobView(
  state: ChapterState,
  job: JobState,
  past: ChapterHistory[JobKind],
  before: number | undefined,
): JobView {
  return toWire(JobView, {
    ...job,
    ...(before === undefined ? {} : { waitingBefore: before }),
    error: job.reason === null ? null : { reason: job.reason, message: job.error },
    ...revisionFields(state, job, past),
  })
}

function chapterView(
  state: ChapterState,
  history: ChapterHistory,
  waiting: Partial<Record<JobKind, number>> = {},
): ChapterView {
  return {
    ...summaryOf(state),
    jobs: jobsOf(state).map((job) => jobView(state, job, history[job.kind], waiting[job.kind])),
  }
}

/** Opaque to clients, so that it may become something else. */
function idToCursor(id: number): string {
  return Buffer.from(`before:${id}`).toString('base64url')
}

function cursorToId(cursor: string): number {
  const id = /^before:([1-9]\d{0,15})$/.exec(Buffer.from(cursor, 'base64url').toString())?.[1]
  if (id === undefined)
    throw new InvalidRequestError([
      { path: '/query/cursor', message: 'is not a cursor that this server gave', code: 'pattern' },
    ])
  return Number(id)
}
