/**
 * What everything in a simulated run shares: time, chance, the weather, and a record of what happened.
 */
import type { Random } from '../support/random.js'
import { type Life, SimulatedTime } from './time.js'

/**
 * - `calm`: answers take a while, nothing is lost. The log is never asked by time, so all that watchers hear came by
 *   itself, and each attempt is sent once.
 * - `honest`: connections to Redis break, and it is restarted. The log is not asked by time here either: whatever is
 *   missed, the bus has to know of.
 * - `rough`: everything that may happen to a node, to the database, to Redis, to the queue, to workers and to clients.
 */
export const WEATHERS = ['calm', 'honest', 'rough'] as const
export type Weather = (typeof WEATHERS)[number]

/** In [0, 1): how often each of these goes wrong, while there are faults. */
export interface Hazards {
  /** Of a statement: it fails, before or after it took effect. */
  database: number
  /** Of a message on the bus: it is lost, or comes twice. */
  busLoss: number
  busRepeat: number
  /** Messages of one connection overtake each other. */
  isBusUnordered: boolean
  /** Of a publish: the queue has the messages or not, and says that it has not. */
  queue: number
  /** Of a message of the queue: it comes again. */
  redelivery: number
  /** Of a request of a client or a worker: it, or its answer, is lost. */
  request: number
  /** Of an attempt: its worker forgets it. */
  forgetful: number
}

export const NO_HAZARDS: Hazards = {
  database: 0,
  busLoss: 0,
  busRepeat: 0,
  isBusUnordered: false,
  queue: 0,
  redelivery: 0,
  request: 0,
  forgetful: 0,
}

const KEPT_STEPS = 4000

export class World {
  readonly time = new SimulatedTime()
  readonly random: Random
  readonly weather: Weather
  hazards: Hazards = NO_HAZARDS
  /** How long Redis takes at most to subscribe to a channel, ms. */
  subscribeMs = 0
  /** Until then something was wrong that explains that work is sent again. */
  troubleUntil = Number.NEGATIVE_INFINITY
  /** What is wrong, as it was seen. */
  readonly wrong: string[] = []
  readonly counts: Record<string, number> = {}
  private readonly recorded: string[] | undefined

  constructor(random: Random, weather: Weather, isRecorded: boolean) {
    this.random = random
    this.weather = weather
    this.recorded = isRecorded ? [] : undefined
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  fault(what: string): void {
    if (this.wrong.length < 20) this.wrong.push(what)
    this.record('WRONG', what)
  }

  /** Something is wrong for so long from now. */
  trouble(ms = 0): void {
    this.troubleUntil = Math.max(this.troubleUntil, this.time.now + ms)
  }

  /** Steps are put into words only in a run that is looked at. */
  record(what: string, about?: unknown): void {
    if (this.recorded === undefined) return
    const { now, owner } = this.time
    const details = about === undefined ? '' : ` ${typeof about === 'string' ? about : JSON.stringify(about)}`
    this.recorded.push(`${now.toFixed(2).padStart(11)} ${(owner?.name ?? '').padEnd(8)} ${what}${details}`)
    if (this.recorded.length > 2 * KEPT_STEPS) this.recorded.splice(0, KEPT_STEPS)
  }

  get steps(): readonly string[] {
    return this.recorded ?? []
  }

  /** From `low` up to `high` milliseconds. */
  between(low: number, high: number): number {
    return low + this.random() * (high - low)
  }

  /** Mostly short, now and then long. */
  latency(): number {
    const { random } = this
    return random() < 0.95 ? 0.2 + random() * 3 : random() * 60
  }

  /** Waits as whoever runs now. */
  sleep(ms: number): Promise<void> {
    const { time } = this
    return new Promise((resolve) => {
      time.after(ms, time.owner, resolve)
    })
  }

  /** Runs it elsewhere, after it was on its way. */
  send(to: Life | undefined, call: () => void): void {
    this.time.after(this.latency(), to, call)
  }
}
