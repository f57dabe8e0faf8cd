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

/** The websocket of a connection, how much waits to be sent, and how much of it Socket.IO itself holds. */
export function transportOf(conn: ChapterSocket['conn']): {
  websocket: Websocket | undefined
  unsentBytes: number
  queuedBytes: number
} {
  const { writeBuffer, transport } = conn as unknown as EngineSocket
  const websocket = transport.name === 'websocket' ? transport.socket : undefined
  const queuedBytes = writeBuffer.reduce(
    (sum, { data }) => sum + (typeof data === 'string' ? data.length : 0),
    0,
  )
  return { websocket, unsentBytes: queuedBytes + (websocket?.bufferedAmount ?? 0), queuedBytes }
}
