/**
 * The bus between nodes: what a commit group wrote travels on one Redis channel per chapter, and only nodes with somebody
 * in the chapter's room subscribe to it. A node hears nothing of other chapters.
 *
 * Redis pub/sub delivers at most once. Nothing here throws, waits without end or rejects. Instead the bus knows when
 * messages may have been missed, and says so (`onMissed`), so that the feed reads the log:
 *
 * - after a reconnect of the subscriber, and for a chapter whose subscription was confirmed late;
 * - while a node does not hear its own heartbeat: a half-open connection is deaf without an error. After two missed
 *   heartbeats the connection is made anew;
 * - while another node's heartbeat is missing: it died, or cannot publish, and may have committed since;
 * - when another node says in its heartbeat that a publish of its failed.
 *
 * Courses travel in the same way. Few are followed, and every chapter is in one, so a node says in its heartbeat which
 * courses it has open, and nothing is published about others. A node that opens one says so at once; what was committed
 * before that was heard is found by the course's next comparison with the database.
 *
 * Channels: `{prefix}:feed:{chapter id}`, `{prefix}:course:{course id}`, and `{prefix}:nodes` for heartbeats. A message
 * is the sender's id and JSON. Text so far travels on the chapter's channel, too: so it does not overtake the event that
 * ends it.
 */
import { Type } from '@sinclair/typebox'
import type { FastifyBaseLogger } from 'fastify'
import { createBatcher } from '../async/batcher.js'
import { within } from '../async/deadline.js'
import { CourseChapter } from '../contract/course.js'
import { JOB_KINDS } from '../contract/job.js'
import { PartialQuestion } from '../contract/partial.js'
import { LOCALES, stringEnum } from '../contract/scalar.js'
import { compileCheck } from '../contract/validation.js'
import type { CourseEntry } from '../domain/course.js'
import type { FeedEntry } from './chapter-feed.js'
import type { RedisConnections } from './redis.js'
import type { TextMessage } from './texts.js'

export interface Bus {
  /** Tells every other node that has somebody in these chapters' rooms; may be lost. */
  publish(entries: FeedEntry[]): void
  /** The same for text so far. */
  publishText(chapterId: number, message: TextMessage): void
  /**
   * Hears the chapter from now on. Resolves when Redis has confirmed it, or soon if Redis is away; then `onMissed`
   * follows the confirmation. May be called again.
   */
  subscribe(chapterId: number): Promise<void>
  /** Stops a while later: rooms often open again at once. */
  unsubscribe(chapterId: number): void
  /**
   * As `publish`, for statuses of chapters in courses that other nodes have open. They go out in the write of the next
   * `publish` of this turn, if there is one.
   */
  publishCourses(entries: CourseEntry[]): void
  /** As `subscribe`, and tells the other nodes that the course is open here. */
  openCourse(courseId: number): Promise<void>
  closeCourse(courseId: number): void
  /** Whether another node may have the course open. */
  hasCourse(courseId: number): boolean
  /** Where messages go. Call it once, before the first subscription. */
  listen(listener: BusListener): void
  /** The same, for courses. */
  listenToCourses(listener: CourseBusListener): void
  /** Whether this node hears its own heartbeat. */
  readonly isHearing: boolean
  /** Whether every message of every known node can be expected to arrive. */
  readonly isComplete: boolean
  /** The same of courses: nodes of an earlier release say nothing of theirs. */
  readonly isCourseComplete: boolean
  /** Since the start. */
  readonly counts: { unsent: number; unusable: number; received: number }
  close(): void
}

export interface BusListener {
  onEntry: (entry: FeedEntry) => void
  onText?: (chapterId: number, message: TextMessage) => void
  /** Messages may have been missed: of this chapter, or of any. */
  onMissed: (chapterId?: number) => void
}

export interface CourseBusListener {
  onEntry: (entry: CourseEntry) => void
  /** Messages may have been missed: of this course, or of any. */
  onMissed: (courseId?: number) => void
}

export interface BusOptions {
  redis: RedisConnections
  prefix: string
  /** Of this process. */
  nodeId: string
  log: FastifyBaseLogger
  /** How long a channel stays subscribed after its room closed, ms. */
  lingerMs?: number
}

const HEARTBEAT_MS = 1000
/** Heartbeats in a row that may be missed before messages count as missed. */
const MAX_MISSED = 2
/** Then a silent node counts as dead. What it wrote last has been read from the log. */
const FORGET_AFTER_MISSED = 300
/** A bound, because anyone who can publish may invent nodes. */
const MAX_NODES = 1000
/** How long a join waits for Redis to confirm a subscription, ms. */
const CONFIRM_MS = 500
const LINGER_MS = 5000
/** Of one command. */
const MAX_CHANNELS = 1000
/** Courses that a heartbeat names; a node that has more open hears of all. */
const MAX_NAMED_COURSES = 500
/** Every node announces its open courses within this time, ms. */
const ALL_HEARD_MS = 2.5 * HEARTBEAT_MS

interface Channel {
  /** What it is about. */
  id: number
  onLate: (id: number) => void
  isConfirmed: boolean
  /** Somebody went on before it was confirmed. */
  isOverdue: boolean
  confirmed: Promise<unknown>
  /** When its room closed, by `performance.now()`; undefined while it is open. */
  closedAt: number | undefined
}

type Message = [channel: string, body: string]

interface Heartbeat {
  /** A publish failed since the last one that arrived. */
  failed?: boolean
  /** The node is leaving; nobody needs to wait for it. */
  leaving?: boolean
  /** The courses that it has open; `all` stands for many. Absent: an earlier release, which hears of none. */
  courses?: number[] | 'all'
}

export function createBus({ redis, prefix, nodeId, log, lingerMs = LINGER_MS }: BusOptions): Bus {
  const { publisher, subscriber } = redis
  const counts = { unsent: 0, unusable: 0, received: 0 }
  const feedPrefix = `${prefix}:feed:`
  const feedPrefixBytes = Buffer.from(feedPrefix)
  const nodesChannel = `${prefix}:nodes`
  const nodesChannelBytes = Buffer.from(nodesChannel)
  const ownId = Buffer.from(nodeId)
  const coursePrefix = `${prefix}:course:`
  const coursePrefixBytes = Buffer.from(coursePrefix)
  const checkEntry = compileCheck(Entry, 'feed')
  const checkText = compileCheck(Text, 'text')
  const checkCourseEntry = compileCheck(CourseMessage, 'course')
  /** By name. */
  const channels = new Map<string, Channel>()
  /** The courses that other nodes have open, by node; null: it does not say. */
  const coursesOf = new Map<string, ReadonlySet<number> | 'all' | null>()
  const openCourses = new Set<number>()
  const courseMessages: Message[] = []
  let isAnnouncing = false
  /** Since when heartbeats are heard without a pause, by `performance.now()`. */
  let hearingSince = Number.POSITIVE_INFINITY
  /** Heartbeats missed in a row, by node, this one included. */
  const missed = new Map<string, number>([[nodeId, 0]])
  let listener: BusListener = { onEntry() {}, onMissed() {} }
  let courseListener: CourseBusListener = { onEntry() {}, onMissed() {} }
  let hasFailed = false

  const confirm = createBatcher(
    async (names: string[]) => {
      await subscriber.subscribe(...names)
      return names.map(() => undefined)
    },
    { maxBatch: MAX_CHANNELS },
  )

  /** One write for all of them. */
  function send(messages: Message[]): void {
    const fail = (error: unknown) => {
      counts.unsent += messages.length
      hasFailed = true
      log.debug({ err: error }, 'other nodes could not be told; they read the log')
    }
    if (publisher.status !== 'ready') {
      fail(new Error(`Redis is ${publisher.status}`))
      return
    }
    const pipeline = publisher.pipeline()
    for (const [channel, body] of messages) pipeline.publish(channel, nodeId + body)
    pipeline.exec().then((results) => {
      const error = results?.find(([failure]) => failure !== null)?.[0]
      if (error !== undefined) fail(error)
    }, fail)
  }

  /** Those that no `publish` took along. */
  function sendCourseMessages(): void {
    if (courseMessages.length > 0) send(courseMessages.splice(0))
  }

  function sendHeartbeat(about: Heartbeat = {}): void {
    const failed = hasFailed ? { failed: true } : {}
    hasFailed = false
    const courses = openCourses.size > MAX_NAMED_COURSES ? 'all' : [...openCourses]
    send([[nodesChannel, JSON.stringify({ ...failed, courses, ...about } satisfies Heartbeat)]])
  }

  /** Soon, and once for all courses that are opened in this turn. */
  function announceCourses(): void {
    if (isAnnouncing) return
    isAnnouncing = true
    setImmediate(() => {
      isAnnouncing = false
      sendHeartbeat()
    })
  }

  function receive(channel: Buffer, message: Buffer): void {
    const isOwn = message.subarray(0, ownId.length).equals(ownId)
    if (channel.equals(nodesChannelBytes)) {
      const sender = message.toString('utf8', 0, ownId.length)
      noteHeartbeat(sender, JSON.parse(message.toString('utf8', ownId.length)))
    } else if (channel.subarray(0, feedPrefixBytes.length).equals(feedPrefixBytes)) {
      receiveOn(channel, isOwn, message, receiveEntry)
    } else if (channel.subarray(0, coursePrefixBytes.length).equals(coursePrefixBytes))
      receiveOn(channel, isOwn, message, receiveCourseEntry)
  }

  function receiveOn(channel: Buffer, isOwn: boolean, message: Buffer, take: (text: string) => void): void {
    const name = channel.toString()
    counts.received += 1
    // A reconnect restored a subscription that is no longer wanted.
    if (!channels.has(name)) void subscriber.unsubscribe(name)
    else if (!isOwn) take(message.toString('utf8', ownId.length))
  }

  function receiveEntry(text: string): void {
    const entry = JSON.parse(text) as FeedEntry & { text?: unknown }
    if (checkEntry(entry).length > 0) throw unknownShape()
    if (entry.text === undefined) {
      listener.onEntry(entry)
      return
    }
    const message = entry.text as TextMessage
    // Half a character is no text that a check would let pass.
    if (checkText({ ...message, half: '' }).length > 0) throw unknownShape()
    const isOfKind = (message.kind === 'quiz') === Array.isArray(message.content)
    if (!isOfKind || typeof message.half !== 'string') throw unknownShape()
    listener.onText?.(entry.chapterId, message)
  }

  function receiveCourseEntry(text: string): void {
    const entry: unknown = JSON.parse(text)
    if (checkCourseEntry(entry).length > 0)
      throw new Error('a message of another node about a course has an unknown shape')
    courseListener.onEntry(entry as CourseEntry)
  }

  function noteHeartbeat(sender: string, about: unknown): void {
    if (typeof about !== 'object' || about === null || Array.isArray(about))
      throw new Error('a heartbeat has an unknown shape')
    if (!missed.has(sender) && missed.size >= MAX_NODES) throw new Error('there are too many nodes')
    const { failed, leaving, courses }: Heartbeat = about
    const before = missed.get(sender) ?? 0
    if (sender !== nodeId) noteCourses(sender, leaving === true ? [] : courses)
    if (leaving === true && sender !== nodeId) forget(sender)
    else missed.set(sender, 0)
    if (before >= MAX_MISSED || failed === true) missedAll()
    if (before > MAX_MISSED && sender === nodeId) {
      hearingSince = performance.now()
      log.info('Redis delivers again')
    }
  }

  function noteCourses(sender: string, courses: unknown): void {
    if (courses === 'all') coursesOf.set(sender, 'all')
    else coursesOf.set(sender, Array.isArray(courses) ? new Set(courses as number[]) : null)
  }

  function forget(node: string): void {
    missed.delete(node)
    coursesOf.delete(node)
  }

  function missedAll(): void {
    listener.onMissed()
    courseListener.onMissed()
  }

  subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
    try {
      receive(channel, message)
    } catch (error) {
      counts.unusable += 1
      log.warn({ err: error }, 'a message of another node could not be used')
    }
  })
  // Every channel again: ioredis forgets what waited in its queue when Redis refused a connection. Confirmed in order,
  // so the last one says that all are.
  subscriber.on('ready', () => {
    const all = [...channels.keys()]
    for (let start = 0; start < all.length; start += MAX_CHANNELS)
      void subscriber.subscribe(...all.slice(start, start + MAX_CHANNELS))
    void subscriber.subscribe(nodesChannel).then(() => {
      hearingSince = performance.now()
      sendHeartbeat()
      missedAll()
    })
  })

  const heartbeat = setInterval(() => {
    for (const [node, count] of missed) {
      missed.set(node, count + 1)
      if (node !== nodeId) {
        if (count + 1 > FORGET_AFTER_MISSED) forget(node)
      } else if (count >= MAX_MISSED) reconnectDeaf(count)
    }
    sendHeartbeat()
  }, HEARTBEAT_MS)

  function reconnectDeaf(count: number): void {
    if (count === MAX_MISSED) log.warn('Redis does not deliver; rooms are fed from the log')
    // A connection that looks healthy, or that waits for the first answer of a silent server, would wait for ever. In
    // other states ioredis reconnects by itself.
    if (count % MAX_MISSED === 0 && ['ready', 'connect'].includes(subscriber.status))
      subscriber.disconnect(true)
  }

  const closing = setInterval(() => {
    const before = performance.now() - lingerMs
    const closed = [...channels].filter(
      ([, { closedAt, isConfirmed }]) => isConfirmed && closedAt !== undefined && closedAt < before,
    )
    for (const [name] of closed) channels.delete(name)
    for (let start = 0; start < closed.length; start += MAX_CHANNELS)
      void subscriber.unsubscribe(...closed.slice(start, start + MAX_CHANNELS).map(([name]) => name))
  }, lingerMs / 2)

  function open(name: string, id: number, onLate: Channel['onLate']): Channel {
    const channel: Channel = {
      id,
      onLate,
      isConfirmed: false,
      isOverdue: false,
      closedAt: undefined,
      confirmed: confirm(name).then(() => {
        channel.isConfirmed = true
        if (channel.isOverdue) channel.onLate(id)
      }),
    }
    channels.set(name, channel)
    return channel
  }

  async function isConfirmed(channel: Channel): Promise<void> {
    if (channel.isConfirmed) return
    if (isHearing() && subscriber.status === 'ready')
      await within(CONFIRM_MS, channel.confirmed, 'Redis').catch(() => {})
    if (!channel.isConfirmed) channel.isOverdue = true
  }

  function close(name: string): void {
    const channel = channels.get(name)
    if (channel !== undefined) channel.closedAt = performance.now()
  }

  const isHearing = () => (missed.get(nodeId) ?? 0) <= MAX_MISSED

  function isComplete(): boolean {
    for (const count of missed.values()) if (count > MAX_MISSED) return false
    return true
  }

  return {
    publish(entries) {
      if (entries.length === 0) return
      const messages = entries.map((entry): Message => [feedPrefix + entry.chapterId, JSON.stringify(entry)])
      send([...messages, ...courseMessages.splice(0)])
    },
    publishText(chapterId, text) {
      // A node of the release before takes it for an entry with nothing in it.
      const message = { chapterId, events: [], progress: null, text }
      send([[feedPrefix + chapterId, JSON.stringify(message)]])
    },
    async subscribe(chapterId) {
      const name = feedPrefix + chapterId
      const channel = channels.get(name) ?? open(name, chapterId, (id) => listener.onMissed(id))
      channel.closedAt = undefined
      await isConfirmed(channel)
    },
    unsubscribe: (chapterId) => close(feedPrefix + chapterId),
    publishCourses(entries) {
      if (entries.length === 0) return
      if (courseMessages.length === 0) queueMicrotask(sendCourseMessages)
      for (const entry of entries)
        courseMessages.push([coursePrefix + entry.chapter.course_id, JSON.stringify(entry)])
    },
    async openCourse(courseId) {
      const name = coursePrefix + courseId
      const channel = channels.get(name) ?? open(name, courseId, (id) => courseListener.onMissed(id))
      channel.closedAt = undefined
      if (!openCourses.has(courseId)) announceCourses()
      openCourses.add(courseId)
      await isConfirmed(channel)
    },
    closeCourse(courseId) {
      openCourses.delete(courseId)
      close(coursePrefix + courseId)
    },
    hasCourse(courseId) {
      // Until every node had its turn to say so, any may have it.
      if (!isHearing() || performance.now() - hearingSince < ALL_HEARD_MS) return true
      for (const courses of coursesOf.values())
        if (courses === 'all' || courses?.has(courseId) === true) return true
      return false
    },
    listen(added) {
      listener = added
    },
    listenToCourses(added) {
      courseListener = added
    },
    get isHearing() {
      return isHearing()
    },
    get isComplete() {
      return isComplete()
    },
    get isCourseComplete() {
      return isComplete() && ![...coursesOf.values()].includes(null)
    },
    counts,
    close() {
      clearInterval(heartbeat)
      clearInterval(closing)
      sendHeartbeat({ leaving: true })
    },
  }
}

/** All our events match it. Socket.IO throws when it is to send one of its own, such as `disconnect`. */
const EVENT_NAME = '^(?!connect_error$)[a-z]+(_[a-z]+)+$'
function unknownShape(): Error {
  return new Error('a message of another node has an unknown shape')
}

const count = Type.Integer({ minimum: 0 })
const Text = Type.Object({
  kind: stringEnum(JOB_KINDS),
  jobId: Type.String(),
  attempt: Type.Integer({ minimum: 1 }),
  stamp: count,
  follows: count,
  length: count,
  half: Type.String(),
  offset: count,
  content: Type.Union([Type.String(), Type.Array(PartialQuestion)]),
})

/** What another node may send. It may run another release, so only the fields that are used are checked. */
const Entry = Type.Object({
  chapterId: Type.Integer({ minimum: 1 }),
  events: Type.Array(
    Type.Object({
      name: Type.String({ pattern: EVENT_NAME }),
      payload: Type.Object({ seq: Type.Integer({ minimum: 1 }) }),
    }),
  ),
  progress: Type.Union([
    Type.Null(),
    Type.Object({ version: Type.Integer(), update: Type.Object({ progress: Type.Number() }) }),
  ]),
  deleted: Type.Optional(Type.String()),
  trace: Type.Optional(Type.String()),
})

/** The same of a chapter in a course. */
const CourseMessage = Type.Object({
  chapter: CourseChapter,
  ownerId: Type.Integer({ minimum: 1 }),
  locale: stringEnum(LOCALES),
  hasEndedRun: Type.Optional(Type.Boolean()),
  isGone: Type.Optional(Type.Boolean()),
})
