/**
 * The guide’s flow with each request and each client on another node: whichever it is, every client hears every
 * event once and in order.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, finish, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { scale } from '../support/scale.js'
import { stockClient } from '../support/stock-client.js'
import { startNodes } from '../support/three-nodes.js'

const EVENTS = [1, 2, 3, 4, 5, 6, 7, 8]
const LAST_SEQ = 8
const ROUNDS = scale(2, 10)

const program = await findHaproxy()
const { nodes } = await startNodes(t, 3)
const ports = nodes.map(({ port }) => port)
const proxy = program === undefined ? undefined : await startHaproxy(t, program, ports)

await testFlow(
  t,
  'directly',
  nodes.map(({ url }) => url),
)
if (proxy !== undefined) await testFlow(t, 'through HAProxy', [proxy.url, proxy.url, proxy.url])
else t.pass('through HAProxy: there is none (apt-get install haproxy)', { skip: true })

async function testFlow(t: Test, how: string, urls: string[]): Promise<void> {
  /** Of three in turn. */
  const at = (index: number) => urls[index % 3] ?? ''

  for (const transport of ['websocket', 'polling'])
    await t.test(
      `${how}, over ${transport}: joined before it is created and after, finished at once`,
      async (t) => {
        const options = { transports: [transport] }
        for (let round = 0; round < ROUNDS; round += 1) {
          // Ids are given in order, and nobody else creates: a client may join the chapter that comes next.
          const nextId = (await createChapter(at(round))) + 1
          const early = urls.map((url) => stockClient(t, url, { ...options, chapters: [nextId] }))
          const joined = early.map(
            ({ socket }) => new Promise((resolve) => socket.once('joined_chapter', resolve)),
          )
          t.same(await Promise.all(joined), Array(3).fill({ chapter_id: nextId }))
          t.equal(await createChapter(at(round)), nextId)
          const late = urls.map((url) => stockClient(t, url, { ...options, chapters: [nextId] }))
          const stream = listenToStream(at(round + 2), nextId)
          await waitFor('late clients are in', () => late.every((client) => client.hasHeard(nextId, 4)))

          const answers = await Promise.all(
            JOB_KINDS.map((kind, index) => finish(at(round + 2 - index), nextId, kind)),
          )
          for (const answer of answers) t.match(answer, { status: 200, body: { status: 'success' } })
          const clients = [...early, ...late]
          await waitFor('the end is heard', () =>
            clients.every((client) => client.hasHeard(nextId, LAST_SEQ)),
          )
          t.same(
            clients.flatMap((client) => client.faults()),
            [],
          )
          t.same(await stream, EVENTS, 'over server-sent events as well')
          for (const url of urls) {
            const { body } = await request(`${url}/v1/chapter/${nextId}`)
            t.match(body, { status: 'completed', progress: 100, last_seq: LAST_SEQ })
            const events = (await request(`${url}/v1/chapter/${nextId}/events`)).body.events
            t.same(
              events.map(({ data }: { data: { seq: number } }) => data.seq),
              EVENTS,
            )
          }
          for (const { socket } of clients) socket.disconnect()
        }
      },
    )
}

/** Resolves to the seqs heard when the stream ends, as it does with the chapter. */
async function listenToStream(url: string, chapterId: number): Promise<number[]> {
  const response = await fetch(`${url}/v1/chapter/${chapterId}/events`, {
    headers: { accept: 'text/event-stream' },
    signal: AbortSignal.timeout(20_000),
  })
  return [...(await response.text()).matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq))
}
