/**
 * A chapter’s events over HTTP: as a list, or as server-sent events that go on until the chapter ends. A stream
 * is one more listener of the feed and enters as a socket does.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { mayRead, requireRead } from '../auth/access.js'
import { ChapterParams } from '../contract/chapter.js'
import {
  type ChapterEvent,
  EventList,
  EventsQuery,
  isEndEvent,
  type ProgressUpdate,
} from '../contract/event.js'
import { PARTIAL_NAMES, type PartialUpdate } from '../contract/partial.js'
import { ChapterNotFoundError, ForbiddenError } from '../errors.js'
import { catchUp, type PageReader } from '../feed/catch-up.js'
import type { Feed, RoomShare } from '../feed/feed.js'
import { CLIENT_SECURITY, type ClientAuth } from './auth.js'
import type { Connections } from './connections.js'
import { createEventStreams, RETRY_MS } from './event-stream.js'
import { problems } from './responses.js'

export interface EventRoutesOptions {
  /** Told where to find readers that are slow. */
  connections?: Pick<Connections, 'watch'>
  feed: Feed
  readPage: PageReader
  clients: ClientAuth
}

/** What the documents say of the stream. */
const EVENT_STREAM = {
  description:
    'Server-sent events. `id` is the `seq`, `event` the name, `data` the payload of a logged event, as in the list. ' +
    'Beside them, without an `id`: `progress_update`, ' +
    `${PARTIAL_NAMES.map((name) => `\`${name}\``).join(', ')} and ` +
    '`chapter_deleted`, with the payloads that Socket.IO has (`/asyncapi.json`). A comment every 15 s keeps the ' +
    'connection open.',
  example: `retry: ${RETRY_MS}

id: 5
event: concept_completed
data: {"chapter_id":1,"concept_id":1,"status":"completed","message":"개념 설명이 완성되었습니다.","seq":5,"at":"2026-01-31T09:00:12.345Z"}

event: progress_update
data: {"chapter_id":1,"progress":33,"message":"개념 설명이 완성되었습니다."}

`,
}

export const eventRoutes: FastifyPluginAsyncTypebox<EventRoutesOptions> = async (app, options) => {
  const { feed, readPage, clients, connections } = options
  app.addHook('onRequest', clients.authenticate)
  const streams = createEventStreams(app, { connections, now: clients.now })

  app.get(
    '/v1/chapter/:id/events',
    {
      config: { eventStream: EVENT_STREAM },
      schema: {
        operationId: 'getEvents',
        tags: ['Chapters'],
        security: CLIENT_SECURITY,
        summary: 'A chapter’s events after a cursor; with `Accept: text/event-stream`, live',
        description:
          'As server-sent events each has its `seq` as `id`, and `Last-Event-ID` is honoured. The stream ends with ' +
          'the chapter, and with the token; 204 when the chapter has ended and nothing follows, so that a browser stops ' +
          'asking. The token comes in the header only, never in the address.',
        params: ChapterParams,
        querystring: EventsQuery,
        response: {
          200: EventList,
          204: { type: 'null', description: 'The chapter has ended, and nothing follows `Last-Event-ID`' },
          ...problems(400, 401, 403, 404, 503),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const after = request.query.after ?? 0
      if (wantsStream(request)) {
        const cursor = lastEventId(request) ?? after
        await openStream(request, reply, id, cursor)
        return reply
      }
      const page = await readPage(id, after)
      if (page === undefined) throw new ChapterNotFoundError(id)
      requireRead(clients.identityOf(request).access, page)
      const events = page.events.filter(({ payload }) => payload.seq > after || after > page.lastSeq)
      return {
        events: events.map(({ name, payload }) => ({ event: name, data: payload })),
        last_seq: page.lastSeq,
        ...(page.logFrom > 1 ? { expired: true } : {}),
      }
    },
  )

  async function openStream(
    request: FastifyRequest,
    reply: FastifyReply,
    chapterId: number,
    after: number,
  ): Promise<void> {
    const { access, expiresAt } = clients.identityOf(request)
    let room: RoomShare | undefined
    const stream = streams.open(reply, expiresAt, () => room?.close())
    if (stream === undefined) return
    const writeEvent = ({ name, payload }: ChapterEvent) => stream.write(name, payload, payload.seq)
    // Progress and text so far have no id, because a cursor counts logged events.
    const writeProgress = (update: ProgressUpdate) => stream.write('progress_update', update)
    const writePartial = ({ name, payload }: PartialUpdate) => stream.write(name, payload)

    let outcome: 'unknown chapter' | 'not allowed' | 'nothing follows' | 'streaming' = 'streaming'
    try {
      await catchUp({
        feed,
        readPage,
        chapterId,
        after,
        isWanted: () => stream.isOpen,
        onCaughtUp(entrance) {
          const { page, missed } = entrance
          room = entrance.room
          if (page === undefined) {
            outcome = 'unknown chapter'
            return
          }
          if (!mayRead(access, page)) {
            outcome = 'not allowed'
            return
          }
          const hasEnded = page.status !== 'processing'
          if (hasEnded && missed.length === 0) {
            outcome = 'nothing follows'
            return
          }
          for (const event of missed) writeEvent(event)
          if (hasEnded) {
            stream.finish()
            return
          }
          if (room.progress !== null) writeProgress(room.progress.update)
          for (const partial of room.partials) writePartial(partial)
          stream.bound()
          room.listen({
            event: (event) => {
              writeEvent(event)
              if (isEndEvent(event.name)) stream.finish()
            },
            progress: writeProgress,
            partial: writePartial,
            deleted: (message) => {
              stream.write('chapter_deleted', { chapter_id: chapterId, message })
              stream.finish()
            },
          })
        },
      })
    } catch (error) {
      stream.discard()
      throw error
    }
    if (outcome === 'streaming') return await stream.send()
    stream.discard()
    if (outcome === 'not allowed') throw new ForbiddenError(`This token may not read chapter ${chapterId}`)
    if (outcome === 'unknown chapter') throw new ChapterNotFoundError(chapterId)
    await reply.code(204).send()
  }
}

/** Whether server-sent events are asked for by name, and a list is not preferred (RFC 9110 §12.5.1). */
export function wantsStream({ headers }: FastifyRequest): boolean {
  const weights = new Map<string, number>()
  for (const range of (headers.accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1]
    weights.set(type, weight === undefined ? 1 : Number(weight) || 0)
  }
  const stream = weights.get('text/event-stream') ?? 0
  return stream > 0 && stream >= (weights.get('application/json') ?? 0)
}

/** A browser’s cursor when it comes back; anything but a seq is ignored. */
function lastEventId({ headers }: FastifyRequest): number | undefined {
  const text = headers['last-event-id']
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
