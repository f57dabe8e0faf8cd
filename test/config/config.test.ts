import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Config, readConfig } from '../../src/config/config.js'
import { SETTINGS } from '../../src/config/settings.js'
import { ConfigError } from '../../src/errors.js'

/** What deployments rely on. */
const DEFAULTS: Config = {
  host: '0.0.0.0',
  port: 8000,
  publicUrl: undefined,
  postgres: undefined,
  dataDir: '.data',
  redis: undefined,
  dispatch: 'local',
  kafka: undefined,
  httpDispatch: undefined,
  notify: undefined,
  corsOrigin: '*',
  generation: {
    timeoutMs: 600_000,
    queueTimeoutMs: 600_000,
    heartbeatMs: 120_000,
    maxAttempts: 3,
    retryBaseMs: 5000,
    retryMaxMs: 60_000,
    patienceMs: 3_600_000,
    quizMinShare: 0.6,
    maxRevisions: 20,
  },
  window: { all: 0, concept: 0, exercise: 0, quiz: 0 },
  generator: 'sample',
  generatorDelayMs: 1500,
  generatorConcurrency: 4,
  openai: undefined,
  webhookSecrets: [],
  jwt: undefined,
  socketTransports: 'all',
  sessionTtlMs: 120_000,
  rateLimit: { createPerMinute: 0, joinPerMinute: 0 },
  trustProxy: false,
  drainDelayMs: 0,
  shutdownTimeoutMs: 10_000,
  eventRetentionMs: 30 * 24 * 60 * 60 * 1000,
  auditRetentionMs: 365 * 24 * 60 * 60 * 1000,
  maxWaitingBytes: 134_217_728,
  maxRoomsPerSocket: 100,
  webhookBodyLimitBytes: 1_048_576,
  defaultLocale: 'ko',
  logLevel: 'info',
  logFormat: 'auto',
  telemetry: undefined,
}

t.test('with nothing set, everything is as documented', async (t) => {
  t.same(readConfig({}), DEFAULTS)
})

t.test('an empty value counts as unset', async (t) => {
  const empty = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, '']))
  t.same(readConfig({ ...empty, DATABASE_URL: '', WEBHOOK_SECRET: '' }), DEFAULTS)
})

t.test('every setting can be set, and means what it is called', async (t) => {
  t.same(
    readConfig({
      HOST: '127.0.0.1',
      PORT: '0',
      PUBLIC_URL: 'https://chapters.example.org/base',
      DATA_DIR: 'memory',
      CORS_ORIGIN: 'https://a.example.org',
      GENERATION_TIMEOUT_MS: '1000',
      GENERATION_QUEUE_TIMEOUT_MS: '2000',
      GENERATION_HEARTBEAT_MS: '300',
      GENERATION_MAX_ATTEMPTS: '4',
      GENERATION_RETRY_BASE_MS: '0',
      GENERATION_RETRY_MAX_MS: '6',
      GENERATION_PATIENCE_MS: '7',
      GENERATION_WINDOW: '8',
      GENERATION_WINDOW_CONCEPT: '9',
      GENERATION_WINDOW_EXERCISE: '10',
      GENERATION_WINDOW_QUIZ: '11',
      NOTIFY_URL: 'https://notify.example.org/hook?token=1',
      NOTIFY_SECRET: 'whsec_AAAA, other',
      QUIZ_MIN_SHARE: '0.5',
      MAX_REVISIONS: '3',
      GENERATOR: 'off',
      GENERATOR_DELAY_MS: '0',
      EVENT_RETENTION_MS: '8000',
      AUDIT_RETENTION_MS: '9000',
      MAX_WAITING_BYTES: '2000000',
      MAX_ROOMS_PER_SOCKET: '9',
      WEBHOOK_BODY_LIMIT_BYTES: '2048',
      DEFAULT_LOCALE: 'en',
      LOG_LEVEL: 'silent',
      LOG_FORMAT: 'pretty',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
      OTEL_SDK_DISABLED: 'false',
      OTEL_SERVICE_NAME: 'nodes',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      DATABASE_URL: 'postgres://user:secret@db:5433/chapters',
      DATABASE_POOL_SIZE: '3',
      DATABASE_STATEMENT_TIMEOUT_MS: '700',
      DATABASE_SSL: 'verify-full',
      REDIS_URL: 'rediss://redis:6380',
      REDIS_PREFIX: 'mine',
      KAFKA_BROKERS: 'a:9092, b:9092',
      KAFKA_TOPIC_PREFIX: 'mine.',
      KAFKA_PARTITIONS: '12',
      KAFKA_REPLICATION: '2',
      KAFKA_SSL: 'true',
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: 'p',
      GENERATOR_CONCURRENCY: '5',
      OPENAI_BASE_URL: 'http://localhost:1/v1/',
      OPENAI_API_KEY: 'k',
      OPENAI_MODEL: 'm',
      OPENAI_SILENCE_MS: '5000',
      OPENAI_MAX_TOKENS: '900',
      OPENAI_TEMPERATURE: '0.2',
      OPENAI_EXTRA_BODY: '{"top_p": 0.9}',
      WEBHOOK_SECRET: 'new, old',
      JWT_JWKS_URL: 'https://issuer.example.org/keys',
      JWT_ISSUER: 'i',
      JWT_AUDIENCE: 'a',
      SOCKET_TRANSPORTS: 'websocket',
      SESSION_TTL_MS: '6000',
      RATE_LIMIT_CREATE_PER_MINUTE: '7',
      RATE_LIMIT_JOIN_PER_MINUTE: '8',
      TRUST_PROXY: '10.0.0.0/8, 127.0.0.1',
      DRAIN_DELAY_MS: '11',
      SHUTDOWN_TIMEOUT_MS: '1200',
    }),
    {
      postgres: {
        url: 'postgres://user:secret@db:5433/chapters',
        poolSize: 3,
        statementTimeoutMs: 700,
        ssl: 'verify-full',
      },
      redis: { url: 'rediss://redis:6380', prefix: 'mine' },
      dispatch: 'kafka',
      httpDispatch: undefined,
      notify: { url: 'https://notify.example.org/hook?token=1', secrets: ['whsec_AAAA', 'other'] },
      kafka: {
        brokers: ['a:9092', 'b:9092'],
        topicPrefix: 'mine.',
        partitions: 12,
        replication: 2,
        ssl: true,
        sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'p' },
      },
      generatorConcurrency: 5,
      openai: {
        ...{ baseUrl: 'http://localhost:1/v1', apiKey: 'k', model: 'm', silenceMs: 5000 },
        ...{ maxTokens: 900, temperature: 0.2, extraBody: { top_p: 0.9 } },
      },
      webhookSecrets: ['new', 'old'],
      jwt: {
        secret: undefined,
        jwksUrl: 'https://issuer.example.org/keys',
        issuer: 'i',
        audience: 'a',
      },
      socketTransports: 'websocket',
      sessionTtlMs: 6000,
      rateLimit: { createPerMinute: 7, joinPerMinute: 8 },
      trustProxy: ['10.0.0.0/8', '127.0.0.1'],
      drainDelayMs: 11,
      shutdownTimeoutMs: 1200,
      host: '127.0.0.1',
      port: 0,
      publicUrl: 'https://chapters.example.org/base',
      dataDir: 'memory',
      corsOrigin: ['https://a.example.org'],
      generation: {
        timeoutMs: 1000,
        queueTimeoutMs: 2000,
        heartbeatMs: 300,
        maxAttempts: 4,
        retryBaseMs: 0,
        retryMaxMs: 6,
        patienceMs: 7,
        quizMinShare: 0.5,
        maxRevisions: 3,
      },
      window: { all: 8, concept: 9, exercise: 10, quiz: 11 },
      generator: 'off',
      generatorDelayMs: 0,
      eventRetentionMs: 8000,
      auditRetentionMs: 9000,
      maxWaitingBytes: 2_000_000,
      maxRoomsPerSocket: 9,
      webhookBodyLimitBytes: 2048,
      defaultLocale: 'en',
      logLevel: 'silent',
      logFormat: 'pretty',
      telemetry: { traces: false, metrics: false, metricIntervalMs: 1000 },
    },
  )
})

t.test('the share of good questions is a number from 0 to 1', async (t) => {
  for (const [given, share] of [
    ['0', 0],
    ['1', 1],
    ['0.75', 0.75],
  ] as const)
    t.equal(readConfig({ QUIZ_MIN_SHARE: given }).generation.quizMinShare, share)
  for (const given of ['2', '-1', '60%', 'x'])
    t.throws(() => readConfig({ QUIZ_MIN_SHARE: given }), {
      message: new RegExp(`QUIZ_MIN_SHARE=${given} must be a number from 0 to 1`),
    })
})

t.test('the queue’s deadline is the attempt’s unless it is set', async (t) => {
  t.equal(readConfig({ GENERATION_TIMEOUT_MS: '5000' }).generation.queueTimeoutMs, 5000)
  t.equal(readConfig({ GENERATION_QUEUE_TIMEOUT_MS: '5000' }).generation.timeoutMs, 600_000)
})

t.test('the public URL loses its trailing slash, so that paths can follow it', async (t) => {
  for (const given of ['http://localhost:8000', 'http://localhost:8000/', 'http://localhost:8000//'])
    t.equal(readConfig({ PUBLIC_URL: given }).publicUrl, 'http://localhost:8000')
})

t.test('browsers may come from any origin, from a list, or from a file opened from disk', async (t) => {
  const of = (CORS_ORIGIN: string) => readConfig({ CORS_ORIGIN }).corsOrigin
  t.equal(of('*'), '*')
  t.equal(of('https://a.example.org,*'), '*')
  t.same(of('null'), ['null'])
  t.same(of(' https://a.example.org , http://localhost:5173,null'), [
    'https://a.example.org',
    'http://localhost:5173',
    'null',
  ])
})

t.test('a start that cannot work lists every problem at once', async (t) => {
  const bad = {
    PORT: '65536',
    PUBLIC_URL: 'ftp://example.org',
    CORS_ORIGIN: 'https://a.example.org/path,example.org',
    GENERATION_TIMEOUT_MS: '99',
    GENERATION_QUEUE_TIMEOUT_MS: '-1',
    GENERATION_HEARTBEAT_MS: '1e3',
    GENERATION_MAX_ATTEMPTS: '0',
    GENERATION_RETRY_BASE_MS: '1.5',
    GENERATION_RETRY_MAX_MS: '2147483648',
    GENERATOR: 'magic',
    GENERATOR_DELAY_MS: 'soon',
    EVENT_RETENTION_MS: '9'.repeat(400),
    MAX_ROOMS_PER_SOCKET: ' 5',
    WEBHOOK_BODY_LIMIT_BYTES: '1MiB',
    DEFAULT_LOCALE: 'fr',
    LOG_LEVEL: 'loud',
  }
  const error = problemsOf(bad)
  for (const name of Object.keys(bad))
    t.ok(
      error.problems.some((problem) => problem.startsWith(`${name}=`)),
      name,
    )
  t.equal(error.problems.length, Object.keys(bad).length + 1, 'both origins are listed')
  for (const problem of error.problems) t.ok(error.message.includes(problem))
})

t.test('a problem says what would be right', async (t) => {
  t.same(problemsOf({ PORT: 'x' }).problems, ['PORT=x must be a whole number from 0 to 65535'])
  t.same(problemsOf({ DEFAULT_LOCALE: 'KO' }).problems, ['DEFAULT_LOCALE=KO must be one of ko, en'])
  t.match(problemsOf({ CORS_ORIGIN: 'a,' }).problems, [/https:\/\/example\.org, without a path/])
})

t.test('settings that need one another, or exclude one another, are refused together', async (t) => {
  t.match(problemsOf({ REDIS_URL: 'redis://redis' }).problems, [/REDIS_URL needs DATABASE_URL/])
  t.match(problemsOf({ GENERATOR: 'openai' }).problems, [/OPENAI_MODEL/])
  t.match(problemsOf({ JWT_SECRET: 'short' }).problems, [/32 bytes/])
  t.match(problemsOf({ JWT_SECRET: 'x'.repeat(32), JWT_JWKS_URL: 'https://a.org/k' }).problems, [/exclude/])
  t.match(problemsOf({ KAFKA_SASL_MECHANISM: 'plain' }).problems, [/KAFKA_SASL_USERNAME/])
  t.match(problemsOf({ KAFKA_SASL_USERNAME: 'u' }).problems, [/KAFKA_SASL_MECHANISM/])
  t.match(problemsOf({ DRAIN_DELAY_MS: '10000' }).problems, [/shorter than SHUTDOWN_TIMEOUT_MS/])
  t.match(problemsOf({ NODE_ENV: 'production' }).problems, [/WEBHOOK_SECRET/])
  t.equal(readConfig({ NODE_ENV: 'production', WEBHOOK_SECRET: 's' }).webhookSecrets.length, 1)
})

t.test('with Kafka nobody generates in the server unless told to', async (t) => {
  t.equal(readConfig({ KAFKA_BROKERS: 'a:9092' }).generator, 'off')
  t.equal(readConfig({ KAFKA_BROKERS: 'a:9092', GENERATOR: 'sample' }).generator, 'sample')
})

t.test('jobs go to Kafka, to a URL, or stay in this process', async (t) => {
  const of = (env: Record<string, string>) => {
    const { dispatch, kafka, httpDispatch, generator } = readConfig(env)
    return { dispatch, hasKafka: kafka !== undefined, urls: httpDispatch?.urls, generator }
  }
  const KAFKA_BROKERS = 'a:9092'
  const local = { dispatch: 'local', hasKafka: false, urls: undefined, generator: 'sample' }
  t.same(of({}), local)
  t.same(of({ DISPATCH: 'local', KAFKA_BROKERS }), local)
  const kafka = { dispatch: 'kafka', hasKafka: true, urls: undefined, generator: 'off' }
  t.same(of({ KAFKA_BROKERS }), kafka)
  t.same(of({ DISPATCH: 'kafka', KAFKA_BROKERS }), kafka)
  const http = { dispatch: 'http', hasKafka: false, generator: 'off' }
  t.same(of({ DISPATCH: 'http', DISPATCH_URL: 'http://n8n:5678/webhook/{kind}/', KAFKA_BROKERS }), {
    ...http,
    urls: {
      concept: 'http://n8n:5678/webhook/concept/',
      exercise: 'http://n8n:5678/webhook/exercise/',
      quiz: 'http://n8n:5678/webhook/quiz/',
    },
  })
  t.same(of({ DISPATCH: 'http', DISPATCH_URL: 'http://all', DISPATCH_URL_QUIZ: 'https://{kind}.example' }), {
    ...http,
    urls: { concept: 'http://all', exercise: 'http://all', quiz: 'https://quiz.example' },
  })
  t.match(readConfig({ DISPATCH: 'http', DISPATCH_URL: 'http://a', DISPATCH_SECRET: 'one, whsec_dHdv' }), {
    httpDispatch: { secrets: ['one', 'whsec_dHdv'], concurrency: 8 },
  })
  const DISPATCH_CONCURRENCY = '3'
  t.equal(
    readConfig({ DISPATCH: 'http', DISPATCH_URL: 'http://a', DISPATCH_CONCURRENCY }).httpDispatch
      ?.concurrency,
    3,
  )
})

t.test('a way for jobs that cannot work is refused, with all that is wrong in one message', async (t) => {
  t.match(problemsOf({ DISPATCH: 'kafka' }).problems, [/^DISPATCH=kafka needs KAFKA_BROKERS/])
  t.match(problemsOf({ DISPATCH: 'http', DISPATCH_URL_QUIZ: 'http://a' }).problems, [
    /^DISPATCH=http needs DISPATCH_URL.* concept, exercise$/,
  ])
  t.match(problemsOf({ DISPATCH_URL: 'http://a', DISPATCH_SECRET: 's' }).problems, [
    /^DISPATCH_URL, DISPATCH_SECRET needs DISPATCH=http$/,
  ])
  t.match(problemsOf({ NOTIFY_SECRET: 's' }).problems, [/^NOTIFY_SECRET needs NOTIFY_URL$/])
  t.match(problemsOf({ DISPATCH: 'post' }).problems, [/^DISPATCH=post must be one of kafka, http, local$/])
  const { problems, message } = problemsOf({
    DISPATCH: 'http',
    DISPATCH_URL: 'ftp://user:hunter2@host/{kind}',
    DISPATCH_URL_QUIZ: 'hunter2',
    DISPATCH_SECRET: 'whsec_hunter2!',
    NOTIFY_URL: 'n8n:5678/hunter2',
    GENERATOR: 'sample',
  })
  t.match(problems.sort(), [
    /^DISPATCH_SECRET must be base64 behind whsec_$/,
    /^DISPATCH_URL must be a URL that begins with http/,
    /^DISPATCH_URL_QUIZ must be a URL/,
    /^GENERATOR=sample gets no work with DISPATCH=http/,
    /^NOTIFY_URL must be a URL/,
  ])
  t.equal(problems.length, 5)
  t.notMatch(message, /hunter2/)
})

t.test('secrets are read from files, and never shown', async (t) => {
  const dir = t.testdir({ secrets: 'hunter2\nhunter3\n', password: 'p:ss/word\n', empty: '' })
  t.same(readConfig({ WEBHOOK_SECRET_FILE: `${dir}/secrets` }).webhookSecrets, ['hunter2', 'hunter3'])
  const { postgres } = readConfig({
    DATABASE_URL: 'postgres://u@db/x',
    DATABASE_PASSWORD_FILE: `${dir}/password`,
  })
  t.equal(postgres?.url, 'postgres://u:p%3Ass%2Fword@db/x')
  t.match(problemsOf({ WEBHOOK_SECRET_FILE: `${dir}/empty` }).problems, [/is empty/])
  t.match(problemsOf({ WEBHOOK_SECRET_FILE: `${dir}/none` }).problems, [/cannot be read/])
  const error = problemsOf({
    DATABASE_URL: 'mysql://user:hunter2@db/x',
    REDIS_URL: 'hunter2',
    JWT_SECRET: 'hunter2',
  })
  t.notMatch(JSON.stringify([error.problems, error.message, error.stack]), 'hunter2')
})

t.test('the configuration cannot be changed after it was read', async (t) => {
  const config = readConfig({ CORS_ORIGIN: 'null' })
  t.ok(Object.isFrozen(config))
  t.ok(Object.isFrozen(config.generation))
  // @ts-expect-error read only
  t.throws(() => (config.port = 1), TypeError)
})

t.test('what else is in the environment does not matter', async (t) => {
  t.same(readConfig({ PATH: '/bin', host: 'x', GENERATION: 'x', TERM: 'dumb' }), DEFAULTS)
})

t.test('.env.example lists every setting with its default and its meaning', async (t) => {
  const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  const lines = text.split('\n')
  const listed = lines
    .filter((line) => /^#[A-Z_]+=/.test(line))
    .map((line) => line.slice(1, line.indexOf('=')))
  t.same(listed, Object.keys(SETTINGS))
  for (const [name, { about }] of Object.entries(SETTINGS)) {
    const above = lines[lines.findIndex((line) => line.startsWith(`#${name}=`)) - 1]
    t.ok(above?.startsWith(`# ${about}`), name)
  }
  t.same(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    [],
    'nothing is set by copying it',
  )
})

t.test('.env.example with its comment signs taken away says the same as nothing set', async (t) => {
  const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  const entries = [...text.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value])
  t.same(readConfig(Object.fromEntries(entries)), DEFAULTS)
})

function problemsOf(env: Record<string, string>): ConfigError {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('It was accepted')
}

t.test('a temperature that is none, and a body that is no object, are refused', async (t) => {
  const bad = { OPENAI_MODEL: 'm', OPENAI_TEMPERATURE: 'warm', OPENAI_EXTRA_BODY: '[secret' }
  t.throws(() => readConfig(bad), /OPENAI_TEMPERATURE=warm must be a number from 0 to 2/)
  t.throws(() => readConfig(bad), /OPENAI_EXTRA_BODY must be a JSON object/)
  t.throws(() => readConfig({ ...bad, OPENAI_TEMPERATURE: '2.5' }), /OPENAI_TEMPERATURE=2\.5/)
  t.throws(() => readConfig({ ...bad, OPENAI_EXTRA_BODY: '[1]' }), /OPENAI_EXTRA_BODY/)
  t.match(readConfig({ OPENAI_MODEL: 'm', OPENAI_BASE_URL: ' http://a/v1/ ' }).openai, {
    baseUrl: /^http:\/\/a\/v1/,
    silenceMs: 240_000,
    extraBody: {},
  })
})
