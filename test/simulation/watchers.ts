/**
 * Browsers that watch chapters: each is in a chapter’s room by a socket of some node, leaves and comes back, loses its
 * connection, and goes on at another node from the last event that it has. It holds what it hears against what it heard
 * before: every event once and in order.
 */
import type { ProgressUpdate } from '../../src/contract/event.js'
import type { JoinedChapter } from '../../src/contract/socket.js'
import type { ChapterSocket } from '../../src/sockets/chapter-io.js'
import { refusalOf } from '../../src/sockets/rooms.js'
import type { Row } from './memory-store.js'
import type { SimulatedNode } from './node.js'
import type { World } from './world.js'

/** A node that does not answer a join is left after that. */
const PATIENCE_MS = 15_000

/** As much of a socket as rooms use. */
export class FakeSocket {
  connected = true
  readonly node: SimulatedNode
  private readonly hear: (socket: FakeSocket, name: string, payload: object) => void

  constructor(node: SimulatedNode, hear: FakeSocket['hear']) {
    this.node = node
    this.hear = hear
  }

  emit(name: string, payload: object): void {
    this.hear(this, name, payload)
  }

  join(room: string): void {
    this.node.sockets.set(room, (this.node.sockets.get(room) ?? new Set()).add(this))
  }

  leave(room: string): void {
    this.node.sockets.get(room)?.delete(this)
  }
}

export class Watcher {
  readonly chapterId: number
  private readonly world: World
  private readonly nodes: () => SimulatedNode[]
  private socket: FakeSocket | undefined
  /** The last event that it has. */
  private last = 0
  private progress: number | undefined
  private isIn = false
  /** It has asked to be let in anew, with the cursor of that moment; it asks once. */
  private isJoining = false
  private isDeleted = false

  constructor(world: World, nodes: () => SimulatedNode[], chapterId: number) {
    this.world = world
    this.nodes = nodes
    this.chapterId = chapterId
    this.connect()
  }

  /** What is wrong with where it stands, when nothing is under way any more. */
  behind(row: Row | undefined): string | undefined {
    const about = `a watcher of chapter ${this.chapterId}`
    if (row === undefined) return undefined
    if (this.isDeleted) return `${about} was told that it was deleted`
    if (!this.isIn) return `${about} is not let in`
    const { lastSeq, latestProgress } = row.state
    if (this.last !== lastSeq) return `${about} has heard up to ${this.last} of ${lastSeq}`
    if (this.progress !== latestProgress?.progress)
      return `${about} has a progress of ${this.progress} and not ${latestProgress?.progress}`
    return undefined
  }

  get isSettled(): boolean {
    return this.isIn || this.isDeleted
  }

  /** Its node died, if it was on that one. */
  lost(node: SimulatedNode): void {
    if (this.socket?.node === node) this.comeBack(true)
  }

  /** Something happens to it: it leaves and comes back, or its connection breaks. */
  stir(): void {
    const { random } = this.world
    if (!this.isIn || this.isJoining || this.isDeleted || this.socket === undefined) return
    if (random.chance(0.5)) this.comeBack(false)
    else this.joinAnew(this.socket)
  }

  private connect(): void {
    const { world } = this
    const node = world.random.pick(this.nodes())
    const socket = new FakeSocket(node, (from, name, payload) => this.hear(from, name, payload))
    this.socket = socket
    world.send(node.life, () => this.join(socket))
    world.time.after(PATIENCE_MS, undefined, () => {
      if (this.socket === socket && !this.isIn && !this.isDeleted) this.comeBack(true)
    })
  }

  private join(socket: FakeSocket): void {
    if (this.socket !== socket || !socket.connected) return
    this.world.record('joins', { chapter: this.chapterId, after: this.last })
    socket.node.rooms.join(asClient(socket), this.chapterId, this.last).catch((error: unknown) => {
      if (this.socket !== socket) return
      // Refused after a minute without the database, too: then a client asks again.
      if (refusalOf(error).code === 'internal') this.world.fault(`a join failed: ${String(error)}`)
      this.comeBack(false)
    })
  }

  /** On the same connection. */
  private joinAnew(socket: FakeSocket): void {
    const { world, chapterId } = this
    this.isJoining = true
    world.send(socket.node.life, () => {
      if (this.socket !== socket || !socket.connected) return
      void socket.node.rooms.leave(asClient(socket), chapterId).then(() => {
        if (this.socket === socket) this.isIn = false
      })
      if (world.random.chance(0.5)) this.join(socket)
      else world.time.after(world.between(1, 3000), socket.node.life, () => this.join(socket))
    })
  }

  /** Over another connection. @param isAbrupt what was sent to it last may not have come */
  private comeBack(isAbrupt: boolean): void {
    const { world, socket } = this
    if (socket === undefined) return
    this.isIn = false
    this.isJoining = false
    if (isAbrupt && this.last > 0) this.last -= world.random.below(Math.min(3, this.last + 1))
    this.socket = undefined
    world.time.after(world.latency(), socket.node.life, () => {
      socket.connected = false
      for (const members of socket.node.sockets.values()) members.delete(socket)
      socket.node.rooms.leaveAll(asClient(socket))
    })
    world.time.after(world.between(1, 2000), undefined, () => this.connect())
  }

  private hear(socket: FakeSocket, name: string, payload: object): void {
    const { world, chapterId } = this
    // On its way when the connection ended.
    if (this.socket !== socket) return
    if (name === 'joined_chapter') {
      this.isIn = true
      this.isJoining = false
      if ((payload as JoinedChapter).reset === true) this.last = 0
      return
    }
    if (name === 'chapter_deleted') {
      this.isDeleted = true
      return
    }
    if (!this.isIn)
      world.fault(`a watcher of chapter ${chapterId} hears ${name} although it is not in its room`)
    if (name === 'progress_update') {
      this.progress = (payload as ProgressUpdate).progress
      return
    }
    const { seq } = payload as { seq: number }
    world.count('heard')
    world.record('hears', { chapter: chapterId, name, seq, after: this.last })
    if (seq !== this.last + 1)
      world.fault(`a watcher of chapter ${chapterId} hears ${seq} after ${this.last}`)
    this.last = seq
  }
}

function asClient(socket: FakeSocket): ChapterSocket {
  return socket as unknown as ChapterSocket
}
