/**
 * The process: reads the settings, listens, and leaves in order when it is told to.
 */
import { buildApp } from './app.js'
import { readConfig } from './config/config.js'
import { readEnvFile } from './config/env-file.js'
import { ConfigError, DataDirLockedError, MigrationError } from './errors.js'

/** npm passes a Ctrl-C on to a process that the terminal told of it already. */
const SAME_SIGNAL_MS = 300

async function main(): Promise<void> {
  const envFile = readEnvFile()
  const config = readConfig(process.env, envFile)
  const app = await buildApp(config)
  if (envFile !== undefined) app.log.info(envFile, 'settings were read from .env')
  let leavingSince: number | undefined

  const leave = (why: string, exitCode: number): void => {
    // A second Ctrl-C means now.
    if (leavingSince !== undefined) {
      if (performance.now() - leavingSince > SAME_SIGNAL_MS) process.exit(exitCode || 1)
      return
    }
    leavingSince = performance.now()
    app.log.info(`${why}: leaving`)
    setTimeout(() => process.exit(exitCode || 1), config.shutdownTimeoutMs).unref()
    app.close().then(
      () => process.exit(exitCode),
      (error: unknown) => {
        app.log.error({ err: error }, 'could not leave in order')
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', () => leave('SIGINT', 0))
  process.on('SIGTERM', () => leave('SIGTERM', 0))
  process.on('uncaughtException', (error) => {
    app.log.fatal({ err: error }, 'uncaught exception')
    leave('uncaught exception', 1)
  })

  // Thousands of clients may come back at once; what the backlog does not hold waits for seconds.
  await app.listen({ host: config.host, port: config.port, backlog: 4096 })
}

main().catch((error: NodeJS.ErrnoException) => {
  const isExpected =
    error instanceof ConfigError ||
    error instanceof DataDirLockedError ||
    error instanceof MigrationError ||
    error.code === 'EADDRINUSE'
  const hint = error.code === 'EADDRINUSE' ? '; set PORT to another one' : ''
  console.error(isExpected ? `${error.message}${hint}` : error)
  process.exit(1)
})
