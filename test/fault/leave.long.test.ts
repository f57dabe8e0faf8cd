/**
 * Leaving in order: quick, and so that clients come back.
 */
import t from 'tap'
import { connectSocket, createChapter, post, request } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { startServer, workFolderWithData } from '../support/server-process.js'

t.test(
  'Ctrl-C ends a server in time whatever hangs on, and clients find the next process by themselves',
  async (t) => {
    const folder = await workFolderWithData(t)
    const PORT = String(await freePort())
    const first = await startServer(t, folder, { PORT })
    const { url } = first
    const id = await createChapter(url, { metadata: { sample: { hang: ['quiz'] } } })
    const clients = [
      await connectSocket(t, url, { transports: ['websocket'] }),
      await connectSocket(t, url, { transports: ['polling'] }),
      await connectSocket(t, url),
    ]
    for (const client of clients) await client.ask('join_chapter', { chapter_id: id })
    const aborted = new AbortController()
    t.teardown(() => aborted.abort())
    const stream = await fetch(`${url}/v1/chapter/${id}/events`, {
      headers: { accept: 'text/event-stream' },
      signal: aborted.signal,
    })
    t.equal(stream.status, 200)
    // It ends with code 1 when its time is up before all is closed.
    t.same(await first.end('SIGINT'), { code: 0, signal: null }, first.output())
    t.match(await stream.text(), /event: quiz_processing/, 'the stream ended, and was whole until then')

    await startServer(t, folder, { PORT })
    for (const client of clients) {
      await waitFor('it is connected again', () => client.socket.connected)
      t.match(await client.ask('join_chapter', { chapter_id: id, after_seq: 4 }), {
        ok: true,
        chapter_id: id,
      })
    }
    t.equal((await post(`${url}/v1/chapter/${id}/cancel`)).status, 202)
    for (const client of clients) await client.hears('chapter_cancelled')
    t.equal((await request(`${url}/readyz`)).status, 200)
  },
)
