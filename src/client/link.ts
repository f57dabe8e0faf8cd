/**
 * The one Socket.IO connection of a client, and the rooms it is to be in. It is open while there are rooms.
 *
 * - After every connect each room is joined again with its own cursor (`auth: {resume: false}`: the server
 *   shall not rejoin by itself), so nothing that was had is sent again.
 * - A join without an answer is asked again; one that the server refuses for good ends its room.
 * - A connection may be dead without an error (sleep, another network). When the page is shown again, the
 *   network is back or the clock jumped, the server is asked for a heartbeat, and a silent connection is
 *   replaced at once.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import {
  type ChapterEvent,
  type ClientToServerEvents,
  type CourseChapter,
  type CourseCompleted,
  type ErrorCode,
  JOB_KINDS,
  type JoinedChapter,
  type JoinedCourse,
  type PartialUpdate,
  type ProgressUpdate,
  type Refusal,
  type ServerToClientEvents,
} from './contract.js'
import type { Token } from './http.js'
import type { Place } from './log.js'
import { backoffMs } from './wait.js'

interface AnyRoom {
  disconnected(): void
  /** The server will not let it in. */
  refused(refusal: Refusal): void
}

/** What a chapter wants from the link, and is told by it. */
export interface LinkRoom extends AnyRoom {
  readonly chapterId: number
  /** The next join asks for what follows its cursor. */
  readonly place: Place
  /** @param asked the place of the join that this answers; undefined where it may be another’s answer */
  joined(joined: JoinedChapter, asked?: Place): void
  event(event: ChapterEvent): void
  progress(update: ProgressUpdate): void
  /** Text so far. */
  partial(update: PartialUpdate): void
  /** The chapter is gone, with everything of it. */
  deleted(message: string): void
}

/** The same of a course. Every join gives the whole list, so it has no place. */
export interface LinkCourse extends AnyRoom {
  readonly courseId: number
  joined(joined: JoinedCourse): void
  status(chapter: CourseChapter): void
  completed(completed: CourseCompleted): void
}

export interface Link {
  enter(room: LinkRoom | LinkCourse): void
  leave(room: LinkRoom | LinkCourse): void
  /** Leaves and joins again: a room one is in replays nothing. */
  rejoin(room: LinkRoom | LinkCourse): void
  close(): void
}

/** As much of them as an application may want: a path behind a proxy, headers in Node.js. */
export type SocketSettings = Partial<ManagerOptions & SocketOptions>

/** The server itself waits up to a minute for its database before it answers a join. */
const JOIN_PATIENCE_MS = 20_000
const PROBE_PATIENCE_MS = 5000
const REJOIN_BASE_MS = 500
const REJOIN_CAP_MS = 30_000
const CONNECT_BASE_MS = 500
const CONNECT_CAP_MS = 10_000
/** How long a connection without rooms stays open: the next chapter may come soon. */
const LINGER_MS = 1000
const TICK_MS = 2000
/** A tick that comes so much later was not late: the computer slept. */
const JUMP_MS = 8000

/** Refusals that may pass; the others are final. */
const PASSING: readonly ErrorCode[] = [
  'unavailable',
  'internal',
  'too_many_requests',
  'rate_limited',
  'request_timeout',
]

/** Rooms that nobody follows any more are left within a second: so many tries take longer. */
const FULL_TRIES = 4

interface Entry {
  /** Counts joins, so that an answer to an older join is ignored. */
  joins: number
  failures: number
  again: ReturnType<typeof setTimeout> | undefined
}

type ChapterSocket = Socket<ServerToClientEvents, ClientToServerEvents>

export function createLink(options: {
  url: string
  token: Token | undefined
  socket: SocketSettings | undefined
}): Link {
  const rooms = new Map<LinkRoom | LinkCourse, Entry>()
  let socket: ChapterSocket | undefined
  let isClosed = false
  let connectFailures = 0
  let reconnect: ReturnType<typeof setTimeout> | undefined
  let linger: ReturnType<typeof setTimeout> | undefined
  let sentToken: string | undefined
  let refusedToken: string | undefined
  let stopWatching: (() => void) | undefined

  function open(): ChapterSocket {
    const opened: ChapterSocket = io(options.url, {
      tryAllTransports: true,
      reconnectionDelay: CONNECT_BASE_MS,
      reconnectionDelayMax: CONNECT_CAP_MS,
      ...options.socket,
      // A websocket needs no sticky load balancer; polling is there where websockets are blocked.
      transports: options.socket?.transports?.slice() ?? ['websocket', 'polling'],
      reconnection: true,
      reconnectionAttempts: Number.POSITIVE_INFINITY,
      retries: 0,
      forceNew: true,
      autoConnect: false,
      auth: (send) => void authorize(opened, send),
    })
    opened.on('connect', () => {
      refusedToken = undefined
      for (const [room, entry] of rooms) join(room, entry)
    })
    opened.on('disconnect', (reason) => {
      for (const [room, entry] of rooms) {
        clearTimeout(entry.again)
        room.disconnected()
      }
      // The one reason after which Socket.IO stays away, unless we left.
      if (reason === 'io server disconnect') connectLater()
    })
    opened.on('connect_error', (error) => {
      // Nobody answered: Socket.IO goes on trying. A server that refused is asked again by us, or not.
      if (opened.active) {
        // A websocket that is swallowed ends by time alone, after which Socket.IO would try another one.
        if (error.message === 'timeout') opened.io.opts.transports?.reverse()
        return
      }
      const refusal = (error as Error & { data?: Refusal }).data
      if (refusal !== undefined && isFinal(refusal)) refuseAll(refusal)
      else connectLater()
    })
    opened.on('joined_chapter', (joined) => {
      connectFailures = 0
      for (const [room] of roomsOf(joined.chapter_id)) room.joined(joined)
    })
    // It may come without a question: a token that was replaced may allow less.
    opened.on('join_failed', ({ chapter_id: chapterId, course_id: courseId, code, message }) => {
      // Of a connection that is full the answer to the join decides.
      if (PASSING.includes(code) || code === 'too_many_rooms') return
      for (const [room] of roomsOf(chapterId)) refuse(room, { code, message })
      for (const course of coursesOf(courseId)) refuse(course, { code, message })
    })
    opened.on('joined_course', (joined) => {
      connectFailures = 0
      for (const course of coursesOf(joined.course_id)) course.joined(joined)
    })
    opened.on('chapter_status', (chapter) => {
      for (const course of coursesOf(chapter.course_id)) course.status(chapter)
    })
    opened.on('course_completed', (completed) => {
      for (const course of coursesOf(completed.course_id)) course.completed(completed)
    })
    opened.on('progress_update', (update) => {
      for (const [room] of roomsOf(update.chapter_id)) room.progress(update)
    })
    for (const name of JOB_KINDS.map((kind) => `${kind}_partial` as const))
      opened.on(name, (payload: { chapter_id: number }) => {
        for (const [room] of roomsOf(payload.chapter_id)) room.partial({ name, payload } as PartialUpdate)
      })
    opened.on('chapter_deleted', ({ chapter_id: chapterId, message }) => {
      for (const [room] of roomsOf(chapterId)) {
        forget(room)
        room.deleted(message)
      }
    })
    opened.onAny((name: string, payload: { chapter_id?: unknown; seq?: unknown } | undefined) => {
      if (!Number.isSafeInteger(payload?.seq)) return
      for (const [room] of roomsOf(payload?.chapter_id)) room.event({ name, payload } as ChapterEvent)
    })
    stopWatching = watchForSilence({
      check,
      // A page with an open connection is not kept for the back button.
      away: () => opened.disconnect(),
      back: connectNow,
    })
    opened.connect()
    return opened
  }

  /** A token that cannot be had now may be had later: this try to connect fails, the next one asks again. */
  async function authorize(opened: ChapterSocket, send: (data: object) => void): Promise<void> {
    const { engine } = opened.io
    // Answered late, it would speak for the connection that came after its own.
    const isLate = () => socket !== opened || isClosed || opened.io.engine !== engine || !opened.active
    try {
      const token = typeof options.token === 'function' ? await options.token() : options.token
      if (isLate()) return
      sentToken = token
      send(token === undefined ? { resume: false } : { token, resume: false })
    } catch {
      if (isLate()) return
      opened.disconnect()
      connectLater()
    }
  }

  /** A refused token is worth another try only where another one may be given. */
  function isFinal({ code }: Refusal): boolean {
    if (PASSING.includes(code)) return false
    if (code !== 'unauthorized' && code !== 'token_expired') return true
    if (typeof options.token !== 'function') return true
    const isSame = refusedToken !== undefined && refusedToken === sentToken
    refusedToken = sentToken ?? ''
    return isSame || sentToken === undefined
  }

  function stopReconnect(): void {
    clearTimeout(reconnect)
    reconnect = undefined
  }

  function connectLater(): void {
    stopReconnect()
    connectFailures += 1
    const waitMs = backoffMs(connectFailures, CONNECT_BASE_MS, CONNECT_CAP_MS)
    reconnect = setTimeout(() => {
      reconnect = undefined
      if (rooms.size > 0) socket?.connect()
    }, waitMs)
  }

  /** Instead of what may be left of a wait, or of a connection that is silent. */
  function connectNow(): void {
    stopReconnect()
    socket?.disconnect().connect()
  }

  function join(room: LinkRoom | LinkCourse, entry: Entry): void {
    clearTimeout(entry.again)
    // Socket.IO would keep it for later, beside the join that every connect makes.
    if (!socket?.connected) return
    entry.joins += 1
    const { joins } = entry
    const from = socket
    const isCurrent = () =>
      rooms.get(room) === entry && entry.joins === joins && socket === from && from.connected
    const answered = <T extends object>(
      late: Error | null,
      answer: ({ ok: true } & T) | ({ ok: false } & Refusal),
      joined: (answer: T) => void,
    ) => {
      if (!isCurrent()) return
      if (late) return joinLater(room, entry)
      if (!answer.ok) {
        const isFull = answer.code === 'too_many_rooms' && entry.failures < FULL_TRIES
        return isFull || PASSING.includes(answer.code) ? joinLater(room, entry) : refuse(room, answer)
      }
      entry.failures = 0
      joined(answer)
    }
    const asking = from.timeout(JOIN_PATIENCE_MS)
    if (isCourse(room)) {
      // The list came before the answer.
      asking.emit('join_course', { course_id: room.courseId }, (late, answer) =>
        answered(late, answer, () => {}),
      )
      return
    }
    const { life, cursor, lastKnown } = room.place
    asking.emit('join_chapter', { chapter_id: room.chapterId, after_seq: cursor }, (late, answer) =>
      // `joined_chapter` said so already, but not to which join.
      answered(late, answer, (joined) => room.joined(joined, { life, cursor, lastKnown })),
    )
  }

  function joinLater(room: LinkRoom | LinkCourse, entry: Entry): void {
    entry.failures += 1
    clearTimeout(entry.again)
    entry.again = setTimeout(
      () => rejoin(room),
      REJOIN_BASE_MS + backoffMs(entry.failures, REJOIN_BASE_MS, REJOIN_CAP_MS),
    )
  }

  function rejoin(room: LinkRoom | LinkCourse): void {
    const entry = rooms.get(room)
    if (entry === undefined || !socket?.connected) return
    sayLeave(room)
    join(room, entry)
  }

  function sayLeave(room: LinkRoom | LinkCourse): void {
    if (!socket?.connected) return
    if (isCourse(room)) socket.emit('leave_course', { course_id: room.courseId })
    else socket.emit('leave_chapter', { chapter_id: room.chapterId })
  }

  function refuse(room: LinkRoom | LinkCourse, refusal: Refusal): void {
    forget(room)
    room.refused(refusal)
  }

  function refuseAll(refusal: Refusal): void {
    for (const room of [...rooms.keys()]) refuse(room, refusal)
  }

  function forget(room: LinkRoom | LinkCourse): void {
    clearTimeout(rooms.get(room)?.again)
    rooms.delete(room)
    clearTimeout(linger)
    if (rooms.size === 0) linger = setTimeout(hangUp, LINGER_MS)
  }

  function hangUp(): void {
    clearTimeout(linger)
    stopReconnect()
    stopWatching?.()
    const last = socket
    socket = undefined
    last?.disconnect()
    last?.offAny()
  }

  function roomsOf(chapterId: unknown): [LinkRoom, Entry][] {
    return [...rooms].flatMap(([room, entry]) =>
      !isCourse(room) && room.chapterId === chapterId ? [[room, entry] as [LinkRoom, Entry]] : [],
    )
  }

  function coursesOf(courseId: unknown): LinkCourse[] {
    return [...rooms.keys()].filter((room) => isCourse(room)).filter((course) => course.courseId === courseId)
  }

  /** A question that the server refuses at once, whatever its database does: no answer is silence. */
  function check(): void {
    const from = socket
    if (from === undefined || rooms.size === 0) return
    if (!from.connected) {
      connectNow()
      return
    }
    from.timeout(PROBE_PATIENCE_MS).emit('leave_chapter', { chapter_id: 0 }, (late) => {
      if (late && socket === from && from.connected) connectNow()
    })
  }

  return {
    enter(room) {
      if (isClosed || rooms.has(room)) return
      clearTimeout(linger)
      const entry = { joins: 0, failures: 0, again: undefined }
      rooms.set(room, entry)
      socket ??= open()
      if (socket.connected) join(room, entry)
      else if (!socket.active && reconnect === undefined) socket.connect()
    },
    leave(room) {
      if (!rooms.has(room)) return
      sayLeave(room)
      forget(room)
    },
    rejoin,
    close() {
      isClosed = true
      for (const entry of rooms.values()) clearTimeout(entry.again)
      rooms.clear()
      hangUp()
    },
  }
}

function isCourse(room: LinkRoom | LinkCourse): room is LinkCourse {
  return 'courseId' in room
}

/** Calls `check` when the connection may have died unnoticed. Returns what ends it. */
function watchForSilence({ check, away, back }: { check(): void; away(): void; back(): void }): () => void {
  let last = Date.now()
  const timer = setInterval(() => {
    const jumped = Date.now() - last > TICK_MS + JUMP_MS
    last = Date.now()
    // A hidden page has slow timers, and is asked when it is shown.
    if (jumped && globalThis.document?.visibilityState !== 'hidden') check()
  }, TICK_MS)
  const page = new AbortController()
  const listen = (target: EventTarget | undefined, name: string, listener: (event: Event) => void) =>
    target?.addEventListener?.(name, listener, { signal: page.signal })
  listen(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && check())
  listen(globalThis, 'online', check)
  listen(globalThis, 'pagehide', away)
  listen(globalThis, 'pageshow', (event) => (event as PageTransitionEvent).persisted && back())
  return () => {
    clearInterval(timer)
    page.abort()
  }
}
