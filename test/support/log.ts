/** A log that writes nothing: what is said through it can be looked at. */
import type { FastifyBaseLogger } from 'fastify'

export interface LogLine {
  level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
  fields: Record<string, unknown>
  text: string
}

export function silentLog(
  onLine: (line: LogLine) => void = () => {},
  bindings: LogLine['fields'] = {},
): FastifyBaseLogger {
  const at = (level: LogLine['level']) => (fields: unknown, text?: string) =>
    onLine(
      typeof fields === 'string'
        ? { level, fields: bindings, text: fields }
        : { level, fields: { ...bindings, ...(fields as LogLine['fields']) }, text: text ?? '' },
    )
  const log = {
    level: 'trace',
    silent() {},
    child: (more: LogLine['fields']) => silentLog(onLine, { ...bindings, ...more }),
    fatal: at('fatal'),
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    trace: at('trace'),
  } as unknown as FastifyBaseLogger
  return log
}
