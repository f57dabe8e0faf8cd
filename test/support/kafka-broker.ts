/**
 * Something that speaks Kafka’s protocol, for the tests: the brokers of `KAFKA_BROKERS`, or the mock broker
 * inside Debian’s `kcat`, which keeps messages and groups in memory and knows no admin calls.
 */

import { spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { waitFor } from './condition.js'
import type { Service, ServiceRun } from './services.js'

const BROKERS = /^[^\s,:/]+:\d{1,5}(,[^\s,:/]+:\d{1,5})*$/

export const KAFKA: Service = {
  name: 'Kafka',
  envVar: 'KAFKA_BROKERS',
  exampleUrl: '127.0.0.1:9092',
  accepts: (given) => BROKERS.test(given),
  binaries: ['kcat'],
  folders: () => [],
  debianPackage: 'kcat',
  start: startMock,
  version: kafkaVersion,
}

/** A consumer that runs the mock broker, on a port of its own choice, beside itself. */
async function startMock({ directory, installation, user, env, keep }: ServiceRun): Promise<string> {
  const log = join(directory, 'log')
  const output = openSync(log, 'w')
  const mock = [
    '-b',
    'ignored',
    '-X',
    'test.mock.num.brokers=1',
    '-C',
    '-t',
    'of-the-mock-itself',
    '-o',
    'end',
  ]
  const broker = spawn(join(installation, 'kcat'), mock, {
    ...user,
    env,
    cwd: directory,
    detached: true,
    stdio: ['ignore', output, output],
  })
  if (broker.pid !== undefined) keep(broker.pid, 'SIGKILL')
  const ended = new AbortController()
  broker.on('error', (error) => ended.abort(error))
  const onExit = (code: number | null) =>
    ended.abort(new Error(`kcat ended with code ${code}: ${readFileSync(log, 'utf8')}`))
  broker.on('exit', onExit)
  const address = () => /replaced with ([\d.]+:\d+)/.exec(readFileSync(log, 'utf8'))?.[1]
  const brokers = await waitFor('kcat’s mock broker to say its address', address, { signal: ended.signal })
  await waitFor('the mock broker to answer', () => kafkaVersion(brokers), { signal: ended.signal })
  // At the end of the run it is killed, and its log is gone.
  broker.off('exit', onExit)
  broker.unref()
  return brokers
}

async function kafkaVersion(brokers: string): Promise<string> {
  const kafka = new Kafka({
    brokers: brokers.split(','),
    retry: { retries: 3 },
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  try {
    await admin.listTopics()
    return 'protocol'
  } finally {
    await admin.disconnect()
  }
}
