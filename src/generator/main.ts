/**
 * `npm run generator`: stands in for n8n. Consumes the three topics and answers every job over the webhooks,
 * with the sample text or, when `GENERATOR` or `OPENAI_MODEL` says so, a language model.
 *
 * On `HOST:PORT` it answers `/healthz` (alive) and `/readyz` (200 while it is consuming), for health checks;
 * a port that is taken is no reason not to work.
 */
import fastify, { LogController } from 'fastify'
import { readConfig } from '../config/config.js'
import { readEnvFile } from '../config/env-file.js'
import { ConfigError } from '../errors.js'
import { logOptions } from '../telemetry/log.js'
import { openTelemetry } from '../telemetry/telemetry.js'
import { createGeneratorConsumer } from './consumer.js'
import { chooseModel } from './models.js'
import { createWorker } from './worker.js'

/** Of `SHUTDOWN_TIMEOUT_MS`, what is kept for committing and leaving the group. */
const LEAVE_MS = 2500

async function main(): Promise<void> {
  const envFile = readEnvFile()
  const config = readConfig(process.env, envFile)
  const { kafka } = config
  if (kafka === undefined)
    throw new ConfigError([
      'npm run generator needs KAFKA_BROKERS: without Kafka the server generates by itself (GENERATOR)',
    ])

  const server = fastify({
    logger: await logOptions(config),
    // A health check every few seconds.
    logController: new LogController({ disableRequestLogging: true }),
  })
  const { log } = server
  if (envFile !== undefined) log.info(envFile, 'settings were read from .env')
  const telemetry = await openTelemetry(config, log, 'chaptercast-generator')
  const { name, model } = chooseModel(config, log)
  const consumer = createGeneratorConsumer({
    kafka,
    concurrency: config.generatorConcurrency,
    log,
    work: createWorker({
      model,
      webhookSecret: config.webhookSecrets[0],
      log,
      // The server’s own deadline comes first and is told of as a time-out.
      modelTimeoutMs: 2 * Math.max(config.generation.timeoutMs, config.openai?.silenceMs ?? 0),
      whenRunning: 'throw',
      tracing: telemetry?.tracing,
    }),
  })
  const state = () => ({
    consuming: consumer.isConsuming,
    jobs: consumer.inFlight,
    passed_over: consumer.passedOver,
  })
  server.get('/healthz', async () => ({ status: 'ok', ...state() }))
  server.get('/readyz', async (_request, reply) => reply.code(consumer.isConsuming ? 200 : 503).send(state()))

  let isLeaving = false
  const leave = (why: string, exitCode: number): void => {
    // A second Ctrl-C means now.
    if (isLeaving) process.exit(exitCode || 1)
    isLeaving = true
    log.info(state(), `${why}: leaving`)
    setTimeout(() => process.exit(exitCode || 1), config.shutdownTimeoutMs).unref()
    Promise.all([consumer.close(Math.max(0, config.shutdownTimeoutMs - LEAVE_MS)), server.close()])
      .then(() => telemetry?.close())
      .then(
        () => process.exit(exitCode),
        (error: unknown) => {
          log.error({ err: error }, 'could not leave in order')
          process.exit(1)
        },
      )
  }
  process.on('SIGINT', () => leave('SIGINT', 0))
  process.on('SIGTERM', () => leave('SIGTERM', 0))
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception')
    leave('uncaught exception', 1)
  })

  log.info(
    { generator: name, concurrency: config.generatorConcurrency, brokers: kafka.brokers },
    'the generator waits for jobs',
  )
  await server
    .listen({ host: config.host, port: config.port })
    .catch((error: unknown) => log.warn({ err: error }, 'no health check: the generator works without it'))
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : error)
  process.exit(1)
})
