/**
 * Everybody comes back at once: a node that is killed, and all of them. `TEST_SOCKETS=2000` is the number that the
 * server is made for; fewer unless asked, so that clients and server share a small machine.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, finish, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { type StockClient, spread, stockClient, tell } from '../support/stock-client.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { query, underLoad } from '../support/watch.js'

const SOCKETS = Number(process.env.TEST_SOCKETS ?? 400)
const CHAPTERS = SOCKETS / 10

const program = await findHaproxy()
await t.test(
  `${SOCKETS} sockets that come back at once are all in their rooms again`,
  { skip: program === undefined && 'no haproxy: install it (apt-get install haproxy)' },
  async (t) => {
    const { nodes, databaseUrl } = await startNodes(t, 3, { process: true, env: { LOG_LEVEL: 'warn' } })
    const ports = nodes.map(({ port }) => port)
    const proxy = await startHaproxy(t, program ?? '', ports)
    const chapters: number[] = []
    while (chapters.length < CHAPTERS) chapters.push(await createChapter(proxy.url))
    const chapterOf = (index: number) => chapters[index % CHAPTERS] as number
    const clients: StockClient[] = []
    const isComplete = (seq: number) =>
      clients.every((client, index) => client.hasHeard(chapterOf(index), seq))
    while (clients.length < SOCKETS) {
      const chapterId = chapterOf(clients.length)
      clients.push(stockClient(t, proxy.url, { chapters: [chapterId] }))
      if (clients.length % 100 === 0)
        await waitFor('those so far are in', () => isComplete(4), { timeoutMs: 20_000 })
    }

    await t.test('after one of three nodes was killed', async (t) => {
      await comeBack(t, nodes.slice(0, 1), async () => {
        for (const [index, id] of chapters.entries())
          await takes(() => finish(nodes[1 + (index % 2)]?.url ?? '', id, 'concept'))
      })
      await waitFor('HAProxy sends to it', () => proxy.isUp(nodes[0]?.port ?? 0), { timeoutMs: 20_000 })
    })

    await t.test('after all nodes were killed', async (t) => {
      await comeBack(t, nodes, async () => {
        for (const id of chapters)
          for (const kind of JOB_KINDS.slice(1)) await takes(() => finish(proxy.url, id, kind))
      })
    })
    for (const { socket } of clients) socket.disconnect()

    /** Kills, starts again, and has events happen meanwhile. */
    async function comeBack(t: Test, killed: TestNode[], meanwhile: () => Promise<void>): Promise<void> {
      const before = clients.map(({ connections, awayMs }) => ({ connections, times: awayMs.length }))
      const others = nodes.filter((node) => !killed.includes(node))
      const answerMs: number[] = []
      const asking = underLoad(async (n) => {
        const asked = others[n % others.length]
        const since = performance.now()
        if (asked !== undefined)
          t.equal((await request(`${asked.url}/v1/chapter/${chapterOf(n)}`)).status, 200)
        answerMs.push(performance.now() - since)
        await new Promise((resolve) => setTimeout(resolve, 50))
      })
      const statementsBefore = await statements(databaseUrl)
      const since = performance.now()
      await Promise.all(killed.map((node) => node.kill()))
      if (others.length === 0) await Promise.all(killed.map((node) => node.start()))
      await meanwhile()
      const lastSeq = others.length === 0 ? 8 : 5
      await waitFor('all are back and complete', () => isComplete(lastSeq), {
        timeoutMs: 40_000,
        everyMs: 50,
      })
      const tookMs = performance.now() - since
      const count = (await statements(databaseUrl)) - statementsBefore
      await asking.stop()
      if (others.length > 0) await Promise.all(killed.map((node) => node.start()))

      const moved = clients.filter(
        ({ connections }, index) => connections > (before[index]?.connections ?? 0),
      )
      const awayMs = clients.flatMap((client, index) => client.awayMs.slice(before[index]?.times))
      t.ok(moved.length >= (SOCKETS * killed.length) / 5, `${moved.length} came back`)
      t.same(
        clients.flatMap((client) => client.faults()),
        [],
      )
      tell(
        `${killed.length} killed, ${moved.length} moved in ${Math.round(tookMs)} ms, away: ${spread(awayMs)}`,
      )
      tell(`${count} statements${others.length > 0 ? `; other requests: ${spread(answerMs)}` : ''}`)
      const repeated = clients.reduce((sum, client) => sum + client.repeated, 0)
      tell(`repeated by replay so far: ${repeated}`)
    }
  },
)

async function takes(ask: () => Promise<{ status: number }>): Promise<void> {
  await waitFor('the webhook is taken', async () => (await ask()).status === 200, { timeoutMs: 20_000 })
}

/** Statements so far: outside of transactions each is one. Connections tell of theirs within a second. */
async function statements(databaseUrl: string): Promise<number> {
  const [row] = await query<{ count: string }>(
    databaseUrl,
    'select xact_commit as count from pg_stat_database where datname = current_database()',
  )
  return Number(row?.count)
}
