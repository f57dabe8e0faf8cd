/**
 * `npm run migrate`: brings the database of `DATABASE_URL` up to this release, and ends.
 */
import fastify from 'fastify'
import { readConfig } from '../config/config.js'
import { readEnvFile } from '../config/env-file.js'
import { ConfigError } from '../errors.js'
import { migratePostgres } from '../store/postgres.js'
import { logOptions } from '../telemetry/log.js'

try {
  const envFile = readEnvFile()
  const config = readConfig({ ...process.env, NODE_ENV: undefined }, envFile)
  const { postgres } = config
  if (postgres === undefined)
    throw new ConfigError(['DATABASE_URL is not set; the embedded database migrates itself at start'])
  const { log } = fastify({ logger: await logOptions(config) })
  if (envFile !== undefined) log.info(envFile, 'settings were read from .env')
  await migratePostgres(postgres, log)
  log.info('the database is up to date')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
