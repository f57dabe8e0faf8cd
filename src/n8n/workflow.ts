/**
 * The n8n workflows in `deploy/n8n/workflows`: one that takes jobs from Kafka, one that takes them from a Webhook.
 * They differ in how a job comes and in nothing else. `npm run generate` writes them.
 *
 * What n8n does and an author must know, for each is built for here:
 * - There is no Code node. n8n stops its Code nodes at once when it is restarted; an expression runs in n8n itself.
 * - A node that fails as a whole hands its input to its first output as if all were well. So whoever reads an HTTP
 *   answer looks for what only that answer has, and no webhook body is anything but named fields.
 * - HTTP statuses are data here (`neverError`), so that 429 and 503 can be told apart and `Retry-After` read.
 * - Nothing reads `$env`, which n8n blocks. Secrets are in credentials, addresses in the message. The addresses name
 *   the work, so no body has to.
 * - The trigger’s options are written out: what is absent does not mean what the form shows.
 * - Offsets are committed on receipt (`immediately`), and n8n’s own queue bounds what runs at once: otherwise one
 *   slow answer holds back every partition of its topic. What ran when n8n died comes again from the product,
 *   after the attempt’s deadline. See `deploy/n8n/README.md` for the numbers.
 */
import { readFileSync } from 'node:fs'
import { SETTINGS } from '../config/settings.js'
import { TOPICS } from '../contract/generation.js'
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import { LOCALES, type Locale } from '../contract/scalar.js'
import { TEXTS } from '../generator/openai.js'
import { MISTAKE_TEXTS, promptTexts, REVISION_TEXTS } from '../generator/prompt.js'
import { STRICT_SCHEMAS } from '../generator/result-schema.js'
import { notesOf, POSITIONS, type Source } from './layout.js'

interface Node {
  id: string
  name: string
  type: string
  typeVersion: number
  position: [number, number]
  parameters: Record<string, unknown>
  credentials?: Record<string, { id: string | null; name: string }>
  onError?: 'continueRegularOutput' | 'continueErrorOutput'
  webhookId?: string
}

type Connection = { node: string; type: string; index: 0 }
type Connections = Record<string, { main: Connection[][]; ai_languageModel?: Connection[][] }>

/** As n8n imports it. */
export interface Workflow {
  id: string
  name: string
  nodes: Node[]
  connections: Connections
  settings: Record<string, unknown>
  active: false
}

/** Of the credentials. Without an id, n8n’s editor takes the one of that name when it imports. */
export const CREDENTIALS = {
  kafka: { id: null, name: 'chaptercast Kafka' },
  openAiApi: { id: null, name: 'chaptercast model' },
  httpBearerAuth: { id: null, name: 'chaptercast webhooks' },
} as const

/** Its address is /webhook/chaptercast. */
export const WEBHOOK_PATH = 'chaptercast'

/** Longest a run may take: the model, and the wait for the product. */
const EXECUTION_TIMEOUT_S = 3600
const MODEL_TIMEOUT_S = 180
const CALLBACK_TIMEOUT_MS = 10_000
const PROGRESS_TIMEOUT_MS = 5000
/** After its deadline the product makes a new attempt, but takes a late result all the same. */
const LATE_RESULT_MS = 300_000

/** What is told of the run itself; the failures of the model are told as the generator tells them. */
const OWN_TEXTS: Record<Locale, Record<'writing' | 'timeout' | 'broken' | 'misconfigured', string>> = {
  ko: {
    writing: 'AI 모델이 내용을 작성하고 있습니다.',
    timeout: 'AI 모델이 제한 시간 안에 응답하지 않았습니다.',
    broken: '생성기에서 예기치 않은 오류가 발생했습니다.',
    misconfigured:
      'AI 모델을 사용할 수 없습니다({why}). 운영자가 n8n의 모델 자격 증명과 Settings 노드를 확인해야 합니다.',
  },
  en: {
    writing: 'The AI model is writing.',
    timeout: 'The AI model did not answer in time.',
    broken: 'The generator failed unexpectedly.',
    misconfigured:
      'The AI model cannot be used ({why}): an operator has to check its credential and the node Settings in n8n.',
  },
}

export function workflowOf(source: Source): Workflow {
  const nodes: Node[] = []
  const connections: Connections = {}

  /** Ids only have to differ within the workflow. */
  const add = (
    name: string,
    type: string,
    typeVersion: number,
    parameters: Record<string, unknown>,
    more: Partial<Node> = {},
  ) => {
    const id = `${source}-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
    const position = POSITIONS[source][name]
    if (position === undefined) throw new Error(`layout.ts has no place for ${name}`)
    nodes.push({ id, name, type, typeVersion, position: [...position], parameters, ...more })
  }
  /** From the outputs of `from`, in their order, to the named nodes. */
  const connect = (from: string, ...outputs: string[]) => {
    connections[from] = { main: outputs.map((node) => [{ node, type: 'main', index: 0 }]) }
  }
  const choose = (name: string, condition: string) =>
    add(name, 'n8n-nodes-base.if', 2.2, { conditions: conditionsOf(condition), options: {} })
  /** One output for each rule, in order, and one for the rest. */
  const sort = (name: string, rules: Record<string, string>, rest: string) =>
    add(name, 'n8n-nodes-base.switch', 3.2, {
      mode: 'rules',
      rules: {
        values: Object.entries(rules).map(([outputKey, condition]) => ({
          conditions: conditionsOf(condition),
          renameOutput: true,
          outputKey,
        })),
      },
      options: { fallbackOutput: 'extra', renameFallbackOutput: rest },
    })
  const set = (name: string, fields: Record<string, unknown>, includeOtherFields = false) =>
    add(name, 'n8n-nodes-base.set', 3.4, {
      mode: 'manual',
      includeOtherFields,
      options: {},
      assignments: {
        assignments: Object.entries(fields).map(([field, given]) => {
          const [type, value] = Array.isArray(given) ? given : [typeof given, given]
          return { id: `${name.toLowerCase()}-${field}`, name: field, value, type }
        }),
      },
    })
  /** Keeps fields with the execution, where they can be seen and searched for. */
  const note = (name: string, fields: Record<string, string>) =>
    add(name, 'n8n-nodes-base.executionData', 1.1, {
      operation: 'save',
      dataToSave: { values: Object.entries(fields).map(([key, value]) => ({ key, value })) },
    })
  const callback = (name: string, url: string, body: string, timeoutMs: number) =>
    add(
      name,
      'n8n-nodes-base.httpRequest',
      4.2,
      {
        method: 'POST',
        url: `={{ ${url} }}`,
        authentication: 'genericCredentialType',
        genericAuthType: 'httpBearerAuth',
        sendBody: true,
        contentType: 'json',
        specifyBody: 'json',
        jsonBody: body,
        options: answersAsData(timeoutMs),
      },
      { credentials: { httpBearerAuth: CREDENTIALS.httpBearerAuth }, onError: 'continueRegularOutput' },
    )
  const askModel = (name: string, responseFormat: string) =>
    add(
      name,
      'n8n-nodes-base.httpRequest',
      4.2,
      {
        method: 'POST',
        url: `={{ ${JOB}.model_url }}`,
        authentication: 'predefinedCredentialType',
        nodeCredentialType: 'openAiApi',
        sendBody: true,
        contentType: 'json',
        specifyBody: 'json',
        jsonBody: `={{ JSON.stringify({ model: ${JOB}.model, messages: ${JOB}.messages${responseFormat} }) }}`,
        options: answersAsData(`={{ ${JOB}.timeout_s * 1000 }}`),
      },
      { credentials: { openAiApi: CREDENTIALS.openAiApi }, onError: 'continueRegularOutput' },
    )
  const stop = (name: string, message: string) =>
    add(name, 'n8n-nodes-base.stopAndError', 1, { errorMessage: message })

  // 1. A job comes.
  if (source === 'kafka')
    for (const kind of JOB_KINDS) {
      add(TRIGGERS[kind], 'n8n-nodes-base.kafkaTrigger', 1.3, triggerOf(kind), {
        credentials: { kafka: CREDENTIALS.kafka },
      })
      connect(TRIGGERS[kind], 'Settings')
    }
  else {
    const options = { responseCode: { values: { responseCode: 'customCode', customCode: 202 } } }
    const parameters = { httpMethod: 'POST', path: WEBHOOK_PATH, responseMode: 'onReceived', options }
    add('Jobs', 'n8n-nodes-base.webhook', 2.1, parameters, {
      webhookId: '5a1c2f6e-6f0b-4c57-9d0a-5c6b1a0f8e21',
    })
    connect('Jobs', 'Settings')
  }
  set(
    'Settings',
    {
      base_url: SETTINGS.OPENAI_BASE_URL.default,
      model: 'gpt-4o-mini',
      timeout_s: MODEL_TIMEOUT_S,
      // Anybody may post to a webhook; the secret goes to this server only.
      ...(source === 'http' ? { server: 'http://localhost:8000' } : {}),
      ...settingsTexts(),
    },
    true,
  )
  connect('Settings', 'A job?')
  const isOurs = source === 'http' ? ` && ${IS_OURS}` : ''
  choose('A job?', `${IS_JOB}${isOurs}`)
  connect('A job?', 'Job', 'Not a job')
  stop(
    'Not a job',
    source === 'http'
      ? '=This is not a job of the server {{ $json.server }} (see the node Settings)'
      : 'The message is not a job',
  )

  // 2. The job, with all that is needed for it.
  const texts = Object.fromEntries(
    LOCALES.map((locale) => {
      const { refused, tooLong, invalid, rateLimited, quota, unavailable } = TEXTS[locale]
      return [locale, { refused, tooLong, invalid, rateLimited, quota, unavailable, ...OWN_TEXTS[locale] }]
    }),
  )
  const field = (name: string) => ['string', `={{ ${MESSAGE}.callback.${name} }}`]
  const system = `$json['system_' + (${MESSAGE}.locale === 'en' ? 'en' : 'ko')]`
  set('Job', {
    kind: `={{ ${MESSAGE}.kind }}`,
    deadline_at: `={{ ${MESSAGE}.deadline_at }}`,
    start_url: field('start_url'),
    finish_url: field('finish_url'),
    fail_url: field('fail_url'),
    progress_url: field('progress_url'),
    model_url: `={{ $json.base_url.trim().replace(/\\/+$/, '').replace(/\\/chat\\/completions$/, '') }}/chat/completions`,
    model: '={{ $json.model }}',
    timeout_s: ['number', '={{ $json.timeout_s }}'],
    messages: [
      'array',
      `={{ [{ role: 'system', content: ${system} }, { role: 'user', content: (${sourceOf('prompt.js')})(${MESSAGE}, $json) }] }}`,
    ],
    schema: ['object', `={{ (${literal(STRICT_SCHEMAS)})[${MESSAGE}.kind] }}`],
    texts: ['object', `={{ (${literal(texts)})[${MESSAGE}.locale === 'en' ? 'en' : 'ko'] }}`],
  })
  connect('Job', 'Note the job')
  note('Note the job', {
    chapter_id: `={{ String(${GIVEN}.chapter_id) }}`,
    kind: `={{ ${JOB}.kind }}`,
    attempt: `={{ String(${GIVEN}.attempt) }}`,
    job_id: `={{ ${GIVEN}.job_id }}`,
    outcome: 'begun',
  })
  connect('Note the job', 'May it run?')

  // 3. Whether it is still wanted. If the server cannot say it now, the work is done: its result waits for the server.
  callback('May it run?', `${JOB}.start_url`, '{}', CALLBACK_TIMEOUT_MS)
  connect('May it run?', 'Its answer')
  sort(
    'Its answer',
    {
      run: `$json.body?.run !== false && !(${REFUSED})`,
      'not allowed': '[401, 403].includes($json.statusCode)',
    },
    'not wanted',
  )
  connect('Its answer', 'Report progress', 'Not allowed', 'Not wanted')
  stop(
    'Not allowed',
    '=The product refused the token (HTTP {{ $json.statusCode }}): check the credential of the webhooks',
  )
  note('Not wanted', {
    outcome: `={{ 'not wanted: ' + ($json.body?.reason ?? 'HTTP ' + $json.statusCode) }}`,
  })

  // 4. The model.
  callback(
    'Report progress',
    `${JOB}.progress_url`,
    `={{ JSON.stringify({ progress: 10, message: ${JOB}.texts.writing, kind: ${JOB}.kind }) }}`,
    PROGRESS_TIMEOUT_MS,
  )
  connect('Report progress', 'Ask the model')
  askModel(
    'Ask the model',
    `, response_format: { type: 'json_schema', json_schema: { name: ${JOB}.kind, strict: true, schema: ${JOB}.schema } }`,
  )
  connect('Ask the model', 'Simpler?')
  choose(
    'Simpler?',
    `([400, 404, 422, 500, 501].includes($json.statusCode) && !JSON.stringify($json.body ?? '').includes('content_filter')) || $json.body?.choices?.[0]?.finish_reason === 'error'`,
  )
  connect('Simpler?', 'Ask without schema', 'Answer')
  askModel('Ask without schema', '')
  connect('Ask without schema', 'Answer')

  // 5. The result, or why there is none, until the server has taken it.
  set('Answer', { body: ['object', `={{ (${sourceOf('answer.js')})($json, ${JOB}.texts) }}`] })
  connect('Answer', 'Deliver')
  callback(
    'Deliver',
    `${IS_FAILURE} ? ${JOB}.fail_url : ${JOB}.finish_url`,
    `={{ JSON.stringify(${ANSWER}) }}`,
    CALLBACK_TIMEOUT_MS,
  )
  connect('Deliver', 'Settled?')
  const deadline = `($('May it run?').first().json.body?.deadline_at ?? ${JOB}.deadline_at)`
  choose(
    'Settled?',
    `(${TAKEN}) || (${REFUSED}) || !(Date.now() < Date.parse(${deadline}) + ${LATE_RESULT_MS})`,
  )
  connect('Settled?', 'Outcome', 'Wait')
  // From 65 s on n8n keeps a waiting run in its database, where it survives a restart. Spread, so that not all
  // come back together.
  add('Wait', 'n8n-nodes-base.wait', 1.1, {
    resume: 'timeInterval',
    amount: '={{ ($runIndex < 5 ? 8 : 66) + Math.floor(Math.random() * 8) }}',
    unit: 'seconds',
  })
  connect('Wait', 'Deliver')

  // 6. How it ended. A failure is red in the list of executions.
  set('Outcome', {
    outcome: `={{ !(${TAKEN}) ? ($json.statusCode > 0 ? 'refused: HTTP ' + $json.statusCode : 'not delivered') : ${IS_FAILURE} ? 'failed: ' + ${ANSWER}.reason : $json.body.status === 'success' ? 'finished' : $json.body.status }}`,
    detail: `={{ ${IS_FAILURE} ? ${ANSWER}.error : ($json.body?.detail ?? $json.body?.message ?? '') }}`,
    failed: ['boolean', `={{ !(${TAKEN}) || ${IS_FAILURE} }}`],
  })
  connect('Outcome', 'Note the outcome')
  note('Note the outcome', { outcome: `={{ $json.outcome }}` })
  connect('Note the outcome', 'Failed?')
  choose('Failed?', '$json.failed')
  connect('Failed?', 'Failed')
  stop('Failed', '={{ $json.outcome }}. {{ $json.detail }}')

  for (const [index, { text, position, width, height }] of notesOf(source).entries())
    nodes.push({
      id: `${source}-section-${index + 1}`,
      name: `Section ${index + 1}`,
      type: 'n8n-nodes-base.stickyNote',
      typeVersion: 1,
      position,
      parameters: { content: text, width, height, color: 7 },
    })
  return {
    id: source === 'kafka' ? 'chaptercast' : 'chaptercast-http',
    name: source === 'kafka' ? 'chaptercast' : 'chaptercast (http)',
    nodes,
    connections,
    settings: {
      executionOrder: 'v1',
      executionTimeout: EXECUTION_TIMEOUT_S,
      saveDataErrorExecution: 'all',
      saveDataSuccessExecution: 'all',
      saveExecutionProgress: false,
      timezone: 'UTC',
    },
    active: false,
  }
}

const TRIGGERS: Record<JobKind, string> = {
  concept: 'Concepts',
  exercise: 'Exercises',
  quiz: 'Quizzes',
}

function triggerOf(kind: JobKind) {
  return {
    topic: TOPICS[kind],
    groupId: `n8n-${TOPICS[kind]}`,
    resolveOffset: 'immediately',
    useSchemaRegistry: false,
    options: {
      allowAutoTopicCreation: false,
      batchSize: 1,
      eachBatchAutoResolve: false,
      fromBeginning: true,
      heartbeatInterval: 3000,
      jsonParseMessage: true,
      maxInFlightRequests: 1,
      onlyMessage: false,
      partitionsConsumedConcurrently: 0,
      rebalanceTimeout: 600_000,
      returnHeaders: false,
      sessionTimeout: 15_000,
    },
  }
}

/** All that the model is told, by kind and language. */
function settingsTexts(): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const locale of LOCALES) {
    texts[`system_${locale}`] = promptTexts('concept', locale).system
    for (const kind of JOB_KINDS) texts[`${kind}_${locale}`] = promptTexts(kind, locale).task
    texts[`again_${locale}`] = REVISION_TEXTS[locale].again
    texts[`wish_${locale}`] = REVISION_TEXTS[locale].wish
    texts[`mistake_${locale}`] = MISTAKE_TEXTS[locale]
  }
  return texts
}

const JOB = `$('Job').first().json`
/** Kafka Trigger puts it under `message`, Webhook under `body`. */
const MESSAGE = '($json.message ?? $json.body)'
const GIVEN = MESSAGE.replaceAll('$json', `$('Settings').first().json`)
const ANSWER = `$('Answer').first().json.body`
const IS_FAILURE = `${ANSWER}.raw === undefined`

const URLS = `['start_url', 'finish_url', 'fail_url', 'progress_url']`
const IS_JOB = [
  `${JSON.stringify(JOB_KINDS)}.includes(${MESSAGE}?.kind)`,
  `typeof ${MESSAGE}.job_id === 'string'`,
  `typeof ${MESSAGE}.title === 'string'`,
  `!Number.isNaN(Date.parse(${MESSAGE}.deadline_at))`,
  `${URLS}.every((name) => /^https?:/.test(${MESSAGE}.callback?.[name] ?? ''))`,
].join(' && ')
const IS_OURS = `${URLS}.every((name) => ${MESSAGE}.callback[name].startsWith($json.server.trim().replace(/\\/+$/, '') + '/'))`

/** Of what a webhook’s HTTP Request node put out. Neither is true: no answer of the product’s own, for now. */
const TAKEN = `$json.statusCode < 300 && $json.body?.status !== undefined`
const REFUSED = `$json.statusCode >= 400 && $json.statusCode < 500 && ![408, 429].includes($json.statusCode)`

/** Whatever the status, it comes out as data: \`{statusCode, headers, body}\`. */
function answersAsData(timeout: number | string) {
  return {
    timeout,
    // Followed, a 301 or 302 would become a GET without the body.
    redirect: { redirect: { followRedirects: false } },
    response: { response: { fullResponse: true, neverError: true, responseFormat: 'autodetect' } },
  }
}

function conditionsOf(condition: string) {
  return {
    options: { caseSensitive: true, leftValue: '', typeValidation: 'strict', version: 2 },
    combinator: 'and',
    conditions: [
      {
        id: 'condition',
        leftValue: `={{ ${condition} }}`,
        rightValue: '',
        operator: { type: 'boolean', operation: 'true', singleValue: true },
      },
    ],
  }
}

/** For an expression, which two closing braces in a row would end. */
function literal(value: unknown): string {
  return JSON.stringify(value, null, 1)
}

/** A function of this folder, as an expression: without the file’s comments on top and `export`. */
function sourceOf(file: string): string {
  // Also found from the compiled file.
  const text = readFileSync(new URL(`../../src/n8n/${file}`, import.meta.url), 'utf8')
  const [, source] = /export const \w+ = ([\s\S]*)$/.exec(text) ?? []
  if (source === undefined || source.includes('}}')) throw new Error(`${file} is no single expression`)
  return source.trim()
}
