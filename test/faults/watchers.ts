/**
 * Who watches: stock Socket.IO clients that join once, clients with a cursor, clients that sleep and change nodes, the
 * package `chaptercast-client`, and readers of event streams. Each event is looked at as it comes: is it the next one on
 * this connection, and is it what others heard?
 */
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { io, type Socket } from 'socket.io-client'
import { type Chapters, type CourseWatch, connectChapters } from '../../src/client/index.js'
import type { Random } from '../support/random.js'
import type { KnownChapter, Ledger } from './ledger.js'
import type { FaultyNode } from './nodes.js'
import type { Findings } from './promises.js'

/** One watcher of one chapter. */
export interface Watching {
  chapter: KnownChapter
  who: string
  /** On this connection; what a cursor is. */
  seq: number
  /** Over all connections. */
  last: number
  /** By `Date.now()`: when it was in for the first time. */
  inSince: number | undefined
  /** It stays away at times by its own will: how late it hears says nothing. */
  isSleeper: boolean
  /** When each event was heard first, by seq. */
  heardAt: number[]
  leave(): void
}

export interface Watchers {
  /** Has some of them watch the chapter. */
  watch(chapter: KnownChapter): void
  readonly watchings: ReadonlySet<Watching>
  /** Each course, followed from its first chapter to the end by `chaptercast-client`. */
  readonly courses: ReadonlyMap<number, CourseWatch>
  /** Sockets that are not connected. */
  away(): string[]
  close(): Promise<void>
}

export interface WatchersOptions {
  nodes: readonly FaultyNode[]
  /** A load balancer, for clients that know one address. */
  balancerUrl: string
  count: number
  ledger: Ledger
  findings: Findings
}

interface Heard {
  chapter_id: number
  seq?: number
}

const LIBRARY_CLIENTS = 6
const JOIN_TIMEOUT_MS = 20_000
const WEBSOCKET = { transports: ['websocket'] }

export function createWatchers(options: WatchersOptions): Watchers {
  const { nodes, balancerUrl, count, ledger, findings } = options
  const watchings = new Set<Watching>()
  let isOver = false

  function begin(chapter: KnownChapter, who: string, isSleeper: boolean, leave: () => void): Watching {
    const watching: Watching = {
      ...{ chapter, who, seq: 0, last: 0, inSince: undefined, isSleeper, heardAt: [] },
      leave() {
        watchings.delete(watching)
        leave()
      },
    }
    watchings.add(watching)
    return watching
  }

  /** An event came. `mayRepeat`: what an earlier connection heard may come again on this one. */
  function hear(watching: Watching, name: string, seq: number, mayRepeat: boolean): void {
    const { chapter, who } = watching
    const what = `chapter ${chapter.id}: ${who} heard ${seq} ${name} after ${watching.seq}`
    if (seq === watching.seq + 1) watching.seq = seq
    else if (seq <= watching.seq) findings.found('repeated', what)
    else {
      findings.found('disorder', what)
      watching.seq = seq
    }
    if (seq > watching.last) watching.last = seq
    else if (!mayRepeat && seq === watching.seq) findings.found('repeated', `${what}, as before`)
    watching.heardAt[seq] ??= Date.now()
    const known = chapter.heard[seq]
    chapter.heard[seq] ??= name
    if (known !== undefined && known !== name) findings.found('wrongEvent', `${what}; others heard ${known}`)
  }

  const sockets = Array.from({ length: count }, (_, index) => {
    const kind = (['stock', 'cursor', 'stock', 'sleeper'] as const)[index % 4] as SocketKind
    return createSocketWatcher(`${kind} ${index}`, kind, ledger.chanceOf('watcher', index))
  })
  const libraries = Array.from({ length: LIBRARY_CLIENTS }, () =>
    connectChapters(balancerUrl, {
      socket: { ...WEBSOCKET, reconnectionDelay: 100, reconnectionDelayMax: 1000 },
    }),
  )

  type SocketKind = 'stock' | 'cursor' | 'sleeper'

  function createSocketWatcher(who: string, kind: SocketKind, random: Random) {
    const isStock = kind === 'stock'
    let node = random.pick(nodes)
    const rooms = new Map<number, Watching>()
    const texts = new Map<string, number>()
    const socket: Socket = io(node.url, {
      ...WEBSOCKET,
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
      timeout: 5000,
      ...(isStock ? {} : { auth: { resume: false } }),
    })
    let isAsleep = false

    // As behind a load balancer: any node that serves.
    socket.io.on('reconnect_attempt', () => {
      node = random.pick(nodes.filter(({ isServing }) => isServing)) ?? node
      ;(socket.io as unknown as { uri: string }).uri = node.url
    })
    socket.on('connect', () => {
      texts.clear()
      for (const watching of rooms.values()) {
        if (isStock) watching.seq = 0
        else void join(watching)
      }
    })
    socket.on('disconnect', (reason) => {
      if (isOver || isAsleep) return
      if (reason === 'io server disconnect') {
        findings.found('stayedAway', `${who} was told to stay away by node ${node.index}`)
        socket.connect()
      } else if (node.troubledUntil < Date.now())
        findings.found('connection', `${who} lost node ${node.index}: ${reason}`)
    })
    socket.onAny((name: string, payload: Heard) => {
      const watching = rooms.get(payload?.chapter_id)
      if (watching === undefined) return
      if (payload.seq !== undefined) hear(watching, name, payload.seq, isStock)
      else if (name.endsWith('_partial')) hearText(watching, name, payload as unknown as TextSoFar)
      else if (name === 'joined_chapter' && (payload as { reset?: boolean }).reset)
        findings.found(
          'lostResult',
          `chapter ${payload.chapter_id}: its log went back behind ${watching.seq}`,
        )
    })

    function hearText({ chapter }: Watching, name: string, { offset, text }: TextSoFar): void {
      if (text === undefined) return
      const key = `${chapter.id} ${name}`
      const length = texts.get(key) ?? 0
      if (offset > length) findings.found('partial', `${who}: ${key} goes on at ${offset}, after ${length}`)
      texts.set(key, offset + text.length)
    }

    /** Once; again only while nobody answered. */
    async function join(watching: Watching): Promise<void> {
      const { id } = watching.chapter
      while (!isOver && rooms.get(id) === watching && !isAsleep) {
        const { id: connection } = socket
        try {
          const after = isStock ? {} : { after_seq: watching.seq }
          const ack = await socket
            .timeout(JOIN_TIMEOUT_MS)
            .emitWithAck('join_chapter', { chapter_id: id, ...after })
          if (ack.ok) watching.inSince ??= Date.now()
          if (ack.ok) return
        } catch {}
        await delay(200)
        // A client with a cursor has joined again by itself.
        if (!isStock && connection !== socket.id) return
      }
    }

    async function sleep(): Promise<void> {
      while (!isOver) {
        await delay(4000 + random.below(8000))
        if (isOver) return
        isAsleep = true
        socket.disconnect()
        await delay(500 + random.below(5000))
        // It wakes up elsewhere, as after a reload of the page.
        node = random.pick(nodes.filter(({ isServing }) => isServing)) ?? node
        ;(socket.io as unknown as { uri: string }).uri = node.url
        isAsleep = false
        socket.connect()
      }
    }
    if (kind === 'sleeper') void sleep()

    return {
      socket,
      who,
      get isAsleep() {
        return isAsleep
      },
      watch(chapter: KnownChapter) {
        const watching = begin(chapter, who, kind === 'sleeper', () => {
          rooms.delete(chapter.id)
          if (socket.connected) socket.emit('leave_chapter', { chapter_id: chapter.id })
        })
        rooms.set(chapter.id, watching)
        if (isStock || socket.connected) void join(watching)
      },
    }
  }

  function watchWithLibrary(chapters: Chapters, chapter: KnownChapter): void {
    const watch = chapters.watch(chapter.id)
    let read = 0
    const watching = begin(chapter, 'chaptercast-client', false, () => stop())
    const stop = watch.subscribe(() => {
      if (watch.snapshot.connection === 'live') watching.inSince ??= Date.now()
      for (const { name, payload } of watch.events.slice(read)) hear(watching, name, payload.seq, false)
      read = watch.events.length
    })
  }

  async function readStream(chapter: KnownChapter, random: Random): Promise<void> {
    let isLeft = false
    let request: ReturnType<typeof get> | undefined
    const watching = begin(chapter, 'event stream', true, () => {
      isLeft = true
      request?.destroy()
    })
    while (!isLeft && !isOver) {
      const node = random.pick(nodes.filter(({ isServing }) => isServing)) ?? random.pick(nodes)
      await new Promise<void>((resolve) => {
        const headers = { accept: 'text/event-stream', 'last-event-id': String(watching.seq) }
        request = get(`${node.url}/v1/chapter/${chapter.id}/events`, {
          agent: false,
          headers,
          timeout: 20_000,
        })
        request.on('timeout', () => request?.destroy())
        request.on('error', () => {})
        request.on('close', resolve)
        request.on('response', (response: IncomingMessage) =>
          readEvents(response, (name, seq) => hear(watching, name, seq, false)),
        )
      })
      await delay(300)
    }
  }

  const courses = new Map<number, CourseWatch>()
  function followCourse(courseId: number): void {
    if (courses.has(courseId)) return
    const course = (libraries[courseId % libraries.length] as Chapters).watchCourse(courseId)
    courses.set(courseId, course)
    course.subscribe(() => {})
  }

  return {
    watchings,
    courses,
    watch(chapter) {
      followCourse(chapter.courseId)
      const random = ledger.chanceOf('watch', chapter.n, chapter.id)
      const some = new Set([random.pick(sockets), random.pick(sockets)])
      for (const watcher of some)
        void delay(random.chance(0.5) ? 0 : random.below(1500)).then(() => watcher.watch(chapter))
      if (random.chance(0.15)) watchWithLibrary(random.pick(libraries), chapter)
      if (random.chance(0.08)) void readStream(chapter, random)
    },
    away: () => sockets.flatMap(({ socket, who, isAsleep }) => (socket.connected || isAsleep ? [] : [who])),
    async close() {
      isOver = true
      for (const { socket } of sockets) socket.disconnect()
      for (const chapters of libraries) chapters.close()
      for (const watching of watchings) watching.leave()
    },
  }
}

interface TextSoFar {
  offset: number
  text?: string
}

/** Logged events alone; the others have no id. */
function readEvents(response: IncomingMessage, onEvent: (name: string, seq: number) => void): void {
  let rest = ''
  response.setEncoding('utf8').on('data', (part: string) => {
    const blocks = (rest + part).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const id = /^id: ?(\d+)$/m.exec(block)?.[1]
      const name = /^event: ?(.+)$/m.exec(block)?.[1]
      if (id !== undefined && name !== undefined) onEvent(name, Number(id))
    }
  })
  response.on('error', () => {})
}
