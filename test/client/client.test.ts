/**
 * What the client package promises, against the real server.
 */
import { execFile } from 'node:child_process'
import { type AddressInfo, connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import {
  ChapterCancelledError,
  type ChapterEvent,
  ChapterFailedError,
  type Chapters,
  type ChapterWatch,
  type ClientToServerEvents,
  ClosedError,
  type ConnectOptions,
  connectChapters,
  RefusedError,
  type ServerToClientEvents,
  UnreachableError,
} from '../../src/client/index.js'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp, testClock } from '../support/app.js'
import { finish, post } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { postgresDatabase } from '../support/database.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { eventsOf, finishAll, viewChapter } from '../support/views.js'

const CREATE = { course_id: 1, owner_id: 1, title: '변수와 자료형' }

/** A client that is closed with the test. */
function client(t: Test, url: string, options: ConnectOptions = {}): Chapters {
  const chapters = connectChapters(url, options)
  t.teardown(() => chapters.close())
  return chapters
}

/** A server behind a wire that can be cut. */
async function serverBehindProxy(t: Test) {
  const { url } = await buildTestApp(t)
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
  return { url, proxy, proxied: `http://127.0.0.1:${proxy.port}` }
}

/** What an iteration hears, as it hears it, and its end. */
function hearing(watch: ChapterWatch) {
  const events: ChapterEvent[] = []
  const done = (async () => {
    for await (const event of watch) events.push(event)
  })()
  done.catch(() => {})
  return { events, done, seqs: () => events.map(({ payload }) => payload.seq) }
}

const upTo = (last: number, after = 0) => Array.from({ length: last - after }, (_, i) => after + 1 + i)

async function fail(url: string, id: number, kind: string, retryable = false) {
  const { jobs } = await viewChapter(url, id)
  const job = jobs.find((each) => each.kind === kind)
  const { status } = await post(`${url}/v1/chapter/${id}/${kind}-fail`, {
    ...{ job_id: job?.job_id, attempt: job?.attempt, error: 'no', reason: 'refused', retryable },
  })
  if (status !== 200) throw new Error(`${kind}-fail was answered ${status}`)
}

await t.test('a chapter is created, watched to its end and read', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const watch = chapters.watch(id)
  const { done, events } = hearing(watch)
  const titles: string[] = []
  watch.on('chapter_processing_started', ({ title }) => titles.push(title))
  const completed = watch.completed()
  await waitFor('it is watched', () => watch.snapshot.last_seq === 4)
  t.match(watch.snapshot, { connection: 'live', exists: true, status: 'processing', title: CREATE.title })
  await finishAll(url, id)
  await done
  t.same(
    events.map(({ name, payload: { seq } }) => [name, seq]),
    (await eventsOf(url, id)).map(({ event, seq }) => [event, seq]),
  )
  t.match(await completed, { status: 'completed', concept: { is_complete: true } })
  t.equal((await chapters.learning(id)).exercise.answer, undefined)
  t.type((await chapters.learning(id, { answers: true })).exercise.answer, 'string')
  t.same(titles, [CREATE.title])
  t.match(watch.snapshot, {
    ...{ status: 'completed', progress: 100, last_seq: 8, error: null },
    results: { concept: true, exercise: true, quiz: true },
  })

  const late: number[] = []
  watch.on('concept_processing', ({ seq }) => late.push(seq))
  await waitFor('a late listener hears what was before', () => late.length > 0)
  t.same(late, [2])
  t.match(await chapters.get(id), { chapter_id: id, status: 'completed' })
  t.match(await chapters.list({ owner_id: 1, limit: 1 }), { items: [{ chapter_id: id }] })
})

await t.test('a chapter whose answer was lost is created once', async (t) => {
  const { url, proxy, proxied } = await serverBehindProxy(t)
  const chapters = client(t, proxied)
  proxy.mute()
  let isMuted = true
  const asked = chapters.create(CREATE, { idempotencyKey: 'once' })
  void (async () => {
    // The connection comes first; what is answered on it is lost.
    while (isMuted) {
      proxy.mute()
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  await waitFor('it was created', async () => (await client(t, url).list()).items.length === 1)
  isMuted = false
  proxy.cut()
  proxy.resume()
  const { chapter_id: id } = await asked
  t.same(
    (await client(t, url).list()).items.map(({ chapter_id }) => chapter_id),
    [id],
  )
})

await t.test('what the server refuses is refused with every reason', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const refused = await chapters.create({ course_id: 0, owner_id: 1, title: ' ' }).catch((error) => error)
  t.ok(refused instanceof RefusedError)
  t.match(refused, { code: 'invalid_request', status: 400, requestId: String })
  t.same(refused.errors.map(({ path }: { path: string }) => path).sort(), ['/body/course_id', '/body/title'])
  await t.rejects(chapters.get(404), { name: 'RefusedError', code: 'chapter_not_found', status: 404 })
  const { chapter_id: id } = await chapters.create(CREATE)
  await t.rejects(chapters.retry(id), { name: 'RefusedError', code: 'wrong_state' })
  await t.rejects(hearing(chapters.watch(-1)).done, { name: 'RefusedError', code: 'invalid_request' })
})

await t.test('a server that is not there is unreachable', async (t) => {
  const chapters = client(t, `http://127.0.0.1:${await freePort()}`)
  const error = await chapters.retry(1).catch((error) => error)
  t.ok(error instanceof UnreachableError)
  t.ok(error.cause)
})

await t.test('a failed chapter is a typed error, and its retry goes on in the same log', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const first = hearing(chapters.watch(id))
  await finish(url, id, 'concept')
  await fail(url, id, 'quiz')
  await fail(url, id, 'exercise')
  await first.done
  t.equal(first.events.at(-1)?.name, 'chapter_failed')
  const error = await chapters
    .watch(id)
    .completed()
    .catch((error) => error)
  t.ok(error instanceof ChapterFailedError)
  t.same(error.failed, ['exercise', 'quiz'])
  // On another device, that knows nothing but a cursor.
  const resumed = await client(t, url)
    .watch(id, { after: first.events.length })
    .completed()
    .catch((error) => error)
  t.ok(resumed instanceof ChapterFailedError)
  t.same(resumed.failed, ['exercise', 'quiz'])

  t.match(await chapters.retry(id), { chapter_id: id, status: 'processing' })
  const again = client(t, url).watch(id)
  const whole = hearing(again)
  await waitFor('it goes on', () => whole.events.some(({ name }) => name === 'chapter_retrying'))
  await finishAll(url, id, ['exercise', 'quiz'])
  await whole.done
  t.same(whole.seqs(), upTo((await viewChapter(url, id)).last_seq), 'not ended by the failure in its middle')
  t.equal(whole.events.at(-1)?.name, 'all_completed')
})

await t.test('a cancelled chapter is a typed error', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const { done, events } = hearing(chapters.watch(id))
  const completed = chapters
    .watch(id)
    .completed()
    .catch((error) => error)
  t.match(await chapters.cancel(id), { status: 'cancelled' })
  t.match(await chapters.cancel(id), { status: 'cancelled' }, 'asked again, it is so')
  await done
  t.equal(events.at(-1)?.name, 'chapter_cancelled')
  const error = await completed
  t.ok(error instanceof ChapterCancelledError)
  t.equal(error.snapshot.jobs.quiz.status, 'cancelled')
})

await t.test('a signal ends whatever it was given to, with its reason', async (t) => {
  const { url } = await buildTestApp(t)
  const { chapter_id: id } = await client(t, url).create(CREATE)
  const silent = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
  silent.stall()
  const reason = new Error('enough')
  const chapters = client(t, `http://127.0.0.1:${silent.port}`)
  const abort = new AbortController()
  const { signal } = abort
  const heard: string[] = []
  chapters.watch(id).on('concept_processing', ({ status }) => heard.push(status), { signal })
  const all = [
    ...[chapters.create(CREATE, { signal }), chapters.list({}, { signal }), chapters.get(id, { signal })],
    ...[chapters.learning(id, { signal }), chapters.retry(id, { signal }), chapters.cancel(id, { signal })],
    chapters.watch(id).completed({ signal }),
    hearing(chapters.watch(id, { signal })).done,
  ]
  const outcomes = Promise.allSettled(all)
  await waitFor('the requests are under way', () => silent.accepted > 0)
  abort.abort(reason)
  for (const outcome of await outcomes) t.same(outcome, { status: 'rejected', reason })
  await t.rejects(chapters.get(id, { signal }), reason)
  await t.rejects(hearing(chapters.watch(id, { signal })).done, reason)
  silent.resume()
  const other = hearing(chapters.watch(id))
  // With what was on its way: a cancel may be among it.
  await waitFor('others go on', () => other.events.length >= 4)
  t.same(heard, [])
})

await t.test('a closed client ends every watch and request with ClosedError', async (t) => {
  const { url } = await buildTestApp(t)
  const { chapter_id: id } = await client(t, url).create(CREATE)
  const closing = new AbortController()
  const chapters = client(t, url, { signal: closing.signal })
  const watch = chapters.watch(id)
  const { done, events } = hearing(watch)
  const completed = watch.completed().catch((error) => error)
  await waitFor('it is watched', () => events.length === 4)
  closing.abort()
  await t.rejects(done, { code: 'closed' })
  t.ok((await completed) instanceof ClosedError)
  t.match(watch.snapshot, { connection: 'closed', error: { code: 'closed' } })
  await t.rejects(chapters.get(id), { code: 'closed' })
  t.throws(() => chapters.watch(id).on('all_completed', () => {}), { code: 'closed' })
})

await t.test('a cursor is handed over: the next page hears only what follows', async (t) => {
  const { url } = await buildTestApp(t)
  const page = client(t, url)
  const { chapter_id: id } = await page.create(CREATE)
  const watch = page.watch(id)
  const { events } = hearing(watch)
  await finish(url, id, 'quiz')
  await waitFor('it has five', () => events.length === 5)
  const { cursor } = watch
  t.equal(cursor, 5)
  page.close()
  await finish(url, id, 'concept')

  const next = client(t, url).watch(id, { after: cursor })
  const rest = hearing(next)
  await waitFor('it has the sixth', () => rest.events.length === 1)
  await waitFor('the page knows what was before', () => next.snapshot.results.quiz)
  t.match(next.snapshot, { title: CREATE.title, results: { concept: true, quiz: true, exercise: false } })
  await finish(url, id, 'exercise')
  await rest.done
  t.same(rest.seqs(), [6, 7, 8])

  const ended = hearing(client(t, url).watch(id, { after: 8 }))
  await ended.done
  t.same(ended.seqs(), [], 'nothing follows the end')
})

await t.test('a watch may want what was before another one’s cursor', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const resumed = hearing(chapters.watch(id, { after: 3 }))
  await waitFor('it has what follows', () => resumed.events.length === 1)
  const whole = hearing(chapters.watch(id))
  await waitFor('the other has everything', () => whole.events.length === 4)
  await finishAll(url, id)
  await Promise.all([resumed.done, whole.done])
  t.same(resumed.seqs(), upTo(8, 3))
  t.same(whole.seqs(), upTo(8))
})

await t.test('two watches of a chapter share one room, and leave it together', async (t) => {
  const { app, url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const membersOf = () => app.io.sockets.adapter.rooms.get(`chapter_${id}`)?.size ?? 0
  const heard: string[] = []
  const stops = [1, 2].map((n) => chapters.watch(id).on('quiz_processing', () => heard.push(`quiz ${n}`)))
  await waitFor('both heard', () => heard.length === 2)
  t.equal(membersOf(), 1)
  stops[0]?.()
  for await (const _event of chapters.watch(id)) break
  t.equal(membersOf(), 1)
  stops[1]?.()
  await waitFor('the room is empty', () => membersOf() === 0)
  await waitFor('the connection is closed', () => app.io.sockets.sockets.size === 0)
})

await t.test('a chapter may be watched before it exists', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const watch = chapters.watch(1)
  const { done, seqs } = hearing(watch)
  await waitFor('the server knows of no such chapter', () => watch.snapshot.exists === false)
  t.match(watch.snapshot, { connection: 'live', status: null, last_seq: 0 })
  const { chapter_id: id } = await chapters.create(CREATE)
  t.equal(id, 1)
  await finishAll(url, id)
  await done
  t.same(seqs(), upTo(8))
})

await t.test('of a log that expired nothing is heard, and how it ended is known', async (t) => {
  const clock = testClock()
  const { url } = await buildTestApp(t, { EVENT_RETENTION_MS: '60000' }, { now: clock.now })
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  await finish(url, id, 'concept')
  await fail(url, id, 'quiz')
  await fail(url, id, 'exercise')
  await waitFor('the log is gone', async () => {
    clock.advance(3_600_000)
    return (await eventsOf(url, id)).length === 0
  })
  const watch = chapters.watch(id)
  const { done, events } = hearing(watch)
  await done
  t.same(events, [])
  t.match(watch.snapshot, {
    expired: true,
    status: 'failed',
    title: CREATE.title,
    results: { concept: true },
  })
  t.same((await watch.completed().catch((error) => error)).failed, ['exercise', 'quiz'])
})

await t.test(
  'a function is asked for a token at every connect, and an expired one is replaced',
  async (t) => {
    const { app, url } = await buildTestApp(t, { JWT_SECRET })
    const tokens: string[] = []
    let expiresInS = 600
    const chapters = client(t, url, {
      token: async () => {
        const token = await signToken({ sub: '1', n: tokens.length }, { expiresInS })
        tokens.push(token)
        return token
      },
    })
    const { chapter_id: id } = await chapters.create(CREATE)
    expiresInS = 1.5
    const watch = chapters.watch(id)
    const { done, events, seqs } = hearing(watch)
    const states: string[] = []
    watch.subscribe(() => states.push(watch.snapshot.connection))
    await waitFor('it is watched', () => events.length === 4)
    await waitFor('the first connection ended', () => states.includes('reconnecting'), { timeoutMs: 20_000 })
    expiresInS = 600
    await finish(url, id, 'concept')
    await waitFor('another one was let in', () => events.length === 5, { timeoutMs: 20_000 })
    await finish(url, id, 'exercise')
    await finish(url, id, 'quiz')
    await done
    t.same(seqs(), upTo(8))
    t.equal(new Set(tokens).size, tokens.length, 'each was asked for anew')
    t.equal(app.io.sockets.sockets.size, 1)
  },
)

await t.test('a token that is refused is not sent for ever', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const good = await signToken({ sub: '1' })
  const { chapter_id: id } = await client(t, url, { token: good }).create(CREATE)
  const expired = await signToken({ sub: '1' }, { expiresInS: -600 })
  for (const token of [expired, () => expired, () => undefined, undefined]) {
    const chapters = client(t, url, token === undefined ? {} : { token })
    const watch = chapters.watch(id)
    const error = await hearing(watch).done.catch((error) => error)
    t.ok(error instanceof RefusedError, String(error))
    t.match(watch.snapshot, { connection: 'closed', error: { name: 'RefusedError' } })
    await t.rejects(chapters.get(id), { name: 'RefusedError', status: 401 })
  }
  const stranger = client(t, url, { token: await signToken({ sub: '2' }) })
  await t.rejects(hearing(stranger.watch(id)).done, { name: 'RefusedError', code: 'forbidden' })
  await t.rejects(stranger.watch(id).completed(), { name: 'RefusedError', code: 'forbidden' })
})

await t.test('a server that restarts is found again, and nothing is missed', async (t) => {
  const PORT = String(await freePort())
  const database = await postgresDatabase(t)
  const kept = { ...database, close: async () => {} }
  const first = await buildTestApp(t, { PORT }, { database: kept })
  const chapters = client(t, first.url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const watch = chapters.watch(id)
  const { done, events, seqs } = hearing(watch)
  await waitFor('it is watched', () => events.length === 4)
  await first.close()
  await waitFor('the loss is shown', () => watch.snapshot.connection === 'reconnecting')
  const asked = chapters.get(id)
  const { url } = await buildTestApp(t, { PORT }, { database: kept })
  await finishAll(url, id)
  await done
  t.same(seqs(), upTo(8))
  t.match(await asked, { chapter_id: id }, 'a request waited for it')
})

await t.test('a server that forgot the chapter begins its log anew', async (t) => {
  const PORT = String(await freePort())
  const first = await buildTestApp(t, { PORT }, { database: await postgresDatabase(t) })
  const chapters = client(t, first.url)
  const { chapter_id: id } = await chapters.create(CREATE)
  await finish(first.url, id, 'concept')
  const watch = chapters.watch(id)
  const heard = hearing(watch)
  await waitFor('it is watched', () => heard.events.length === 5)
  await first.close()
  const { url } = await buildTestApp(t, { PORT }, { database: await postgresDatabase(t) })
  await waitFor('it is back', () => watch.snapshot.exists === false, { timeoutMs: 20_000 })
  t.equal((await chapters.create(CREATE)).chapter_id, id)
  await finishAll(url, id)
  await heard.done
  t.same(heard.seqs(), [...upTo(5), ...upTo(8)])
})

await t.test('a connection that went silent is replaced when the computer wakes', async (t) => {
  const { url, proxy, proxied } = await serverBehindProxy(t)
  const chapters = client(t, proxied)
  const { chapter_id: id } = await chapters.create(CREATE)
  const { done, events, seqs } = hearing(chapters.watch(id))
  await waitFor('it is watched', () => events.length === 4)
  proxy.abandon()
  await finishAll(url, id)
  const realNow = Date.now
  t.teardown(() => {
    Date.now = realNow
  })
  Date.now = () => realNow() + 60_000
  await done
  t.same(seqs(), upTo(8))
})

await t.test('a server may be behind a path of a proxy', async (t) => {
  const { app, url } = await buildTestApp(t)
  const { createServer, request } = await import('node:http')
  const front = createServer((incoming, outgoing) => {
    const path = incoming.url?.replace(/^\/tutor\/live/, '') ?? ''
    if (path === incoming.url) return outgoing.writeHead(404).end()
    const { headers, method } = incoming
    incoming.pipe(
      request(url + path, { headers, method: method ?? 'GET' }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(outgoing)
      }),
    )
  })
  front.on('upgrade', (_incoming, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    front.closeAllConnections()
    front.close()
  })
  const { port } = front.address() as { port: number }
  const chapters = client(t, `http://127.0.0.1:${port}/tutor/live/`)
  const { chapter_id: id } = await chapters.create(CREATE)
  const { events } = hearing(chapters.watch(id))
  await waitFor('it is heard', () => events.length === 4)
  t.equal(app.io.engine.clientsCount, 1)
})

await t.test('where websockets are swallowed without a word, a chapter is watched by polling', async (t) => {
  const { app, url } = await buildTestApp(t)
  const front = createServer((near) => {
    near.on('error', () => {})
    near.once('data', (first) => {
      if (first.includes('Upgrade: websocket')) return
      const far = connect(Number(new URL(url).port), '127.0.0.1')
      far.on('error', () => {})
      far.write(first)
      near.pipe(far).pipe(near)
      t.teardown(() => far.destroy())
    })
    t.teardown(() => near.destroy())
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  t.teardown(() => front.close())
  const { port } = front.address() as AddressInfo
  const chapters = client(t, `http://127.0.0.1:${port}`, { socket: { timeout: 300 } })
  const { chapter_id: id } = await chapters.create(CREATE)
  const { events } = hearing(chapters.watch(id))
  await waitFor('it is heard', () => events.length === 4)
  t.equal(app.io.engine.clientsCount, 1)
})

await t.test('a listener that throws, stops or is slow keeps nobody from anything', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const watch = chapters.watch(id)
  const thrown: unknown[] = []
  const onThrown = (error: unknown) => thrown.push(error)
  // tap would make it a failure of the test.
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', onThrown)
  t.teardown(() => {
    process.off('uncaughtException', onThrown)
    for (const other of others) process.on('uncaughtException', other)
  })
  const unsubscribe = watch.subscribe(() => {
    unsubscribe()
    throw new Error('a user interface')
  })
  const heard: string[] = []
  const stop = watch.on('concept_completed', () => {
    heard.push('once')
    stop()
    throw new Error('a listener')
  })
  const slow: number[] = []
  const done = (async () => {
    for await (const { payload } of watch) {
      slow.push(payload.seq)
      if (payload.seq === 4) {
        await finishAll(url, id)
        await waitFor('the rest is here', () => watch.cursor === 8)
      }
    }
  })()
  await done
  t.same(slow, upTo(8))
  t.same(heard, ['once'])
  t.same(thrown.map(String), ['Error: a user interface', 'Error: a listener'])
})

await t.test('a program that has heard enough ends by itself', async (t) => {
  const { url } = await buildTestApp(t)
  const { chapter_id: id } = await client(t, url).create(CREATE)
  await finishAll(url, id)
  const program = `
    import { connectChapters } from ${JSON.stringify(new URL('../../src/client/dist/index.js', import.meta.url).href)}
    let count = 0
    for await (const event of connectChapters(${JSON.stringify(url)}).watch(${id})) count += event.payload.seq
    console.log(count)`
  const args = ['--input-type=module', '--eval', program]
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 30_000 })
  t.equal(stdout.trim(), '36')
})

await t.test('a plain socket.io-client beside it is typed, and hears the same', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const { chapter_id: id } = await chapters.create(CREATE)
  const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { forceNew: true })
  t.teardown(() => socket.disconnect())
  const plain: string[] = []
  socket.on('concept_completed', ({ concept_id, seq }) => plain.push(`${concept_id satisfies number} ${seq}`))
  // @ts-expect-error: there is no such event
  socket.on('concept_complete', () => {})
  // @ts-expect-error: it wants a number
  socket.emit('join_chapter', { chapter_id: 'one' })

  const joined = await socket.emitWithAck('join_chapter', { chapter_id: id })
  if (!joined.ok) throw new Error(joined.message)
  t.equal(joined.status, 'processing')
  const left = await socket.timeout(5000).emitWithAck('leave_chapter', { chapter_id: id })
  t.ok(left.ok)
  const again = await new Promise<number | undefined>((resolve, reject) => {
    socket.timeout(5000).emit('join_chapter', { chapter_id: id, after_seq: 4 }, (late, answer) => {
      if (late) reject(late)
      else resolve(answer.ok ? answer.last_seq : undefined)
    })
  })
  t.equal(again, 4)
  const own: string[] = []
  chapters.watch(id).on('concept_completed', ({ concept_id, seq }) => own.push(`${concept_id} ${seq}`))
  await finish(url, id, 'concept')
  await waitFor('both heard it', () => plain.length === 1 && own.length === 1)
  t.same(plain, own)
})
