/**
 * A stock Socket.IO client that comes back, to any node and also after its node was killed, is back in its rooms by
 * itself. Socket.IO gives each client a session id (`pid`) which it returns when it next connects; here it leads to
 * the session’s rooms, which are joined again and replayed from each room’s last join.
 */
import { randomBytes } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { createBatcher } from '../async/batcher.js'
import { repeat } from '../async/repeat.js'
import type { RememberedRoom, SessionRoom, SessionStore } from '../store/sessions.js'
import type { ChapterSocket } from './io.js'

export interface Sessions {
  /** Before the connection: gives the socket its old pid if its session is known, else a new one. */
  begin(socket: ChapterSocket): Promise<void>
  /** The rooms that the session comes back to. */
  roomsOf(socket: ChapterSocket): SessionRoom[]
  /** What a join of this socket is to remember, if it has a session. */
  remember(socket: ChapterSocket, chapterId: number, afterSeq: number): RememberedRoom | undefined
  leaveRoom(socket: ChapterSocket, chapterId: number): void
  /** @param isForGood the client said goodbye, or was told to stay away */
  end(socket: ChapterSocket, isForGood: boolean): void
  /** Writes what is still to be written. */
  close(): Promise<void>
}

export interface SessionsOptions {
  store: SessionStore
  nodeId: string
  ttlMs: number
  now: () => number
  log: FastifyBaseLogger
}

/** Least time between two signs of life of a node, ms. */
const MIN_SEEN_MS = 500

export function createSessions({ store, nodeId, ttlMs, now, log }: SessionsOptions): Sessions {
  const resumed = new WeakMap<ChapterSocket, SessionRoom[]>()
  const unwritten = new Set<Promise<unknown>>()
  const onError = (error: unknown) =>
    log.warn({ err: error }, 'sessions could not be written; clients may have to join again')

  const takeUp = createBatcher(async (pids: string[]) => {
    const rooms = await store.takeUp(pids, nodeId, present(), ttlMs)
    return pids.map((pid) => rooms.get(pid))
  })
  const left = createBatcher((pids: string[]) => answered(store.left(pids, nodeId, now()), pids))
  const forget = createBatcher((pids: string[]) => answered(store.forget(pids), pids))
  const forgetRoom = createBatcher((rooms: { pid: string; chapterId: number }[]) =>
    answered(store.forgetRooms(rooms), rooms),
  )

  const seenMs = Math.max(MIN_SEEN_MS, ttlMs / 10)
  /** In this time every node says that it lives, unless it cannot. */
  const turnsMs = 3 * seenMs
  let seenAt = now()
  let stoodAt = seenAt
  let standsUntil = seenAt + turnsMs

  /**
   * The present as sessions know it: it stands still while the database is away, for then nobody can say that they
   * live, and until all had their turn after that.
   */
  function present(): number {
    const at = now()
    if (at - seenAt > turnsMs) return seenAt
    return at < standsUntil ? stoodAt : at
  }

  const seen = repeat(
    async () => {
      await store.seen(nodeId, now())
      const at = now()
      if (at - seenAt > turnsMs) {
        stoodAt = present()
        standsUntil = at + turnsMs
      }
      seenAt = at
      if (at >= standsUntil) await store.deleteExpired(at, 2 * ttlMs)
      return false
    },
    seenMs,
    onError,
  )
  seen.soon()

  function write(done: Promise<unknown>): void {
    const written = done.catch(onError).finally(() => unwritten.delete(written))
    unwritten.add(written)
  }

  return {
    async begin(socket) {
      const { pid, resume } = socket.handshake.auth as { pid?: unknown; resume?: unknown }
      // A client that joins by itself has no use for a session.
      if (resume === false) return
      const rooms = isPid(pid) ? await takeUp(pid) : undefined
      setPid(socket, rooms === undefined || !isPid(pid) ? randomBytes(15).toString('base64url') : pid)
      if (rooms !== undefined) resumed.set(socket, rooms)
    },
    roomsOf: (socket) => resumed.get(socket) ?? [],
    remember(socket, chapterId, afterSeq) {
      const pid = pidOf(socket)
      return pid === undefined ? undefined : { pid, chapterId, afterSeq, nodeId }
    },
    leaveRoom(socket, chapterId) {
      const pid = pidOf(socket)
      if (pid !== undefined) write(forgetRoom({ pid, chapterId }))
    },
    end(socket, isForGood) {
      const pid = pidOf(socket)
      if (pid !== undefined) write(isForGood ? forget(pid) : left(pid))
    },
    async close() {
      await seen.stop()
      await Promise.all(unwritten)
    },
  }
}

async function answered(done: Promise<void>, items: unknown[]): Promise<undefined[]> {
  await done
  return items.map(() => undefined)
}

function isPid(pid: unknown): pid is string {
  return typeof pid === 'string' && /^[\w-]{1,100}$/.test(pid)
}

/** Socket.IO keeps it private, and sends it with the connection’s first packet. */
function pidOf(socket: ChapterSocket): string | undefined {
  return (socket as unknown as { pid?: string }).pid
}

function setPid(socket: ChapterSocket, pid: string): void {
  ;(socket as unknown as { pid: string }).pid = pid
}
