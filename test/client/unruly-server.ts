/**
 * A server that keeps its logs well and its manners badly. Chapters are decided as the real server decides them;
 * what is said of them to clients is dropped, repeated, delayed and reordered, joins are refused or never
 * answered, requests fail or hang. How connections fail is the wire’s: see `memory-wire.ts` and `real-wire.ts`.
 */
import type { ChapterView } from '../../src/contract/chapter.js'
import type { ChapterEvent } from '../../src/contract/event.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { type ChapterState, contentRevisionOf, isRunning, jobsOf } from '../../src/domain/chapter.js'
import { RevisionNotFoundError, WrongStateError } from '../../src/errors.js'
import { summaryOf } from '../../src/store/chapters.js'
import {
  at,
  created,
  decideOn,
  expireOf,
  failOf,
  finishOf,
  markedPublished,
  progressOf,
  startOf,
} from '../support/chapters.js'
import type { Random } from '../support/random.js'

/** Chances, 0 to 1, and how long things may take. */
export interface Manners {
  drop: number
  repeat: number
  delay: number
  delayMs: number
  /** A join is refused with a code that passes. */
  refuse: number
  /** An ack is never sent. */
  unanswered: number
  /** An HTTP request fails, or hangs. */
  failHttp: number
  hangHttp: number
}

export const WELL: Manners = {
  drop: 0,
  repeat: 0,
  delay: 0,
  delayMs: 0,
  refuse: 0,
  unanswered: 0,
  failHttp: 0,
  hangHttp: 0,
}

/** The server’s side of one connection. */
export interface Peer {
  /** Which client it is of: one client has many connections, one after another. */
  readonly client: string
  readonly isOpen: boolean
  /** Whether what is emitted arrives. */
  readonly isHeard: boolean
  emit(name: string, payload: object): void
}

interface Membership {
  peer: Peer
  rooms: Set<number>
  /** When a chapter was asked for last: an answer to an earlier join is none to a client. */
  asked: Map<number, number>
  joins: number
  /** What is asked of it is done in order. */
  busyUntil: number
}

const RESTORE = { type: 'restore', chapterId: 1, revision: 99, instruction: null } as const

/** One chapter, in all of its lives. */
export class UnrulyChapter {
  readonly id: number
  /** Of every life; the last one is the present. */
  readonly logs: ChapterEvent[][] = [[]]
  state: ChapterState | undefined
  isExpired = false
  /** Clients that heard of the present life. */
  readonly knownTo = new Set<string>()

  constructor(id: number) {
    this.id = id
  }

  get log(): ChapterEvent[] {
    return this.logs.at(-1) as ChapterEvent[]
  }

  get isOver(): boolean {
    return this.state !== undefined && this.state.status !== 'processing'
  }

  get logFrom(): number {
    return this.isExpired ? this.log.length + 1 : 1
  }

  joined(): object {
    const { state } = this
    if (state === undefined) return { chapter_id: this.id }
    const { status, progress, lastSeq } = state
    const expired = this.isExpired ? { expired: true } : {}
    return { chapter_id: this.id, status, progress, last_seq: lastSeq, ...expired }
  }

  view(): ChapterView {
    if (this.state === undefined) throw new Error(`chapter ${this.id} does not exist`)
    const jobs = jobsOf(this.state).map((job) => ({
      kind: job.kind,
      job_id: job.jobId,
      status: job.status,
      attempt: job.attempt,
      max_attempts: job.maxAttempts,
      progress: job.progress,
      requested_at: new Date(job.requestedAt).toISOString(),
      started_at: null,
      last_heard_at: null,
      deadline_at: null,
      error: job.reason === null ? null : { reason: job.reason, message: job.error },
      revision: isRunning(job) ? job.revision : (contentRevisionOf(job) ?? job.revision),
      content_revision: contentRevisionOf(job),
      history: [],
    }))
    return { ...summaryOf(this.state), jobs }
  }

  /** The next thing that happens to it, whatever that is; its events. */
  advance(random: Random, now: number): ChapterEvent[] {
    const context = at(now, { random })
    if (this.state === undefined) {
      const { state, events } = created({}, context)
      return this.#take({ ...state, id: this.id }, events)
    }
    const { state } = this
    const kind = random.pick(JOB_KINDS)
    const command = random.pick([
      () => undefined,
      () => startOf(state, kind),
      () => startOf(state, kind),
      () => finishOf(kind),
      () => failOf(kind, { retryable: random.chance(0.7) }),
      () => expireOf(state, kind),
      () => progressOf(random.below(90), { kind }),
      () => progressOf(random.below(90), { kind }),
      () => ({ type: 'retry', chapterId: 1 }) as const,
      () => ({ type: 'regenerate', chapterId: 1, kind, instruction: null }) as const,
      () => ({ ...RESTORE, kind, content: finishOf(kind) }) as const,
      () => (random.chance(0.1) ? ({ type: 'cancel', chapterId: 1 } as const) : startOf(state, kind)),
    ])()
    if (command !== undefined) return this.#decide(command, context)
    this.state = markedPublished(state, JOB_KINDS, now)
    return []
  }

  /** Whatever is under way comes to its end. */
  end(random: Random, now: number): ChapterEvent[] {
    if (this.state === undefined) this.advance(random, now)
    for (const { kind } of jobsOf(this.state as ChapterState).filter(isRunning))
      this.#decide(finishOf(kind), at(now))
    return []
  }

  beginAnotherLife(): void {
    this.logs.push([])
    this.state = undefined
    this.knownTo.clear()
  }

  #decide(command: Parameters<typeof decideOn>[1], context: ReturnType<typeof at>): ChapterEvent[] {
    try {
      const { state, events } = decideOn(this.state as ChapterState, command, context)
      return this.#take(state, events)
    } catch (error) {
      if (error instanceof WrongStateError || error instanceof RevisionNotFoundError) return []
      throw error
    }
  }

  #take(state: ChapterState, events: readonly ChapterEvent[]): ChapterEvent[] {
    this.state = state
    const own = events.map(
      ({ name, payload }) => ({ name, payload: { ...payload, chapter_id: this.id } }) as ChapterEvent,
    )
    this.log.push(...own)
    return own
  }
}

export class UnrulyServer {
  readonly random: Random
  readonly chapters = new Map<number, UnrulyChapter>()
  manners: Manners
  /** Called when a client asks to join. */
  onJoin: (client: string, chapterId: number, after: number) => void = () => {}
  readonly #peers = new Map<Peer, Membership>()
  /** The largest `seq` that a client was told of, for each chapter and life. */
  readonly #told = new Map<string, number>()

  constructor(random: Random, manners: Manners) {
    this.random = random
    this.manners = manners
  }

  chapter(id: number): UnrulyChapter {
    const chapter = this.chapters.get(id) ?? new UnrulyChapter(id)
    this.chapters.set(id, chapter)
    return chapter
  }

  toldOf(client: string, chapter: UnrulyChapter): number {
    return this.#told.get(`${client} ${chapter.id} ${chapter.logs.length}`) ?? 0
  }

  membersOf({ id }: UnrulyChapter): number {
    return [...this.#peers.values()].filter(({ rooms }) => rooms.has(id)).length
  }

  connected(peer: Peer): void {
    this.#peers.set(peer, { peer, rooms: new Set(), asked: new Map(), joins: 0, busyUntil: 0 })
    peer.emit('connection_established', { status: 'connected' })
  }

  disconnected(peer: Peer): void {
    this.#peers.delete(peer)
  }

  /** What a client emitted. */
  hears(peer: Peer, name: string, payload: unknown, ack: (answer: object) => void): void {
    const { chapter_id: chapterId, after_seq: after = 0 } = payload as {
      chapter_id: number
      after_seq?: number
    }
    const member = this.#peers.get(peer)
    if (member === undefined) return
    if (chapterId === 0) {
      ack({ ok: false, code: 'invalid_request', message: 'no such chapter' })
      return
    }
    member.joins += 1
    const turn = member.joins
    if (name === 'join_chapter') {
      member.asked.set(chapterId, turn)
      this.onJoin(peer.client, chapterId, after)
    }
    const chapter = this.chapter(chapterId)
    this.#inOrder(member, () => {
      if (name === 'join_chapter') this.#join(member, chapter, after, turn, ack)
      else if (name === 'leave_chapter') {
        member.rooms.delete(chapterId)
        ack({ ok: true, chapter_id: chapterId })
      }
    })
  }

  /** Something happens to a chapter, and its rooms are told. */
  advance(chapter: UnrulyChapter, how: 'any' | 'end' = 'any'): void {
    const from = chapter.log.length
    if (how === 'any') chapter.advance(this.random, Date.now())
    else chapter.end(this.random, Date.now())
    const events = chapter.log.slice(from)
    for (const member of this.#peers.values())
      if (member.rooms.has(chapter.id)) for (const event of events) this.#tell(member, chapter, event)
    this.tellProgress(chapter)
  }

  tellProgress(chapter: UnrulyChapter): void {
    const update = { progress: 0, message: '', ...chapter.state?.latestProgress, chapter_id: chapter.id }
    for (const member of this.#peers.values())
      if (member.rooms.has(chapter.id)) this.#emit(member, 'progress_update', update)
  }

  /** As `fetch` of a client. */
  fetch: typeof fetch = async (input, init) => {
    const { random, manners } = this
    const signal = init?.signal
    const hangs = random.chance(manners.hangHttp)
    await new Promise<void>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      if (!hangs) setTimeout(resolve, 1 + random.below(manners.delayMs + 1))
    })
    if (random.chance(manners.failHttp)) {
      if (random.chance(0.5)) throw new TypeError('fetch failed')
      return answer(
        503,
        { code: 'unavailable', title: 'Unavailable', detail: 'later' },
        { 'retry-after': '1' },
      )
    }
    const { pathname, searchParams } = new URL(String(input))
    const [, id, what] = /\/v1\/chapter\/(\d+)(?:\/(\w+))?/.exec(pathname) ?? []
    const chapter = this.chapters.get(Number(id))
    if (chapter?.state === undefined)
      return answer(404, { code: 'chapter_not_found', title: 'Unknown', detail: 'no such chapter' })
    if (what === 'events') {
      const after = Number(searchParams.get('after') ?? 0)
      const events = chapter.isExpired ? [] : chapter.log.filter(({ payload }) => payload.seq > after)
      return answer(200, {
        events: events.map(({ name, payload }) => ({ event: name, data: payload })),
        last_seq: chapter.log.length,
        ...(chapter.isExpired ? { expired: true } : {}),
      })
    }
    return answer(200, chapter.view())
  }

  #join(
    member: Membership,
    chapter: UnrulyChapter,
    asked: number,
    turn: number,
    ack: (answer: object) => void,
  ): void {
    const { random, manners } = this
    const { peer } = member
    const isAnswered = !random.chance(manners.unanswered)
    if (random.chance(manners.refuse)) {
      const refusal = {
        code: random.pick(['unavailable', 'internal', 'rate_limited', 'too_many_requests']),
        message: 'not now',
      }
      this.#later(member, () => peer.emit('join_failed', { chapter_id: chapter.id, ...refusal }))
      if (isAnswered) this.#later(member, () => ack({ ok: false, ...refusal }))
      return
    }
    const end = chapter.log.length
    const isReset = asked > end
    const joined = { ...chapter.joined(), ...(isReset ? { reset: true } : {}) }
    const life = chapter.logs.length
    const tell = (told: () => void) => {
      this.#note(peer, chapter, life, end)
      told()
    }
    // Nor, where nothing is answered, this.
    if (isAnswered || random.chance(0.5))
      this.#later(member, () => tell(() => peer.emit('joined_chapter', joined)))
    if (!member.rooms.has(chapter.id)) {
      member.rooms.add(chapter.id)
      if (!chapter.isExpired)
        for (const event of chapter.log.slice(isReset ? 0 : asked)) this.#tell(member, chapter, event)
      const progress = chapter.state?.latestProgress
      if (progress) this.#emit(member, 'progress_update', { ...progress, chapter_id: chapter.id })
    }
    if (!isAnswered) return
    this.#later(member, () =>
      tell(() => {
        if (chapter.logs.length === life && peer.isHeard && member.asked.get(chapter.id) === turn)
          chapter.knownTo.add(peer.client)
        ack({ ok: true, ...joined })
      }),
    )
  }

  #tell(member: Membership, chapter: UnrulyChapter, { name, payload }: ChapterEvent): void {
    const life = chapter.logs.length
    this.#emit(member, name, payload, () => this.#note(member.peer, chapter, life, payload.seq))
  }

  #note({ client, isHeard }: Peer, { id }: UnrulyChapter, life: number, seq: number): void {
    if (!isHeard) return
    const key = `${client} ${id} ${life}`
    this.#told.set(key, Math.max(seq, this.#told.get(key) ?? 0))
  }

  #emit(member: Membership, name: string, payload: object, sent = () => {}): void {
    if (this.random.chance(this.manners.drop)) return
    for (let copies = this.random.chance(this.manners.repeat) ? 2 : 1; copies > 0; copies -= 1)
      this.#later(member, () => {
        sent()
        member.peer.emit(name, payload)
      })
  }

  /** At once, or later than what comes after it; never on another connection. */
  #later({ peer }: Membership, act: () => void): void {
    const { random, manners } = this
    if (!random.chance(manners.delay)) {
      act()
      return
    }
    setTimeout(() => peer.isOpen && act(), random.below(manners.delayMs))
  }

  #inOrder(member: Membership, act: () => void): void {
    const now = Date.now()
    if (!this.random.chance(this.manners.delay) && member.busyUntil <= now) {
      act()
      return
    }
    member.busyUntil = Math.max(now, member.busyUntil) + 1 + this.random.below(this.manners.delayMs)
    setTimeout(() => member.peer.isOpen && act(), member.busyUntil - now)
  }
}

function answer(status: number, body: object, headers: Record<string, string> = {}): Response {
  const type = status < 400 ? 'application/json' : 'application/problem+json'
  return {
    ok: status < 400,
    status,
    headers: new Headers({ 'content-type': type, ...headers }),
    json: async () => structuredClone(body),
  } as Response
}
