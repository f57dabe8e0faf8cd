/**
 * The AsyncAPI 3 document: Socket.IO, the messages to workers (Kafka, or HTTP), dead letters, and notices. Written from
 * the contract’s schemas, with the shapes’ names that OpenAPI has.
 *
 * AsyncAPI knows no Socket.IO. Here a channel is a room, or the connection itself; a message is an event, its payload
 * the one argument of the event, and a reply is the acknowledgement. `receive` is what the server receives.
 */
import { readFileSync } from 'node:fs'
import type { TSchema } from '@sinclair/typebox'
import { END_EVENTS, EVENT_NAMES, EVENTS } from '../contract/event.js'
import { DEAD_LETTER_TOPIC, DeadLetter, GenerationMessage, TOPICS } from '../contract/generation.js'
import { JOB_KINDS } from '../contract/job.js'
import { Notice } from '../contract/notice.js'
import { componentsOf, pascalCase, referenceTo, replaceShapes } from '../contract/shapes.js'
import { Refusal } from '../contract/socket.js'
import {
  CLIENT_MESSAGES,
  type ClientMessage,
  type Place,
  SERVER_MESSAGES,
  type ServerMessage,
} from '../contract/socket-messages.js'
import { SECURITY_SCHEMES } from '../http/auth.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

interface Message {
  name: string
  title: string
  summary: string
  contentType: 'application/json'
  headers?: object
  payload: unknown
  bindings?: object
}

const ref = ($ref: string) => ({ $ref })
const refer = (schema: TSchema) => replaceShapes(schema, referenceTo)

function message(name: string, summary: string, payload: TSchema, more: Partial<Message> = {}): Message {
  return { name, title: name, summary, contentType: 'application/json', payload: refer(payload), ...more }
}

/** What the server sends over a socket, logged events first. */
const serverMessages: Record<string, ServerMessage> = {
  ...Object.fromEntries(
    EVENT_NAMES.map((name): [string, ServerMessage] => {
      const { description = '' } = EVENTS[name]
      const ends = (END_EVENTS as readonly string[]).includes(name) ? '. It ends a run' : ''
      return [name, { place: 'chapter', payload: EVENTS[name], about: `${description}${ends}` }]
    }),
  ),
  ...SERVER_MESSAGES,
}
const clientMessages: Record<string, ClientMessage> = CLIENT_MESSAGES

/** `{ok: true, …}` or a refusal. */
function acknowledgement(name: string, { answer }: ClientMessage): Message {
  const ok = (value: boolean) => ({
    type: 'object',
    properties: { ok: { type: 'boolean', const: value } },
    required: ['ok'],
  })
  return {
    ...message(`${name}_ack`, `The acknowledgement of \`${name}\``, answer),
    payload: { oneOf: [{ allOf: [ok(true), refer(answer)] }, { allOf: [ok(false), refer(Refusal)] }] },
  }
}

const kafkaBindings = {
  kafka: { key: { type: 'string', description: 'The chapter’s id' }, bindingVersion: '0.5.0' },
}

const text = (description: string) => ({ type: 'string', description })
const workHeaders = {
  type: 'object',
  properties: {
    'content-type': { type: 'string', const: 'application/json' },
    'job-id': text('As in the value'),
    attempt: text('As in the value'),
    traceparent: text('W3C Trace Context'),
  },
  required: ['content-type', 'job-id', 'attempt'],
}
const webhookHeaders = (id: string) => ({
  type: 'object',
  description: 'Standard Webhooks',
  properties: {
    'idempotency-key': text(id),
    'webhook-id': text(id),
    'webhook-timestamp': text('Seconds since 1970'),
    'webhook-signature': text('One for each secret, separated by spaces; missing without a secret'),
  },
  required: ['idempotency-key', 'webhook-id', 'webhook-timestamp'],
})

const messages: Record<string, Message> = {
  ...Object.fromEntries(
    Object.entries(serverMessages).map(([name, { about, payload }]) => [name, message(name, about, payload)]),
  ),
  ...Object.fromEntries(
    Object.entries(clientMessages).flatMap(([name, one]) => [
      [name, message(name, one.about, one.payload)],
      [`${name}_ack`, acknowledgement(name, one)],
    ]),
  ),
  generation: message('generation', 'Asks a worker for one generation', GenerationMessage, {
    headers: workHeaders,
    bindings: kafkaBindings,
  }),
  dead_letter: message('dead_letter', 'A job that failed for good', DeadLetter, {
    headers: workHeaders,
    bindings: kafkaBindings,
  }),
  generation_by_http: message('generation_by_http', 'The same, with `DISPATCH=http`', GenerationMessage, {
    headers: webhookHeaders('`{job_id}/{attempt}`'),
  }),
  notice: message('notice', 'A run of a chapter has ended', Notice, {
    headers: webhookHeaders('`{chapter_id}-{seq}`'),
  }),
}

const messageRef = (name: string) => ref(`#/components/messages/${name}`)

function channel(about: object, names: string[]): object {
  return { ...about, messages: Object.fromEntries(names.map((name) => [name, messageRef(name)])) }
}

const clientNamesAt = (place: Place) =>
  Object.keys(clientMessages).filter((name) => clientMessages[name]?.place === place)
const serverNamesAt = (place: Place) =>
  Object.keys(serverMessages).filter((name) => serverMessages[name]?.place === place)
const namesAt = (place: Place) => [
  ...clientNamesAt(place).flatMap((name) => [name, `${name}_ack`]),
  ...serverNamesAt(place),
]

const sockets = [ref('#/servers/sockets')]
const kafka = [ref('#/servers/kafka')]

const channels: Record<string, object> = {
  connection: channel(
    {
      address: '/',
      title: 'A connection',
      description: 'The default namespace of Socket.IO.',
      servers: sockets,
    },
    namesAt('connection'),
  ),
  chapter: channel(
    {
      address: 'chapter_{chapter_id}',
      title: 'The room of a chapter',
      description:
        'A join replays the logged events after `after_seq`, in the order of `seq`; then come the latest `progress_update` and ' +
        '`{kind}_partial`, then what happens. Each logged event comes once and in order, whichever nodes wrote it.',
      servers: sockets,
      parameters: { chapter_id: { description: 'The chapter’s id' } },
    },
    namesAt('chapter'),
  ),
  course: channel(
    {
      address: 'course_{course_id}',
      title: 'The room of a course',
      description:
        'A join sends the whole list. Nothing here is logged: the latest status of each chapter counts.',
      servers: sockets,
      parameters: { course_id: { description: 'The course’s id' } },
    },
    namesAt('course'),
  ),
  ...Object.fromEntries(
    JOB_KINDS.map((kind) => [
      `${kind}Generation`,
      channel(
        {
          address: TOPICS[kind],
          title: `Work of the kind ${kind}`,
          description: '`KAFKA_TOPIC_PREFIX` stands before the name. A message may come more than once.',
          servers: kafka,
        },
        ['generation'],
      ),
    ]),
  ),
  deadLetters: channel(
    {
      address: DEAD_LETTER_TOPIC,
      title: 'Jobs that failed for good',
      description: '`KAFKA_TOPIC_PREFIX` stands before the name.',
      servers: kafka,
    },
    ['dead_letter'],
  ),
  worker: channel(
    {
      address: '/',
      title: '`DISPATCH_URL`',
      description:
        '`{kind}` in it is filled in. 202, 204, 409 and 200 without a result: the worker has the job and calls back. 200 ' +
        'with a result, or with `{raw}`: the finish. 404, 429, 502, 503, 504: later, no attempt is used. Anything else: ' +
        'the attempt failed.',
      servers: [ref('#/servers/worker')],
    },
    ['generation_by_http'],
  ),
  notices: channel(
    {
      address: '/',
      title: '`NOTIFY_URL`',
      description: 'Any 2xx takes a notice. It may come more than once; `webhook-id` tells.',
      servers: [ref('#/servers/receiver')],
    },
    ['notice'],
  ),
}

function operation(
  action: 'send' | 'receive',
  place: string,
  description: string,
  names: string[],
  more = {},
) {
  return {
    action,
    channel: ref(`#/channels/${place}`),
    description,
    messages: names.map((name) => ref(`#/channels/${place}/messages/${name}`)),
    ...more,
  }
}

const camelCase = (name: string) => pascalCase(name).replace(/^./, (letter) => letter.toLowerCase())
const isLogged = (name: string) => name in EVENTS

const operations: Record<string, object> = {
  ...Object.fromEntries(
    Object.entries(clientMessages).map(([name, { place, about }]) => [
      camelCase(name),
      operation('receive', place, about, [name], {
        reply: {
          channel: ref(`#/channels/${place}`),
          messages: [ref(`#/channels/${place}/messages/${name}_ack`)],
        },
      }),
    ]),
  ),
  sendConnectionEvents: operation('send', 'connection', 'About the connection', serverNamesAt('connection')),
  sendChapterEvents: operation(
    'send',
    'chapter',
    'Logged events: numbered by `seq`, and replayed',
    serverNamesAt('chapter').filter(isLogged),
  ),
  sendChapterUpdates: operation(
    'send',
    'chapter',
    'What is not logged: the latest counts',
    serverNamesAt('chapter').filter((name) => !isLogged(name)),
  ),
  sendCourseUpdates: operation('send', 'course', 'The list, and each change of it', serverNamesAt('course')),
  ...Object.fromEntries(
    JOB_KINDS.map((kind) => [
      `ask${pascalCase(kind)}`,
      operation('send', `${kind}Generation`, `Asks for the ${kind} of a chapter`, ['generation']),
    ]),
  ),
  sendDeadLetters: operation('send', 'deadLetters', 'Tells of a job that failed for good', ['dead_letter']),
  postWork: operation('send', 'worker', 'Asks for one generation by HTTP', ['generation_by_http']),
  postNotice: operation('send', 'notices', 'Tells that a run has ended', ['notice']),
}

export function asyncApi(): object {
  const { clientToken } = SECURITY_SCHEMES
  const document = { channels, operations, components: { messages } }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'chaptercast',
      version,
      description:
        'What goes over Socket.IO, to workers and to whoever is told of ends. AsyncAPI knows no Socket.IO: here a channel ' +
        'is a room, a message is an event with its one argument, and a reply is the acknowledgement. HTTP is in ' +
        '`/openapi.json`.',
      contact: { name: 'The chaptercast authors' },
      tags: [
        { name: 'sockets', description: 'Socket.IO: rooms of chapters and courses' },
        { name: 'workers', description: 'Work out, by Kafka or HTTP, and dead letters' },
        { name: 'notices', description: 'Ends of runs, by HTTP' },
      ],
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    defaultContentType: 'application/json',
    servers: {
      sockets: {
        host: 'localhost:8000',
        protocol: 'ws',
        pathname: '/socket.io/',
        description: 'Socket.IO 4 (Engine.IO 4), by websocket and long-polling, on the server’s own port',
        security: [ref('#/components/securitySchemes/clientToken')],
      },
      kafka: {
        host: 'localhost:9092',
        protocol: 'kafka',
        description: '`KAFKA_BROKERS`; uncompressed JSON',
      },
      worker: { host: 'localhost:5678', protocol: 'http', description: 'Where `DISPATCH_URL` leads' },
      receiver: { host: 'localhost:3000', protocol: 'http', description: 'Where `NOTIFY_URL` leads' },
    },
    channels,
    operations,
    components: {
      securitySchemes: {
        clientToken: {
          ...clientToken,
          description: `${clientToken.description} Over Socket.IO it is \`auth: {token}\`.`,
        },
      },
      messages,
      schemas: componentsOf(document),
    },
  }
}
