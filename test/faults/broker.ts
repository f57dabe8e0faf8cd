/**
 * The broker: the mock inside `kcat`, which can be frozen and killed (then it has forgotten everything, and has another
 * port), or the one of `KAFKA_BROKERS`, whose faults are made on the ways of the nodes.
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Ending } from '../support/ending.js'
import { KAFKA } from '../support/kafka-broker.js'
import type { PrivateRun } from '../support/private-run.js'
import { provide } from '../support/services.js'
import type { Address } from '../support/tcp-proxy.js'

export interface Broker {
  summary: string
  /** Ours, or one that was there. */
  isOurs: boolean
  address(): Address
  freeze(): void
  thaw(): void
  kill(): void
  start(): Promise<void>
}

export async function startBroker(_ending: Ending, run: PrivateRun): Promise<Broker> {
  let pid = 0
  let starts = 0
  let url = ''
  let summary = ''
  const isOurs = !process.env.KAFKA_BROKERS

  async function start(): Promise<void> {
    starts += 1
    const directory = join(run.directory, `broker-${starts}`)
    mkdirSync(directory)
    const keep: PrivateRun['keep'] = (started, signal) => {
      pid = started
      run.keep(started, signal)
    }
    ;({ url, summary } = await provide(KAFKA, { env: run.env, directory, keep }))
  }
  const signal = (name: NodeJS.Signals) => {
    if (isOurs) process.kill(pid, name)
  }
  await start()
  return {
    summary,
    isOurs,
    address() {
      const [host = '', port = ''] = (url.split(',')[0] ?? '').split(':')
      return { host, port: Number(port) }
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    kill: () => signal('SIGKILL'),
    start,
  }
}
