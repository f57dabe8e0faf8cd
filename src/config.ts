/**
 * The environment, read once into a frozen `Config`. One schema holds every setting with its default and
 * meaning; `.env.example` and the README’s table are generated from it.
 */
import { readFileSync } from 'node:fs'
import { LOCALES, type Locale } from './contract/scalar.js'
import { ConfigError } from './errors.js'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export const GENERATORS = ['sample', 'openai', 'off'] as const
export const SASL_MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
export const DATABASE_SSL_MODES = ['off', 'require', 'verify-full'] as const

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
  /** Its value is never shown. */
  isSecret?: boolean
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
  DATABASE_URL: {
    type: 'text',
    default: undefined,
    defaultAbout: 'embedded PGlite in DATA_DIR',
    about: 'PostgreSQL, `postgres://…`',
    isSecret: true,
  },
  DATABASE_PASSWORD_FILE: {
    type: 'text',
    default: undefined,
    about: 'A file that holds its password, if the URL does not',
  },
  DATABASE_POOL_SIZE: integer(10, 2, 1000, 'Connections of this node'),
  DATABASE_STATEMENT_TIMEOUT_MS: integer(
    5000,
    100,
    600_000,
    'Longest a statement may run; its answer is waited for as long again',
  ),
  DATABASE_SSL: {
    type: 'choice',
    default: 'off',
    values: DATABASE_SSL_MODES,
    about:
      'TLS: `require` encrypts, `verify-full` also checks the certificate (`NODE_EXTRA_CA_CERTS` adds an authority)',
  },
  DATA_DIR: {
    type: 'text',
    default: '.data',
    about: 'Directory of the embedded database; `memory` keeps nothing',
  },
  REDIS_URL: {
    type: 'text',
    default: undefined,
    defaultAbout: 'single node',
    about: 'Redis for events between nodes and shared limits, `redis://…` or `rediss://…`',
    isSecret: true,
  },
  REDIS_PREFIX: {
    type: 'text',
    default: 'chaptercast',
    about: 'Of channels and keys: one per deployment, for Redis databases do not separate pub/sub',
  },
  KAFKA_BROKERS: {
    type: 'text',
    default: undefined,
    defaultAbout: 'in-process queue',
    about: 'Comma-separated `host:port`',
  },
  KAFKA_TOPIC_PREFIX: { type: 'text', default: '', about: 'Before every topic’s name' },
  KAFKA_PARTITIONS: integer(6, 1, 10_000, 'Partitions of a topic that is made at start'),
  KAFKA_REPLICATION: integer(1, 1, 100, 'Its replication factor'),
  KAFKA_SSL: { type: 'choice', default: 'false', values: ['true', 'false'], about: 'TLS to the brokers' },
  KAFKA_SASL_MECHANISM: {
    type: 'choice',
    default: '',
    values: ['', ...SASL_MECHANISMS],
    about: `\`${SASL_MECHANISMS.join('`, `')}\`; none unless set`,
  },
  KAFKA_SASL_USERNAME: { type: 'text', default: undefined, about: 'Its user' },
  KAFKA_SASL_PASSWORD: { type: 'text', default: undefined, about: 'Its password', isSecret: true },
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
    default: '',
    defaultAbout: 'sample, or off with Kafka',
    values: ['', ...GENERATORS],
    about:
      'Who answers jobs in this process: `sample` (ready-made text), `openai` (any OpenAI-compatible model), `off` ' +
      '(n8n, `npm run generator`, or you by hand)',
  },
  GENERATOR_DELAY_MS: integer(1500, 0, 3_600_000, 'How long the sample generator thinks'),
  GENERATOR_CONCURRENCY: integer(4, 1, 1000, 'Jobs that `npm run generator` or `openai` work on at once'),
  OPENAI_BASE_URL: {
    type: 'text',
    default: 'https://api.openai.com/v1',
    about: 'Base of the chat completions API',
  },
  OPENAI_API_KEY: { type: 'text', default: undefined, about: 'Its key, if it wants one', isSecret: true },
  OPENAI_MODEL: { type: 'text', default: undefined, about: 'Required for `openai`' },
  WEBHOOK_SECRET: {
    type: 'text',
    default: undefined,
    about:
      'What webhooks must send as `Authorization: Bearer`; several, comma-separated, while one is rotated',
    isSecret: true,
  },
  WEBHOOK_SECRET_FILE: { type: 'text', default: undefined, about: 'A file that holds them' },
  JWT_SECRET: {
    type: 'text',
    default: undefined,
    about: 'HMAC key of clients’ tokens, 32 bytes or more',
    isSecret: true,
  },
  JWT_JWKS_URL: { type: 'text', default: undefined, about: 'Public keys of clients’ tokens' },
  JWT_ISSUER: { type: 'text', default: undefined, about: 'What `iss` must be, if set' },
  JWT_AUDIENCE: { type: 'text', default: undefined, about: 'What `aud` must hold, if set' },
  SESSION_TTL_MS: integer(
    120_000,
    1000,
    MAX_TIMER_MS,
    'How long a disconnected client’s rooms are remembered',
  ),
  RATE_LIMIT_CREATE_PER_MINUTE: integer(0, 0, 1_000_000, 'Chapters a client may create; 0 is no limit'),
  RATE_LIMIT_JOIN_PER_MINUTE: integer(0, 0, 1_000_000, 'Rooms a client may join; 0 is no limit'),
  TRUST_PROXY: {
    type: 'text',
    default: undefined,
    about: 'Whose `X-Forwarded-For` is believed: `true`, or addresses and networks, comma-separated',
  },
  DRAIN_DELAY_MS: integer(
    0,
    0,
    600_000,
    'From not ready until sockets are moved away: time for the proxy to notice',
  ),
  SHUTDOWN_TIMEOUT_MS: integer(10_000, 1000, 600_000, 'A node that is told to leave has left by then'),
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

export interface PostgresConfig {
  readonly url: string
  readonly poolSize: number
  readonly statementTimeoutMs: number
  readonly ssl: (typeof DATABASE_SSL_MODES)[number]
}

export interface RedisConfig {
  readonly url: string
  readonly prefix: string
}

export interface KafkaConfig {
  readonly brokers: readonly string[]
  readonly topicPrefix: string
  readonly partitions: number
  readonly replication: number
  readonly ssl: boolean
  readonly sasl:
    | { mechanism: (typeof SASL_MECHANISMS)[number]; username: string; password: string }
    | undefined
}

export interface OpenAiConfig {
  /** Without a trailing slash. */
  readonly baseUrl: string
  readonly apiKey: string | undefined
  readonly model: string
}

/** How clients’ tokens are checked; by a shared key or by published ones. */
export interface JwtConfig {
  readonly secret: string | undefined
  readonly jwksUrl: string | undefined
  readonly issuer: string | undefined
  readonly audience: string | undefined
}

export interface Config {
  readonly host: string
  readonly port: number
  /** Without a trailing slash; undefined until the port is known. */
  readonly publicUrl: string | undefined
  /** undefined: the embedded database in `dataDir`. */
  readonly postgres: PostgresConfig | undefined
  readonly dataDir: string
  /** undefined: this is the only node. */
  readonly redis: RedisConfig | undefined
  /** undefined: the in-process queue. */
  readonly kafka: KafkaConfig | undefined
  readonly corsOrigin: '*' | readonly string[]
  readonly generation: Readonly<GenerationPolicy>
  readonly generator: (typeof GENERATORS)[number]
  readonly generatorDelayMs: number
  readonly generatorConcurrency: number
  /** Set when a model can be asked. */
  readonly openai: OpenAiConfig | undefined
  /** Any of them is good; empty: webhooks are open. */
  readonly webhookSecrets: readonly string[]
  /** undefined: clients need no token. */
  readonly jwt: JwtConfig | undefined
  readonly sessionTtlMs: number
  /** 0: no limit. */
  readonly rateLimit: { readonly createPerMinute: number; readonly joinPerMinute: number }
  /** As Fastify takes it. */
  readonly trustProxy: boolean | readonly string[]
  readonly drainDelayMs: number
  readonly shutdownTimeoutMs: number
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
  const { problems, text, integer: whole, choice } = reader(env)

  const origins = (): Config['corsOrigin'] => {
    const list = listOf(text('CORS_ORIGIN') ?? '*')
    if (list.includes('*')) return '*'
    for (const origin of list)
      if (origin !== 'null' && !isOrigin(origin))
        problems.push(`CORS_ORIGIN=${origin} must be an origin such as https://example.org, without a path`)
    return Object.freeze(list)
  }
  const url = (name: TextName, protocols: string[]): string | undefined => {
    const given = text(name)
    if (given === undefined) return undefined
    const shown = 'isSecret' in SETTINGS[name] ? '' : `=${given}`
    if (!protocols.includes(protocolOf(given) ?? ''))
      problems.push(
        `${name}${shown} must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
      )
    return given.replace(/\/+$/, '')
  }
  const callbackBase = (): string | undefined => {
    const given = url('PUBLIC_URL', ['http:', 'https:'])
    if (given !== undefined && /[?#]/.test(given))
      problems.push(`PUBLIC_URL=${given} must have no query and no fragment: paths are added to it`)
    return given
  }
  const needs = (isMet: boolean, problem: string) => {
    if (!isMet) problems.push(problem)
  }

  const databaseUrl = withPassword(
    url('DATABASE_URL', ['postgres:', 'postgresql:']),
    text('DATABASE_PASSWORD_FILE'),
    problems,
  )
  const redisUrl = url('REDIS_URL', ['redis:', 'rediss:'])
  const brokers = listOf(text('KAFKA_BROKERS') ?? '')
  const isKafka = brokers.length > 0
  const generator = choice('GENERATOR') || (isKafka ? 'off' : 'sample')
  const secrets = webhookSecrets(text('WEBHOOK_SECRET'), text('WEBHOOK_SECRET_FILE'), problems)
  const jwtSecret = text('JWT_SECRET')
  const jwksUrl = url('JWT_JWKS_URL', ['http:', 'https:'])
  const model = text('OPENAI_MODEL')
  const mechanism = choice('KAFKA_SASL_MECHANISM')
  const sasl = saslOf(mechanism, text('KAFKA_SASL_USERNAME'), text('KAFKA_SASL_PASSWORD'), problems)

  needs(
    redisUrl === undefined || databaseUrl !== undefined,
    'REDIS_URL needs DATABASE_URL: the embedded database belongs to one process, so there is no other node to talk to',
  )
  needs(generator !== 'openai' || model !== undefined, 'GENERATOR=openai needs OPENAI_MODEL')
  needs(
    jwtSecret === undefined || Buffer.byteLength(jwtSecret) >= 32,
    'JWT_SECRET must be 32 bytes or longer: a shorter key can be guessed from one token',
  )
  needs(jwtSecret === undefined || jwksUrl === undefined, 'JWT_SECRET and JWT_JWKS_URL exclude each other')
  needs(
    env.NODE_ENV !== 'production' || secrets.length > 0,
    'NODE_ENV=production needs WEBHOOK_SECRET (or WEBHOOK_SECRET_FILE): anyone could write chapters',
  )

  const timeoutMs = whole('GENERATION_TIMEOUT_MS')
  const config: Config = {
    host: text('HOST') ?? SETTINGS.HOST.default,
    port: whole('PORT'),
    publicUrl: callbackBase(),
    postgres:
      databaseUrl === undefined
        ? undefined
        : Object.freeze({
            url: databaseUrl,
            poolSize: whole('DATABASE_POOL_SIZE'),
            statementTimeoutMs: whole('DATABASE_STATEMENT_TIMEOUT_MS'),
            ssl: choice('DATABASE_SSL') as PostgresConfig['ssl'],
          }),
    dataDir: text('DATA_DIR') ?? SETTINGS.DATA_DIR.default,
    redis:
      redisUrl === undefined
        ? undefined
        : Object.freeze({ url: redisUrl, prefix: text('REDIS_PREFIX') ?? SETTINGS.REDIS_PREFIX.default }),
    kafka: isKafka
      ? Object.freeze({
          brokers,
          topicPrefix: text('KAFKA_TOPIC_PREFIX') ?? '',
          partitions: whole('KAFKA_PARTITIONS'),
          replication: whole('KAFKA_REPLICATION'),
          ssl: choice('KAFKA_SSL') === 'true',
          sasl,
        })
      : undefined,
    corsOrigin: origins(),
    generation: Object.freeze({
      timeoutMs,
      queueTimeoutMs: env.GENERATION_QUEUE_TIMEOUT_MS ? whole('GENERATION_QUEUE_TIMEOUT_MS') : timeoutMs,
      heartbeatMs: whole('GENERATION_HEARTBEAT_MS'),
      maxAttempts: whole('GENERATION_MAX_ATTEMPTS'),
      retryBaseMs: whole('GENERATION_RETRY_BASE_MS'),
      retryMaxMs: whole('GENERATION_RETRY_MAX_MS'),
    }),
    generator: generator as Config['generator'],
    generatorDelayMs: whole('GENERATOR_DELAY_MS'),
    generatorConcurrency: whole('GENERATOR_CONCURRENCY'),
    openai:
      model === undefined
        ? undefined
        : Object.freeze({
            baseUrl: url('OPENAI_BASE_URL', ['http:', 'https:']) ?? SETTINGS.OPENAI_BASE_URL.default,
            apiKey: text('OPENAI_API_KEY'),
            model,
          }),
    webhookSecrets: Object.freeze(secrets),
    jwt:
      jwtSecret === undefined && jwksUrl === undefined
        ? undefined
        : Object.freeze({
            secret: jwtSecret,
            jwksUrl,
            issuer: text('JWT_ISSUER'),
            audience: text('JWT_AUDIENCE'),
          }),
    sessionTtlMs: whole('SESSION_TTL_MS'),
    rateLimit: Object.freeze({
      createPerMinute: whole('RATE_LIMIT_CREATE_PER_MINUTE'),
      joinPerMinute: whole('RATE_LIMIT_JOIN_PER_MINUTE'),
    }),
    trustProxy: trustOf(text('TRUST_PROXY')),
    drainDelayMs: whole('DRAIN_DELAY_MS'),
    shutdownTimeoutMs: whole('SHUTDOWN_TIMEOUT_MS'),
    eventRetentionMs: whole('EVENT_RETENTION_MS'),
    maxRoomsPerSocket: whole('MAX_ROOMS_PER_SOCKET'),
    webhookBodyLimitBytes: whole('WEBHOOK_BODY_LIMIT_BYTES'),
    defaultLocale: choice('DEFAULT_LOCALE') as Locale,
    logLevel: choice('LOG_LEVEL') as LogLevel,
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/** Reads single settings, noting every problem. An empty value counts as unset. */
function reader(env: Readonly<Record<string, string | undefined>>) {
  const problems: string[] = []
  return {
    problems,
    text: (name: TextName): string | undefined => env[name] || SETTINGS[name].default || undefined,
    integer(name: IntegerName): number {
      const setting: Whole = SETTINGS[name]
      const fallback = setting.default ?? 0
      const given = env[name]
      if (!given) return fallback
      const value = /^\d+$/.test(given) ? Number(given) : Number.NaN
      if (value >= setting.min && value <= setting.max) return value
      problems.push(`${name}=${given} must be a whole number from ${setting.min} to ${setting.max}`)
      return fallback
    },
    choice(name: ChoiceName): string {
      const setting: Choice = SETTINGS[name]
      const given = env[name] || setting.default
      if (!setting.values.includes(given))
        problems.push(`${name}=${given} must be one of ${setting.values.filter(Boolean).join(', ')}`)
      return given
    },
  }
}

function withPassword(
  url: string | undefined,
  file: string | undefined,
  problems: string[],
): string | undefined {
  if (url === undefined || file === undefined || !URL.canParse(url)) return url
  const complete = new URL(url)
  if (complete.password !== '') return url
  try {
    complete.password = encodeURIComponent(readFileSync(file, 'utf8').trim())
    return complete.href
  } catch (error) {
    problems.push(`DATABASE_PASSWORD_FILE=${file} cannot be read: ${(error as Error).message}`)
    return url
  }
}

function webhookSecrets(inline: string | undefined, file: string | undefined, problems: string[]): string[] {
  if (file === undefined || inline !== undefined) return listOf(inline ?? '')
  try {
    const secrets = listOf(readFileSync(file, 'utf8').replaceAll('\n', ','))
    if (secrets.length === 0) problems.push(`WEBHOOK_SECRET_FILE=${file} is empty`)
    return secrets
  } catch (error) {
    problems.push(`WEBHOOK_SECRET_FILE=${file} cannot be read: ${(error as Error).message}`)
    return []
  }
}

function saslOf(
  mechanism: string,
  username: string | undefined,
  password: string | undefined,
  problems: string[],
): KafkaConfig['sasl'] {
  if (mechanism === '') {
    if (username !== undefined || password !== undefined)
      problems.push('KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD need KAFKA_SASL_MECHANISM')
    return undefined
  }
  if (username === undefined || password === undefined) {
    problems.push(`KAFKA_SASL_MECHANISM=${mechanism} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`)
    return undefined
  }
  return { mechanism: mechanism as (typeof SASL_MECHANISMS)[number], username, password }
}

function trustOf(given: string | undefined): boolean | string[] {
  if (given === undefined || given === 'false') return false
  return given === 'true' ? true : listOf(given)
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

type Settings = typeof SETTINGS
type NameOf<S> = { [Name in keyof Settings]: Settings[Name] extends S ? Name : never }[keyof Settings]
type TextName = NameOf<{ type: 'text' }>
type IntegerName = NameOf<{ type: 'integer' }>
type ChoiceName = NameOf<{ type: 'choice' }>

function protocolOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).protocol : undefined
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}
