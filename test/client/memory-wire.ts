/**
 * Connections without a network: a websocket for `socket.io-client` whose other end is an `UnrulyServer` in the
 * same process, speaking Engine.IO and Socket.IO. It fails in every way in which a connection can.
 */
import { WebSocket } from 'socket.io-client'
import type { Random } from '../support/random.js'
import type { Peer, UnrulyServer } from './unruly-server.js'

export interface Line {
  /** Chances, 0 to 1: a connection is not made, is made into silence, is let in by nobody, is refused. */
  refuse: number
  hang: number
  ignore: number
  deny: number
  latencyMs: number
}

export const GOOD_LINE: Line = { refuse: 0, hang: 0, ignore: 0, deny: 0, latencyMs: 5 }

const PING_MS = 25_000
/** How long the server waits for a client to say what it wants. */
const CONNECT_MS = 45_000

export class MemoryWire {
  line: Line
  readonly #server: UnrulyServer
  readonly #random: Random
  readonly #open = new Set<Connection>()
  /** Connections that clients began, in all. */
  begun = 0
  /** Connections on which a client said twice who it is. */
  repeatedConnects = 0

  constructor(server: UnrulyServer, random: Random, line: Line) {
    this.#server = server
    this.#random = random
    this.line = line
  }

  /** Neither closed by the client nor by this side; one that was abandoned counts. */
  get openCount(): number {
    return this.#open.size
  }

  /** For `socket: {transports}` of a client. */
  transportsFor(client: string): never {
    const open = () => {
      this.begun += 1
      const connection = new Connection(client, this.#server, this.#random, this.line, {
        closed: () => this.#open.delete(connection),
        welcomed: (times) => {
          if (times > 1) this.repeatedConnects += 1
        },
      })
      this.#open.add(connection)
      return connection.socket
    }
    class MemorySocket extends WebSocket {
      override createSocket() {
        return open()
      }
    }
    return [MemorySocket] as never
  }

  /** Something happens to connections: to all of them, or to one in so many. */
  disturb(how: 'close' | 'disconnect' | 'silence', share = 1): void {
    for (const connection of [...this.#open]) if (this.#random.chance(share)) connection.fail(how)
  }
}

type Handler = ((event: { data: string }) => void) | undefined

interface Told {
  closed: () => void
  /** The client says who it is, for the n-th time. */
  welcomed: (times: number) => void
}

class Connection implements Peer {
  readonly client: string
  /** What the client has of it. */
  readonly socket: {
    onopen: Handler
    onclose: Handler
    onmessage: Handler
    onerror: Handler
    send: (frame: string) => void
    close: () => void
  }
  isOpen = true
  #isSilent = false
  readonly #server: UnrulyServer
  readonly #random: Random
  readonly #line: Line
  readonly #tell: Told
  #connects = 0
  #ping: ReturnType<typeof setInterval> | undefined
  #patience: ReturnType<typeof setTimeout> | undefined

  constructor(client: string, server: UnrulyServer, random: Random, line: Line, tell: Told) {
    this.client = client
    this.#server = server
    this.#random = random
    this.#line = line
    this.#tell = tell
    this.socket = {
      onopen: undefined,
      onclose: undefined,
      onmessage: undefined,
      onerror: undefined,
      send: (frame) => queueMicrotask(() => this.#receive(frame)),
      close: () => this.#end(),
    }
    if (random.chance(line.hang)) this.#isSilent = true
    else setTimeout(() => this.#begin(), 1 + random.below(line.latencyMs))
  }

  get isHeard(): boolean {
    return this.isOpen && !this.#isSilent
  }

  emit(name: string, payload: object): void {
    this.#send(`42${JSON.stringify([name, payload])}`)
  }

  fail(how: 'close' | 'disconnect' | 'silence'): void {
    if (how === 'silence') this.#isSilent = true
    if (how === 'disconnect') this.#send('41')
    if (how === 'close') this.#cut()
  }

  #begin(): void {
    if (!this.isOpen) return
    if (this.#random.chance(this.#line.refuse)) {
      this.socket.onerror?.({ data: '' })
      this.#end()
      return
    }
    this.socket.onopen?.({ data: '' })
    this.#send(
      `0${JSON.stringify({ sid: 'sid', upgrades: [], pingInterval: PING_MS, pingTimeout: 20_000, maxPayload: 1e6 })}`,
    )
    this.#ping = setInterval(() => this.#send('2'), PING_MS)
    this.#patience = setTimeout(() => this.#cut(), CONNECT_MS)
  }

  #receive(frame: string): void {
    if (!this.isOpen || this.#isSilent) return
    const [, kind, ack, json] = /^4(\d)(\d*)(.*)$/s.exec(frame) ?? []
    if (kind === '0') this.#welcome()
    if (kind === '1') this.#end()
    if (kind !== '2') return
    const [name, payload] = JSON.parse(json as string)
    this.#server.hears(this, name, payload, (answer) => {
      if (ack !== '') this.#send(`43${ack}${JSON.stringify([answer])}`)
    })
  }

  #welcome(): void {
    this.#connects += 1
    this.#tell.welcomed(this.#connects)
    if (this.#random.chance(this.#line.ignore)) return
    clearTimeout(this.#patience)
    if (this.#random.chance(this.#line.deny)) {
      this.#send(
        `44${JSON.stringify({ message: 'not now', data: { code: 'unavailable', message: 'not now' } })}`,
      )
      return
    }
    this.#send(`40${JSON.stringify({ sid: 'sid' })}`)
    this.#server.connected(this)
  }

  #send(frame: string): void {
    if (this.isOpen && !this.#isSilent) this.socket.onmessage?.({ data: frame })
  }

  #cut(): void {
    if (!this.isOpen) return
    this.#end()
    this.socket.onclose?.({ data: '' })
  }

  #end(): void {
    this.isOpen = false
    clearInterval(this.#ping)
    clearTimeout(this.#patience)
    this.#server.disconnected(this)
    this.#tell.closed()
  }
}
