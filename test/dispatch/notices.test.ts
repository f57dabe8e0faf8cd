/**
 * Notices of ended runs: who is told what, once at least, whichever node wrote the chapter and whatever the receiver does.
 */
import { createHmac } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Overrides } from '../../src/app.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { Database } from '../../src/store/database.js'
import { createDeliveryStore } from '../../src/store/deliveries.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { query } from '../support/node.js'
import { noticeReceiver, type Receiver } from '../support/receiver.js'
import { finishAll, viewChapter } from '../support/views.js'

t.setTimeout(600_000)

const DAY_MS = 24 * 60 * 60 * 1000

for (const [name, open] of Object.entries(DATABASES))
  t.test(`each run that ends is told of, thin and signed (${name})`, async (t) => {
    const { url, receiver } = await notifying(t, { NOTIFY_SECRET: 'hunter2' }, { database: await open(t) })
    const completed = await createChapter(url, { owner_id: 7, course_id: 8 })
    await finishAll(url, completed)
    const failed = await createChapter(url)
    for (const kind of JOB_KINDS)
      await post(`${url}/v1/chapter/${failed}/${kind}-fail`, { error: 'no', retryable: false, attempt: 1 })
    const cancelled = await createChapter(url)
    await post(`${url}/v1/chapter/${cancelled}/cancel`)
    await waitFor('all three are told', () => receiver.received.length >= 3)
    for (const [id, status, owner_id, course_id] of [
      [completed, 'completed', 7, 8],
      [failed, 'failed', 1, 1],
      [cancelled, 'cancelled', 1, 1],
    ] as const) {
      const { last_seq, updated_at } = await viewChapter(url, id)
      const [one, ...more] = receiver.of(id)
      t.same(more, [], 'once')
      t.same(one?.notice, {
        type: `chapter.${status}`,
        timestamp: updated_at,
        data: { chapter_id: id, course_id, owner_id, status, seq: last_seq },
      })
      const headers = one?.headers ?? {}
      t.match(headers, { 'webhook-id': `${id}-${last_seq}`, 'content-type': 'application/json' })
      const signed = `${id}-${last_seq}.${headers['webhook-timestamp']}.${one?.text}`
      const signature = createHmac('sha256', 'hunter2').update(signed).digest('base64')
      t.equal(headers['webhook-signature'], `v1,${signature}`)
    }
    const metrics = await (await fetch(`${url}/metrics`)).text()
    t.match(metrics, /chaptercast_notices_total\{outcome="delivered"\} 3/)
  })

t.test('a failed chapter that is tried again and completes is told of twice', async (t) => {
  const { url, receiver } = await notifying(t)
  const id = await createChapter(url)
  for (const kind of JOB_KINDS)
    await post(`${url}/v1/chapter/${id}/${kind}-fail`, { error: 'no', retryable: false, attempt: 1 })
  await post(`${url}/v1/chapter/${id}/retry`)
  await finishAll(url, id)
  await waitFor('both are told', () => receiver.of(id).length === 2)
  const told = receiver.of(id).map(({ notice }) => notice.data.status)
  t.same(told.sort(), ['completed', 'failed'], 'the first also when it was not looked for in time')
})

t.test('a node without the setting writes no row, and another one tells of its chapters', async (t) => {
  const databaseUrl = await postgresUrl(t)
  const database = connectPostgres(t, databaseUrl)
  let agoMs = DAY_MS / 2
  const silent = { database: keptOpen(database), now: () => Date.now() - agoMs }
  const { url: silentUrl } = await buildTestApp(t, {}, silent)
  const early = await createChapter(silentUrl)
  await finishAll(silentUrl, early)
  agoMs = 0
  const { receiver, close } = await notifying(t, {}, { database })
  const id = await createChapter(silentUrl)
  await finishAll(silentUrl, id)
  await waitFor('it is told', () => receiver.of(id).length > 0)
  t.same(receiver.of(early), [], 'what ended before notices were on is not told')

  await close()
  const meanwhile = await createChapter(silentUrl)
  await finishAll(silentUrl, meanwhile)
  t.same(await query(database, `select from delivery where chapter_id = ${meanwhile}`), [])
  const again = await notifying(t, {}, { database })
  await waitFor('it is told when a node with notices is back', () => again.receiver.of(meanwhile).length > 0)
  t.same(again.receiver.of(id), [], 'what was delivered is not told again')
})

t.test('without NOTIFY_URL a run’s end writes nothing more', async (t) => {
  const databaseUrl = await postgresUrl(t)
  const database = connectPostgres(t, databaseUrl)
  const { url } = await buildTestApp(t, {}, { database: keptOpen(database) })
  await finishAll(url, await createChapter(url))
  t.same(await query(database, 'select from delivery'), [])
  t.same(await query(database, 'select from notice_clock'), [])
})

t.test(
  'what is not taken is sent again under the same id, later and later, and then delivered',
  async (t) => {
    const clock = testClock()
    const { url, receiver, database } = await notifying(t, {}, { now: clock.now, random: () => 0 })
    const store = createDeliveryStore(database.db)
    const statuses = [500, 302, 404, 410]
    receiver.reply = (response) =>
      response.writeHead(statuses[receiver.received.length - 1] ?? 200, { location: receiver.url }).end('no')
    const id = await createChapter(url)
    await finishAll(url, id)
    for (const [index, status] of statuses.entries()) {
      const [delivery] = await waitFor('it is told', async () => {
        const list = await store.listDeliveries({ status: 'pending', limit: 10 })
        return list[0]?.lastStatus === status && list
      })
      t.match(delivery, { attempts: index + 1, lastError: `the receiver answered ${status}` })
      t.equal(receiver.received.length, index + 1, 'a redirect is not followed')
      const waitMs = 2500 * 2 ** index
      t.equal((delivery?.dueAt ?? 0) - clock.now(), waitMs)
      clock.advance(waitMs)
    }
    await waitFor(
      'it is delivered',
      async () => (await store.listDeliveries({ status: 'delivered', limit: 1 }))[0],
    )
    t.equal(receiver.received.length, 5)
    t.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1)
    t.equal(new Set(receiver.received.map(({ text }) => text)).size, 1)
  },
)

t.test('Retry-After is honoured', async (t) => {
  const clock = testClock()
  const { url, receiver, database } = await notifying(t, {}, { now: clock.now, random: () => 0 })
  receiver.reply = (response) => response.writeHead(429, { 'retry-after': '600' }).end()
  await finishAll(url, await createChapter(url))
  const [delivery] = await waitFor('it waits', async () => {
    const list = await createDeliveryStore(database.db).listDeliveries({ limit: 10 })
    return list[0]?.lastStatus === 429 && list
  })
  t.equal((delivery?.dueAt ?? 0) - clock.now(), 600_000)
})

t.test('after a day it is kept as failed, and an operator may have it sent again', async (t) => {
  const clock = testClock()
  const { url, receiver, database } = await notifying(t, {}, { now: clock.now })
  const store = createDeliveryStore(database.db)
  receiver.reply = (response) => response.destroy()
  const id = await createChapter(url)
  await finishAll(url, id)
  const triedTo = (status: 'pending' | 'failed') =>
    waitFor(`it is ${status}`, async () => {
      const [one] = await store.listDeliveries({ status, chapterId: id, limit: 10 })
      return one?.lastError !== null && one
    })
  await triedTo('pending')
  clock.advance(DAY_MS)
  const failed = await triedTo('failed')
  t.match(failed, { seq: 8, type: 'chapter.completed', lastStatus: null, deliveredAt: null, attempts: 2 })
  t.match(failed.lastError, /no answer/)
  t.equal(failed.failedAt, clock.now())

  receiver.reply = (response) => response.writeHead(200).end()
  t.equal(await store.redeliver({ chapterId: id, seq: 7 }, clock.now(), clock.now() + DAY_MS), false)
  t.equal(await store.redeliver({ chapterId: id, seq: 8 }, clock.now(), clock.now() + DAY_MS), true)
  const [delivered] = await waitFor('it is delivered', async () => {
    const list = await store.listDeliveries({ status: 'delivered', limit: 10 })
    return list.length > 0 && list
  })
  t.match(delivered, { attempts: 1, lastStatus: 200, lastError: null, failedAt: null })
})

t.test(
  'a receiver that does not answer is given up after a while, and does not hold up the node',
  async (t) => {
    const { url, receiver, close } = await notifying(t)
    receiver.reply = () => {}
    for (let i = 0; i < 12; i += 1) await finishAll(url, await createChapter(url))
    await waitFor('as many are open as may be', () => receiver.received.length === 8)
    await close()
    t.equal(receiver.received.length, 8)
  },
)

t.test('deliveries are listed page by page, newest first', async (t) => {
  const { url, database, receiver } = await notifying(t)
  const ids: number[] = []
  for (let i = 0; i < 5; i += 1) {
    ids.push(await createChapter(url))
    await post(`${url}/v1/chapter/${ids.at(-1)}/cancel`)
  }
  await waitFor('all are told', () => receiver.received.length === 5)
  const store = createDeliveryStore(database.db)
  const seen: number[] = []
  for (let page = await store.listDeliveries({ limit: 2 }); page.length > 0; ) {
    seen.push(...page.map(({ chapterId }) => chapterId))
    const after = page.at(-1)
    page = after === undefined ? [] : await store.listDeliveries({ limit: 2, after })
  }
  t.same(seen, ids.reverse())
})

t.test('old ones are deleted, two days after their end at the earliest; pending ones are not', async (t) => {
  const clock = testClock()
  const { url, database, receiver } = await notifying(t, { EVENT_RETENTION_MS: '1000' }, { now: clock.now })
  const store = createDeliveryStore(database.db)
  await finishAll(url, await createChapter(url))
  await waitFor(
    'it is delivered',
    async () => (await store.listDeliveries({ status: 'delivered', limit: 1 }))[0],
  )
  clock.advance(2 * DAY_MS - 1000)
  receiver.reply = (response) => response.writeHead(500).end()
  const id = await createChapter(url)
  await finishAll(url, id)
  await waitFor('the second is tried', () => receiver.of(id).length > 0)
  t.equal((await store.listDeliveries({ limit: 10 })).length, 2)
  clock.advance(2000)
  await waitFor('the first is gone', async () => (await store.listDeliveries({ limit: 10 })).length === 1)
  t.equal(await store.deleteEndedBefore(clock.now() + DAY_MS, 10), 0)
})

t.test(
  'a run that ends on a node whose clock is 90 s behind is told of, when notices have just been switched on',
  async (t) => {
    const database = connectPostgres(t, await postgresUrl(t))
    const { receiver } = await notifying(t, {}, { database })
    const behind = { database: keptOpen(database), now: () => Date.now() - 90_000 }
    const { url } = await buildTestApp(t, {}, behind)
    const id = await createChapter(url)
    await finishAll(url, id)
    // A node that starts looks further back than the others, which do so once a minute.
    await notifying(t, { NOTIFY_URL: receiver.url }, { database })
    await waitFor('it is told', () => receiver.of(id).length > 0)
  },
)

t.test('a run that ends right after the start is told of', async (t) => {
  const pollMs = 1000
  const { url, receiver } = await notifying(t, {}, { pollMs })
  // Before the first look for ended runs, as a rule.
  const ids = await Promise.all([1, 2, 3].map(() => createChapter(url)))
  await Promise.all(ids.flatMap((id) => JOB_KINDS.map((kind) => finish(url, id, kind))))
  await waitFor('all are told', () => ids.every((id) => receiver.of(id).length === 1))
})

async function notifying(
  t: Test,
  env: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<{ url: string; receiver: Receiver; database: Database; close: () => Promise<void> }> {
  const receiver = await noticeReceiver(t)
  const database = overrides.database ?? connectPostgres(t, await postgresUrl(t))
  const settings = { NOTIFY_URL: receiver.url, ...env }
  const { url, close } = await buildTestApp(t, settings, { ...overrides, database: keptOpen(database) })
  return { url, receiver, database, close }
}

/** The test closes it. */
function keptOpen(database: Database): Database {
  return { ...database, close: async () => {} }
}
