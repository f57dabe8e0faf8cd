/** How jobs reach the worker: from the broker, or by HTTP. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { type GenerationMessage, TOPICS } from '../../src/contract/generation.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { freePort, waitFor } from '../support/condition.js'
import type { Ending } from '../support/ending.js'
import type { Address } from '../support/tcp-proxy.js'
import type { FaultyNode } from './nodes.js'
import type { Findings } from './promises.js'
import type { Worker } from './worker.js'

/** A consumer of the topics, as n8n is; a new one whenever the old one or its broker is gone. */
export function consumeJobs(ending: Ending, prefix: string, address: () => Address, worker: Worker) {
  let consumer: Consumer | undefined
  let isOver = false
  let lost = () => {}

  const lives = (async () => {
    while (!isOver) {
      const gone = new Promise<void>((resolve) => {
        lost = resolve
      })
      try {
        const { host, port } = address()
        const kafka = new Kafka({
          brokers: [`${host}:${port}`],
          clientId: 'faults-worker',
          logLevel: logLevel.NOTHING,
          retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500 },
        })
        const current = kafka.consumer({
          groupId: `${prefix}worker`,
          maxWaitTimeInMs: 100,
          sessionTimeout: 6000,
          heartbeatInterval: 1000,
        })
        consumer = current
        current.on('consumer.crash', () => lost())
        await current.connect()
        const topics = JOB_KINDS.map((kind) => `${prefix}${TOPICS[kind]}`)
        await current.subscribe({ topics, fromBeginning: true })
        await current.run({
          eachMessage: async ({ message: { value } }) => {
            if (value !== null) void worker.take(JSON.parse(value.toString()) as GenerationMessage)
          },
        })
        await gone
      } catch {
        await delay(200)
      }
      const old = consumer
      consumer = undefined
      await Promise.race([old?.disconnect().catch(() => {}), delay(1000)])
    }
  })()
  ending.teardown(async () => {
    isOver = true
    lost()
    await Promise.race([lives, delay(3000)])
  })
  return {
    /** The broker is another one, or was away. */
    renew: () => lost(),
  }
}

/** How long a node’s trouble is a cause for others to take its jobs over: longer than a hold. */
const HOLD_MS = 20_000

/**
 * A service at `DISPATCH_URL`. It keeps some requests open for longer than a hold lasts and answers with 204 then; its
 * calls are the worker’s.
 */
export async function serveJobs(
  ending: Ending,
  worker: Worker,
  nodes: readonly FaultyNode[],
  findings: Findings,
): Promise<number> {
  const open = new Map<string, number>()
  const server = createServer(async (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('error', () => {})
    for await (const part of request) text += part
    const message = JSON.parse(text) as GenerationMessage
    const work = `${message.job_id}/${message.attempt}`
    const sender = nodes[Number(/node-(\d+)/.exec(message.callback.finish_url)?.[1])]
    const first = open.get(work)
    if (first !== undefined) {
      const node = nodes[first]
      if (node !== undefined && Math.max(node.troubledUntil, node.cutOffUntil) + HOLD_MS < Date.now())
        findings.found(
          'twoWorkers',
          `chapter ${message.chapter_id} ${message.kind} ${work}, from node ${sender?.index}`,
        )
      return response.writeHead(409).end()
    }
    if (sender !== undefined) open.set(work, sender.index)
    response.once('close', () => open.delete(work))
    const staysOpen = message.chapter_id % 4 === 0
    if (!staysOpen) {
      response.writeHead(202).end()
      return void worker.take(message)
    }
    await delay(12_000)
    if (response.destroyed) return
    await worker.take(message)
    response.writeHead(204).end()
  })
  server.on('connection', (socket) => socket.on('error', () => {}))
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  await waitFor('the worker to listen', () => server.listening)
  ending.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return port
}
