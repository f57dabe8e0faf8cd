/**
 * The process: reads the settings, listens, and leaves in order when it is told to.
 */
import { buildApp } from './app.js'
import { readConfig } from './config.js'
import { ConfigError, DataDirLockedError } from './errors.js'

/** Longer than leaving takes when all is well; then it is better gone than hanging. */
const EXIT_TIMEOUT_MS = 10_000

async function main(): Promise<void> {
  const config = readConfig(process.env)
  const app = await buildApp(config)
  let isLeaving = false

  const leave = (why: string, exitCode: number): void => {
    // A second Ctrl-C means now.
    if (isLeaving) process.exit(exitCode || 1)
    isLeaving = true
    app.log.info(`${why}: leaving`)
    setTimeout(() => process.exit(exitCode || 1), EXIT_TIMEOUT_MS).unref()
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
    app.log.fatal({ err: error }, 'a mistake of ours')
    leave('uncaught exception', 1)
  })

  await app.listen({ host: config.host, port: config.port })
}

main().catch((error: NodeJS.ErrnoException) => {
  const isExpected =
    error instanceof ConfigError || error instanceof DataDirLockedError || error.code === 'EADDRINUSE'
  console.error(isExpected ? error.message : error)
  process.exit(1)
})
