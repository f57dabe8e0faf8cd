/**
 * Watches chapters of a chaptercast server: every event once and in order of `seq`, whatever happens to the
 * connection. In browsers and Node.js.
 */
import type {
  ChapterAccepted,
  ChapterCreate,
  ChapterCreated,
  ChapterList,
  ChapterListQuery,
  ChapterView,
  CourseChaptersCreate,
  CourseChaptersCreated,
  CourseQuery,
  CourseView,
  JobKind,
  LearningView,
  RevisionAccepted,
  RevisionList,
  RevisionView,
  WatchToken,
  WatchTokenRequest,
} from './contract.js'
import { CourseRoom, CourseWatch } from './course.js'
import { ClosedError, RefusedError } from './errors.js'
import { createHttp, type Token } from './http.js'
import { createLink, type SocketSettings } from './link.js'
import { randomKey } from './random-key.js'
import { Room } from './room.js'
import { ChapterWatch, type FollowOptions, type WatchOptions } from './watch.js'

export type * from './contract.js'
export { JOB_KINDS } from './contract.js'
export type { CourseListeners, CourseSnapshot } from './course.js'
export * from './errors.js'
export * from './run-errors.js'
export type { ChapterConnection, ChapterSnapshot, JobSnapshot, PartialSnapshot } from './snapshot.js'
export type { FollowOptions, Listeners, WatchOptions } from './watch.js'
export type { SocketSettings, Token }
export { ChapterWatch, CourseWatch }

export interface ConnectOptions {
  /** Sent with every request and connection; a function is asked each time. */
  token?: Token
  /** Closes the client. */
  signal?: AbortSignal
  /** Instead of the global one. */
  fetch?: typeof fetch
  /** For Socket.IO; `auth` is the client’s own. */
  socket?: Omit<
    SocketSettings,
    'auth' | 'autoConnect' | 'forceNew' | 'multiplex' | 'reconnection' | 'reconnectionAttempts' | 'retries'
  >
}

export interface CallOptions {
  signal?: AbortSignal
}

export interface CreateOptions extends CallOptions {
  /**
   * Names this chapter: asked again with the same key, the server answers the same chapter. A random one unless
   * given, so that a lost answer never makes two.
   */
  idempotencyKey?: string
}

export interface RegenerateOptions extends CallOptions {
  /** What is to be better, in your own words. */
  instruction?: string
}

export type WatchTokenOptions = CallOptions & WatchTokenRequest

/**
 * A server’s chapters. Requests throw `RefusedError` or `UnreachableError`; temporary failures (no answer, 429,
 * 503) is asked again first, for a few seconds.
 */
export interface Chapters {
  create(chapter: ChapterCreate, options?: CreateOptions): Promise<ChapterCreated>
  /** Newest first; the next page by `cursor`. */
  list(query?: ChapterListQuery, options?: CallOptions): Promise<ChapterList>
  get(chapterId: number, options?: CallOptions): Promise<ChapterView>
  /** The content as far as it is written; `answers` for those who may see them. */
  learning(chapterId: number, options?: CallOptions & { answers?: boolean }): Promise<LearningView>
  /** Starts what failed again. */
  retry(chapterId: number, options?: CallOptions): Promise<ChapterAccepted>
  cancel(chapterId: number, options?: CallOptions): Promise<ChapterAccepted>
  /** The chapters of a course in one request: all of them, or none. Safe to ask again, as `create` is. */
  createAll(
    courseId: number,
    chapters: CourseChaptersCreate,
    options?: CreateOptions,
  ): Promise<CourseChaptersCreated>
  /** A page of a course’s chapters, in the order of their ids; the next one `after` its `next`. */
  course(courseId: number, query?: CourseQuery, options?: CallOptions): Promise<CourseView>
  /** As `watch`: every chapter of the course, also those made later, and where each stands. */
  watchCourse(courseId: number, options?: FollowOptions): CourseWatch
  /** Has one kind written again; what there is stays readable meanwhile, and for good when it fails. */
  regenerate(chapterId: number, kind: JobKind, options?: RegenerateOptions): Promise<RevisionAccepted>
  /** What one kind has been, oldest first. */
  revisions(chapterId: number, kind: JobKind, options?: CallOptions): Promise<RevisionList>
  /** One revision with its content; `answers` for those who may see them. */
  revision(
    chapterId: number,
    kind: JobKind,
    revision: number,
    options?: CallOptions & { answers?: boolean },
  ): Promise<RevisionView>
  /** Makes an earlier revision’s content the current one, as a revision of its own. */
  restore(
    chapterId: number,
    kind: JobKind,
    revision: number,
    options?: CallOptions,
  ): Promise<RevisionAccepted>
  /** Erases the chapter and everything of it. Its watchers are told. */
  remove(chapterId: number, options?: CallOptions): Promise<void>
  /** A short-lived token that may only watch this chapter. */
  watchToken(chapterId: number, options?: WatchTokenOptions): Promise<WatchToken>
  /** A short-lived token that may only watch this course. */
  courseWatchToken(courseId: number, options?: WatchTokenOptions): Promise<WatchToken>
  /** Nothing is asked of the server until the watch is followed. A chapter may be watched before it exists. */
  watch(chapterId: number, options?: WatchOptions): ChapterWatch
  /** Ends every watch with `ClosedError`, and every request. */
  close(): void
}

/**
 * @param url of the server, with the path of a proxy if there is one; in a browser, by default, the page’s own
 * @throws {TypeError} when there is no such URL
 */
export function connectChapters(
  url: string | URL = globalThis.location?.origin,
  options: ConnectOptions = {},
): Chapters {
  const { origin, pathname } = new URL(url, globalThis.location?.href)
  const path = pathname.replace(/\/+$/, '')
  const closed = new AbortController()
  const http = createHttp({
    base: origin + path,
    token: options.token,
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    signal: closed.signal,
  })
  const link = createLink({
    // A path in its URL would be a namespace to Socket.IO.
    url: origin,
    token: options.token,
    socket: { path: `${path}/socket.io/`, ...options.socket },
  })
  const rooms = new Map<number, Room>()
  const courseRooms = new Map<number, CourseRoom>()

  function openRoom(chapterId: number, after: number): Room {
    closed.signal.throwIfAborted()
    const known = rooms.get(chapterId)
    if (known !== undefined) return known
    const disposed = (room: Room) => rooms.get(chapterId) === room && rooms.delete(chapterId)
    const room = new Room(chapterId, after, { link, http, disposed })
    rooms.set(chapterId, room)
    return room
  }

  function openCourse(courseId: number): CourseRoom {
    closed.signal.throwIfAborted()
    const known = courseRooms.get(courseId)
    if (known !== undefined) return known
    const disposed = (room: CourseRoom) => courseRooms.get(courseId) === room && courseRooms.delete(courseId)
    const room = new CourseRoom(courseId, { link, disposed })
    courseRooms.set(courseId, room)
    return room
  }

  /** The events that an answer counts may still be on their way. */
  function heard<Accepted extends ChapterAccepted>(accepted: Accepted): Accepted {
    rooms.get(accepted.chapter_id)?.hearOf(accepted.last_seq)
    return accepted
  }

  async function remove(chapterId: number, signal: AbortSignal | undefined): Promise<void> {
    const request = { signals: [signal] }
    try {
      await http('DELETE', chapterPath(chapterId), { ...request, tries: 1 })
    } catch (error) {
      if (error instanceof RefusedError && (error.status ?? 0) < 500) throw error
      // It may be gone already: only its answer was lost.
      await http('DELETE', chapterPath(chapterId), request).catch((again: unknown) => {
        if (!(again instanceof RefusedError && again.code === 'chapter_not_found')) throw again
      })
    }
  }

  function close(): void {
    closed.abort(new ClosedError())
    for (const room of [...rooms.values(), ...courseRooms.values()]) room.close()
    link.close()
  }

  if (options.signal?.aborted) close()
  else options.signal?.addEventListener('abort', close, { signal: closed.signal })

  return {
    create: (body, { signal, idempotencyKey = randomKey() } = {}) =>
      http('POST', '/v1/chapter/', {
        body,
        signals: [signal],
        headers: { 'idempotency-key': idempotencyKey },
      }),
    list: (query, { signal } = {}) => http('GET', '/v1/chapter/', { query, signals: [signal] }),
    get: (chapterId, { signal } = {}) => http('GET', chapterPath(chapterId), { signals: [signal] }),
    learning: (chapterId, { signal, answers } = {}) =>
      http('GET', `${chapterPath(chapterId)}/learning`, { query: { answers }, signals: [signal] }),
    createAll: (courseId, body, { signal, idempotencyKey = randomKey() } = {}) =>
      http('POST', `/v1/course/${courseId}/chapters`, {
        body,
        signals: [signal],
        headers: { 'idempotency-key': idempotencyKey },
      }),
    course: (courseId, query, { signal } = {}) =>
      http('GET', `/v1/course/${courseId}`, { query, signals: [signal] }),
    watchCourse: (courseId, followOptions = {}) =>
      new CourseWatch(courseId, followOptions, {
        open: () => openCourse(courseId),
        known: () => courseRooms.get(courseId),
      }),
    // Asked twice it would be refused the second time.
    retry: async (chapterId, { signal } = {}) =>
      heard(await http('POST', `${chapterPath(chapterId)}/retry`, { signals: [signal], tries: 1 })),
    cancel: async (chapterId, { signal } = {}) =>
      heard(await http('POST', `${chapterPath(chapterId)}/cancel`, { signals: [signal] })),
    // Asked twice it would be refused the second time.
    regenerate: async (chapterId, kind, { signal, ...body } = {}) =>
      heard(
        await http('POST', `${chapterPath(chapterId)}/${kind}/regenerate`, {
          body,
          signals: [signal],
          tries: 1,
        }),
      ),
    revisions: (chapterId, kind, { signal } = {}) =>
      http('GET', `${chapterPath(chapterId)}/${kind}/revisions`, { signals: [signal] }),
    revision: (chapterId, kind, revision, { signal, answers } = {}) =>
      http('GET', `${chapterPath(chapterId)}/${kind}/revisions/${revision}`, {
        query: { answers },
        signals: [signal],
      }),
    // Asked twice it would be two revisions.
    restore: async (chapterId, kind, revision, { signal } = {}) =>
      heard(
        await http('POST', `${chapterPath(chapterId)}/${kind}/restore`, {
          body: { revision },
          signals: [signal],
          tries: 1,
        }),
      ),
    remove: (chapterId, { signal } = {}) => remove(chapterId, signal),
    watchToken: (chapterId, { signal, ...body } = {}) =>
      http('POST', `${chapterPath(chapterId)}/watch-token`, { body, signals: [signal] }),
    courseWatchToken: (courseId, { signal, ...body } = {}) =>
      http('POST', `/v1/course/${courseId}/watch-token`, { body, signals: [signal] }),
    watch: (chapterId, watchOptions = {}) =>
      new ChapterWatch(chapterId, watchOptions, { open: openRoom, known: (id) => rooms.get(id), http }),
    close,
  }
}

function chapterPath(chapterId: number): string {
  return `/v1/chapter/${chapterId}`
}
