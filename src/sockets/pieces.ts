/**
 * What waits for a client is handed to its connection in pieces, the next when the one before was taken. So a slow
 * reader can be told from one that stopped reading, and heartbeats do not wait behind a replay of megabytes.
 *
 * Engine.IO gives a transport all that waits at once, and Node says that it was taken only when all of it was. Here
 * the transport takes a piece and puts the rest back in front of what waits; Engine.IO comes again when it is ready.
 */
import type { ChapterIo, ChapterSocket } from './chapter-io.js'

/** In UTF-16 units. A poll is a whole request, so it takes more. */
const PIECE = { websocket: 65_536, polling: 262_144 }

interface Packet {
  type?: string
  data?: unknown
}

interface Transport {
  name: string
  send(packets: Packet[]): void
}

/** What Engine.IO does not type. */
interface Connection {
  transport: Transport
  writeBuffer: Packet[]
  on(name: 'upgrade', listener: (transport: Transport) => void): void
}

const pieces = new WeakMap<object, number>()

/** How many pieces a connection has begun to take: it reads as long as the number grows. */
export function piecesTaken(conn: ChapterSocket['conn']): number {
  return pieces.get(conn) ?? 0
}

export function sendInPieces(io: ChapterIo): void {
  io.engine.on('connection', (conn: Connection) => {
    takePieces(conn, conn.transport)
    conn.on('upgrade', (transport) => takePieces(conn, transport))
  })
}

function takePieces(conn: Connection, transport: Transport): void {
  const send = transport.send.bind(transport)
  const size = transport.name === 'websocket' ? PIECE.websocket : PIECE.polling
  transport.send = (packets) => {
    pieces.set(conn, (pieces.get(conn) ?? 0) + 1)
    const [piece, rest] = split(packets, size)
    if (rest.length > 0) conn.writeBuffer = [...rest, ...conn.writeBuffer]
    send(piece)
  }
}

/** Heartbeats and other packets that are no message go first; messages keep their order. */
function split(packets: Packet[], size: number): [piece: Packet[], rest: Packet[]] {
  let count = 0
  for (let units = 0; count < packets.length && (count === 0 || units < size); count += 1)
    units += sizeOf(packets[count])
  if (count === packets.length) return [packets, []]
  const rest = packets.slice(count)
  const urgent = rest.filter(({ type }) => type === 'ping' || type === 'pong')
  const piece = [...urgent, ...packets.slice(0, count)]
  return [piece, urgent.length === 0 ? rest : rest.filter((packet) => !urgent.includes(packet))]
}

function sizeOf(packet: Packet | undefined): number {
  return typeof packet?.data === 'string' ? packet.data.length : 0
}
