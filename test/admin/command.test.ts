/**
 * `npm run admin`: a thin client of `/v1/admin/`, in this process.
 */
import t from 'tap'
import { ADMIN_HELP, runAdmin } from '../../src/tools/admin/command.js'
import { tableOf } from '../../src/tools/admin/table.js'
import { bearer, JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp, testClock } from '../support/app.js'
import { post } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'

const clock = testClock(Date.now())
const { url } = await buildTestApp(t, { JWT_SECRET, LOG_LEVEL: 'silent' }, { now: clock.now })
const token = await signToken({ sub: 'kim', role: 'admin' }, { expiresInS: 864_000 })

/** Runs a command; gives its exit code and what it said. */
async function admin(
  line: string,
  env: Record<string, string> = { CHAPTERCAST_TOKEN: token, CHAPTERCAST_URL: url },
) {
  const out: string[] = []
  const err: string[] = []
  const code = await runAdmin(line.split(' ').filter(Boolean), {
    print: (text) => out.push(text),
    printError: (text) => err.push(text),
    env,
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

async function make(fields: object = {}): Promise<number> {
  const body = { course_id: 1, owner_id: 1, title: '변수와 자료형', ...fields }
  return (await post(`${url}/v1/chapter/`, body, bearer(token))).body.chapter_id
}

t.test('every command says what there is, as a table and as JSON', async (t) => {
  const id = await make()
  const failed = { error: 'no\nanswer', retryable: false, attempt: 1, reason: 'refused' }
  await post(`${url}/v1/chapter/${id}/quiz-fail`, failed)
  await waitFor('it is sent', async () => (await admin(`chapter ${id}`)).out.includes('published'))
  clock.advance(61_000)
  const shown: [line: string, expected: RegExp[]][] = [
    ['stuck --owner 1', [/chapter +kind +why/, new RegExp(`${id} +concept +no_worker_started`)]],
    [`chapter ${id}`, [/변수와 자료형/, /quiz +failed/, /chapter_processing_started/, /dead letter/]],
    ['dead-letters --kind quiz', [/refused +no answer/]],
    ['kinds', [/quiz +goes on/]],
    ['pause quiz --reason test', [/quiz +paused/]],
    ['resume quiz', [/quiz +goes on/]],
    [`restart ${id} concept`, [/sent anew/, /queued|published/]],
    [`end ${id} exercise --error hangs --no-retry`, [/exercise failed/, /attempt 1 of 3/]],
    ['deliveries', [/None\./]],
    ['redrive --kind quiz --rate 5 --limit 10', [/running/, /"kind":"quiz"/]],
    ['redrives', [/kim/]],
    ['redrives 1', [/kim/]],
    ['cancel-redrive 1', [/cancelled|done/]],
    [`audit --chapter ${id}`, [/kim +end/, /kim +restart/]],
  ]
  for (const [line, expected] of shown) {
    const { code, out, err } = await admin(line)
    t.equal(code, 0, `${line}: ${err}`)
    for (const pattern of expected) t.match(out, pattern, line)
  }
  const json = JSON.parse((await admin('audit --action pause --json')).out)
  t.match(json, { items: [{ action: 'pause', details: { reason: 'test' } }], next_cursor: null })
})

t.test('a list goes on to the next page until there are as many as are wanted', async (t) => {
  for (let n = 0; n < 3; n++) await admin('pause concept')
  await admin('resume concept')
  const { items, next_cursor } = JSON.parse((await admin('audit --action pause --limit 2 --json')).out)
  t.equal(items.length, 2)
  t.type(next_cursor, 'string')
  t.match((await admin('audit --action pause --limit 2')).out, /There are more/)
})

t.test('the exit code says whether it was done, refused, misspelt or not answered', async (t) => {
  t.match(await admin('chapter 999999'), { code: 1, err: /HTTP 404: There is no chapter 999999/ })
  t.match(await admin('kinds', { CHAPTERCAST_URL: url }), { code: 1, err: /401.*set CHAPTERCAST_TOKEN/ })
  const owner = await signToken({ sub: '1' })
  t.match(await admin('kinds', { CHAPTERCAST_URL: url, CHAPTERCAST_TOKEN: owner }), {
    code: 1,
    err: /role `admin`/,
  })
  t.match(await admin('resend 1 5'), { code: 1, err: /NOTIFY_URL is not set/ })
  for (const line of [
    'nonsense',
    'chapter',
    'chapter 1 2',
    'stuck --wrong',
    'redrive',
    'stuck --limit x',
    'kinds --url x',
  ])
    t.match(await admin(line), { code: 2, err: /--help/ }, line)
  const nobody = `http://127.0.0.1:${await freePort()}`
  t.match(await admin(`kinds --url ${nobody}`), { code: 3, err: /does not answer/ })
})

t.test('help names every command, and is no failure', async (t) => {
  t.match(await admin('--help'), { code: 0, out: ADMIN_HELP })
  t.match(await admin(''), { code: 2, out: ADMIN_HELP })
})

t.test(
  'columns stay in line with Korean text, and what comes from elsewhere cannot control the terminal',
  async (t) => {
    const table = tableOf(
      ['title', 'n'],
      [
        ['변수', 1],
        ['abc\u001b[31m\n', 2],
      ],
    )
    t.same(table.split('\n'), ['title      n', '변수       1', 'abc [31m   2'])
  },
)
