/**
 * The parts of an Engine.IO connection that are used here and that Engine.IO does not type.
 */
import type { ChapterSocket } from './chapter-io.js'

export interface EngineSocket {
  writeBuffer: { type?: string; data?: unknown }[]
  transport: { name: string; socket?: Websocket; send: (packets: object[]) => void }
  sendPacket(type: 'close'): void
  once(name: 'drain', listener: () => void): void
  on(name: 'packet', listener: (packet: { type: string }) => void): void
  /** @param isForced does not wait for the client to take it in */
  close(isForced: boolean): void
}

export interface Websocket {
  bufferedAmount: number
  close(): void
  terminate(): void
  _socket: { end(): void }
}

export function websocketOf(conn: ChapterSocket['conn']): Websocket | undefined {
  const { transport } = conn as unknown as EngineSocket
  return transport.name === 'websocket' ? transport.socket : undefined
}

/** How much Socket.IO itself holds for a connection, beside what its websocket holds. */
export function queuedBytesOf(conn: ChapterSocket['conn']): number {
  let bytes = 0
  for (const { data } of (conn as unknown as EngineSocket).writeBuffer)
    if (typeof data === 'string') bytes += data.length
  return bytes
}
