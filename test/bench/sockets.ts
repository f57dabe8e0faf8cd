/**
 * Socket.IO clients that cost the driver little: Engine.IO by hand over `ws`, so that thousands fit in one process
 * beside the servers. One that loses its node comes back to another after 0.5 to 1.5 s, the first pause of a stock
 * client, and joins its rooms again with the last `seq` it has seen.
 */
import { WebSocket } from 'ws'

export interface BenchSocket {
  /** Resolves when it is in. */
  join(chapterId: number): Promise<void>
  /** When the last join of the present connection was answered; `performance.now()`. */
  readonly joinedAt: number
  /** The node that it is connected to, or was last. */
  readonly url: string
  close(): void
}

export interface SocketOptions {
  onEvent?: (name: string, payload: EventPayload) => void
  /** Where to go when the node is lost; by default the socket stays away. */
  nextUrl?: () => string
}

export interface EventPayload {
  chapter_id: number
  seq?: number
}

const JOIN_LIMIT_MS = 30_000

/** Resolves when it is connected. */
export async function openSocket(firstUrl: string, options: SocketOptions = {}): Promise<BenchSocket> {
  let url = firstUrl
  let isClosed = false
  let joinedAt = 0
  let ws: WebSocket
  const lastSeqs = new Map<number, number>()
  const joins = new Map<number, () => void>()

  function connect(): Promise<void> {
    ws = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
    })
    ws.on('error', () => {})
    ws.on('close', comeBack)
    return new Promise((resolve) => {
      ws.on('message', (data) => {
        const packet = String(data)
        if (packet.startsWith('42')) heard(packet)
        else if (packet === '2') ws.send('3')
        else if (packet.startsWith('0')) ws.send('40{"resume":false}')
        else if (packet.startsWith('40')) {
          for (const chapterId of lastSeqs.keys()) askToJoin(chapterId)
          resolve()
        }
      })
    })
  }

  function comeBack(): void {
    if (isClosed || options.nextUrl === undefined) return
    const { nextUrl } = options
    setTimeout(
      () => {
        if (isClosed) return
        url = nextUrl()
        void connect()
      },
      500 + 1000 * Math.random(),
    )
  }

  function heard(packet: string): void {
    const [name, payload] = JSON.parse(packet.slice(2)) as [string, EventPayload]
    if (name === 'joined_chapter') {
      joinedAt = performance.now()
      joins.get(payload.chapter_id)?.()
    } else if (payload?.seq !== undefined) {
      lastSeqs.set(payload.chapter_id, payload.seq)
    }
    options.onEvent?.(name, payload)
  }

  function askToJoin(chapterId: number): void {
    const payload = { chapter_id: chapterId, after_seq: lastSeqs.get(chapterId) ?? 0 }
    ws.send(`42${JSON.stringify(['join_chapter', payload])}`)
  }

  await connect()
  return {
    join(chapterId) {
      lastSeqs.set(chapterId, 0)
      askToJoin(chapterId)
      return new Promise((resolve, reject) => {
        const late = () => reject(new Error(`chapter ${chapterId} was not joined in ${JOIN_LIMIT_MS} ms`))
        const timer = setTimeout(late, JOIN_LIMIT_MS)
        joins.set(chapterId, () => {
          clearTimeout(timer)
          joins.delete(chapterId)
          resolve()
        })
      })
    },
    get joinedAt() {
      return joinedAt
    },
    get url() {
      return url
    },
    close() {
      isClosed = true
      ws.close()
    },
  }
}
