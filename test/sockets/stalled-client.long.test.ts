import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { joinAndStopPolling, joinAndStopReading } from './raw-socket.js'

const EVENT_BYTES = 200_000

for (const transport of ['websocket', 'polling'] as const)
  t.test(`a client that stopped reading (${transport}) is cut; the others hear on`, async (t) => {
    const { url, app } = await buildTestApp(t)
    const chapterId = await createChapter(url)
    const good = await connectSocket(t, url, { transports: ['websocket'] })
    await good.ask('join_chapter', { chapter_id: chapterId, after_seq: 4 })
    const raw =
      transport === 'websocket'
        ? await joinAndStopReading(t, url, chapterId)
        : await joinAndStopPolling(url, chapterId)
    const sockets = app.io.sockets.sockets
    t.equal(sockets.size, 2)

    // What no webhook can bring about as quickly.
    const room = app.io.local.to(`chapter_${chapterId}`)
    const message = 'x'.repeat(EVENT_BYTES)
    let count = 0
    await waitFor(
      'it is cut',
      async () => {
        count += 1
        room.emit('progress_update', { chapter_id: chapterId, progress: 1, message })
        await waitFor(
          'the other has it',
          () => good.heard.filter(({ payload }) => payload.message).length === count,
        )
        return sockets.size === 1
      },
      { everyMs: 50, timeoutMs: 30_000 },
    )
    t.ok(count > 5, 'a moment of slowness is borne')
    t.ok(count < 200, `${(count * EVENT_BYTES) / 1e6} MB were sent before`)
    await finish(url, chapterId, 'concept')
    await good.hears('concept_completed')
    if (raw !== undefined) {
      raw.socket.resume()
      await waitFor('it sees that it was cut', () => raw.isClosed())
    }
  })

t.test('a client that was cut while it could not read comes back by itself', async (t) => {
  const { url, app } = await buildTestApp(t)
  const chapterId = await createChapter(url)
  const client = await connectSocket(t, url, { transports: ['websocket'], auth: { resume: false } })
  let lastSeq = 0
  client.socket.onAny((_name, payload) => {
    lastSeq = payload.seq ?? lastSeq
  })
  const join = () => client.ask('join_chapter', { chapter_id: chapterId, after_seq: lastSeq })
  await join()
  const reasons: string[] = []
  client.socket.on('disconnect', (reason) => reasons.push(reason))
  client.socket.on('connect', join)

  const { ws } = client.socket.io.engine.transport as unknown as { ws: { pause(): void; resume(): void } }
  ws.pause()
  const message = 'x'.repeat(EVENT_BYTES)
  await waitFor(
    'it is cut',
    () => {
      app.io.local.emit('progress_update', { chapter_id: chapterId, progress: 1, message })
      return app.io.sockets.sockets.size === 0
    },
    { everyMs: 20 },
  )
  await finish(url, chapterId, 'concept')
  ws.resume()
  await client.hears('concept_completed')
  t.same(
    client.heard.flatMap(({ payload }) => payload.seq ?? []),
    [1, 2, 3, 4, 5],
  )
  t.match(reasons, [/transport (close|error)/])
})
