/**
 * One chapter’s events as they come from a connection that may repeat, delay or leave out any of them, made
 * into a log: each event once, in order of `seq`, without a gap. No network, no clock.
 */
import type { ChapterEvent, JoinedChapter } from './contract.js'

/** Events beyond the cursor that are kept until the ones before them come; more are asked for again. */
const MAX_HELD = 1000

/** How far a log is. */
export interface Place {
  /** Counts the chapter’s lives: a restored database begins another one, whose events start again at 1. */
  readonly life: number
  /** `seq` of the last event that was taken; the next one follows it. */
  readonly cursor: number
  /** The largest `seq` that was heard of. */
  readonly lastKnown: number
}

export class ChapterLog implements Place {
  life = 0
  cursor: number
  lastKnown: number
  readonly #held = new Map<number, ChapterEvent>()
  #events: ChapterEvent[] = []

  constructor(after: number) {
    this.cursor = after
    this.lastKnown = after
  }

  /** Whether an event is known to be missing. */
  get isBehind(): boolean {
    return this.cursor < this.lastKnown
  }

  /** Takes an event, and gives those that are next in order now: none, one or several. */
  take(event: ChapterEvent): ChapterEvent[] {
    const { seq } = event.payload
    this.lastKnown = Math.max(this.lastKnown, seq)
    if (seq <= this.cursor) return []
    if (this.#held.size < MAX_HELD || seq === this.cursor + 1) this.#held.set(seq, event)
    return this.#release()
  }

  /**
   * Takes the answer to a join. True when the chapter has another life: everything comes anew, and whoever
   * follows the log begins again.
   * @param asked the place where the log was when that join was sent; undefined where it may be another’s answer
   */
  takeJoined({ last_seq = 0 }: JoinedChapter, asked?: Place): boolean {
    // What was known before the question cannot be unknown to its answer.
    const isReset = asked !== undefined && asked.life === this.life && last_seq < asked.lastKnown
    if (isReset) {
      this.life += 1
      this.restart(0)
      this.lastKnown = 0
    }
    this.lastKnown = Math.max(this.lastKnown, last_seq)
    return isReset
  }

  /** Something else than the events themselves counts them up to `seq`. */
  hearOf(seq: number): void {
    this.lastKnown = Math.max(this.lastKnown, seq)
  }

  /** What an expired log held up to `seq` is not coming. Gives what was waiting for it. */
  skipTo(seq: number): ChapterEvent[] {
    this.cursor = Math.max(this.cursor, seq)
    this.lastKnown = Math.max(this.lastKnown, seq)
    for (const held of this.#held.keys()) if (held <= this.cursor) this.#held.delete(held)
    return this.#release()
  }

  /** Forgets what it has and goes on from an earlier place of the same life. */
  restart(after: number): void {
    this.#held.clear()
    this.#events = []
    this.cursor = after
  }

  /** What follows `seq`, as far as it is here. */
  after(seq: number): readonly ChapterEvent[] {
    let start = this.#events.length
    while (start > 0 && (this.#events[start - 1] as ChapterEvent).payload.seq > seq) start -= 1
    return this.#events.slice(start)
  }

  #release(): ChapterEvent[] {
    const next: ChapterEvent[] = []
    for (;;) {
      const event = this.#held.get(this.cursor + 1)
      if (event === undefined) break
      this.cursor += 1
      this.#held.delete(this.cursor)
      next.push(event)
    }
    this.#events.push(...next)
    return next
  }
}
