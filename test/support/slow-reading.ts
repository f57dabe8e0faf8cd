/**
 * For clients that read slowly: a chapter with a long log, and a way on which only so much comes through.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { createChapter } from './client.js'
import { query } from './watch.js'

/** A chapter with so many events of such a size, as no webhook can bring about as quickly. */
export async function longChapter(
  url: string,
  databaseUrl: string,
  events: number,
  eventBytes: number,
): Promise<number> {
  const chapterId = await createChapter(url)
  await query(
    databaseUrl,
    `insert into event (chapter_id, seq, name, payload)
     select ${chapterId}, n, 'concept_started', json_build_object('chapter_id', ${chapterId}, 'status', 'started',
       'attempt', 1, 'message', repeat('x', ${eventBytes}), 'seq', n, 'at', '2026-01-31T09:00:00.000Z')
     from generate_series(5, ${events}) n`,
  )
  await query(
    databaseUrl,
    `update chapter set last_seq = ${events}, version = version + 1 where id = ${chapterId}`,
  )
  return chapterId
}

/** Leads to a port, and brings back so many bytes a second; the rest waits with the sender. */
export async function slowWay(t: Test, port: number, bytesPerSecond: number): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer({ highWaterMark: 16_384 }, (near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        sockets.delete(socket)
      })
    }
    near.pipe(far)
    far.on('data', async (chunk: Buffer) => {
      far.pause()
      if (!near.write(chunk)) await once(near, 'drain').catch(() => {})
      await delay((chunk.length / bytesPerSecond) * 1000)
      far.resume()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
