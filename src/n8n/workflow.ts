/**
 * The n8n workflows in `deploy/n8n/workflows`, one per kind, made from one description so that they cannot
 * drift apart; `npm run generate` writes them.
 *
 * What n8n does and an author must know, for each is built for here:
 * - A node that fails as a whole hands its input to its first output as if all were well. So whoever reads an
 *   HTTP answer looks for its `statusCode`, and no webhook body is anything but named fields.
 * - A Code node that throws ends the run; ours do not throw, and leave `onError` alone.
 * - HTTP statuses are data here (`neverError`), so that 429 and 503 can be told apart and `Retry-After` read.
 * - Nothing reads `$env`, which n8n blocks. Secrets are in credentials, addresses and ids in the message.
 * - The trigger’s options are written out: what is absent does not mean what the form shows.
 * - Offsets are committed on receipt (`immediately`), and n8n’s own queue bounds what runs at once: otherwise one
 *   slow answer holds back every partition of its topic. What ran when n8n died comes again from the product,
 *   after the attempt’s deadline. See `deploy/n8n/README.md` for the numbers.
 */
import { readFileSync } from 'node:fs'
import { SETTINGS } from '../config/settings.js'
import { TOPICS } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import { LOCALES, type Locale } from '../contract/scalar.js'
import { TEXTS } from '../generator/openai.js'
import { MISTAKE_TEXTS, promptTexts } from '../generator/prompt.js'
import { STRICT_SCHEMAS } from '../generator/result-schema.js'

interface Node {
  id: string
  name: string
  type: string
  typeVersion: number
  position: [number, number]
  parameters: Record<string, unknown>
  credentials?: Record<string, { id: string | null; name: string }>
  onError?: 'continueRegularOutput'
}

type Connections = Record<string, { main: { node: string; type: 'main'; index: 0 }[][] }>

/** As n8n imports it. */
export interface Workflow {
  id: string
  name: string
  nodes: Node[]
  connections: Connections
  settings: Record<string, unknown>
  active: false
}

/** Of the three credentials. Without an id, n8n’s editor takes the one of that name when it imports. */
export const CREDENTIALS = {
  kafka: { id: null, name: 'chaptercast Kafka' },
  openAiApi: { id: null, name: 'chaptercast model' },
  httpBearerAuth: { id: null, name: 'chaptercast webhooks' },
} as const

/** Longest a run may take: its wait for the product, the model, and the wait again. */
const EXECUTION_TIMEOUT_S = 3600
const MODEL_TIMEOUT_S = 180
const CALLBACK_TIMEOUT_MS = 10_000
const PROGRESS_TIMEOUT_MS = 5000
/** After its deadline the product makes a new attempt, but takes a late result all the same. */
const LATE_RESULT_MS = 300_000

/** What is told of the run itself; the failures of the model are told as the generator tells them. */
const OWN_TEXTS: Record<
  Locale,
  Record<'asked' | 'answered' | 'timeout' | 'broken' | 'misconfigured', string>
> = {
  ko: {
    asked: 'AI 모델이 내용을 작성하고 있습니다.',
    answered: 'AI 모델의 답변을 확인하고 저장합니다.',
    timeout: 'AI 모델이 제한 시간 안에 응답하지 않았습니다.',
    broken: '생성기에서 예기치 않은 오류가 발생했습니다.',
    misconfigured:
      'AI 모델을 사용할 수 없습니다(HTTP {status}). 운영자가 n8n의 모델 자격 증명과 Settings 노드를 확인해야 합니다.',
  },
  en: {
    asked: 'The AI model is writing.',
    answered: 'The AI model has answered; its result is checked and stored.',
    timeout: 'The AI model did not answer in time.',
    broken: 'The generator failed unexpectedly.',
    misconfigured:
      'The AI model cannot be used (HTTP {status}): an operator has to check its credential and the node Settings in n8n.',
  },
}

export function workflowOf(kind: JobKind): Workflow {
  const nodes: Node[] = []
  const connections: Connections = {}

  /** Places a node in a grid; ids only have to differ within the workflow. */
  const add = (
    name: string,
    type: string,
    typeVersion: number,
    [column, row]: [number, number],
    parameters: Record<string, unknown>,
    more: Partial<Node> = {},
  ) => {
    const id = `${kind}-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
    nodes.push({ id, name, type, typeVersion, position: [240 * column, 220 * row], parameters, ...more })
  }
  /** From the outputs of `from`, in their order, to the named nodes. */
  const connect = (from: string, ...outputs: string[]) => {
    connections[from] = { main: outputs.map((node) => [{ node, type: 'main', index: 0 }]) }
  }
  const code = (name: string, at: [number, number], file: string, call: string, constants: unknown) =>
    add(name, 'n8n-nodes-base.code', 2, at, {
      mode: 'runOnceForAllItems',
      language: 'javaScript',
      jsCode: `${sourceOf(file)}\nconst CONSTANTS = ${JSON.stringify(constants, null, 2)}\n\nreturn [{ json: ${call} }]\n`,
    })
  const choose = (name: string, at: [number, number], condition: string) =>
    add(name, 'n8n-nodes-base.if', 2.2, at, { conditions: conditionsOf(condition), options: {} })
  /** One output for each rule, in order, and one for the rest. */
  const sort = (name: string, at: [number, number], rules: Record<string, string>, rest: string) =>
    add(name, 'n8n-nodes-base.switch', 3.2, at, {
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
  const callback = (
    name: string,
    at: [number, number],
    url: 'start_url' | 'finish_url' | 'fail_url' | 'progress_url',
    fields: string,
    timeoutMs = CALLBACK_TIMEOUT_MS,
  ) =>
    add(
      name,
      'n8n-nodes-base.httpRequest',
      4.2,
      at,
      {
        method: 'POST',
        url: `={{ ${JOB}.${url} }}`,
        authentication: 'genericCredentialType',
        genericAuthType: 'httpBearerAuth',
        sendBody: true,
        contentType: 'json',
        specifyBody: 'json',
        jsonBody: `={{ JSON.stringify({ ${fields === '' ? '' : `${fields}, `}job_id: ${JOB}.job_id, attempt: ${JOB}.attempt }) }}`,
        options: answersAsData(timeoutMs, 'autodetect'),
      },
      { credentials: { httpBearerAuth: CREDENTIALS.httpBearerAuth }, onError: 'continueRegularOutput' },
    )
  /** Seconds; below 65 n8n keeps the run in memory. Spread, so that not all come back together. */
  const wait = (name: string, at: [number, number], seconds: number) =>
    add(name, 'n8n-nodes-base.wait', 1.1, at, {
      resume: 'timeInterval',
      amount: `={{ ${seconds} + Math.floor(Math.random() * ${seconds}) }}`,
      unit: 'seconds',
    })
  const nothing = (name: string, at: [number, number]) => add(name, 'n8n-nodes-base.noOp', 1, at, {})
  const stop = (name: string, at: [number, number], message: string) =>
    add(name, 'n8n-nodes-base.stopAndError', 1, at, { errorMessage: message })

  add(
    'Kafka Trigger',
    'n8n-nodes-base.kafkaTrigger',
    1.3,
    [0, 0],
    {
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
    },
    { credentials: { kafka: CREDENTIALS.kafka } },
  )
  add('Settings', 'n8n-nodes-base.set', 3.4, [1, 0], {
    mode: 'manual',
    includeOtherFields: false,
    options: {},
    assignments: {
      assignments: [
        ['base_url', SETTINGS.OPENAI_BASE_URL.default],
        ['model', 'gpt-4o-mini'],
        ['timeout_s', MODEL_TIMEOUT_S],
        ...LOCALES.flatMap((locale) => {
          const { system, task } = promptTexts(kind, locale)
          return [
            [`system_${locale}`, system],
            [`task_${locale}`, task],
          ]
        }),
      ].map(([name, value]) => ({ id: `${kind}-${name}`, name, value, type: typeof value })),
    },
  })
  const texts = Object.fromEntries(
    LOCALES.map((locale) => {
      const { refused, tooLong, invalid, rateLimited, quota, unavailable } = TEXTS[locale]
      return [locale, { refused, tooLong, invalid, rateLimited, quota, unavailable, ...OWN_TEXTS[locale] }]
    }),
  )
  const prepareTexts = Object.fromEntries(
    LOCALES.map((locale) => [locale, { ...OWN_TEXTS[locale], mistake: MISTAKE_TEXTS[locale] }]),
  )
  code(
    'Prepare',
    [2, 0],
    'prepare.js',
    `prepare($('Kafka Trigger').first().json.message, $input.first().json, CONSTANTS)`,
    { kind, schema: STRICT_SCHEMAS[kind], texts: prepareTexts },
  )
  choose('A job?', [3, 0], '$json.ok === true')
  connect('Kafka Trigger', 'Settings')
  connect('Settings', 'Prepare')
  connect('Prepare', 'A job?')
  connect('A job?', 'May it run?', 'Nothing to do')
  nothing('Nothing to do', [4, 1])

  callback('May it run?', [4, 0], 'start_url', '')
  sort(
    'Its answer',
    [5, 0],
    {
      // After a try that was not answered, what is running is this very run.
      run: `$json.statusCode < 300 && ($json.body?.run === true || ($json.body?.reason === 'running' && $runIndex > 0))`,
      'ask again': `${UNANSWERED} && Date.now() < Date.parse(${JOB}.deadline_at)`,
      'not allowed': '[401, 403].includes($json.statusCode)',
    },
    'not wanted',
  )
  wait('Wait', [5, -1], 8)
  stop(
    'Not allowed',
    [6, 1],
    '=The product refused the token (HTTP {{ $json.statusCode }}): check the credential of the webhooks',
  )
  connect('May it run?', 'Its answer')
  connect('Its answer', 'Report: asked', 'Wait', 'Not allowed', 'Nothing to do')
  connect('Wait', 'May it run?')

  const progress = (name: string, at: [number, number], percent: number, text: 'asked' | 'answered') =>
    callback(
      name,
      at,
      'progress_url',
      `progress: ${percent}, message: ${JOB}.${text}, kind: ${JOB}.kind`,
      PROGRESS_TIMEOUT_MS,
    )
  progress('Report: asked', [6, 0], 10, 'asked')
  choose('Cancelled?', [7, 0], '$json.body?.cancelled === true')
  connect('Report: asked', 'Cancelled?')
  connect('Cancelled?', 'Nothing to do', 'Ask the model')

  add(
    'Ask the model',
    'n8n-nodes-base.httpRequest',
    4.2,
    [0, 3],
    {
      method: 'POST',
      url: `={{ ${SET}.base_url.replace(/\\/+$/, '') }}/chat/completions`,
      authentication: 'predefinedCredentialType',
      nodeCredentialType: 'openAiApi',
      sendBody: true,
      contentType: 'json',
      specifyBody: 'json',
      jsonBody: `={{ JSON.stringify({ model: ${SET}.model, messages: [{ role: 'system', content: ${JOB}.system }, { role: 'user', content: ${JOB}.user }], response_format: ${JOB}.response_formats[$runIndex] ?? undefined }) }}`,
      options: answersAsData(`={{ ${SET}.timeout_s * 1000 }}`, 'text'),
    },
    { credentials: { openAiApi: CREDENTIALS.openAiApi }, onError: 'continueRegularOutput' },
  )
  code(
    'Read the answer',
    [1, 3],
    'read-answer.js',
    `readAnswer($input.first().json, ${JOB}, $runIndex, CONSTANTS)`,
    texts,
  )
  sort(
    'What next?',
    [2, 3],
    { finish: `$json.next === 'finish'`, 'ask more simply': `$json.next === 'simpler'` },
    'fail',
  )
  connect('Ask the model', 'Read the answer')
  connect('Read the answer', 'What next?')
  connect('What next?', 'Report: answered', 'Ask the model', 'Fail')

  progress('Report: answered', [3, 3], 80, 'answered')
  const isInTime = `Date.now() < Date.parse($('May it run?').first().json.body.deadline_at ?? ${JOB}.deadline_at) + ${LATE_RESULT_MS}`
  // Between the two webhooks: a Finish that fails as a whole would else put out the report’s good answer as its own.
  add('Result', 'n8n-nodes-base.set', 3.4, [4, 3], {
    mode: 'manual',
    includeOtherFields: false,
    options: {},
    assignments: {
      assignments: [{ id: `${kind}-result-raw`, name: 'raw', value: `={{ ${ANSWER}.raw }}`, type: 'string' }],
    },
  })
  callback('Finish', [5, 3], 'finish_url', `raw: $('Result').first().json.raw`)
  sort(
    'Taken?',
    [6, 3],
    { taken: TAKEN, 'send again': `${UNANSWERED} && ${isInTime}`, refused: REFUSED },
    'given up',
  )
  wait('Wait to finish', [6, 2], 8)
  connect('Report: answered', 'Result')
  connect('Result', 'Finish')
  connect('Finish', 'Taken?')
  connect('Taken?', 'Done', 'Wait to finish', 'Refused', 'Not delivered')
  // As with Result: a Fail that fails as a whole would else put out Finish’s refusal as its own answer.
  add('Refused', 'n8n-nodes-base.set', 3.4, [6, 4], {
    mode: 'manual',
    includeOtherFields: false,
    options: {},
    assignments: {
      assignments: [{ id: `${kind}-refused`, name: 'refused', value: true, type: 'boolean' }],
    },
  })
  connect('Refused', 'Fail')
  connect('Wait to finish', 'Finish')
  nothing('Done', [7, 3])

  const failure = (field: string, otherwise: string) =>
    `${field}: ${ANSWER}.failure?.${field} ?? ${otherwise}`
  callback(
    'Fail',
    [4, 5],
    'fail_url',
    [
      failure('error', `'The product refused the result: HTTP ' + $('Finish').first().json.statusCode`),
      failure('reason', `'invalid_result'`),
      failure('retryable', 'true'),
      failure('retry_after_s', 'undefined'),
    ].join(', '),
  )
  // A refusal is an answer: the job is another’s, or gone.
  sort(
    'Told?',
    [5, 5],
    {
      told: `(${TAKEN}) || (${REFUSED} && ![401, 403].includes($json.statusCode))`,
      'send again': `${UNANSWERED} && ${isInTime}`,
    },
    'given up',
  )
  wait('Wait to fail', [5, 6], 8)
  connect('Fail', 'Told?')
  connect('Told?', 'Done', 'Wait to fail', 'Not delivered')
  connect('Wait to fail', 'Fail')
  stop(
    'Not delivered',
    [7, 5],
    'The product could not be told in time; after its deadline it makes a new attempt by itself',
  )

  add('About', 'n8n-nodes-base.stickyNote', 1, [-2.2, -0.4], {
    content: NOTE,
    height: 360,
    width: 420,
  })
  return {
    id: `chaptercast-${kind}`,
    name: `chaptercast: ${kind}`,
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

const JOB = `$('Prepare').first().json`
const SET = `$('Settings').first().json`
const ANSWER = `$('Read the answer').first().json`

/** Of what a webhook’s HTTP Request node put out. Neither is true: no answer of the product’s own, for now. */
const TAKEN = `$json.statusCode < 300 && ($json.body?.status ?? $json.body?.run) !== undefined`
const REFUSED = `$json.statusCode >= 400 && $json.statusCode < 500 && ![408, 429].includes($json.statusCode)`
const UNANSWERED = `!(${TAKEN}) && !(${REFUSED})`

const NOTE = `## chaptercast

Takes a job from Kafka, asks the product whether it is still wanted, has the model write, and brings the result.

- **Settings**: the model, its base URL, and the prompts.
- Credentials, found by their names: **chaptercast Kafka**, **chaptercast model** (the key), **chaptercast webhooks** (the product’s webhook secret).

Made by \`npm run generate\`.`

/** Whatever the status, it comes out as data: \`{statusCode, headers, body}\`, or \`data\` for text. */
function answersAsData(timeout: number | string, responseFormat: 'autodetect' | 'text') {
  return {
    timeout,
    // Followed, a 301 or 302 would become a GET without the body.
    redirect: { redirect: { followRedirects: false } },
    response: { response: { fullResponse: true, neverError: true, responseFormat } },
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

/** A script of this folder, as a Code node takes it: without its heading and `export`. */
function sourceOf(file: string): string {
  // Also found from the compiled file.
  const text = readFileSync(new URL(`../../src/n8n/${file}`, import.meta.url), 'utf8')
  return text.replace(/^\/\*\*[\s\S]*?\*\/\n\n/, '').replaceAll(/^export /gm, '')
}
