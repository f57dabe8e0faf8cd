/**
 * The environment, read once into a frozen `Config`. What can be set is in `settings.ts`.
 */
import { readFileSync } from 'node:fs'
import { byKind, JOB_KINDS, type JobKind } from '../contract/job.js'
import { isRecord } from '../contract/record.js'
import type { Locale } from '../contract/scalar.js'
import { ConfigError } from '../errors.js'
import type { EnvFile } from './env-file.js'
import {
  type Choice,
  type DATABASE_SSL_MODES,
  type DISPATCHES,
  type GENERATORS,
  type LOG_FORMATS,
  type LogLevel,
  type SASL_MECHANISMS,
  SETTINGS,
  type Share,
  type SOCKET_TRANSPORTS,
  type Whole,
} from './settings.js'

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
  /** How old a job may be so that a busy model costs it no attempt. */
  patienceMs: number
  /** Of the questions asked for, how many must be good when others are bad, in [0, 1]. */
  quizMinShare: number
  /** Earlier revisions of one kind that are kept. */
  maxRevisions: number
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

export interface HttpDispatchConfig {
  /** Where the jobs of each kind go. */
  readonly urls: Readonly<Record<JobKind, string>>
  /** Every request is signed with each of them; empty: none is. */
  readonly secrets: readonly string[]
  readonly concurrency: number
}

export interface NotifyConfig {
  readonly url: string
  /** Every notice is signed with each of them; empty: none is. */
  readonly secrets: readonly string[]
}

export interface OpenAiConfig {
  /** Of the API, or the whole address of its chat completions. */
  readonly baseUrl: string
  readonly apiKey: string | undefined
  readonly model: string
  /** Longest silence of the server: until it answers, and between two pieces of its answer. */
  readonly silenceMs: number
  /** undefined: the server’s own. */
  readonly maxTokens: number | undefined
  readonly temperature: number | undefined
  /** More fields of each request; they replace those of the same name. */
  readonly extraBody: Readonly<Record<string, unknown>>
}

/** How clients’ tokens are checked; by a shared key or by published ones. */
export interface JwtConfig {
  readonly secret: string | undefined
  readonly jwksUrl: string | undefined
  readonly issuer: string | undefined
  readonly audience: string | undefined
}

/** What OpenTelemetry does not read from the environment by itself. */
export interface TelemetryConfig {
  readonly traces: boolean
  readonly metrics: boolean
  readonly metricIntervalMs: number
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
  readonly dispatch: (typeof DISPATCHES)[number]
  /** Set when jobs go to Kafka. */
  readonly kafka: KafkaConfig | undefined
  /** Set when jobs go out by HTTP. */
  readonly httpDispatch: HttpDispatchConfig | undefined
  /** undefined: nobody is told of a run’s end. */
  readonly notify: NotifyConfig | undefined
  readonly corsOrigin: '*' | readonly string[]
  readonly generation: Readonly<GenerationPolicy>
  /** Jobs with workers at once, of all kinds and of each; 0: no limit. */
  readonly window: Readonly<Record<'all' | JobKind, number>>
  readonly generator: (typeof GENERATORS)[number]
  readonly generatorDelayMs: number
  readonly generatorConcurrency: number
  /** Set when a model can be asked. */
  readonly openai: OpenAiConfig | undefined
  /** Any of them is good; empty: webhooks are open. */
  readonly webhookSecrets: readonly string[]
  /** undefined: clients need no token. */
  readonly jwt: JwtConfig | undefined
  readonly socketTransports: (typeof SOCKET_TRANSPORTS)[number]
  readonly sessionTtlMs: number
  /** 0: no limit. */
  readonly rateLimit: { readonly createPerMinute: number; readonly joinPerMinute: number }
  /** As Fastify takes it. */
  readonly trustProxy: boolean | readonly string[]
  readonly drainDelayMs: number
  readonly shutdownTimeoutMs: number
  readonly eventRetentionMs: number
  /** How long what operators did is kept. */
  readonly auditRetentionMs: number
  readonly maxWaitingBytes: number
  readonly maxRoomsPerSocket: number
  readonly webhookBodyLimitBytes: number
  readonly defaultLocale: Locale
  readonly logLevel: LogLevel
  readonly logFormat: (typeof LOG_FORMATS)[number]
  /** undefined: no telemetry. */
  readonly telemetry: TelemetryConfig | undefined
}

/**
 * @param env e.g. `process.env`; an empty value counts as unset
 * @param envFile which some of it came from, to be named with the problems
 * @throws {ConfigError} listing every problem
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, envFile?: EnvFile): Config {
  const { problems, text, integer: whole, share, choice } = reader(env)

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
  /** An address as it was given: it may hold a password or a token, so it is never shown. */
  const address = (name: TextName, given: string): string => {
    if (!['http:', 'https:'].includes(protocolOf(given) ?? ''))
      problems.push(`${name} must be a URL that begins with http:// or https://`)
    return given
  }
  const signingSecrets = (name: TextName): readonly string[] => {
    const list = listOf(text(name) ?? '')
    for (const secret of list)
      if (secret.startsWith('whsec_') && !/^whsec_[A-Za-z0-9+/]{4,}={0,2}$/.test(secret))
        problems.push(`${name} must be base64 behind whsec_`)
    return Object.freeze(list)
  }
  function httpDispatchOf(): HttpDispatchConfig | undefined {
    const names: TextName[] = ['DISPATCH_URL', ...JOB_KINDS.map(urlNameOf)]
    if (dispatch !== 'http') {
      const unused = [...names, 'DISPATCH_SECRET' as const].filter((name) => text(name) !== undefined)
      needs(unused.length === 0, `${unused.join(', ')} needs DISPATCH=http`)
      return undefined
    }
    const secrets = signingSecrets('DISPATCH_SECRET')
    const missing: JobKind[] = []
    const urls = {} as Record<JobKind, string>
    const checked = new Set<string>()
    for (const kind of JOB_KINDS) {
      const own = urlNameOf(kind)
      const name = text(own) === undefined ? 'DISPATCH_URL' : own
      const given = text(name)
      if (given === undefined) missing.push(kind)
      else {
        urls[kind] = given.replaceAll('{kind}', kind)
        if (!checked.has(name)) address(name, urls[kind])
        checked.add(name)
      }
    }
    needs(
      missing.length === 0,
      `DISPATCH=http needs DISPATCH_URL, or one for each kind; there is none for ${missing.join(', ')}`,
    )
    needs(
      generator === 'off',
      `GENERATOR=${generator} gets no work with DISPATCH=http, which sends it to DISPATCH_URL: leave it out or set it to off`,
    )
    return Object.freeze({ urls: Object.freeze(urls), secrets, concurrency: whole('DISPATCH_CONCURRENCY') })
  }
  function notifyOf(): NotifyConfig | undefined {
    const secrets = signingSecrets('NOTIFY_SECRET')
    const given = text('NOTIFY_URL')
    needs(given !== undefined || secrets.length === 0, 'NOTIFY_SECRET needs NOTIFY_URL')
    return given === undefined ? undefined : Object.freeze({ url: address('NOTIFY_URL', given), secrets })
  }

  function telemetryOf(): TelemetryConfig | undefined {
    const endpoint = url('OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:'])
    const isDisabled = choice('OTEL_SDK_DISABLED') === 'true'
    if (endpoint === undefined || isDisabled) return undefined
    choice('OTEL_EXPORTER_OTLP_PROTOCOL')
    return Object.freeze({
      traces: choice('OTEL_TRACES_EXPORTER') === 'otlp',
      metrics: choice('OTEL_METRICS_EXPORTER') === 'otlp',
      metricIntervalMs: whole('OTEL_METRIC_EXPORT_INTERVAL'),
    })
  }

  const databaseUrl = withPassword(
    url('DATABASE_URL', ['postgres:', 'postgresql:']),
    text('DATABASE_PASSWORD_FILE'),
    problems,
  )
  const redisUrl = url('REDIS_URL', ['redis:', 'rediss:'])
  const brokers = listOf(text('KAFKA_BROKERS') ?? '')
  const dispatch = (choice('DISPATCH') || (brokers.length > 0 ? 'kafka' : 'local')) as Config['dispatch']
  const isKafka = dispatch === 'kafka' && brokers.length > 0
  const generator = choice('GENERATOR') || (dispatch === 'local' ? 'sample' : 'off')
  const httpDispatch = httpDispatchOf()
  const notify = notifyOf()
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
  needs(
    dispatch !== 'kafka' || brokers.length > 0,
    'DISPATCH=kafka needs KAFKA_BROKERS: comma-separated host:port',
  )
  needs(
    whole('DRAIN_DELAY_MS') < whole('SHUTDOWN_TIMEOUT_MS'),
    'DRAIN_DELAY_MS must be shorter than SHUTDOWN_TIMEOUT_MS, which counts from the signal',
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
    dispatch,
    httpDispatch,
    notify,
    corsOrigin: origins(),
    generation: Object.freeze({
      timeoutMs,
      queueTimeoutMs: env.GENERATION_QUEUE_TIMEOUT_MS ? whole('GENERATION_QUEUE_TIMEOUT_MS') : timeoutMs,
      heartbeatMs: whole('GENERATION_HEARTBEAT_MS'),
      maxAttempts: whole('GENERATION_MAX_ATTEMPTS'),
      retryBaseMs: whole('GENERATION_RETRY_BASE_MS'),
      retryMaxMs: whole('GENERATION_RETRY_MAX_MS'),
      patienceMs: whole('GENERATION_PATIENCE_MS'),
      quizMinShare: share('QUIZ_MIN_SHARE'),
      maxRevisions: whole('MAX_REVISIONS'),
    }),
    window: Object.freeze({
      all: whole('GENERATION_WINDOW'),
      ...byKind((kind) => whole(`GENERATION_WINDOW_${inCapitals(kind)}`)),
    }),
    generator: generator as Config['generator'],
    generatorDelayMs: whole('GENERATOR_DELAY_MS'),
    generatorConcurrency: whole('GENERATOR_CONCURRENCY'),
    openai:
      model === undefined
        ? undefined
        : Object.freeze({
            baseUrl: url('OPENAI_BASE_URL', ['http:', 'https:'])?.trim() || SETTINGS.OPENAI_BASE_URL.default,
            apiKey: text('OPENAI_API_KEY'),
            model,
            silenceMs: whole('OPENAI_SILENCE_MS'),
            maxTokens: whole('OPENAI_MAX_TOKENS') || undefined,
            temperature: temperatureOf(text('OPENAI_TEMPERATURE'), problems),
            extraBody: Object.freeze(extraBodyOf(text('OPENAI_EXTRA_BODY'), problems)),
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
    socketTransports: choice('SOCKET_TRANSPORTS') as Config['socketTransports'],
    sessionTtlMs: whole('SESSION_TTL_MS'),
    rateLimit: Object.freeze({
      createPerMinute: whole('RATE_LIMIT_CREATE_PER_MINUTE'),
      joinPerMinute: whole('RATE_LIMIT_JOIN_PER_MINUTE'),
    }),
    trustProxy: trustOf(text('TRUST_PROXY')),
    drainDelayMs: whole('DRAIN_DELAY_MS'),
    shutdownTimeoutMs: whole('SHUTDOWN_TIMEOUT_MS'),
    eventRetentionMs: whole('EVENT_RETENTION_MS'),
    auditRetentionMs: whole('AUDIT_RETENTION_MS'),
    maxWaitingBytes: whole('MAX_WAITING_BYTES'),
    maxRoomsPerSocket: whole('MAX_ROOMS_PER_SOCKET'),
    webhookBodyLimitBytes: whole('WEBHOOK_BODY_LIMIT_BYTES'),
    defaultLocale: choice('DEFAULT_LOCALE') as Locale,
    logLevel: choice('LOG_LEVEL') as LogLevel,
    logFormat: choice('LOG_FORMAT') as Config['logFormat'],
    telemetry: telemetryOf(),
  }
  if (problems.length > 0 && envFile !== undefined)
    problems.push(`${envFile.file} was read; it sets ${envFile.settings.join(', ') || 'nothing'}`)
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
    share(name: ShareName): number {
      const setting: Share = SETTINGS[name]
      const given = env[name]
      if (!given) return setting.default
      const value = /^\d+(\.\d+)?$/.test(given) ? Number(given) : Number.NaN
      if (value >= 0 && value <= 1) return value
      problems.push(`${name}=${given} must be a number from 0 to 1`)
      return setting.default
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

function temperatureOf(given: string | undefined, problems: string[]): number | undefined {
  if (given === undefined) return undefined
  const value = /^\d+(\.\d+)?$/.test(given.trim()) ? Number(given) : Number.NaN
  if (value >= 0 && value <= 2) return value
  problems.push(`OPENAI_TEMPERATURE=${given} must be a number from 0 to 2`)
  return undefined
}

/** Its value is not repeated: it may hold a key. */
function extraBodyOf(given: string | undefined, problems: string[]): Record<string, unknown> {
  if (given === undefined) return {}
  try {
    const value: unknown = JSON.parse(given)
    if (isRecord(value)) return value
  } catch {
    // The same text as for a value that is not an object.
  }
  problems.push('OPENAI_EXTRA_BODY must be a JSON object such as {"top_p": 0.9}')
  return {}
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
function urlNameOf(kind: JobKind): TextName {
  return `DISPATCH_URL_${inCapitals(kind)}`
}

function inCapitals(kind: JobKind) {
  return kind.toUpperCase() as Uppercase<JobKind>
}

type TextName = NameOf<{ type: 'text' }>
type IntegerName = NameOf<{ type: 'integer' }>
type ShareName = NameOf<{ type: 'share' }>
type ChoiceName = NameOf<{ type: 'choice' }>

function protocolOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).protocol : undefined
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}
