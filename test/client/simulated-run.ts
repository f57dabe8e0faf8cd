/**
 * One seeded life of a few clients and chapters in virtual time: a storm, then calm, then the account of what
 * everybody heard.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  ChapterCancelledError,
  type ChapterEvent,
  ChapterFailedError,
  type ChapterSnapshot,
  type Chapters,
  type ChapterWatch,
  connectChapters,
  RefusedError,
} from '../../src/client/index.js'
import { isEndEvent } from '../../src/contract/event.js'
import { type Random, seeded } from '../support/random.js'
import { GOOD_LINE, MemoryWire } from './memory-wire.js'
import { type UnrulyChapter, UnrulyServer, WELL } from './unruly-server.js'

const STORM_MS = 120_000
/** What a run begins with, after the first. */
const BEGINS_RUN = /^chapter_retrying$|_regenerating$/
const NAMES = ['concept_completed', 'quiz_retrying', 'exercise_started', 'chapter_retrying'] as const

/** What may happen in a run besides: a chapter begins another life, or its log expires. */
const PLOTS = ['usual', 'lossy', 'usual', 'reborn', 'expired'] as const
type Plot = (typeof PLOTS)[number]

interface Client {
  name: string
  chapters: Chapters
  /** Followed from beginning to end, one for each chapter. */
  anchors: Map<number, ChapterWatch>
}

export class SimulatedRun {
  readonly faults: string[] = []
  readonly plot: Plot
  readonly wire: MemoryWire
  heard = 0
  joins = 0
  iterations = 0
  readonly #random: Random
  readonly #server: UnrulyServer
  readonly #clients: Client[] = []
  readonly #ends: Promise<void>[] = []
  readonly #later: (() => void)[] = []

  constructor(seed: number) {
    const random = seeded(seed)
    this.#random = random
    this.plot = PLOTS[seed % PLOTS.length] as Plot
    const share = () => (random.chance(0.3) ? 0 : random() * 0.3)
    this.#server = new UnrulyServer(random, {
      drop: share(),
      repeat: share(),
      delay: random(),
      delayMs: random.pick([20, 500, 5000]),
      refuse: share(),
      unanswered: share(),
      failHttp: share(),
      hangHttp: share() / 3,
    })
    this.wire = new MemoryWire(this.#server, random, {
      refuse: share(),
      hang: share() / 3,
      ignore: share() / 3,
      deny: share(),
      latencyMs: random.pick([5, 200]),
    })
    for (let id = 1 + random.below(2); id > 0; id -= 1) this.#server.chapter(id)
  }

  async live(): Promise<void> {
    const random = this.#random
    for (let n = 1 + random.below(3); n > 0; n -= 1) this.#connect(`client ${n}`)
    this.#server.onJoin = (client, chapterId, after) => this.#checkJoin(client, chapterId, after)
    for (const until = Date.now() + STORM_MS; Date.now() < until; ) {
      await passes(random.pick([0, 10, 300, 3000]) * random())
      this.#storm()
    }
    await this.#calmDown()
    await Promise.all(this.#ends)
    await this.#checkEnd()
    for (const { chapters } of this.#clients) chapters.close()
    // As long as the slowest token takes.
    await passes(100_000)
    if (this.wire.repeatedConnects > 0) this.faults.push('a client said twice who it is')
    if (this.wire.openCount > 0) this.faults.push(`${this.wire.openCount} connections are left open`)
  }

  #connect(name: string): void {
    const random = this.#random
    const token = random.chance(0.5)
      ? undefined
      : async () => {
          await passes(random.below(random.chance(0.1) ? 100_000 : 500))
          if (random.chance(0.1)) throw new Error('no token now')
          return 'token'
        }
    const chapters = connectChapters('http://server.test', {
      ...(token === undefined ? {} : { token }),
      fetch: this.#server.fetch,
      socket: { transports: this.wire.transportsFor(name) },
    })
    const client: Client = { name, chapters, anchors: new Map() }
    this.#clients.push(client)
    // Another life is announced to those who are there.
    if (this.plot === 'reborn' || random.chance(0.7))
      for (const id of this.#server.chapters.keys()) this.#anchor(client, id)
  }

  /** A user interface: what it is shown. */
  #anchor(client: Client, id: number): void {
    const watch = client.chapters.watch(id)
    client.anchors.set(id, watch)
    let last: { snapshot: ChapterSnapshot; text: string } | undefined
    watch.subscribe(() => {
      const { snapshot } = watch
      const before = last?.snapshot
      last = { snapshot, text: JSON.stringify(snapshot) }
      if (before === undefined) return
      if (snapshot === before) this.faults.push('told of no change')
      const between = this.#server.chapter(id).log.slice(before.last_seq, snapshot.last_seq)
      const isNewRun = this.plot === 'reborn' || between.some(({ name }) => BEGINS_RUN.test(name))
      if (this.plot !== 'reborn' && snapshot.last_seq < before.last_seq)
        this.faults.push(`the snapshot fell from ${before.last_seq} to ${snapshot.last_seq}`)
      if (!isNewRun && snapshot.progress < before.progress)
        this.faults.push(`progress fell from ${before.progress} to ${snapshot.progress}`)
    })
    this.#later.push(() => {
      if (last?.text !== JSON.stringify(last?.snapshot)) this.faults.push('a snapshot was changed')
    })
  }

  #storm(): void {
    const random = this.#random
    const chapter = random.pick([...this.#server.chapters.values()])
    const dice = random()
    if (dice < 0.5) {
      if (this.#isKnown(chapter) && !chapter.isExpired) this.#server.advance(chapter)
    } else if (dice < 0.6) {
      if (this.plot !== 'lossy') this.wire.disturb(random.pick(['close', 'disconnect', 'silence']), random())
    } else if (dice < 0.62 && this.plot === 'reborn' && this.#isKnown(chapter)) {
      chapter.beginAnotherLife()
      this.wire.disturb('close')
    } else if (dice < 0.63 && this.plot === 'expired' && chapter.isOver) {
      chapter.isExpired = true
    } else if (this.#ends.length < 12 && dice < 0.75) {
      this.#follow(random.pick(this.#clients), chapter)
    }
  }

  /** Whether everyone who could take another life’s events for the present one’s knows better. */
  #isKnown(chapter: UnrulyChapter): boolean {
    return chapter.logs.length === 1 || this.#clients.every(({ name }) => chapter.knownTo.has(name))
  }

  #follow(client: Client, chapter: UnrulyChapter): void {
    const random = this.#random
    const { id } = chapter
    const cursor = random.pick(this.#clients).anchors.get(id)?.cursor ?? 0
    const after = random.pick([0, 0, cursor, random.below(cursor + 1)])
    const anchor = random.chance(0.3) ? client.anchors.get(id) : undefined
    const start = anchor === undefined ? after : 0
    const watch = anchor ?? client.chapters.watch(id, { after })
    const way = random.below(4)
    if (way === 0) this.#ends.push(this.#complete(watch))
    else if (way === 1 && this.plot !== 'reborn' && this.plot !== 'expired')
      this.#listen(watch, chapter, start)
    else this.#ends.push(this.#iterate(client, watch, chapter, start))
  }

  async #iterate(client: Client, watch: ChapterWatch, chapter: UnrulyChapter, after: number): Promise<void> {
    const random = this.#random
    this.iterations += 1
    const isSlow = random.chance(0.3)
    const breaksOff = random.chance(0.1) ? random.below(10) : Number.POSITIVE_INFINITY
    const heard: ChapterEvent[] = []
    for await (const event of watch) {
      heard.push(event)
      this.heard += 1
      if (heard.length > breaksOff) break
      if (isSlow) await passes(random.below(1000))
    }
    const last = heard.at(-1)?.payload.seq ?? after
    const told = this.#server.toldOf(client.name, chapter)
    const isCut = heard.length > breaksOff
    const isAtEnd = this.plot === 'reborn' || isCut || last === told || chapter.isExpired
    if (!isAtEnd) this.faults.push(`it ended after ${last}, and ${told} was known`)
    this.#checkHeard(chapter, after, heard, isCut)
  }

  #listen(watch: ChapterWatch, chapter: UnrulyChapter, after: number): void {
    for (const name of NAMES) {
      const seqs: number[] = []
      watch.on(name, ({ seq }) => seqs.push(seq))
      this.#later.push(() => {
        const wanted = chapter.log
          .filter(({ name: each, payload }) => each === name && payload.seq > after)
          .map(({ payload }) => payload.seq)
        if (!isDeepStrictEqual(seqs, wanted))
          this.faults.push(`a listener to ${name} after ${after} heard ${seqs}, not ${wanted}`)
      })
    }
  }

  async #complete(watch: ChapterWatch): Promise<void> {
    try {
      await watch.completed()
    } catch (error) {
      const isTyped =
        error instanceof ChapterFailedError ||
        error instanceof ChapterCancelledError ||
        // It ended in a life whose content is gone.
        (error instanceof RefusedError && this.plot === 'reborn')
      if (!isTyped) this.faults.push(`completed() threw ${error}`)
      if (error instanceof ChapterFailedError && error.failed.length === 0)
        this.faults.push(`a chapter failed, and no part of it: ${JSON.stringify(error.snapshot)}`)
    }
  }

  async #calmDown(): Promise<void> {
    const { chapters } = this.#server
    this.#server.manners = WELL
    this.wire.line = GOOD_LINE
    // The last word may have been lost; who comes back is told.
    this.wire.disturb('close')
    for (const chapter of chapters.values()) {
      await until(() => this.#isKnown(chapter))
      if (!chapter.isOver) this.#server.advance(chapter, 'end')
    }
    this.wire.disturb('close')
  }

  async #checkEnd(): Promise<void> {
    for (const { anchors, name } of this.#clients)
      for (const [id, watch] of anchors) {
        const chapter = this.#server.chapter(id)
        await until(() => watch.snapshot.last_seq === chapter.log.length && watch.snapshot.status !== null)
        // Of an expired log only a view tells.
        await until(() => Object.values(watch.snapshot.jobs).every(({ status }) => status !== null))
        const difference = differenceOf(watch.snapshot, chapter)
        if (difference !== undefined) this.faults.push(`${name} has ${difference}`)
        await until(() => watch.snapshot.connection === 'live')
      }
    // Who is not looked at hears the last of it as well.
    await passes(60_000)
    for (const check of this.#later) check()
  }

  #checkJoin(name: string, chapterId: number, after: number): void {
    this.joins += 1
    const anchor = this.#clients.find((client) => client.name === name)?.anchors.get(chapterId)
    if (anchor !== undefined && anchor.cursor !== after)
      this.faults.push(`it asked for what follows ${after}, and has ${anchor.cursor}`)
  }

  /** In each life from its beginning (in the first, from the cursor), without a gap. */
  #checkHeard(chapter: UnrulyChapter, after: number, heard: ChapterEvent[], isCut: boolean): void {
    let last = after
    let life = 0
    for (const [index, event] of heard.entries()) {
      const { seq } = event.payload
      const isNewLife = this.plot === 'reborn' && seq === 1 && last > 0
      if (!isNewLife && seq !== last + 1) {
        this.faults.push(`after ${after} it heard ${heard.map(({ payload }) => payload.seq)}`)
        return
      }
      if (index === 0 || isNewLife)
        life = chapter.logs.findIndex(
          (log, at) => at >= life + (index > 0 ? 1 : 0) && isDeepStrictEqual(log[seq - 1], event),
        )
      if (!isDeepStrictEqual(chapter.logs[life]?.[seq - 1], event)) {
        this.faults.push(`${event.name} ${seq} is not in the log`)
        return
      }
      last = seq
    }
    // A late result may follow the end, which it does not undo.
    const ends = chapter.logs[life]
      ?.slice(0, last)
      .filter(({ name }) => isEndEvent(name) || name === 'chapter_retrying')
    const isEnded = isEndEvent(ends?.at(-1)?.name ?? '')
    const isHere = heard.length > 0 || this.plot !== 'reborn'
    if (!isEnded && isHere && !isCut && !chapter.isExpired)
      this.faults.push(`it ended with ${heard.at(-1)?.name}`)
  }
}

/** Where a snapshot is not what the server itself would show. */
function differenceOf(snapshot: ChapterSnapshot, chapter: UnrulyChapter): string | undefined {
  const view = chapter.view()
  const shown = {
    ...{ status: snapshot.status, last_seq: snapshot.last_seq, title: snapshot.title },
    progress: view.status === 'completed' ? snapshot.progress : view.progress,
    jobs: Object.values(snapshot.jobs).map(({ kind, status, attempt, error }) => ({
      ...{ kind, status, attempt, error },
    })),
    results: Object.values(snapshot.results),
  }
  const true_ = {
    ...{ status: view.status, last_seq: view.last_seq, title: view.title },
    progress: view.progress,
    jobs: view.jobs.map(({ kind, status, attempt, error }) => ({ ...{ kind, status, attempt, error } })),
    results: view.jobs.map((job) => job.content_revision !== null),
  }
  return isDeepStrictEqual(shown, true_)
    ? undefined
    : `${JSON.stringify(shown)} instead of ${JSON.stringify(true_)}`
}

function passes(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await passes(50)
}
