import t from 'tap'
import { buildTestApp } from '../support/app.js'
import {
  connectSocket,
  createChapter,
  finish,
  post,
  type RecordingSocket,
  request,
} from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { untilPublished } from '../support/views.js'

const CHAPTERS = 20
const SOCKETS = 300
const KINDS = ['concept', 'exercise', 'quiz'] as const

t.test('three hundred clients hear exactly what the log says while it is written', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = await Promise.all(Array.from({ length: CHAPTERS }, () => createChapter(url)))
  const clients: { chapterId: number; client: RecordingSocket }[] = []
  while (clients.length < SOCKETS) {
    const start = clients.length
    clients.push(
      ...(await Promise.all(
        Array.from({ length: 30 }, async (_, index) => ({
          chapterId: chapters[(start + index) % CHAPTERS] ?? 0,
          client: await connectSocket(t, url, {
            // Every tenth as a browser does it: polling, then the upgrade.
            ...(index % 10 === 0 ? {} : { transports: ['websocket'] }),
          }),
        })),
      )),
    )
  }

  const joins = clients.map(async ({ chapterId, client }, index) => {
    for (let turns = index % 7; turns > 0; turns--) await client.ask('refresh_token', {})
    return client.ask('join_chapter', { chapter_id: chapterId })
  })
  const webhooks = chapters.map(async (chapterId, index) => {
    await untilPublished(url, chapterId)
    await post(`${url}/v1/chapter/${chapterId}/progress`, { progress: index, message: '', kind: 'quiz' })
    await Promise.all(KINDS.flatMap((kind) => [finish(url, chapterId, kind), finish(url, chapterId, kind)]))
  })
  const acks = await Promise.all(joins)
  await Promise.all(webhooks)
  t.ok(acks.every(({ ok }) => ok))

  for (const chapterId of chapters) {
    const { body } = await request(`${url}/v1/chapter/${chapterId}/events`)
    t.equal(body.last_seq, 9)
    const logged = body.events.map(({ event, data }: { event: string; data: object }) => [event, data])
    for (const { client } of clients.filter((one) => one.chapterId === chapterId)) {
      await waitFor('everything is heard', () => client.logged().length >= 9)
      const heard = client.heard
        .filter(({ payload }) => payload.seq)
        .map(({ name, payload }) => [name, payload])
      t.same(heard, logged)
    }
  }
  await Promise.all(clients.map(({ client }) => client.ask('refresh_token', {})))
  t.ok(
    clients.every(({ client }) => client.logged().length === 9),
    'and nothing comes twice afterwards',
  )
})
