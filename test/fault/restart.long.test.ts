/**
 * The process dies and is started again: nothing is forgotten, nothing is told twice.
 */
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { createChapter } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { startServer, workFolderWithData } from '../support/server-process.js'
import { eventsOf, learningOf, viewChapter } from '../support/views.js'

/** A client that comes back by itself and says what it has already, as the client library does. */
function resumingClient(t: Test, url: string, ids: number[]) {
  const socket = io(url, {
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    auth: { resume: false },
  })
  t.teardown(() => socket.disconnect())
  const heard: { name: string; chapter_id: number; seq: number }[] = []
  const lastSeq = new Map<number, number>()
  socket.onAny((name: string, payload: { chapter_id: number; seq?: number }) => {
    if (payload.seq === undefined) return
    heard.push({ name, chapter_id: payload.chapter_id, seq: payload.seq })
    lastSeq.set(payload.chapter_id, payload.seq)
  })
  socket.on('connect', () => {
    for (const chapter_id of ids)
      socket.emit('join_chapter', { chapter_id, after_seq: lastSeq.get(chapter_id) ?? 0 })
  })
  return { socket, heard }
}

t.test(
  'killed while jobs are under way and started again, everything completes, and is heard once',
  async (t) => {
    const folder = await workFolderWithData(t)
    const PORT = String(await freePort())
    const first = await startServer(t, folder, { PORT })
    const { url } = first
    // From done before the kill to far from done; the last has a failed job and waits for its next attempt.
    const delays = [0, 200, 1000, 2000, 3000]
    const ids: number[] = []
    for (const delay_ms of delays) ids.push(await createChapter(url, { metadata: { sample: { delay_ms } } }))
    ids.push(await createChapter(url, { metadata: { sample: { fail: ['quiz'], times: 1 } } }))
    const { heard } = resumingClient(t, url, ids)
    await waitFor('one is complete and another under way', () => {
      const has = (name: string, id: number | undefined) =>
        heard.some((e) => e.name === name && e.chapter_id === id)
      return has('all_completed', ids[0]) && has('concept_started', ids[4]) && has('quiz_retrying', ids[5])
    })
    t.same(await first.end('SIGKILL'), { code: null, signal: 'SIGKILL' })

    const second = await startServer(t, folder, { PORT })
    const startedAt = performance.now()
    await waitFor(
      'every chapter is complete',
      () =>
        ids.every((id) =>
          heard.some(({ name, chapter_id }) => name === 'all_completed' && chapter_id === id),
        ),
      { timeoutMs: 30_000 },
    )
    t.comment(`complete ${Math.round(performance.now() - startedAt)} ms after the server was back`)
    for (const id of ids) {
      const logged = await eventsOf(url, id)
      const own = heard.filter(({ chapter_id }) => chapter_id === id)
      t.same(
        own.map(({ seq, name }) => [seq, name]),
        logged.map(({ seq, event }) => [seq, event]),
        'each event once and in order',
      )
      t.equal(own.filter(({ name }) => name === 'all_completed').length, 1)
      t.notOk(
        own.some(({ name }) => name.endsWith('_timeout')),
        'a restart is no time-out',
      )
      t.match(await learningOf(url, id), {
        status: 'completed',
        progress: 100,
        concept: { is_complete: true },
      })
      for (const { attempt, kind } of (await viewChapter(url, id)).jobs)
        t.equal(attempt, id === ids[5] && kind === 'quiz' ? 2 : 1, 'and costs no attempt')
    }
    t.same(await second.end('SIGTERM'), { code: 0, signal: null })
  },
)
