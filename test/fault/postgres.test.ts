import t, { type Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { type Answer, createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { connectSql, holdWrites } from '../support/gate.js'
import { scale } from '../support/scale.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { compareWithLog, liveChapter, NOTHING_WRONG, query, underLoad, watch } from '../support/watch.js'

const LONG = { timeoutMs: 60_000, everyMs: 20 }
/** Short, so that what is given up is given up soon. */
const STATEMENT_MS = 400
const env = { DATABASE_STATEMENT_TIMEOUT_MS: String(STATEMENT_MS) }

t.test('the database away: 503, sockets stay, and all goes on when it is back', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2, { proxies: true })
  const [one, two] = nodes as [TestNode, TestNode]
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))
  const chapterId = await createChapter(one.url)
  const unjoined = await createChapter(one.url)
  for (const watcher of watchers) await watcher.join(chapterId)

  for (const { postgres } of nodes) postgres.cut()
  const answers = await Promise.all([
    post(`${one.url}/v1/chapter/`, CREATE_EXAMPLE),
    request(`${two.url}/v1/chapter/${chapterId}`),
    request(`${two.url}/v1/chapter/${chapterId}/events`),
    finish(one.url, chapterId, 'concept'),
    post(`${two.url}/v1/chapter/${chapterId}/progress`, { progress: 5, message: 'on' }),
  ])
  for (const answer of answers) isUnavailable(t, answer)
  t.match(await one.readyz(), { status: 200, dependencies: { database: 'degraded' } })
  t.equal((await request(`${one.url}/healthz`)).status, 200)
  const joins = watchers.map((watcher) => watcher.join(unjoined))

  for (const { postgres } of nodes) postgres.resume()
  const backAt = performance.now()
  await waitFor(
    'a webhook to be taken',
    async () => (await finish(two.url, chapterId, 'concept')).status === 200,
  )
  t.comment(`a webhook was taken ${Math.round(performance.now() - backAt)} ms after the database was back`)
  await Promise.all(joins)
  for (const id of [chapterId, unjoined])
    for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(one.url, id, kind)
  const report = await compareWithLog(databaseUrl, watchers)
  t.match(report, NOTHING_WRONG)
  t.equal(report.heard, 2 * 2 * 8)
  t.ok(
    watchers.every(({ connections }) => connections === 1),
    'no socket had to come back',
  )
})

t.test('every connection cut under load, again and again: no request fails, nothing is lost', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2)
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))
  const load = underLoad((n) => liveChapter(nodes, watchers, (request) => n + request), 3)
  let cut = 0
  for (let round = 0; round < scale(2, 5); round++) {
    const { runs } = load
    await waitFor('load', () => load.runs > runs + 6, LONG)
    const ended = await query(
      databaseUrl,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'chaptercast'`,
    )
    cut += ended.length
  }
  const chapters = await load.stop()
  const report = await compareWithLog(databaseUrl, watchers)
  t.match(report, NOTHING_WRONG)
  t.comment(
    `${cut} connections cut, ${chapters} chapters: ${report.heard} heard, max ${report.maxMs} ms late`,
  )
  t.equal(
    (await query(databaseUrl, 'select 1 from chapter')).length,
    chapters,
    'and no chapter was made twice',
  )
})

t.test('the database silent: statements are given up in time, and new connections made', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2, { proxies: true, env })
  const [deaf, well] = nodes as [TestNode, TestNode]
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))
  await liveChapter(nodes, watchers)
  const chapterId = await createChapter(deaf.url)

  deaf.postgres.stall()
  const read = await timed(request(`${deaf.url}/v1/chapter/${chapterId}`))
  isUnavailable(t, read.answer)
  const write = await timed(finish(deaf.url, chapterId, 'concept'))
  isUnavailable(t, write.answer)
  t.comment(`given up: a read after ${read.ms} ms, a write after ${write.ms} ms`)
  t.match(await deaf.readyz(), { status: 200, dependencies: { database: 'degraded' } })
  t.equal((await finish(well.url, chapterId, 'exercise')).status, 200, 'the other node is well')

  // The old connections stay silent for ever.
  deaf.postgres.abandon()
  deaf.postgres.resume()
  await waitFor('the node to be back', async () => (await deaf.readyz()).dependencies.database === 'ok', LONG)
  await liveChapter(nodes, watchers)
  t.match(await compareWithLog(databaseUrl, watchers), NOTHING_WRONG)
  t.ok(watchers.every(({ connections }) => connections === 1))
})

t.test('a write whose answer was lost is answered once as done, and not done twice', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2, { proxies: true })
  const [one] = nodes as [TestNode]
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))
  const chapterId = await createChapter(one.url)
  for (const watcher of watchers) await watcher.join(chapterId)
  for (const write of ['update', 'insert'] as const) {
    const gate = await holdWrites(t, databaseUrl, write)
    const answer =
      write === 'update'
        ? finish(one.url, chapterId, 'concept')
        : post(`${one.url}/v1/chapter/`, CREATE_EXAMPLE, { 'idempotency-key': 'once' })
    await gate.isReached()
    one.postgres.mute()
    await gate.open()
    one.postgres.cut()
    one.postgres.resume()
    const { status, body } = await answer
    t.equal(status, write === 'update' ? 200 : 201)
    if (write === 'update') t.equal(body.status, 'success', 'not a duplicate of itself')
  }
  t.equal((await query(databaseUrl, 'select 1 from chapter')).length, 2)
  for (const kind of ['exercise', 'quiz'] as const) await finish(one.url, chapterId, kind)
  const report = await compareWithLog(databaseUrl, watchers)
  t.match(report, NOTHING_WRONG)
  t.equal(report.heard, watchers.length * 8)
})

t.test('statements that take too long are ended by the server and answered 503', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1, { env })
  const [{ url }] = nodes as [TestNode]
  const chapterId = await createChapter(url)
  const sql = connectSql(t, databaseUrl)
  await sql.begin(async (locking) => {
    await locking`lock table chapter in access exclusive mode`
    const answers = await Promise.all([
      request(`${url}/v1/chapter/${chapterId}`),
      finish(url, chapterId, 'concept'),
      post(`${url}/v1/chapter/`, CREATE_EXAMPLE),
    ])
    for (const answer of answers) isUnavailable(t, answer)
  })
  t.equal((await finish(url, chapterId, 'concept')).status, 200)
})

t.test('rooms that cannot be read for longer: joins wait, and sessions come back to theirs', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1, {
    env: { DATABASE_STATEMENT_TIMEOUT_MS: '200', LOG_LEVEL: 'debug' },
  })
  const [{ url, log }] = nodes as [TestNode]
  const [before, during] = await Promise.all([createChapter(url), createChapter(url)])
  const [back, joining] = await Promise.all([watch(t, url, [before]), watch(t, url)])
  const tries = (chapterId: number) =>
    log.filter((line) => line.chapter_id === chapterId && line.msg.includes('read for a join')).length
  const joined = await connectSql(t, databaseUrl).begin(async (locking) => {
    await locking`lock table chapter in access exclusive mode`
    const joined = joining.join(during)
    joined.catch(() => {})
    back.socket.io.engine.close()
    await waitFor('many tries', () => tries(before) > 5 && tries(during) > 5, LONG)
    return { joined }
  })
  await joined.joined
  for (const id of [before, during])
    for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, id, kind)
  const report = await compareWithLog(databaseUrl, [back, joining])
  t.match(report, NOTHING_WRONG)
  t.equal(joining.connections, 1)
})

function isUnavailable(t: Test, { status, headers, body }: Answer): void {
  t.equal(status, 503)
  t.match(headers.get('retry-after'), /^\d+$/)
  t.match(headers.get('content-type'), /^application\/problem\+json/)
  t.match(body, { status: 503, code: 'unavailable' })
}

async function timed(answer: Promise<Answer>): Promise<{ answer: Answer; ms: number }> {
  const from = performance.now()
  return { answer: await answer, ms: Math.round(performance.now() - from) }
}
