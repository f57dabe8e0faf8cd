/**
 * Where OpenTelemetry sends traces and metrics, over HTTP as protobuf. It reads what tests look at.
 */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface ReceivedSpan {
  service: string
  traceId: string
  spanId: string
  /** Empty for the first of a trace. */
  parentId: string
  name: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number
  attributes: Record<string, string | number>
  /** Ids of spans. */
  links: string[]
}

export interface ReceivedMetric {
  name: string
  type: 'gauge' | 'sum' | 'histogram'
  points: {
    attributes: Record<string, string | number>
    value: number
    buckets: number[]
    bounds: number[]
  }[]
}

export interface OtlpReceiver {
  url: string
  spans: ReceivedSpan[]
  /** As they came last. */
  metrics: Map<string, ReceivedMetric>
  /** Requests so far, answered or not. */
  readonly requests: number
}

const accepting = (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()

export async function otlpReceiver(
  t: Test,
  reply: (response: ServerResponse) => unknown = accepting,
): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const metrics = new Map<string, ReceivedMetric>()
  let requests = 0
  const server = createServer(async (request, response) => {
    requests += 1
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    if (request.url === '/v1/traces') spans.push(...spansIn(body))
    if (request.url === '/v1/metrics') for (const metric of metricsIn(body)) metrics.set(metric.name, metric)
    reply(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    metrics,
    get requests() {
      return requests
    },
  }
}

function spansIn(body: Buffer): ReceivedSpan[] {
  return all(body, 1).flatMap((of) => {
    const service = String(attributesOf(first(of, 1), 1)['service.name'])
    return all(of, 2)
      .flatMap((scope) => all(scope, 2))
      .map((span) => ({
        service,
        traceId: first(span, 1).toString('hex'),
        spanId: first(span, 2).toString('hex'),
        parentId: first(span, 4).toString('hex'),
        name: first(span, 5).toString(),
        kind: numberOf(span, 6),
        attributes: attributesOf(span, 9),
        links: all(span, 13).map((link) => first(link, 2).toString('hex')),
      }))
  })
}

const METRIC_TYPES = [
  ['gauge', 5],
  ['sum', 7],
  ['histogram', 9],
] as const

function metricsIn(body: Buffer): ReceivedMetric[] {
  return all(body, 1)
    .flatMap((of) => all(of, 2))
    .flatMap((scope) => all(scope, 2))
    .flatMap((metric) =>
      METRIC_TYPES.flatMap(([type, number]) =>
        all(metric, number).map((data) => {
          const points = all(data, 1).map((point) => ({
            attributes: attributesOf(point, type === 'histogram' ? 9 : 7),
            // Of a histogram its count, which is a whole number.
            value: type === 'histogram' ? Number(first(point, 4).readBigUInt64LE()) : pointValue(point),
            buckets:
              type === 'histogram' ? eights(first(point, 6)).map((b) => Number(b.readBigUInt64LE())) : [],
            bounds: type === 'histogram' ? eights(first(point, 7)).map((b) => b.readDoubleLE()) : [],
          }))
          return { name: first(metric, 1).toString(), type, points }
        }),
      ),
    )
}

function pointValue(point: Buffer): number {
  const [whole] = all(point, 6)
  return whole === undefined ? first(point, 4).readDoubleLE() : Number(whole.readBigInt64LE())
}

function eights(packed: Buffer): Buffer[] {
  return Array.from({ length: packed.length / 8 }, (_, index) => packed.subarray(8 * index, 8 * index + 8))
}

function attributesOf(message: Buffer, number: number): Record<string, string | number> {
  return Object.fromEntries(
    all(message, number).map((pair) => {
      const value = first(pair, 2)
      const [text] = all(value, 1)
      return [first(pair, 1).toString(), text === undefined ? numberOf(value, 3) : text.toString()]
    }),
  )
}

/** Values of a field: bytes as they are, a varint as eight bytes. */
function all(message: Buffer, number: number): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++] ?? 0
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = Number(varint())
    let value: Buffer
    if ((tag & 7) === 0) {
      value = Buffer.alloc(8)
      value.writeBigUInt64LE(BigInt.asUintN(64, varint()))
    } else {
      const length = (tag & 7) === 2 ? Number(varint()) : (tag & 7) === 1 ? 8 : 4
      value = message.subarray(at, at + length)
      at += length
    }
    if (tag >> 3 === number) found.push(value)
  }
  return found
}

function first(message: Buffer, number: number): Buffer {
  return all(message, number)[0] ?? Buffer.alloc(0)
}

function numberOf(message: Buffer, number: number): number {
  const value = first(message, number)
  return value.length === 8 ? Number(value.readBigInt64LE()) : 0
}
