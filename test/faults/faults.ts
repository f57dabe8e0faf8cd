/** What each fault does. Beginning one gives the way to end it. */
import { setTimeout as delay } from 'node:timers/promises'
import { asking, type OwnRedis } from '../support/redis.js'
import type { Broker } from './broker.js'
import type { FaultyNode } from './nodes.js'
import type { PostgresPair } from './postgres-pair.js'
import type { FaultKind } from './schedule.js'

export interface Scene {
  nodes: readonly FaultyNode[]
  postgres: PostgresPair
  redis: OwnRedis
  broker: Broker
  /** The broker is another one, or was away: the worker looks for it anew. */
  renewWorker(): void
  /** The folder that nodes run after a rolling update. */
  project: string
}

type End = () => Promise<void>
type Begin = (scene: Scene, node: FaultyNode, lastsMs: number) => Promise<End>

/** Connections of a node that was away may be given up by their clients that much later. */
const AFTERMATH_MS = 5000
/** Each way. */
const SLOW_MS = 80

/** Why a fault cannot be made here, if it cannot. */
export function obstacleOf(kind: FaultKind, { postgres }: Scene): string | undefined {
  return kind === 'postgres-out-of-disk' ? postgres.diskTrouble : undefined
}

export const BEGIN: Record<FaultKind, Begin> = {
  async 'node-killed'(_scene, node) {
    trouble(node)
    await node.kill()
    return () => back(node)
  },
  async 'node-stopped'(_scene, node) {
    trouble(node)
    node.freeze()
    return async () => {
      node.thaw()
      calm(node)
    }
  },
  async 'node-restarted'(_scene, node) {
    trouble(node)
    await node.stop()
    return () => back(node)
  },
  async 'node-clocks'({ nodes }, node) {
    // The next one’s clock is wrong the other way.
    const pair = [node, nodes[(node.index + 1) % nodes.length] as FaultyNode]
    for (const { turnClock } of pair) turnClock()
    // A hold looks expired to a node whose clock is ahead.
    cutOff(nodes)
    return async () => {
      for (const { turnClock } of pair) turnClock()
      reconnected(nodes)
    }
  },
  async 'rolling-update'({ nodes, project }) {
    for (const node of nodes) {
      trouble(node)
      await node.stop()
      node.update(project)
      await back(node)
      await delay(500)
    }
    return async () => {}
  },
  async 'cut-postgres'(_scene, node) {
    cutOff([node])
    node.postgres.stall()
    return async () => {
      node.postgres.abandon()
      node.postgres.resume()
      reconnected([node])
    }
  },
  async 'cut-redis'(_scene, node) {
    node.redis.stall()
    return async () => {
      node.redis.abandon()
      node.redis.resume()
    }
  },
  async 'cut-kafka'(_scene, node) {
    node.kafka.stall()
    return async () => {
      node.kafka.abandon()
      node.kafka.resume()
    }
  },
  async 'slow-redis'(_scene, node) {
    node.redis.slow(SLOW_MS)
    return async () => node.redis.slow(0)
  },
  async 'redis-frozen'({ redis }) {
    redis.freeze()
    return async () => redis.thaw()
  },
  async 'redis-killed'({ redis }) {
    await redis.stop()
    return () => redis.start()
  },
  async 'redis-out-of-memory'({ redis }) {
    const limit = (bytes: string) => asking(redis.url, (client) => client.config('SET', 'maxmemory', bytes))
    await limit('1')
    return async () => void (await limit('0'))
  },
  async 'postgres-crashed'({ postgres, nodes }) {
    cutOff(nodes)
    await postgres.crash()
    return async () => {
      await postgres.start()
      reconnected(nodes)
    }
  },
  async 'postgres-restarted'({ postgres, nodes }) {
    cutOff(nodes)
    await postgres.stop()
    return async () => {
      await postgres.start()
      reconnected(nodes)
    }
  },
  async 'postgres-half-open'({ nodes }) {
    cutOff(nodes)
    for (const node of nodes) node.postgres.stall()
    return async () => {
      for (const node of nodes) {
        node.postgres.abandon()
        node.postgres.resume()
      }
      reconnected(nodes)
    }
  },
  async 'postgres-slow'({ nodes }) {
    cutOff(nodes)
    for (const node of nodes) node.postgres.slow(SLOW_MS)
    return async () => {
      for (const node of nodes) node.postgres.slow(0)
      reconnected(nodes)
    }
  },
  async 'postgres-out-of-disk'({ postgres, nodes }) {
    cutOff(nodes)
    await postgres.fillDisk()
    return async () => {
      await postgres.freeDisk()
      reconnected(nodes)
    }
  },
  async 'postgres-failover'({ postgres, nodes }) {
    cutOff(nodes)
    await postgres.failOver()
    return async () => reconnected(nodes)
  },
  async 'kafka-frozen'({ broker, nodes }) {
    if (broker.isOurs) broker.freeze()
    else for (const { kafka } of nodes) kafka.stall()
    return async () => {
      broker.thaw()
      if (!broker.isOurs) for (const { kafka } of nodes) kafka.resume()
    }
  },
  async 'kafka-killed'(scene) {
    const { broker, nodes } = scene
    if (broker.isOurs) broker.kill()
    for (const { kafka } of nodes) kafka.cut()
    return async () => {
      if (broker.isOurs) await broker.start()
      for (const { kafka } of nodes) kafka.resume()
      if (broker.isOurs) scene.renewWorker()
    }
  },
}

function trouble(node: FaultyNode): void {
  node.troubledUntil = Number.POSITIVE_INFINITY
}

function calm(node: FaultyNode): void {
  node.troubledUntil = Date.now() + AFTERMATH_MS
}

async function back(node: FaultyNode): Promise<void> {
  await node.start()
  calm(node)
}

function cutOff(nodes: readonly FaultyNode[]): void {
  for (const node of nodes) node.cutOffUntil = Number.POSITIVE_INFINITY
}

function reconnected(nodes: readonly FaultyNode[]): void {
  for (const node of nodes) node.cutOffUntil = Date.now()
}
