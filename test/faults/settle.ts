/**
 * Follows the chapters in the database until nothing more is to come: lets their clients react, reads the logs of those
 * that are over, and lets watchers go who have heard all of it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { query } from '../support/watch.js'
import type { Clients } from './clients.js'
import type { Delivery } from './lateness.js'
import type { KnownChapter, Ledger } from './ledger.js'
import type { Findings } from './promises.js'
import type { Watchers, Watching } from './watchers.js'
import type { Worker } from './worker.js'

export interface SettleOptions {
  databaseUrl: () => string
  ledger: Ledger
  watchers: Watchers
  clients: Clients
  worker: Worker
  findings: Findings
  /** How many jobs may be with workers. */
  window: number
}

export interface Settling {
  deliveries: Delivery[]
  /** Chapters that are not over. */
  open(): number
  stop(): Promise<void>
}

const EVERY_MS = 500
/** Over for so long, and no job at the worker: nothing more comes. */
const QUIET_MS = 2000
const AT_ONCE = 500

export function settleChapters(options: SettleOptions): Settling {
  const { databaseUrl, ledger, watchers, clients, worker, findings, window } = options
  const deliveries: Delivery[] = []
  const asked = new Set<number>()
  let isOver = false

  async function turn(): Promise<void> {
    const open = [...ledger.chapters.values()].filter(({ settled }) => settled === undefined)
    for (let index = 0; index < open.length; index += AT_ONCE) await look(open.slice(index, index + AT_ONCE))
    const [out] = await query<{ count: string }>(
      databaseUrl(),
      `select count(*) from job where status = 'published' or (status = 'queued' and placed_at is not null)`,
    )
    if (Number(out?.count) > window) findings.found('window', `${out?.count} jobs are out, of ${window}`)
    for (const watching of watchers.watchings) letGo(watching)
  }

  async function look(chapters: readonly KnownChapter[]): Promise<void> {
    const rows = await query<{ id: string; status: string }>(
      databaseUrl(),
      `select id, status from chapter where id in (${idsOf(chapters)})`,
    )
    const over = rows.flatMap(({ id, status }) => {
      const chapter = ledger.chapters.get(Number(id)) as KnownChapter
      if (status === 'processing' || worker.isAt(chapter.id) || asked.has(chapter.id)) {
        chapter.overSince = undefined
        return []
      }
      if (chapter.overSince === undefined) {
        asked.add(chapter.id)
        void clients.follow(chapter, status).then((hasActed) => {
          asked.delete(chapter.id)
          if (!hasActed) chapter.overSince = Date.now()
        })
        return []
      }
      return Date.now() - chapter.overSince > QUIET_MS ? [chapter] : []
    })
    if (over.length > 0) await settle(over)
  }

  async function settle(chapters: readonly KnownChapter[]): Promise<void> {
    const rows = await query<{ chapter_id: string; seq: string; name: string; stored_at: string }>(
      databaseUrl(),
      `select chapter_id, seq, name, extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000 as stored_at
       from event where chapter_id in (${idsOf(chapters)}) order by chapter_id, seq`,
    )
    for (const chapter of chapters) chapter.settled = { lastSeq: 0, names: [], storedAt: [] }
    for (const { chapter_id, seq, name, stored_at } of rows) {
      const log = ledger.chapters.get(Number(chapter_id))?.settled
      if (log === undefined) continue
      log.names[Number(seq)] = name
      log.storedAt[Number(seq)] = Number(stored_at)
      log.lastSeq = Number(seq)
    }
  }

  function letGo(watching: Watching): void {
    const { chapter, last, heardAt, inSince, isSleeper } = watching
    const { settled } = chapter
    if (settled === undefined || last < settled.lastSeq) return
    watching.leave()
    for (let seq = 1; seq <= settled.lastSeq; seq += 1) {
      if (chapter.heard[seq] !== undefined && chapter.heard[seq] !== settled.names[seq])
        findings.found(
          'wrongEvent',
          `chapter ${chapter.id}: ${seq} ${chapter.heard[seq]} is ${settled.names[seq]}`,
        )
      const [storedAt, heard] = [settled.storedAt[seq], heardAt[seq]]
      if (storedAt === undefined || heard === undefined || inSince === undefined) continue
      if (!isSleeper && storedAt > inSince) deliveries.push({ storedAt, heardAt: heard })
    }
  }

  const turns = (async () => {
    while (!isOver) {
      // The database may be away.
      await turn().catch(() => {})
      await delay(EVERY_MS)
    }
  })()

  return {
    deliveries,
    open: () => [...ledger.chapters.values()].filter(({ settled }) => settled === undefined).length,
    async stop() {
      isOver = true
      await turns
    },
  }
}

function idsOf(chapters: readonly KnownChapter[]): string {
  return chapters.length === 0 ? '0' : chapters.map(({ id }) => id).join(', ')
}
