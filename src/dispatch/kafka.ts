/**
 * kafkajs as this program uses it, for sending and for receiving.
 *
 * A client lives no longer than its signal: when that aborts, its sockets are destroyed and no more are
 * opened, which ends whatever kafkajs still waits for. So nothing here depends on kafkajs’s own way back
 * after a fault: whoever sees one drops the client and opens another (`async/reconnecting.ts`).
 */
import { isIP, type Socket, connect as tcpConnect } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { FastifyBaseLogger } from 'fastify'
import { type Admin, Kafka, type KafkaConfig as KafkaJsConfig, type LogEntry, logLevel } from 'kafkajs'
import type { KafkaConfig } from '../config/config.js'
import { DEAD_LETTER_TOPIC, TOPICS } from '../contract/generation.js'
import { JOB_KINDS } from '../contract/job.js'
import './kafkajs-idle.js'

export type KafkaLog = Pick<FastifyBaseLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error'>
/** Opens a connection to a broker, without TLS. Tests put a faulty network in its place. */
export type OpenSocket = (address: { host: string; port: number }) => Socket

export interface KafkaClientOptions {
  config: KafkaConfig
  /** How brokers name this client in their logs and quotas. */
  clientId: string
  /** The life of the client. */
  signal: AbortSignal
  log: KafkaLog
  openSocket?: OpenSocket | undefined
}

export interface KafkaClient {
  kafka: Kafka
  /** Calls back once the last open connection is gone, from the brokers’ side. */
  onDisconnected(callback: () => void): void
}

const CONNECTION_TIMEOUT_MS = 3000
/** Of a single request; the caller’s own deadline is usually shorter. */
const REQUEST_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 30_000

export function createKafkaClient(options: KafkaClientOptions): KafkaClient {
  const { config, clientId, signal, log, openSocket = tcpConnect as OpenSocket } = options
  const sockets = new Set<Socket>()
  let disconnected = () => {}

  const kafka = new Kafka({
    brokers: [...config.brokers],
    clientId,
    ssl: config.ssl,
    ...(config.sasl === undefined ? {} : { sasl: config.sasl as KafkaJsConfig['sasl'] & object }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Enough for a leader that moved, and less than a send’s deadline in all.
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1000 },
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => {
      if (!signal.aborted) logEntry(entry, log)
    },
    socketFactory({ host, port, ssl, onConnect }) {
      signal.throwIfAborted()
      const socket = ssl
        ? tlsConnect({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl })
        : openSocket({ host, port })
      socket.once(ssl ? 'secureConnect' : 'connect', onConnect)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      sockets.add(socket)
      socket.once('close', () => {
        sockets.delete(socket)
        if (sockets.size === 0 && !signal.aborted) disconnected()
      })
      return socket
    },
  })

  signal.addEventListener(
    'abort',
    () => {
      // With an error, for only then does kafkajs give up the requests under way.
      for (const socket of sockets) socket.destroy(new Error('the client was dropped'))
    },
    { once: true },
  )
  return {
    kafka,
    onDisconnected(callback) {
      disconnected = callback
    },
  }
}

/**
 * Makes the topics that are missing. Existing ones are left as they are.
 * @returns why it is not sure that all are there, if it is not
 */
export async function ensureTopics(admin: Admin, config: KafkaConfig): Promise<Error | undefined> {
  const { topicPrefix, partitions, replication } = config
  const wanted = [...JOB_KINDS.map((kind) => TOPICS[kind]), DEAD_LETTER_TOPIC].map(
    (name) => `${topicPrefix}${name}`,
  )
  try {
    const existing = new Set(await admin.listTopics())
    const missing = wanted.filter((topic) => !existing.has(topic))
    if (missing.length === 0) return undefined
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: replication })),
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Whatever matters reaches us as a rejection or an event, and is logged there in our own words. */
function logEntry(
  { namespace, level, log: { timestamp, logger, message, ...about } }: LogEntry,
  log: KafkaLog,
) {
  const write = level <= logLevel.WARN ? 'debug' : 'trace'
  log[write]({ ...about, kafkajs: namespace }, message)
}

/** The innermost reason: kafkajs wraps errors in “retries exceeded”. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error && cause !== error ? reasonOf(cause) : error.message
}
