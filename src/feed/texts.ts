/**
 * Text so far of one chapter on this node: what its jobs have written, and what its listeners were given of it.
 *
 * - It comes from workers that post here, over the bus from other nodes, and from the database (`store/partials.ts`).
 *   Every change has a stamp and names the stamp that it follows. One that follows what is known is applied; one
 *   that does not is held, until the database tells what lies between. So it does not matter what the bus loses.
 * - Listeners of a room all have the same text, `sent`. They are given the difference to it, at most four times a second,
 *   the last one always, and before the event that ends the attempt rather than after it. A newcomer gets `sent` whole.
 * - With the attempt its text is gone, and what comes late of it is dropped.
 * - All that is held on a node is bounded. What was not changed for the longest time is forgotten, and is read again when
 *   it changes.
 */
import type { ChapterEvent } from '../contract/event.js'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import type { PartialQuestion, PartialUpdate } from '../contract/partial.js'
import {
  applyChange,
  changeBetween,
  type PartialChange,
  type PartialContent,
  type PartialText,
  sizeOf,
} from '../domain/partial-text.js'
import type { PartialRow } from '../store/partials.js'

/** One change, as it travels between nodes. */
export interface TextMessage extends PartialChange {
  kind: JobKind
  jobId: string
  attempt: number
  stamp: number
  /** The stamp of the text that is changed; 0: nothing was there. */
  follows: number
  /** As in `PartialText`. */
  length: number
  half: string
}

export interface TextOptions {
  /** Least time between two updates of a kind, ms. */
  textMs: number
  /** How long what is missing is waited for before the database is asked, ms. */
  textHoleMs: number
  memory: TextMemory
  /** Whether listeners may be told: the room was read. */
  isOpen: () => boolean
  onHole: () => void
  send: (update: PartialUpdate) => void
}

/** An attempt on a kind. */
interface Work {
  jobId: string
  attempt: number
}

interface Known extends Work {
  stamp: number
  text: PartialText
}

/** After these nothing is written any more, unless it begins again. */
const ENDS = new Set(['completed', 'failed', 'cancelled'])
const CLEARING = new Set([...ENDS, 'timeout', 'retrying', 'regenerating'])
/** Four updates a second, and the one of a join, are five. */
export const TEXT_MS = 250
export const TEXT_HOLE_MS = 250
/** Turns in which the database is asked for what is missing; afterwards repair finds it. */
const MAX_HOLE_READS = 8
/** Changes that may wait for what lies before them. */
const MAX_HELD = 200
export const NOTHING: PartialText = { content: '', length: 0, half: '' }

export class ChapterTexts {
  private readonly kinds = new Map<JobKind, KindText>()
  private readonly chapterId: number
  private readonly options: TextOptions

  constructor(chapterId: number, options: TextOptions) {
    this.chapterId = chapterId
    this.options = options
  }

  of(kind: JobKind): KindText {
    const known = this.kinds.get(kind) ?? new KindText(this.chapterId, kind, this.options)
    this.kinds.set(kind, known)
    return known
  }

  /** Before the event is handed on. */
  before(event: ChapterEvent): void {
    const { name, payload } = event
    const kind = JOB_KINDS.find((each) => name.startsWith(`${each}_`))
    if (kind !== undefined) {
      const what = name.slice(kind.length + 1)
      const { attempt } = payload as { attempt?: number }
      if (ENDS.has(what) || this.kinds.has(kind)) this.of(kind).before(what, attempt)
    } else if (name === 'chapter_cancelled') for (const each of JOB_KINDS) this.of(each).before('cancelled')
    else if (name === 'chapter_retrying') for (const each of this.kinds.values()) each.restart()
  }

  /** What every newcomer is given. */
  whole(): PartialUpdate[] {
    return [...this.kinds.values()].flatMap((kind) => kind.whole() ?? [])
  }

  /** Of the latest texts; undefined when there are none. */
  get stamps(): Partial<Record<JobKind, number>> | undefined {
    return this.kinds.size === 0
      ? undefined
      : Object.fromEntries([...this.kinds].map(([kind, { stamp }]) => [kind, stamp]))
  }

  stop(): void {
    for (const kind of this.kinds.values()) kind.stop()
  }
}

/** The text of one kind. */
export class KindText {
  private readonly chapterId: number
  private readonly kind: JobKind
  private readonly options: TextOptions
  private known: Known | undefined
  private sent: (Work & { content: PartialContent }) | undefined
  private held: TextMessage[] = []
  /** Why nothing is written any more. */
  private end: 'completed' | 'failed' | 'cancelled' | undefined
  /** The last attempt whose text was ended by an event. */
  private ended: Work | undefined
  private leastAttempt = 1
  private lastStamp = 0
  private sentAt = Number.NEGATIVE_INFINITY
  private sendTimer: NodeJS.Timeout | undefined
  private holeTimer: NodeJS.Timeout | undefined
  private holeReads = 0
  private readonly waiting = new Set<() => void>()

  constructor(chapterId: number, kind: JobKind, options: TextOptions) {
    this.chapterId = chapterId
    this.kind = kind
    this.options = options
  }

  get stamp(): number {
    return this.known?.stamp ?? 0
  }

  /** Whether the attempt is known to have ended. */
  isOver({ jobId, attempt }: Work): boolean {
    const { ended } = this
    if (this.end !== undefined || attempt < this.leastAttempt) return true
    return ended?.jobId === jobId && ended.attempt === attempt
  }

  textOf(work: Work): PartialText {
    return this.isKnown(work) ? (this.known as Known).text : NOTHING
  }

  /** What a row of the database needs; undefined when it was forgotten. */
  rowOf(work: Work): Pick<PartialRow, 'stamp' | 'length' | 'content'> | undefined {
    if (!this.isKnown(work)) return undefined
    const { stamp, text } = this.known as Known
    const content = typeof text.content === 'string' ? text.content : JSON.stringify(text.content)
    return { stamp, length: text.length - text.half.length, content }
  }

  /**
   * What a worker posted here.
   * @param now ms since the epoch: stamps are such times, so that those of different nodes are in order
   * @returns what other nodes are to be told; undefined when nothing has changed
   */
  write({ jobId, attempt }: Work, text: PartialText, now: number): TextMessage | undefined {
    const work = { jobId, attempt }
    const before = this.textOf(work)
    const follows = this.isKnown(work) ? this.stamp : 0
    const change = changeBetween(before.content, text.content)
    if (change === undefined && before.length === text.length) return undefined
    const stamp = Math.max(Math.floor(now * 1000 + Math.random() * 1000), this.lastStamp + 1)
    this.know({ ...work, stamp, text })
    const { length, half } = text
    const nothing = typeof text.content === 'string' ? '' : []
    return {
      kind: this.kind,
      ...work,
      stamp,
      follows,
      length,
      half,
      ...(change ?? { offset: text.content.length, content: nothing }),
    }
  }

  /** What another node was posted. */
  take(message: TextMessage): void {
    if (this.isOver(message) || this.isOld(message)) return
    const { jobId, attempt, stamp, follows, length, half } = message
    const isNext = this.isKnown(message) && follows === this.stamp
    if (follows !== 0 && !isNext) {
      this.held.push(message)
      if (this.held.length > MAX_HELD) this.held.shift()
      this.awaitHole()
      return
    }
    const before = follows === 0 ? '' : (this.known as Known).text.content
    this.know({ jobId, attempt, stamp, text: { content: applyChange(before, message), length, half } })
    this.release()
  }

  /** What the database has. */
  absorb(row: PartialRow): void {
    if (this.isOver(row) || this.isOld(row)) return
    const { jobId, attempt, stamp, length, content } = row
    const shown = this.kind === 'quiz' ? (JSON.parse(content) as PartialQuestion[]) : content
    this.know({ jobId, attempt, stamp, text: { content: shown, length, half: '' } })
    this.release()
  }

  /**
   * Before an event of this kind is handed on.
   * @param attempt the one that ended or, of `retrying`, the next one
   */
  before(what: string, attempt?: number): void {
    if (what === 'started' || what === 'retrying' || what === 'regenerating') this.end = undefined
    if (what === 'completed' || what === 'failed' || what === 'cancelled') this.end = what
    if (what === 'retrying' || what === 'regenerating') this.leastAttempt = attempt ?? 1
    if (!CLEARING.has(what)) return
    // Text of the next attempt may have come before this event.
    const isNext = attempt !== undefined && (this.known?.attempt ?? 0) > attempt
    if (!isNext) this.clear(attempt)
  }

  /** A client asked for what failed again: from attempt 1. */
  restart(): void {
    if (this.end !== 'failed') return
    this.end = undefined
    this.leastAttempt = 1
  }

  /** Resolves when it has changed, or after so many ms. */
  changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(), ms)
      const done = () => {
        clearTimeout(timer)
        this.waiting.delete(done)
        resolve()
      }
      this.waiting.add(done)
    })
  }

  whole(): PartialUpdate | undefined {
    if (this.sent === undefined) return undefined
    return this.updateOf(this.sent.attempt, { offset: 0, content: this.sent.content })
  }

  /** Of what was not used for long: it is read again when it changes, and sent from its beginning. */
  forget(): void {
    this.known = undefined
    this.sent = undefined
    this.held = []
    this.options.memory.drop(this)
  }

  /** Told now if the last update is long enough ago, else when it is; only the latest is sent. */
  send(): void {
    if (!this.options.isOpen() || this.sendTimer !== undefined) return
    const waitMs = this.sentAt + this.options.textMs - performance.now()
    if (waitMs <= 0) this.flush()
    else this.sendTimer = setTimeout(() => this.flush(), waitMs)
  }

  stop(): void {
    clearTimeout(this.sendTimer)
    clearTimeout(this.holeTimer)
    this.forget()
  }

  private isKnown({ jobId, attempt }: Work): boolean {
    return this.known?.jobId === jobId && this.known.attempt === attempt
  }

  private isOld(work: Work & { stamp: number }): boolean {
    return this.isKnown(work) && work.stamp <= this.stamp
  }

  private know(known: Known): void {
    this.known = known
    this.lastStamp = Math.max(this.lastStamp, known.stamp)
    this.options.memory.note(this, sizeOf(known.text.content))
    for (const done of [...this.waiting]) done()
    this.send()
  }

  /** Held changes that follow what is known now. */
  private release(): void {
    const held = this.held.filter((message) => !this.isOver(message) && !this.isOld(message))
    this.held = []
    for (const message of held) this.take(message)
    if (this.held.length > 0) return
    clearTimeout(this.holeTimer)
    this.holeTimer = undefined
    this.holeReads = 0
  }

  private awaitHole(): void {
    if (this.holeTimer !== undefined || this.holeReads >= MAX_HOLE_READS) return
    this.holeTimer = setTimeout(() => {
      this.holeTimer = undefined
      this.holeReads += 1
      this.options.onHole()
      if (this.held.length > 0) this.awaitHole()
    }, this.options.textHoleMs)
  }

  private flush(): void {
    clearTimeout(this.sendTimer)
    this.sendTimer = undefined
    const { known, sent } = this
    if (known === undefined || !this.options.isOpen()) return
    const isSame = sent !== undefined && sent.jobId === known.jobId && sent.attempt === known.attempt
    const { content } = known.text
    const change = isSame ? changeBetween(sent.content, content) : { offset: 0, content }
    if (change === undefined || (sent === undefined && content.length === 0)) return
    this.sent = { jobId: known.jobId, attempt: known.attempt, content }
    this.sentAt = performance.now()
    this.options.send(this.updateOf(known.attempt, change))
  }

  /** The last of it is sent, then nothing of it is left. */
  private clear(attempt: number | undefined): void {
    this.flush()
    const { known } = this
    // The same attempt may go on under another job id: then the text may be of either.
    const isSure = this.end !== undefined || known?.attempt !== this.leastAttempt || attempt === undefined
    if (known !== undefined && isSure) this.ended = { jobId: known.jobId, attempt: known.attempt }
    clearTimeout(this.holeTimer)
    this.holeTimer = undefined
    this.holeReads = 0
    this.forget()
  }

  private updateOf(attempt: number, { offset, content }: PartialChange): PartialUpdate {
    const about = { chapter_id: this.chapterId, attempt, offset }
    return (
      this.kind === 'quiz'
        ? { name: 'quiz_partial', payload: { ...about, quizzes: content } }
        : { name: `${this.kind}_partial`, payload: { ...about, text: content } }
    ) as PartialUpdate
  }
}

/** How much text this node holds. Beyond the bound what was not changed for the longest time is forgotten. */
export class TextMemory {
  private readonly sizes = new Map<KindText, number>()
  private readonly maxBytes: number
  bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  note(text: KindText, bytes: number): void {
    this.drop(text)
    this.sizes.set(text, bytes)
    this.bytes += bytes
    for (const oldest of this.sizes.keys()) {
      if (this.bytes <= this.maxBytes || oldest === text) break
      oldest.forget()
    }
  }

  drop(text: KindText): void {
    this.bytes -= this.sizes.get(text) ?? 0
    this.sizes.delete(text)
  }
}
