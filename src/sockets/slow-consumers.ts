/**
 * Clients that stopped reading: what waits for them is kept in memory, so their connections are cut. They come back and
 * are replayed.
 */

import type { ChapterIo, ChapterSocket } from './chapter-io.js'
import { queuedBytesOf, websocketOf } from './engine.js'
import { piecesTaken } from './pieces.js'

/** A client that has more unread than that must go on reading, or its connection is cut; it comes back and is replayed. */
const MAX_UNSENT_BYTES = 1_048_576
const UNSENT_CHECK_MS = 1000
/** How often in a row a client may be seen to have taken nothing. */
const MAX_STALLS = 6

/** Where clients that do not read are watched, those of other transports too. */
export interface SlowReaders {
  watch(readers: () => Iterable<{ unsentBytes: number; cut(): void }>): void
}

/**
 * Cuts connections of clients that stopped reading: what waits for them is kept in memory. A client that reads slowly,
 * but goes on reading, gets everything.
 */
export function watchSlowConsumers(io: ChapterIo, connections: SlowReaders): () => void {
  // What they hold together counts as well, beside what other connections hold.
  connections.watch(function* () {
    for (const { conn } of io.sockets.sockets.values()) {
      const unsentBytes = queuedBytesOf(conn)
      if (unsentBytes > 0) yield { unsentBytes, cut: () => cut(conn) }
    }
  })
  const seen = new WeakMap<ChapterSocket['conn'], { taken: number; stalls: number }>()
  const timer = setInterval(() => {
    for (const { conn } of io.sockets.sockets.values()) {
      const unsentBytes = queuedBytesOf(conn) + (websocketOf(conn)?.bufferedAmount ?? 0)
      if (unsentBytes <= MAX_UNSENT_BYTES) {
        seen.delete(conn)
        continue
      }
      const taken = piecesTaken(conn)
      const before = seen.get(conn)
      const stalls = before?.taken === taken ? before.stalls + 1 : 0
      seen.set(conn, { taken, stalls })
      if (stalls >= MAX_STALLS) cut(conn)
    }
  }, UNSENT_CHECK_MS)
  return () => clearInterval(timer)
}

function cut(conn: ChapterSocket['conn']): void {
  const websocket = websocketOf(conn)
  if (websocket === undefined) conn.close(true)
  else websocket.terminate()
}
