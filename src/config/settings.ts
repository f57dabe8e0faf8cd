/**
 * Every setting, with its default and meaning: one schema, from which the environment is read (`config.ts`) and
 * `.env.example` and the table in `docs/settings.md` are generated.
 */
import { LOCALES } from '../contract/scalar.js'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export const LOG_FORMATS = ['auto', 'pretty', 'json'] as const
export const OTEL_EXPORTERS = ['otlp', 'none'] as const
export const GENERATORS = ['sample', 'openai', 'off'] as const
export const SASL_MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
export const SOCKET_TRANSPORTS = ['all', 'websocket'] as const
export const DISPATCHES = ['kafka', 'http', 'local'] as const
export const DATABASE_SSL_MODES = ['off', 'require', 'verify-full'] as const

/** Longest duration a Node timer and a deadline sum can take: 2^31 − 1 ms, about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1
const DAY_MS = 24 * 60 * 60 * 1000

interface Text {
  type: 'text'
  default: string | undefined
}
export interface Whole {
  type: 'integer'
  default: number | undefined
  min: number
  max: number
}
/** A part of a whole. */
export interface Share {
  type: 'share'
  default: number
}
export interface Choice {
  type: 'choice'
  default: string
  values: readonly string[]
}
type Setting = (Text | Whole | Share | Choice) & {
  about: string
  defaultAbout?: string
  /** Its value is never shown. */
  isSecret?: boolean
}

const integer = (defaultValue: number, min: number, max: number, about: string) =>
  ({ type: 'integer', default: defaultValue, min, max, about }) as const

const dispatchUrl = (kind: string) =>
  ({
    type: 'text',
    default: undefined,
    defaultAbout: 'DISPATCH_URL',
    about: `The same, for the ${kind} only`,
    isSecret: true,
  }) as const

/** Every setting, in the order of the table in `docs/settings.md`. */
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
  DISPATCH: {
    type: 'choice',
    default: '',
    defaultAbout: 'kafka with KAFKA_BROKERS, else local',
    values: ['', ...DISPATCHES],
    about: 'Where jobs go: `kafka`, `http` (by POST to DISPATCH_URL) or `local` (in this process)',
  },
  DISPATCH_URL: {
    type: 'text',
    default: undefined,
    about: 'For `http`: who takes jobs, an n8n Webhook node or any service; `{kind}` in it is filled in',
    isSecret: true,
  },
  DISPATCH_URL_CONCEPT: dispatchUrl('concept'),
  DISPATCH_URL_EXERCISE: dispatchUrl('exercise'),
  DISPATCH_URL_QUIZ: dispatchUrl('quiz'),
  DISPATCH_SECRET: {
    type: 'text',
    default: undefined,
    about: 'Signs these requests (Standard Webhooks): `whsec_…` or any text; several, comma-separated',
    isSecret: true,
  },
  DISPATCH_CONCURRENCY: integer(8, 1, 10_000, 'Requests to DISPATCH_URL that this node has open at once'),
  NOTIFY_URL: {
    type: 'text',
    default: undefined,
    defaultAbout: 'no notices',
    about: 'Who is told by POST when a chapter is completed, failed or cancelled',
    isSecret: true,
  },
  NOTIFY_SECRET: {
    type: 'text',
    default: undefined,
    about: 'Signs these notices, as DISPATCH_SECRET does jobs',
    isSecret: true,
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
  GENERATION_PATIENCE_MS: integer(
    3_600_000,
    0,
    MAX_TIMER_MS,
    'Age of a job up to which a busy model (`rate_limited`, `unavailable`) costs it no attempt. It counts from when the job was asked for',
  ),
  GENERATION_WINDOW: integer(
    0,
    0,
    100_000,
    'How many jobs may be with workers at once, over all nodes; the rest wait, and owners take turns; 0 is no limit',
  ),
  GENERATION_WINDOW_CONCEPT: integer(
    0,
    0,
    100_000,
    'The same for concepts alone; 0 is no limit of their own',
  ),
  GENERATION_WINDOW_EXERCISE: integer(0, 0, 100_000, 'For exercises'),
  GENERATION_WINDOW_QUIZ: integer(0, 0, 100_000, 'For quizzes'),
  QUIZ_MIN_SHARE: {
    type: 'share',
    default: 0.6,
    about:
      'Share of the wanted questions that must be good, 0 to 1. If enough are good, the bad ones are left out. If not, the quiz is asked for again',
  },
  MAX_REVISIONS: integer(
    20,
    1,
    1000,
    'Earlier revisions that are kept of one part of a chapter; the oldest go first, the current one stays',
  ),
  GENERATOR: {
    type: 'choice',
    default: '',
    defaultAbout: 'sample with DISPATCH=local, else off',
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
    about: 'Base of the chat completions API; it may end in `/chat/completions`',
  },
  OPENAI_API_KEY: { type: 'text', default: undefined, about: 'Its key, if it wants one', isSecret: true },
  OPENAI_MODEL: { type: 'text', default: undefined, about: 'Required for `openai`' },
  OPENAI_SILENCE_MS: integer(
    240_000,
    1000,
    DAY_MS,
    'How long the model’s server may say nothing: until it answers, and between two pieces of its answer',
  ),
  OPENAI_MAX_TOKENS: integer(0, 0, 10_000_000, '`max_tokens` of each request; 0: the server’s own limit'),
  OPENAI_TEMPERATURE: {
    type: 'text',
    default: undefined,
    defaultAbout: 'the server’s own',
    about: '`temperature` of each request, 0 to 2',
  },
  OPENAI_EXTRA_BODY: {
    type: 'text',
    default: undefined,
    about:
      'More fields of each request as a JSON object, such as `{"top_p": 0.9}`; they replace those of the same name, and ' +
      'null takes one away',
    isSecret: true,
  },
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
  SOCKET_TRANSPORTS: {
    type: 'choice',
    default: 'all',
    values: SOCKET_TRANSPORTS,
    about:
      'How Socket.IO clients may connect: `all`, or `websocket` alone, for several nodes behind a load balancer that cannot keep a session at its node',
  },
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
  SHUTDOWN_TIMEOUT_MS: integer(
    10_000,
    1000,
    600_000,
    'Longest time from the signal until the process has ended. `DRAIN_DELAY_MS` is part of it',
  ),
  EVENT_RETENTION_MS: integer(
    30 * DAY_MS,
    1000,
    Number.MAX_SAFE_INTEGER,
    'How long the event log of an ended chapter is kept',
  ),
  AUDIT_RETENTION_MS: integer(
    365 * DAY_MS,
    1000,
    Number.MAX_SAFE_INTEGER,
    'How long ended redrives and entries of the audit log are kept',
  ),
  MAX_WAITING_BYTES: integer(
    134_217_728,
    1_048_576,
    2 ** 40,
    'Most bytes that this node holds for requests under way, and as many again for what clients have not read. Beyond the first limit requests get 503. Beyond the second the slowest clients are cut',
  ),
  MAX_ROOMS_PER_SOCKET: integer(
    100,
    1,
    100_000,
    'Rooms that one connection may be in, of chapters and of courses',
  ),
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
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    type: 'text',
    default: undefined,
    defaultAbout: 'no telemetry',
    about: 'Where traces and metrics go by OTLP over HTTP, as `http://collector:4318`',
    isSecret: true,
  },
  OTEL_SDK_DISABLED: {
    type: 'choice',
    default: 'false',
    values: ['true', 'false'],
    about: '`true`: no telemetry, whatever else is set',
  },
  OTEL_SERVICE_NAME: {
    type: 'text',
    default: undefined,
    defaultAbout: 'chaptercast',
    about: 'How this process is called there; by default `npm run generator` is `chaptercast-generator`',
  },
  OTEL_EXPORTER_OTLP_PROTOCOL: {
    type: 'choice',
    default: 'http/protobuf',
    values: ['http/protobuf'],
    about: 'The only one that is spoken',
  },
  OTEL_TRACES_EXPORTER: {
    type: 'choice',
    default: 'otlp',
    values: OTEL_EXPORTERS,
    about: '`none`: no traces',
  },
  OTEL_METRICS_EXPORTER: {
    type: 'choice',
    default: 'otlp',
    values: OTEL_EXPORTERS,
    about: '`none`: no metrics, for example because Prometheus reads `/metrics`',
  },
  OTEL_METRIC_EXPORT_INTERVAL: integer(60_000, 100, MAX_TIMER_MS, 'How often metrics are sent, ms'),
  LOG_FORMAT: {
    type: 'choice',
    default: 'auto',
    values: LOG_FORMATS,
    about:
      'How the log is written: `json`, `pretty` for people, or `auto`: for people on a terminal, else JSON',
  },
} as const satisfies Record<string, Setting>
