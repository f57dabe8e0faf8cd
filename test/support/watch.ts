/**
 * What every socket saw, against the log in the database: each logged event once and in order on every connection,
 * across reconnects nothing missing; and how late it came.
 *
 *     const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url, [chapterId])))
 *     …
 *     const report = await compareWithLog(databaseUrl, watchers)
 *     t.match(report, NOTHING_WRONG)
 */

import postgres from 'postgres'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import type { Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, finish } from './client.js'
import { waitFor } from './condition.js'

export interface Watcher {
  socket: Socket
  /** Chapters that were joined. */
  chapters: Set<number>
  heard: HeardEvent[]
  /** How often it connected. */
  readonly connections: number
  /** Resolves when it is in. */
  join(chapterId: number): Promise<void>
}

export interface HeardEvent {
  chapterId: number
  seq: number
  name: string
  /** Of which connection, counted from 1. */
  connection: number
  /** ms after its commit; undefined when it was replayed. */
  lateMs: number | undefined
  /** By `performance.now()`. */
  at: number
}

export interface Report {
  /** Logged events that a watcher of the chapter did not hear on any of its connections. */
  lost: number
  /** Heard twice on one connection. */
  repeated: number
  /** Heard after a later one, or with a gap before it, on one connection. */
  disordered: number
  /** Not what is in the log. */
  wrong: number
  /** Heard again on a later connection: a plain client may. */
  again: number
  heard: number
  p50Ms: number
  maxMs: number
}

export const NOTHING_WRONG = { lost: 0, repeated: 0, disordered: 0, wrong: 0 } as const

/** A client that joins once and never again, however often it reconnects. */
export async function watch(
  t: Test,
  url: string,
  chapterIds: Iterable<number> = [],
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<Watcher> {
  const socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 250, ...options })
  t.teardown(() => socket.disconnect())
  const chapters = new Set<number>()
  const heard: HeardEvent[] = []
  let connections = 0
  /** Chapters whose replay is over on this connection: the ack or `joined_chapter` told up to where. */
  const replayed = new Map<number, number>()
  socket.on('connect', () => {
    connections += 1
    replayed.clear()
  })
  socket.on('joined_chapter', ({ chapter_id, last_seq = 0 }) => replayed.set(chapter_id, last_seq))
  socket.onAny((name: string, payload: { chapter_id: number; seq?: number; at: string }) => {
    if (payload?.seq === undefined) return
    const isLive = payload.seq > (replayed.get(payload.chapter_id) ?? Number.POSITIVE_INFINITY)
    heard.push({
      chapterId: payload.chapter_id,
      seq: payload.seq,
      name,
      connection: connections,
      lateMs: isLive ? Date.now() - Date.parse(payload.at) : undefined,
      at: performance.now(),
    })
  })
  await waitFor('the watcher to be connected', () => socket.connected, { timeoutMs: 30_000 })
  const join = async (chapterId: number) => {
    chapters.add(chapterId)
    const ack = await socket.timeout(60_000).emitWithAck('join_chapter', { chapter_id: chapterId })
    if (!ack.ok) throw new Error(`it could not join: ${JSON.stringify(ack)}`)
  }
  await Promise.all([...chapterIds].map(join))
  return {
    socket,
    chapters,
    heard,
    join,
    get connections() {
      return connections
    },
  }
}

/**
 * One chapter from its creation to its end, which every watcher joins in between; its three webhooks come at once.
 * @param at the index of the node that takes its n-th request
 * @returns its id
 */
export async function liveChapter(
  nodes: readonly { url: string }[],
  watchers: readonly Watcher[],
  at: (request: number) => number = (request) => request,
): Promise<number> {
  const urlOf = (request: number) => nodes[at(request) % nodes.length]?.url ?? ''
  const chapterId = await createChapter(urlOf(0))
  if (chapterId === undefined) throw new Error('the chapter was not created')
  await Promise.all(watchers.map(({ join }) => join(chapterId)))
  const answers = await Promise.all(JOB_KINDS.map((kind, index) => finish(urlOf(index + 1), chapterId, kind)))
  for (const { status, body } of answers)
    if (status !== 200 || body.status !== 'success')
      throw new Error(`a webhook was answered ${status} ${JSON.stringify(body)}`)
  return chapterId
}

/** Runs `task` again and again, `concurrency` at a time, until it is told to stop; then resolves to how often. */
export function underLoad(task: (n: number) => Promise<unknown>, concurrency = 1) {
  let isOver = false
  let runs = 0
  let failure: unknown
  const lanes = Array.from({ length: concurrency }, async () => {
    while (!isOver) await task(runs++)
  })
  const done = Promise.all(lanes).then(() => runs)
  done.catch((error: unknown) => {
    isOver = true
    failure = error
  })
  return {
    /** @throws what a task threw */
    stop(): Promise<number> {
      isOver = true
      return done
    },
    get runs() {
      if (failure !== undefined) throw failure
      return runs
    },
  }
}

/** Waits until every watcher has the log’s last event of each of its chapters, then counts. */
export async function compareWithLog(
  databaseUrl: string,
  watchers: readonly Watcher[],
  { timeoutMs = 30_000, late = watchers }: { timeoutMs?: number; late?: readonly Watcher[] } = {},
): Promise<Report> {
  const log = await readLog(databaseUrl)
  const missingOf = (watcher: Watcher) => {
    const has = new Set(watcher.heard.map(({ chapterId, seq }) => `${chapterId} ${seq}`))
    let missing = 0
    for (const chapterId of watcher.chapters)
      for (const { seq } of log.get(chapterId) ?? []) if (!has.has(`${chapterId} ${seq}`)) missing += 1
    return missing
  }
  const lost = () => watchers.reduce((sum, watcher) => sum + missingOf(watcher), 0)
  await waitFor('everyone to hear everything', () => lost() === 0, { timeoutMs, everyMs: 50 }).catch(() => {})

  const report: Report = {
    ...{ lost: lost(), repeated: 0, disordered: 0, wrong: 0, again: 0, heard: 0 },
    ...latenessOf(late),
  }
  for (const { heard } of watchers) {
    const lastSeq = new Map<string, number>()
    const ever = new Set<string>()
    for (const { chapterId, seq, name, connection } of heard) {
      report.heard += 1
      const key = `${connection} ${chapterId}`
      const before = lastSeq.get(key) ?? 0
      if (log.get(chapterId)?.[seq - 1]?.name !== name) report.wrong += 1
      if (seq === before) report.repeated += 1
      else if (seq !== before + 1) report.disordered += 1
      else if (ever.has(`${chapterId} ${seq}`)) report.again += 1
      ever.add(`${chapterId} ${seq}`)
      lastSeq.set(key, Math.max(before, seq))
    }
  }
  return report
}

/** How late what came live came, ms; of what was committed between two times of `performance.now()`. */
export function latenessOf(
  watchers: readonly Watcher[],
  [from, to] = [0, Number.POSITIVE_INFINITY],
): { p50Ms: number; maxMs: number } {
  const late = watchers
    .flatMap(({ heard }) => heard)
    .flatMap(({ lateMs, at }) =>
      lateMs === undefined || at - lateMs < from || at - lateMs > to ? [] : [lateMs],
    )
    .sort((a, b) => a - b)
  return { p50Ms: late[Math.floor(late.length / 2)] ?? 0, maxMs: late.at(-1) ?? 0 }
}

export async function readLog(databaseUrl: string): Promise<Map<number, { seq: number; name: string }[]>> {
  const rows = await query<{ chapter_id: string; seq: number; name: string }>(
    databaseUrl,
    'select chapter_id, seq, name from event order by chapter_id, seq',
  )
  const log = new Map<number, { seq: number; name: string }[]>()
  for (const { chapter_id, seq, name } of rows) {
    const events = log.get(Number(chapter_id)) ?? []
    events.push({ seq: Number(seq), name })
    log.set(Number(chapter_id), events)
  }
  return log
}

/**
 * One connection for one errand. Arrays come as text: postgres.js would ask for their types first, and a connection that
 * is lost at that moment would end the process.
 */
export async function query<Row>(databaseUrl: string, statement: string): Promise<Row[]> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: 20, fetch_types: false, onnotice() {} })
  try {
    return [...(await sql.unsafe(statement))] as unknown as Row[]
  } finally {
    await sql.end({ timeout: 1 })
  }
}
