/**
 * How a node lets go of its sockets when it closes.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ChapterIo } from './chapter-io.js'
import type { EngineSocket } from './engine.js'

/** Connections are closed in batches, so that they do not all come back at once. */
const CLOSE_BATCH = 50
const CLOSE_BATCHES = 20
const CLOSE_PAUSE_MS = 100
/**
 * How often to look whether clients that were told to leave are gone: half a second, for one round trip. Looks are
 * counted, and not the time: a process that stood still has not listened.
 */
const LOOKS = 50
const LOOK_MS = 10

/**
 * Closes every session so that its client comes back by itself, to a node that still takes sessions; in batches,
 * so that not all come at once.
 *
 * 1. Tell clients to leave. What they send until they know it is handled as usual: a join on its way is remembered
 *    with its session, and a plain client would not send it again.
 * 2. Close connections that have not ended in time.
 *
 * @param deadlineMs resolves by then; connections whose clients do not read may be left open
 */
export async function closeSockets(io: ChapterIo, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs
  const clients = Object.values((io.engine as unknown as { clients: Record<string, EngineSocket> }).clients)
  const allGone = async (looks: number) => {
    for (let look = 0; look < looks && io.engine.clientsCount > 0 && performance.now() < deadline; look++)
      await delay(LOOK_MS)
  }
  const size = Math.max(CLOSE_BATCH, Math.ceil(clients.length / CLOSE_BATCHES))
  const pauseMs = Math.min(CLOSE_PAUSE_MS, deadlineMs / (2 * CLOSE_BATCHES))
  for (let start = 0; start < clients.length; start += size) {
    if (start > 0) await delay(pauseMs * (0.5 + Math.random()))
    for (const client of clients.slice(start, start + size)) tellToLeave(client)
  }
  await allGone(LOOKS)
  for (const client of clients) client.close(isTold(client))
  await allGone(Number.POSITIVE_INFINITY)
}

/** `client.close()` would ignore what the client still sends. */
function tellToLeave(client: EngineSocket): void {
  const { transport, writeBuffer } = client
  if (transport.name !== 'websocket') {
    client.sendPacket('close')
  } else if (writeBuffer.length > 0) {
    client.once('drain', () => tellToLeave(client))
  } else {
    // Events still arrive in the client’s rooms; to send them on a closing websocket would be an error.
    transport.send = () => {}
    transport.socket?.close()
    // End the stream too: otherwise the client would go on sending, and nobody would read it.
    transport.socket?._socket.end()
  }
}

function isTold({ writeBuffer }: EngineSocket): boolean {
  return writeBuffer.every(({ type }) => type !== 'close')
}
