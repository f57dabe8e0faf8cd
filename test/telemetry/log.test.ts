import { Writable } from 'node:stream'
import pino from 'pino'
import t from 'tap'
import { logOptions } from '../../src/telemetry/log.js'

/** What is written, without colours. */
async function written(logFormat: 'auto' | 'pretty' | 'json', isTerminal: boolean): Promise<string> {
  let text = ''
  const output = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk)
      done()
    },
  })
  const { level, stream } = await logOptions({ logFormat, logLevel: 'info' }, isTerminal, output)
  const log = pino({ level }, stream ?? output)
  const request = { method: 'POST', url: '/v1/chapter/', statusCode: 201, responseTime: 3.4, reqId: 'r-1' }
  log.info(request, 'request completed')
  log.info({ ...request, statusCode: 400, code: 'invalid_request' }, 'refused')
  log.warn('Redis is away')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  return text.replaceAll(/\u001b\[\d+m/g, '')
}

t.test('on a terminal the log is for people, a line each', async (t) => {
  for (const text of [await written('auto', true), await written('pretty', false)]) {
    const lines = text.trimEnd().split('\n')
    t.equal(lines.length, 3, text)
    t.match(lines[0], /INFO: POST \/v1\/chapter\/ 201 in 3 ms .*r-1/)
    t.match(lines[1], /INFO: POST \/v1\/chapter\/ 400 in 3 ms: refused .*invalid_request/)
    t.match(lines[2], /WARN: Redis is away/)
  }
})

t.test('elsewhere it is JSON, and where it is asked for', async (t) => {
  for (const text of [await written('auto', false), await written('json', true)])
    t.match(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      [{ msg: 'request completed' }, { msg: 'refused' }, { msg: 'Redis is away' }],
    )
})
