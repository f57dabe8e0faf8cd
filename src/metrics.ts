/**
 * Numbers to run it by, for Prometheus: the product’s own beside Node’s. Those that only the database knows are
 * asked for when they are scraped, at most every few seconds. `deploy/alerts.yml` is written for these names.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Mend } from './answers/mend.js'
import type { Committed } from './chapters/commit-group.js'
import type { EventName } from './contract/event.js'
import { FAILURE_REASONS, JOB_KINDS, type JobKind } from './contract/job.js'
import type { WindowName } from './domain/window.js'
import type { JobCounts } from './store/jobs.js'

/** What is told by asking. */
export interface MetricSources {
  countJobs: () => Promise<JobCounts>
  /** Places of each window that is limited; undefined without a window. */
  windows: (() => Partial<Record<WindowName, number | null>>) | undefined
  now: () => number
  sockets: () => number
  rooms: () => number
  courses: () => number
  feedRepairs: () => { chapter: number; course: number }
  /** By the generator of this process, if it has one that reads from Kafka. */
  passedOver: () => number
  /** What `/readyz` asks, and whether it answers. */
  dependencies: () => Promise<{ name: string; isUp: boolean }[]>
  /** undefined on a single node. */
  isRedisHearing: () => boolean | undefined
  /** Only with DISPATCH=http. */
  isDispatchAway?: (() => boolean) | undefined
}

export interface Metrics {
  /** All of them, for whoever sends them elsewhere. */
  readonly registry: Registry
  /** The text of `/metrics`. */
  scrape(): Promise<{ text: string; type: string }>
  groupWritten(commands: number, ms: number): void
  committed(committed: Committed[]): void
  /** A committed event went out to a room on this node. @param at when it was committed */
  eventSent(at: string): void
  callbackAnswered(kind: string, callback: string, answer: string): void
  /** An answer was stored that had to be mended, in these ways. */
  answerMended(kind: JobKind, how: readonly Mend[]): void
  /** A worker answered a job that went to it by HTTP: with a status, or `none`. */
  dispatchAnswered(kind: JobKind, answer: string, isResult: boolean): void
  noticeSent(outcome: 'delivered' | 'retried' | 'failed'): void
  requestAnswered(route: string, method: string, status: number, ms: number): void
}

const COUNTS_MAX_AGE_MS = 2000

const OUTCOMES: Partial<Record<EventName, 'completed' | 'failed' | 'cancelled'>> = {
  all_completed: 'completed',
  chapter_failed: 'failed',
  chapter_cancelled: 'cancelled',
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const prefix = 'chaptercast_'
  const { now } = sources
  let lastCallbackAt: number | undefined
  const startedAt = now()
  const counts = cached(sources.countJobs, COUNTS_MAX_AGE_MS)

  new Gauge({
    name: `${prefix}jobs`,
    help: 'Jobs that are under way, by kind and status',
    labelNames: ['kind', 'status'],
    registers,
    async collect() {
      const known = await counts()
      this.reset()
      for (const { kind, status, count } of known?.jobs ?? []) this.set({ kind, status }, count)
    },
  })
  const { windows } = sources
  if (windows !== undefined) {
    new Gauge({
      name: `${prefix}window_jobs`,
      help: 'Jobs that wait for a place in the window, and jobs that are out: with workers, or being sent to them',
      labelNames: ['kind', 'state'],
      registers,
      async collect() {
        const jobs = (await counts())?.jobs ?? []
        for (const kind of JOB_KINDS) {
          const sum = (count: (job: JobCounts['jobs'][number]) => number) =>
            jobs.reduce((total, job) => total + (job.kind === kind ? count(job) : 0), 0)
          this.set(
            { kind, state: 'waiting' },
            sum(({ waiting }) => waiting),
          )
          const out = sum(({ status, count, placed }) => (status === 'published' ? count : placed))
          this.set({ kind, state: 'out' }, out)
        }
      },
    })
    new Gauge({
      name: `${prefix}window_places`,
      help: 'Places of each window that is limited, now: fewer than the settings say while it is narrowed',
      labelNames: ['window'],
      registers,
      collect() {
        for (const [window, places] of Object.entries(windows()))
          if (places !== null) this.set({ window }, places)
      },
    })
  }
  new Gauge({
    name: `${prefix}oldest_job_age_seconds`,
    help: 'How long the oldest job has been due (queued; with a window, since it has a place) or with a worker (published)',
    labelNames: ['status'],
    registers,
    async collect() {
      const known = await counts()
      this.reset()
      for (const status of ['queued', 'published'] as const) {
        const since = known?.oldestAt[status]
        this.set({ status }, since === undefined || since === null ? 0 : Math.max(0, (now() - since) / 1000))
      }
    },
  })
  new Gauge({
    name: `${prefix}last_callback_age_seconds`,
    help: 'Time since a worker last called this node, or since it started',
    registers,
    collect() {
      this.set((now() - (lastCallbackAt ?? startedAt)) / 1000)
    },
  })
  const callbacks = new Counter({
    name: `${prefix}callbacks_total`,
    help: 'Callbacks by kind, by what they say, and by how they were answered',
    labelNames: ['kind', 'callback', 'answer'],
    registers,
  })
  const mended = new Counter({
    name: `${prefix}answers_mended_total`,
    help: 'Answers that were stored after they had been mended, by kind and by how',
    labelNames: ['kind', 'how'],
    registers,
  })
  const dispatched = new Counter({
    name: `${prefix}dispatch_answers_total`,
    help: 'Answers to jobs that were sent by HTTP, by kind and by status; `none` when there was no answer',
    labelNames: ['kind', 'answer'],
    registers,
  })
  const notices = new Counter({
    name: `${prefix}notices_total`,
    help: 'Notices of ended runs by outcome: delivered, to be sent again, given up',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of ['delivered', 'retried', 'failed']) notices.inc({ outcome }, 0)
  const groupCommands = new Histogram({
    name: `${prefix}commit_group_commands`,
    help: 'Commands that were committed together',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  })
  const groupSeconds = new Histogram({
    name: `${prefix}commit_group_seconds`,
    help: 'Time of a commit group, from its read to its commit',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  })
  const deadLetters = new Counter({
    name: `${prefix}dead_letters_total`,
    help: 'Jobs that failed for good',
    labelNames: ['kind', 'reason'],
    registers,
  })
  const failures = new Counter({
    name: `${prefix}attempt_failures_total`,
    help: 'Attempts that failed or met a busy model, timed out ones included',
    labelNames: ['kind', 'reason'],
    registers,
  })
  // A series that begins at its first count has no increase to alert on.
  for (const kind of JOB_KINDS)
    for (const reason of FAILURE_REASONS) {
      deadLetters.inc({ kind, reason }, 0)
      failures.inc({ kind, reason }, 0)
    }
  const chapters = new Counter({
    name: `${prefix}chapters_total`,
    help: 'Chapters by what became of them: made, a run that ended (completed, failed, cancelled), deleted',
    labelNames: ['what'],
    registers,
  })
  for (const what of ['created', 'completed', 'failed', 'cancelled', 'deleted']) chapters.inc({ what }, 0)
  const runSeconds = new Histogram({
    name: `${prefix}run_seconds`,
    help: 'Time of a run: from when its chapter, retry or regeneration was asked for to its end',
    labelNames: ['outcome'],
    buckets: [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
    registers,
  })
  const delivery = new Histogram({
    name: `${prefix}delivery_seconds`,
    help: 'From the commit of an event until this node sends it to its room, by the clocks of the two nodes',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const dependencies = cached(sources.dependencies, COUNTS_MAX_AGE_MS)
  new Gauge({
    name: `${prefix}dependency_up`,
    help: '1 while a dependency answers this node, as in /readyz',
    labelNames: ['dependency'],
    registers,
    async collect() {
      for (const { name, isUp } of (await dependencies()) ?? []) this.set({ dependency: name }, isUp ? 1 : 0)
    },
  })
  new Counter({
    name: `${prefix}feed_repairs_total`,
    help: 'Events of chapters whose messages never came, and statuses in courses that were read before their messages came',
    labelNames: ['feed'],
    registers,
    collect() {
      this.reset()
      for (const [feed, count] of Object.entries(sources.feedRepairs())) this.inc({ feed }, count)
    },
  })
  new Counter({
    name: `${prefix}messages_passed_over_total`,
    help: 'Messages from Kafka that were skipped: malformed, or with an invalid deadline or callback',
    registers,
    collect() {
      this.reset()
      this.inc(sources.passedOver())
    },
  })
  new Gauge({
    name: `${prefix}sockets`,
    help: 'Socket.IO connections of this node',
    registers,
    collect() {
      this.set(sources.sockets())
    },
  })
  new Gauge({
    name: `${prefix}rooms`,
    help: 'Chapters that somebody on this node listens to',
    registers,
    collect() {
      this.set(sources.rooms())
    },
  })
  new Gauge({
    name: `${prefix}courses`,
    help: 'Courses that somebody on this node follows',
    registers,
    collect() {
      this.set(sources.courses())
    },
  })
  new Gauge({
    name: `${prefix}redis_deaf`,
    help: '1 while Redis does not deliver; clients then hear from the log. 0 also without Redis',
    registers,
    collect() {
      this.set(sources.isRedisHearing() === false ? 1 : 0)
    },
  })
  const { isDispatchAway } = sources
  if (isDispatchAway !== undefined)
    new Gauge({
      name: `${prefix}dispatch_away`,
      help: '1 while the service at DISPATCH_URL takes no jobs from this node; they wait',
      registers,
      collect() {
        this.set(isDispatchAway() ? 1 : 0)
      },
    })
  const requests = new Histogram({
    name: `${prefix}http_request_seconds`,
    help: 'Time to answer a request',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })

  return {
    registry,
    async scrape() {
      return { text: await registry.metrics(), type: registry.contentType }
    },
    groupWritten(commands, ms) {
      groupCommands.observe(commands)
      groupSeconds.observe(ms / 1000)
    },
    committed(all) {
      for (const { before, state, isDeleted, events, deadLetters: letters } of all) {
        if (before === null) chapters.inc({ what: 'created' })
        if (isDeleted) chapters.inc({ what: 'deleted' })
        for (const { kind, reason } of letters) deadLetters.inc({ kind, reason })
        for (const { name, payload } of events) {
          const outcome = OUTCOMES[name]
          if (outcome !== undefined) {
            chapters.inc({ what: outcome })
            const since = Math.max(...JOB_KINDS.map((kind) => state.jobs[kind].requestedAt))
            runSeconds.observe({ outcome }, Math.max(0, Date.parse(payload.at) - since) / 1000)
          }
          if (!('reason' in payload)) continue
          const kind = JOB_KINDS.find((known) => name.startsWith(known))
          if (kind !== undefined) failures.inc({ kind, reason: payload.reason })
        }
      }
    },
    eventSent(at) {
      delivery.observe(Math.max(0, now() - Date.parse(at)) / 1000)
    },
    callbackAnswered(kind, callback, answer) {
      lastCallbackAt = now()
      callbacks.inc({ kind, callback, answer })
    },
    answerMended(kind, all) {
      for (const how of all) mended.inc({ kind, how })
    },
    dispatchAnswered(kind, answer, isResult) {
      if (isResult) lastCallbackAt = now()
      dispatched.inc({ kind, answer })
    },
    noticeSent(outcome) {
      notices.inc({ outcome })
    },
    requestAnswered(route, method, status, ms) {
      requests.observe({ route, method, status: String(status) }, ms / 1000)
    },
  }
}

/** The last value while it is young, and while a newer one cannot be had: a scrape must not fail with the database. */
function cached<T>(ask: () => Promise<T>, maxAgeMs: number): () => Promise<T | undefined> {
  let last: { value: Promise<T | undefined>; at: number } | undefined
  return () => {
    if (last === undefined || performance.now() - last.at > maxAgeMs)
      last = { value: ask().catch(() => undefined), at: performance.now() }
    return last.value
  }
}
