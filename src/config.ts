/**
 * The environment, read once into a frozen `Config`. One schema holds every setting with its default and
 * meaning; `.env.example` and the README’s table are generated from it.
 */
import { LOCALES, type Locale } from './contract/scalar.js'
import { ConfigError } from './errors.js'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export const GENERATORS = ['sample', 'off'] as const

/** Longest duration a Node timer and a deadline sum can take: 2^31 − 1 ms, about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1
const DAY_MS = 24 * 60 * 60 * 1000

interface Text {
  type: 'text'
  default: string | undefined
}
interface Whole {
  type: 'integer'
  default: number | undefined
  min: number
  max: number
}
interface Choice {
  type: 'choice'
  default: string
  values: readonly string[]
}
type Setting = (Text | Whole | Choice) & {
  about: string
  defaultAbout?: string
}

const integer = (defaultValue: number, min: number, max: number, about: string) =>
  ({ type: 'integer', default: defaultValue, min, max, about }) as const

/** Every setting, in the order of the README’s table. */
export const SETTINGS = {
  HOST: { type: 'text', default: '0.0.0.0', about: 'Address to listen on' },
  PORT: integer(8000, 0, 65_535, 'Port to listen on; 0 takes a free one'),
  PUBLIC_URL: {
    type: 'text',
    default: undefined,
    defaultAbout: 'http://localhost:$PORT',
    about: 'Base of the callback URLs that workers are given',
  },
  DATA_DIR: {
    type: 'text',
    default: '.data',
    about: 'Directory of the embedded database; `memory` keeps nothing',
  },
  CORS_ORIGIN: {
    type: 'text',
    default: '*',
    about:
      'Origins that may call from a browser, comma-separated; `*` is any, `null` a file opened from disk',
  },
  GENERATION_TIMEOUT_MS: integer(
    600_000,
    100,
    MAX_TIMER_MS,
    'Deadline of an attempt, from its start, or from publishing while nothing says that it started',
  ),
  GENERATION_QUEUE_TIMEOUT_MS: {
    type: 'integer',
    default: undefined,
    defaultAbout: 'GENERATION_TIMEOUT_MS',
    min: 100,
    max: MAX_TIMER_MS,
    about: 'Deadline from publishing until `-start`: a long queue is not a hanging worker',
  },
  GENERATION_HEARTBEAT_MS: integer(
    120_000,
    100,
    MAX_TIMER_MS,
    'Silence after which `-start` may run the same attempt again',
  ),
  GENERATION_MAX_ATTEMPTS: integer(3, 1, 100, 'Attempts per job'),
  GENERATION_RETRY_BASE_MS: integer(
    5000,
    0,
    MAX_TIMER_MS,
    'First cap of the full-jitter wait between attempts',
  ),
  GENERATION_RETRY_MAX_MS: integer(60_000, 0, MAX_TIMER_MS, 'Last cap of that wait'),
  GENERATOR: {
    type: 'choice',
    default: 'sample',
    values: GENERATORS,
    about: 'Who answers jobs in this process: `sample` (ready-made text), `off` (call the webhooks yourself)',
  },
  GENERATOR_DELAY_MS: integer(1500, 0, 3_600_000, 'How long the sample generator thinks'),
  EVENT_RETENTION_MS: integer(
    30 * DAY_MS,
    1000,
    Number.MAX_SAFE_INTEGER,
    'How long the event log of an ended chapter is kept',
  ),
  MAX_ROOMS_PER_SOCKET: integer(100, 1, 100_000, 'Chapters one connection may be in'),
  WEBHOOK_BODY_LIMIT_BYTES: integer(1_048_576, 1024, 64 * 1_048_576, 'Largest webhook body'),
  DEFAULT_LOCALE: {
    type: 'choice',
    default: 'ko',
    values: LOCALES,
    about: 'Language of a chapter that names none',
  },
  LOG_LEVEL: {
    type: 'choice',
    default: 'info',
    values: LOG_LEVELS,
    about: 'Least severe level that is logged',
  },
} as const satisfies Record<string, Setting>

/**
 * Settings of parts that this version does not have. Ignoring one would be a lie (a secret that guards
 * nothing, a database that is not used), so each is refused.
 */
const NOT_YET = [
  'DATABASE_URL',
  'REDIS_URL',
  'KAFKA_BROKERS',
  'WEBHOOK_SECRET',
  'WEBHOOK_SECRET_FILE',
  'JWT_SECRET',
  'JWT_JWKS_URL',
]

/** When attempts are given up and tried again; durations in milliseconds. */
export interface GenerationPolicy {
  /** An attempt’s deadline, from its start or, while nothing says that it started, from publishing. */
  timeoutMs: number
  /** From publishing until the start. */
  queueTimeoutMs: number
  /** After this silence a `-start` for the same attempt may run it again. */
  heartbeatMs: number
  maxAttempts: number
  retryBaseMs: number
  retryMaxMs: number
}

export interface Config {
  readonly host: string
  readonly port: number
  /** Without a trailing slash; undefined until the port is known. */
  readonly publicUrl: string | undefined
  readonly dataDir: string
  readonly corsOrigin: '*' | readonly string[]
  readonly generation: Readonly<GenerationPolicy>
  readonly generator: (typeof GENERATORS)[number]
  readonly generatorDelayMs: number
  readonly eventRetentionMs: number
  readonly maxRoomsPerSocket: number
  readonly webhookBodyLimitBytes: number
  readonly defaultLocale: Locale
  readonly logLevel: LogLevel
}

/**
 * @param env e.g. `process.env`; an empty value counts as unset
 * @throws {ConfigError} listing every problem
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = []

  const text = (name: TextName): string | undefined => env[name] || SETTINGS[name].default
  const whole = (name: IntegerName): number | undefined => {
    const setting: Whole = SETTINGS[name]
    const given = env[name]
    if (!given) return setting.default
    const value = /^\d+$/.test(given) ? Number(given) : Number.NaN
    if (value >= setting.min && value <= setting.max) return value
    problems.push(`${name}=${given} must be a whole number from ${setting.min} to ${setting.max}`)
    return setting.default
  }
  const required = (name: RequiredIntegerName): number => whole(name) ?? SETTINGS[name].default
  const choice = <Name extends ChoiceName>(name: Name): (typeof SETTINGS)[Name]['values'][number] => {
    const setting: Choice = SETTINGS[name]
    const given = env[name] || setting.default
    if (!setting.values.includes(given))
      problems.push(`${name}=${given} must be one of ${setting.values.join(', ')}`)
    return given as (typeof SETTINGS)[Name]['values'][number]
  }
  const origins = (): Config['corsOrigin'] => {
    const list = (text('CORS_ORIGIN') ?? '*').split(',').map((origin) => origin.trim())
    if (list.includes('*')) return '*'
    for (const origin of list)
      if (origin !== 'null' && !isOrigin(origin))
        problems.push(`CORS_ORIGIN=${origin} must be an origin such as https://example.org, without a path`)
    return Object.freeze(list)
  }
  const publicUrl = (): string | undefined => {
    const given = text('PUBLIC_URL')
    if (given !== undefined && !/^https?:$/.test(protocolOf(given) ?? ''))
      problems.push(`PUBLIC_URL=${given} must be an http or https URL`)
    else if (given !== undefined && /[?#]/.test(given))
      problems.push(`PUBLIC_URL=${given} must have no query and no fragment: paths are added to it`)
    return given?.replace(/\/+$/, '')
  }

  for (const name of NOT_YET)
    if (env[name]) problems.push(`${name} is not supported by this version; unset it`)

  const timeoutMs = required('GENERATION_TIMEOUT_MS')
  const config: Config = {
    host: text('HOST') ?? SETTINGS.HOST.default,
    port: required('PORT'),
    publicUrl: publicUrl(),
    dataDir: text('DATA_DIR') ?? SETTINGS.DATA_DIR.default,
    corsOrigin: origins(),
    generation: Object.freeze({
      timeoutMs,
      queueTimeoutMs: whole('GENERATION_QUEUE_TIMEOUT_MS') ?? timeoutMs,
      heartbeatMs: required('GENERATION_HEARTBEAT_MS'),
      maxAttempts: required('GENERATION_MAX_ATTEMPTS'),
      retryBaseMs: required('GENERATION_RETRY_BASE_MS'),
      retryMaxMs: required('GENERATION_RETRY_MAX_MS'),
    }),
    generator: choice('GENERATOR'),
    generatorDelayMs: required('GENERATOR_DELAY_MS'),
    eventRetentionMs: required('EVENT_RETENTION_MS'),
    maxRoomsPerSocket: required('MAX_ROOMS_PER_SOCKET'),
    webhookBodyLimitBytes: required('WEBHOOK_BODY_LIMIT_BYTES'),
    defaultLocale: choice('DEFAULT_LOCALE'),
    logLevel: choice('LOG_LEVEL'),
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

type Settings = typeof SETTINGS
type NameOf<S> = {
  [Name in keyof Settings]: Settings[Name] extends S ? Name : never
}[keyof Settings]
type TextName = NameOf<{ type: 'text' }>
type IntegerName = NameOf<{ type: 'integer' }>
type RequiredIntegerName = NameOf<{ type: 'integer'; default: number }>
type ChoiceName = NameOf<{ type: 'choice' }>

function protocolOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).protocol : undefined
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}
