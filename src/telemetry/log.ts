/**
 * How the log is written: JSON, a line each, or readable where a person looks at it. The readable form is written in this
 * thread, so that the last lines are there when the process ends; it is not meant for a busy node.
 */
import type { Config } from '../config/config.js'

/** For Fastify’s `logger`. */
export interface LogOptions {
  level: string
  stream?: { write(line: string): void }
}

/** Told by the text of a readable line, or of no use in it. */
const LEFT_OUT = 'pid,hostname,method,url,statusCode,responseTime,remoteAddress'

/** @param isTerminal whether somebody looks at standard output */
export async function logOptions(
  { logFormat, logLevel: level }: Pick<Config, 'logFormat' | 'logLevel'>,
  isTerminal = process.stdout.isTTY === true,
  destination: number | NodeJS.WritableStream = 1,
): Promise<LogOptions> {
  if (logFormat === 'json' || (logFormat === 'auto' && !isTerminal)) return { level }
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({
    destination,
    sync: true,
    singleLine: true,
    colorize: isTerminal && process.env.NO_COLOR === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: LEFT_OUT,
    messageFormat: readable as never,
  })
  return { level, stream }
}

/** A request by what was asked and answered, everything else by its own text. */
function readable(line: Record<string, unknown>, messageKey: string): string {
  const { method, url, statusCode, responseTime } = line
  const text = String(line[messageKey] ?? '')
  if (method === undefined || statusCode === undefined) return text
  const took = `${method} ${url} ${statusCode} in ${Math.round(Number(responseTime))} ms`
  return text === 'request completed' ? took : `${took}: ${text}`
}
