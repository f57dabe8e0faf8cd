/**
 * Courses for clients: many chapters made in one request, a course’s chapters as a list, and the same list live as
 * server-sent events. A stream is one more member of the course’s feed and enters as a socket does.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readableCourse, requireChange } from '../auth/access.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import { ChapterCreated } from '../contract/chapter.js'
import {
  COURSE_PAGE_MAX,
  CourseChaptersCreate,
  CourseChaptersCreated,
  CourseParams,
  CourseQuery,
  CourseView,
} from '../contract/course.js'
import type { Locale } from '../contract/scalar.js'
import { toWire } from '../contract/wire.js'
import { courseProgress, noCounts } from '../domain/course.js'
import type { NewChapter } from '../domain/create.js'
import type { CourseFeed, CourseShare } from '../feed/course-feed.js'
import type { CourseStore } from '../store/courses.js'
import { type ClientAuth, CLIENT_SECURITY as security } from './auth.js'
import { hashOf, IdempotencyHeaders, newChapter, type PlacedMetadata, refuseInvalid } from './chapters.js'
import type { Connections } from './connections.js'
import { createEventStreams } from './event-stream.js'
import { wantsStream } from './events.js'
import type { RateLimits } from './rate-limit.js'
import { problems } from './responses.js'

export interface CourseRoutesOptions {
  groups: Pick<CommitGroups, 'createAll'>
  courses: Pick<CourseStore, 'readPage'>
  feed: Pick<CourseFeed, 'join'>
  defaultLocale: Locale
  clients: ClientAuth
  /** Counts a request as its chapters. */
  limitCreates: RateLimits['createMany']
  /** Told where to find readers that are slow. */
  connections?: Pick<Connections, 'watch'>
}

/**
 * A hundred chapters with descriptions of 10,000 characters and 8 KiB of metadata are 5 MB at most in UTF-8, and less
 * than this also where a client writes Korean as `\u…`.
 */
const BODY_LIMIT_BYTES = 8 * 1_048_576

/** What the documents say of the stream. */
const EVENT_STREAM = {
  description:
    'Server-sent events: `joined_course`, then `chapter_status` and `course_completed`, with the payloads that ' +
    'Socket.IO has (`/asyncapi.json`). They have no `id`, because a stream that begins anew begins with the list. A ' +
    'comment every 15 s keeps the connection open.',
  example: `retry: 2000

event: joined_course
data: {"course_id":1,"counts":{"processing":1,"completed":0,"failed":0,"cancelled":0},"progress":0,"chapters":[]}

`,
}

const tags = ['Courses']

export const courseRoutes: FastifyPluginAsyncTypebox<CourseRoutesOptions> = async (app, options) => {
  const { groups, courses, feed, defaultLocale, clients, limitCreates, connections } = options
  app.addHook('onRequest', clients.authenticate)
  const streams = createEventStreams(app, { connections, now: clients.now })

  app.post(
    '/v1/course/:id/chapters',
    {
      bodyLimit: BODY_LIMIT_BYTES,
      config: { keepsNumbers: true },
      // Trimmed before they are measured: the limit is on what is kept.
      preValidation: (request, _reply, done) => {
        for (const chapter of chaptersIn(request.body))
          if (typeof chapter.title === 'string') chapter.title = chapter.title.trim()
        done()
      },
      attachValidation: true,
      schema: {
        operationId: 'createChapters',
        tags,
        security,
        summary: 'Create the chapters of a course: all of them, or none',
        description:
          '`quiz_count` and `metadata` beside `chapters` are for those that do not bring their own. A chapter that is ' +
          'not valid refuses the whole request, and the error’s path names it (`/body/chapters/3/title`). Rate limits ' +
          'count each chapter.',
        params: CourseParams,
        body: CourseChaptersCreate,
        headers: IdempotencyHeaders,
        response: {
          200: {
            ...CourseChaptersCreated,
            description: 'The chapters that an earlier request with this key made',
          },
          201: { ...CourseChaptersCreated, description: 'Created' },
          ...problems(400, 401, 403, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request, reply) => {
      refuseInvalid(request, metadataOf)
      const { params, body, headers } = request
      requireChange(clients.identityOf(request).access, body.owner_id)
      await limitCreates(request, body.chapters.length)
      const chapters = newChapters(params.id, body, defaultLocale, headers.traceparent)
      const key = headers['idempotency-key']
      const { chapters: created, isNew } = await groups.createAll({
        chapters,
        ...(key === undefined ? {} : { idempotency: { key, bodyHash: requestHashOf(chapters) } }),
      })
      return reply
        .code(isNew ? 201 : 200)
        .header('location', `/v1/course/${params.id}`)
        .send({
          course_id: params.id,
          chapters: created.map((chapter) => toWire(ChapterCreated, chapter)),
        })
    },
  )

  app.get(
    '/v1/course/:id',
    {
      config: { eventStream: EVENT_STREAM },
      schema: {
        operationId: 'getCourse',
        tags,
        security,
        summary: 'A course’s chapters and where each stands; with `Accept: text/event-stream`, live',
        description:
          'In the order of their ids. `counts` and `progress` are the whole course’s, whatever the page. A course that ' +
          'nobody made a chapter in is empty. With client authentication on, an owner sees their own chapters of it. ' +
          'As server-sent events: `joined_course` with the whole list, then `chapter_status` for each change and ' +
          '`course_completed` each time that nothing is processing any more; `after` and `limit` do not matter there. ' +
          'A stream that begins anew begins with the list, which replaces the one before.',
        params: CourseParams,
        querystring: CourseQuery,
        response: { 200: CourseView, ...problems(400, 401, 403, 409, 503) },
      },
    },
    async (request, reply) => {
      const { id: courseId } = request.params
      const scope = { courseId, ...readableCourse(clients.identityOf(request).access, courseId) }
      if (wantsStream(request)) {
        await openStream(request, reply, scope)
        return reply
      }
      const { after = 0, limit = COURSE_PAGE_MAX } = request.query
      const page = await courses.readPage(scope, { after, limit: limit + 1 })
      const counts = { ...noCounts(), ...page.counts }
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
      const chapters = page.entries.slice(0, limit).map(({ chapter }) => chapter)
      return {
        course_id: courseId,
        counts,
        progress: courseProgress(page.progressSum, total),
        chapters,
        next: page.entries.length > limit ? (chapters.at(-1)?.chapter_id ?? null) : null,
      }
    },
  )

  async function openStream(
    request: FastifyRequest,
    reply: FastifyReply,
    scope: { courseId: number; ownerId: number | null },
  ): Promise<void> {
    const { expiresAt } = clients.identityOf(request)
    let share: CourseShare | undefined
    const stream = streams.open(reply, expiresAt, () => share?.close())
    if (stream === undefined) return
    try {
      await feed.join({
        scope,
        isWanted: () => stream.isOpen,
        onJoined(joined, added) {
          share = added
          stream.write('joined_course', joined)
          stream.bound()
          share.listen({
            joined: (again) => stream.write('joined_course', again),
            status: (chapter) => stream.write('chapter_status', chapter),
            completed: (completed) => stream.write('course_completed', completed),
          })
        },
      })
    } catch (error) {
      stream.discard()
      throw error
    }
    await stream.send()
  }
}

/** As far as it has the form of a request. */
function chaptersIn(body: unknown): Record<string, unknown>[] {
  const { chapters } = (body ?? {}) as { chapters?: unknown }
  if (!Array.isArray(chapters)) return []
  return chapters.filter((chapter) => typeof chapter === 'object' && chapter !== null)
}

function metadataOf(body: unknown): PlacedMetadata[] {
  const { chapters = [], metadata } = (body ?? {}) as Partial<CourseChaptersCreate>
  const placed: PlacedMetadata[] = metadata === undefined ? [] : [['/body/metadata', metadata]]
  if (!Array.isArray(chapters)) return placed
  for (const [index, chapter] of chapters.entries()) {
    const own = (chapter as { metadata?: unknown } | null)?.metadata
    if (own !== undefined) placed.push([`/body/chapters/${index}/metadata`, own])
  }
  return placed
}

function newChapters(
  courseId: number,
  body: CourseChaptersCreate,
  defaultLocale: Locale,
  traceparent: unknown,
): NewChapter[] {
  const { owner_id, chapters, ...ofAll } = body
  return chapters.map((chapter) =>
    newChapter({ ...ofAll, ...chapter, course_id: courseId, owner_id }, defaultLocale, traceparent),
  )
}

function requestHashOf(chapters: NewChapter[]): string {
  return hashOf({ chapters: chapters.map((chapter) => ({ ...chapter, traceparent: null })) })
}
