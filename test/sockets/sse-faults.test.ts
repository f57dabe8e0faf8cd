import { get } from 'node:http'
import { mock } from 'node:test'
import t from 'tap'
import { createPageReader, type PageReader } from '../../src/feed/catch-up.js'
import { createClientAuth } from '../../src/http/auth.js'
import { eventRoutes } from '../../src/http/events.js'
import { createHttpServer } from '../../src/http/server.js'
import { FakeLog, recordFeed } from '../feed/fake-log.js'
import { waitFor } from '../support/condition.js'
import { openEvents, openEventsAndStopReading } from './sse-client.js'

type Tap = Parameters<typeof recordFeed>[0]

/** Bytes that no network buffer takes for a reader that does not read. */
const FAR_TOO_MUCH = 30_000_000

/** The event routes alone, over a log of chapter 1 with two events, whose events can be of any size. */
async function serveEvents(t: Tap, wrap: (readPage: PageReader) => PageReader = (readPage) => readPage) {
  const log = new FakeLog()
  log.commit(1)
  log.commit(1)
  const { feed } = recordFeed(t, log)
  const app = await createHttpServer({
    config: { corsOrigin: '*', logFormat: 'json', logLevel: 'silent', trustProxy: false },
    isClosing: () => false,
  })
  await app.register(eventRoutes, {
    feed,
    readPage: wrap(createPageReader(log)),
    clients: createClientAuth(undefined, Date.now),
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= app.close()
    return closing
  }
  t.teardown(close)
  const connections = () =>
    new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)))
  /** Commits an event of so many bytes. */
  const commit = (bytes = 0) => {
    const entry = log.commit(1)
    for (const { payload } of entry.events) payload.message = 'x'.repeat(bytes)
    feed.publish([entry])
  }
  return { log, feed, app, url: `${url}/v1/chapter/1/events`, connections, close, commit }
}

t.test('a reader that stopped reading is cut; the others hear on', async (t) => {
  const { url, connections, commit } = await serveEvents(t)
  const reads = await openEvents(t, url)
  await openEventsAndStopReading(t, url)
  t.equal(await connections(), 2)
  let count = 2
  await waitFor('it is cut', async () => {
    commit(300_000)
    count += 1
    await waitFor('the other has it', () => reads.text().includes(`\nid: ${count}\n`))
    return (await connections()) === 1
  })
  t.ok(count < 100, `${count} events of 300 kB`)
  commit()
  await waitFor('the other hears on', () => reads.ids().length === count + 1)
  t.same(reads.ids().at(-1), count + 1)
})

t.test('a log larger than what a reader may leave unread is replayed whole', async (t) => {
  const { url, commit } = await serveEvents(t)
  for (let count = 0; count < 20; count++) commit(200_000)
  const stream = await openEvents(t, url)
  await waitFor('everything is there', () => stream.text().includes('\nid: 22\n'))
  commit()
  await waitFor('and it goes on', () => stream.text().includes('\nid: 23\n'))
  t.same(
    stream.ids(),
    Array.from({ length: 23 }, (_, index) => index + 1),
  )
})

t.test('a reader that goes away gives its share in the feed back', async (t) => {
  const { url, feed, commit } = await serveEvents(t)
  const isOpen = () => {
    const share = feed.open(1)
    share.close()
    return share.position !== undefined
  }
  const goes = await openEventsAndStopReading(t, url)
  t.ok(isOpen())
  goes.destroy()
  await waitFor('its share is given back', () => !isOpen())
  const cut = await openEventsAndStopReading(t, url)
  t.ok(isOpen())
  commit(FAR_TOO_MUCH)
  commit()
  await waitFor('the share of one that was cut is given back', () => !isOpen())
  cut.destroy()
  const head = await fetch(url, { method: 'HEAD', headers: { accept: 'text/event-stream' } })
  t.equal(head.status, 200)
  await waitFor('the share of one that wanted the head only is given back', () => !isOpen())
})

t.test('a quiet stream has a comment now and then, so that proxies keep it', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const { url, commit } = await serveEvents(t)
  const stream = await openEvents(t, url)
  mock.timers.tick(31_000)
  commit()
  await waitFor('what came after', () => stream.text().includes('\nid: 3\n'))
  t.equal(stream.text().match(/^:.*\n\n/gm)?.length, 2)
  t.same(stream.ids(), [1, 2, 3])
})

t.test('closing ends the streams, and is not held up by who stopped reading', async (t) => {
  const { url, close, commit, connections } = await serveEvents(t)
  const reads = await openEvents(t, url)
  await openEventsAndStopReading(t, url)
  commit(FAR_TOO_MUCH)
  await waitFor('the one that reads has it', () => reads.ids().length === 3)
  t.equal(await connections(), 2)
  // The one that stopped reading would hold the close for half a minute.
  await waitFor('the server is closed', () => close().then(() => true), { timeoutMs: 20_000 })
  await reads.ended
  t.same(reads.ids(), [1, 2, 3])
})

t.test('events during the closing of streams cause no fault', async (t) => {
  const { url, close, commit } = await serveEvents(t)
  const reads = await openEvents(t, url)
  await openEventsAndStopReading(t, url)
  commit(FAR_TOO_MUCH)
  await waitFor('the one that reads has it', () => reads.ids().length === 3)
  const closing = close()
  for (let count = 0; count < 5; count++) {
    commit(10)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await closing
  await reads.ended
  t.same(reads.ids(), [1, 2, 3].concat(reads.ids().slice(3)))
})

t.test('a stream that is being opened while the server closes ends at once', async (t) => {
  let answer = () => {}
  const asked = new Promise<void>((resolve) => {
    answer = resolve
  })
  let isAsked = false
  const { url, close } = await serveEvents(t, (readPage) => async (chapterId, after) => {
    isAsked = true
    await asked
    return await readPage(chapterId, after)
  })
  const opening = openEvents(t, url)
  await waitFor('it is being opened', () => isAsked)
  const closing = close()
  await new Promise((resolve) => setImmediate(resolve))
  answer()
  const stream = await opening
  await Promise.all([stream.ended, closing])
  t.equal(stream.status, 200)
  t.same(stream.ids(), [])
})

t.test('a reader that goes away while its stream is opened is forgotten', async (t) => {
  let answer = () => {}
  const asked = new Promise<void>((resolve) => {
    answer = resolve
  })
  let isAsked = false
  const { url, feed, connections } = await serveEvents(t, (readPage) => async (chapterId, after) => {
    isAsked = true
    await asked
    return await readPage(chapterId, after)
  })
  const reader = get(url, { agent: false, headers: { accept: 'text/event-stream' } }).on('error', () => {})
  await waitFor('it is being opened', () => isAsked)
  reader.destroy()
  await waitFor('it is gone', async () => (await connections()) === 0)
  answer()
  await waitFor('its share is given back', () => {
    const share = feed.open(1)
    share.close()
    return share.position === undefined
  })
})
