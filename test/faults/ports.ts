/** Ports for what stops and starts again on the same one. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Systems give outgoing connections ports from there on: one could take the port of a server that is away. */
const EPHEMERAL = 32_768
const LOWEST = 10_240
const given = new Set<number>()

/** A free port of 127.0.0.1 that no outgoing connection is given, and that this did not give before. */
export async function lowPort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (EPHEMERAL - LOWEST))
    if (given.has(port)) continue
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    given.add(port)
    return port
  }
}
