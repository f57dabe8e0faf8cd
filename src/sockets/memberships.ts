/**
 * What each connection of this node is in or asks for, by id: of chapters, or of courses. Joins and leaves of one id on
 * one connection take effect in the order they came. A connection that ends gives all of its shares back.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../errors.js'
import type { ChapterSocket } from './chapter-io.js'

/** Joins and leaves that one connection may have waiting. */
const MAX_WAITING = 1000
/** How long those that are under way may hold a node that closes, ms. */
const CLOSE_MS = 2000

/** What a connection has while it is in. */
interface Held {
  share: { close(): void }
}

/** One connection’s membership in one chapter or course, or its way there. */
export interface Membership<Inside extends Held> {
  inside: Inside | undefined
  /** True if the last request was a join. A leave that waits counts as done. */
  isWanted: boolean
  waiting: number
  /** What was asked last; the next waits for it. */
  tail: Promise<unknown>
}

export interface Memberships<Inside extends Held> {
  of(socket: ChapterSocket): ReadonlyMap<number, Membership<Inside>>
  /** Rooms that the socket is in, or on its way to. */
  count(socket: ChapterSocket): number
  /**
   * Runs after whatever was asked before about this id on this connection.
   * @throws {AppError} when too much waits already
   */
  inOrder<T>(
    socket: ChapterSocket,
    id: number,
    isWanted: boolean,
    task: (membership: Membership<Inside>) => Promise<T>,
  ): Promise<T>
  /** Gives the share back. */
  exit(socket: ChapterSocket, id: number): void
  /** Gives back all of a socket’s shares. */
  leaveAll(socket: ChapterSocket): void
  /**
   * Resolves when the joins and leaves so far are done, because sessions remember them; or soon, while the database
   * is away.
   */
  close(): Promise<void>
}

/** All memberships of one connection. Their sums are kept, so that a join costs the same however many there are. */
interface Connection<Inside extends Held> {
  memberships: Map<number, Membership<Inside>>
  /** Memberships that are wanted. */
  wanted: number
  /** Joins and leaves that wait. */
  waiting: number
}

export function createMemberships<Inside extends Held>(): Memberships<Inside> {
  const connections = new WeakMap<ChapterSocket, Connection<Inside>>()
  const underWay = new Set<Promise<unknown>>()

  function connectionOf(socket: ChapterSocket): Connection<Inside> {
    const known = connections.get(socket) ?? { memberships: new Map(), wanted: 0, waiting: 0 }
    connections.set(socket, known)
    return known
  }

  function forgetIfIdle(connection: Connection<Inside>, id: number): void {
    const membership = connection.memberships.get(id)
    if (membership === undefined || membership.inside !== undefined || membership.waiting > 0) return
    connection.memberships.delete(id)
    if (membership.isWanted) connection.wanted -= 1
  }

  return {
    of: (socket) => connectionOf(socket).memberships,
    count: (socket) => connectionOf(socket).wanted,

    async inOrder(socket, id, isWanted, task) {
      const connection = connectionOf(socket)
      const { memberships } = connection
      if (connection.waiting >= MAX_WAITING)
        throw new AppError(
          'too_many_requests',
          `${MAX_WAITING} joins and leaves are waiting; ask more slowly`,
        )
      const membership: Membership<Inside> = memberships.get(id) ?? {
        inside: undefined,
        isWanted: false,
        waiting: 0,
        tail: Promise.resolve(),
      }
      memberships.set(id, membership)
      connection.wanted += Number(isWanted) - Number(membership.isWanted)
      membership.isWanted = isWanted
      membership.waiting += 1
      connection.waiting += 1
      const done = membership.tail.then(() => task(membership))
      const tail = done.catch(() => {})
      membership.tail = tail
      underWay.add(tail)
      try {
        return await done
      } finally {
        underWay.delete(tail)
        membership.waiting -= 1
        connection.waiting -= 1
        forgetIfIdle(connection, id)
      }
    },

    exit(socket, id) {
      const connection = connectionOf(socket)
      const membership = connection.memberships.get(id)
      if (membership === undefined) return
      membership.inside?.share.close()
      membership.inside = undefined
      forgetIfIdle(connection, id)
    },

    leaveAll(socket) {
      for (const membership of connections.get(socket)?.memberships.values() ?? []) {
        membership.inside?.share.close()
        membership.inside = undefined
      }
      connections.delete(socket)
    },

    async close() {
      await Promise.race([Promise.all(underWay), delay(CLOSE_MS, undefined, { ref: false })])
    },
  }
}
