/**
 * `.env` of the folder that a command is started in: settings for running it by hand. What the environment has
 * already wins, as with Node's own `--env-file`.
 */
import { resolve } from 'node:path'
import { ConfigError } from '../errors.js'

export interface EnvFile {
  /** Its whole path. */
  readonly file: string
  /** What it set. Names only: values may be secret. */
  readonly settings: readonly string[]
}

/**
 * Puts it into `process.env`.
 * @returns undefined when there is no such file
 * @throws {ConfigError} when it is there and cannot be read
 */
export function readEnvFile(file: string = resolve('.env')): EnvFile | undefined {
  const before = new Set(Object.keys(process.env))
  try {
    process.loadEnvFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError([`${file} cannot be read: ${(error as Error).message}`])
  }
  return {
    file,
    settings: Object.keys(process.env)
      .filter((name) => !before.has(name))
      .sort(),
  }
}
