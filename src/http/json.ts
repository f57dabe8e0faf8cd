/**
 * JSON as it comes in: UTF-8, refused rather than mended. A refusal says what is wrong and where, and quotes nothing of
 * the body. An empty body is no body.
 *
 * Some numbers change when they are read: `1e400`, or an integer beyond 2^53. Whoever keeps numbers of a caller's own
 * asks for them with `changedNumbers`.
 */
import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { structureProblem } from '../contract/json-structure.js'
import { InvalidRequestError } from '../errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Numbers of the body that JavaScript cannot carry are looked for. */
    keepsNumbers?: boolean
  }
}

const texts = new WeakMap<FastifyRequest, string>()

/**
 * Numbers of the body, as they were sent, that are not what was read. Only on a route that `keepsNumbers`.
 * @param maxLength a longer body is not looked at, UTF-16 units
 */
export function changedNumbers(
  request: FastifyRequest,
  maxLength = Number.POSITIVE_INFINITY,
): readonly string[] {
  const text = texts.get(request) ?? ''
  return text.length <= maxLength ? numbersThatChange(text) : []
}

export function readJson(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8(body)) return done(refusal('is not UTF-8'))
    const problem = structureProblem(body)
    if (problem !== undefined)
      return done(new InvalidRequestError([{ path: '/body', message: problem, code: 'invalid' }]))
    const text = body.toString('utf8')
    return parseJson(request, text, (error, value) => {
      if (error !== null) return done(refusal(faultOf(text)))
      if (request.routeOptions.config.keepsNumbers === true) texts.set(request, text)
      return done(null, value)
    })
  })
}

function refusal(message: string): InvalidRequestError {
  return new InvalidRequestError([{ path: '/body', message, code: 'not_json' }], 'invalid_json')
}

/** Fastify’s parser refuses without saying why. */
function faultOf(text: string): string {
  const json = text.replace(/^\ufeff/, '')
  const message = messageOf(json)
  if (message === undefined) return 'has a field __proto__ or constructor.prototype, which is not allowed'
  const position = json.length <= MAX_SEARCHED ? positionOf(json) : undefined
  const where = position === undefined ? '' : ` at position ${position}`
  if (isUnfinished(json, message)) return 'is not valid JSON: it ends too early'
  return `is not valid JSON: unexpected token${where}`
}

/** Longest text in which the fault is looked for: each step parses it again. */
const MAX_SEARCHED = 16_384

/** Where JSON goes wrong: what stands before it is only unfinished. */
function positionOf(json: string): number {
  let [good, bad] = [0, json.length]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    const start = json.slice(0, middle)
    const message = messageOf(start)
    if (message === undefined || isUnfinished(start, message)) good = middle
    else bad = middle
  }
  return good
}

/** Why it is not JSON, in V8’s words; undefined when it is. */
function messageOf(json: string): string | undefined {
  try {
    JSON.parse(json)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Whether more text could still make it JSON. */
function isUnfinished(json: string, message: string): boolean {
  const position = /at position (\d+)/.exec(message)?.[1]
  return message.startsWith('Unexpected end') || Number(position) >= json.length
}

/** As many are told of. */
const MAX_CHANGED = 10
/** No number that JavaScript prints is longer. */
const MAX_NUMBER = 400

/** A text or a number; texts are matched so that what looks like a number in them is skipped. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g
/** Only long or written with an exponent can a number be one that changes. */
const SUSPECT = /\d[\d.]{15}|\d[eE]/

function numbersThatChange(json: string): string[] {
  if (!SUSPECT.test(json)) return []
  const numbers: string[] = []
  for (const [token] of json.matchAll(TOKEN))
    if (!token.startsWith('"') && !isCarried(token) && numbers.push(token) === MAX_CHANGED) break
  return numbers
}

function isCarried(number: string): boolean {
  return number.length <= MAX_NUMBER && digitsOf(number) === digitsOf(String(Number(number)))
}

/** A decimal number in one spelling: its digits without zeros around them, and their exponent. */
function digitsOf(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? []
  const all = `${whole}${fraction}`.replace(/^0+/, '')
  const digits = all.replace(/0+$/, '')
  if (digits === '') return '0'
  return `${sign}${digits}e${Number(exponent) - fraction.length + (all.length - digits.length)}`
}
