/**
 * Engine.IO by hand: clients that do what no stock client does, such as to stop reading.
 */
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { waitFor } from '../support/condition.js'

export interface RawSocket {
  socket: WebSocket
  packets: string[]
  isClosed(): boolean
}

/** A websocket with an Engine.IO session, and nothing asked of it yet. */
export async function openRawSocket(t: Test, url: string): Promise<RawSocket> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`)
  t.teardown(() => socket.terminate())
  const packets: string[] = []
  let isClosed = false
  socket.on('message', (data) => packets.push(String(data)))
  socket.on('close', () => {
    isClosed = true
  })
  socket.on('error', () => {})
  await waitFor('the session is open', () => packets[0]?.startsWith('0{'))
  return { socket, packets, isClosed: () => isClosed }
}

/** One in a chapter’s room that takes in nothing any more. */
export async function joinAndStopReading(t: Test, url: string, chapterId: number): Promise<RawSocket> {
  const raw = await openRawSocket(t, url)
  raw.socket.send('40')
  await waitFor('it is connected', () => raw.packets.some((packet) => packet.startsWith('40')))
  raw.socket.send(`42["join_chapter",${JSON.stringify({ chapter_id: chapterId, after_seq: 4 })}]`)
  await waitFor('it has joined', () => raw.packets.some((packet) => packet.includes('joined_chapter')))
  raw.socket.pause()
  return raw
}

/** An Engine.IO session over long-polling, of which each request is the test’s to make. */
export async function openPolling(url: string) {
  const path = `${url}/socket.io/?EIO=4&transport=polling`
  const opened = await (await fetch(path)).text()
  const session = `${path}&sid=${JSON.parse(opened.slice(1)).sid}`
  return {
    poll: async () => (await fetch(session)).text(),
    send: async (packet: string) => (await fetch(session, { method: 'POST', body: packet })).text(),
  }
}

/** One in a chapter’s room over long-polling that does not poll any more. */
export async function joinAndStopPolling(url: string, chapterId: number): Promise<void> {
  const { poll, send } = await openPolling(url)
  await send('40')
  await send(`42["join_chapter",${JSON.stringify({ chapter_id: chapterId, after_seq: 4 })}]`)
  let heard = ''
  while (!heard.includes('joined_chapter')) heard += await poll()
}
