/**
 * The event loop is shared: whatever one client asks for at once, others are answered in between. Measured from
 * another process, at `/healthz`, which itself costs nothing.
 */
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { connectSocket, createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postgresUrl } from '../support/database.js'
import { startServer, workFolder } from '../support/server-process.js'
import { tell } from '../support/stock-client.js'

const LIMIT_MS = 100
const JOINS = 1000
/** Other processes may hold this machine up: a round in which they did not is enough. */
const ROUNDS = 5
/** Everybody’s answers, on a machine that does other things as well. */
const PATIENCE = { timeoutMs: 100_000, everyMs: 50 }

const DATABASES: Record<string, (t: Test) => Promise<Record<string, string>>> = {
  'the embedded database': async () => ({ DATA_DIR: 'memory' }),
  PostgreSQL: async (t) => ({ DATABASE_URL: await postgresUrl(t) }),
}

t.setTimeout(600_000)

for (const [name, envOf] of Object.entries(DATABASES))
  for (const connections of [1, 20])
    t.test(
      `${JOINS} joins and leaves on ${connections === 1 ? 'one connection' : `each of ${connections} connections`} keep /healthz under ${LIMIT_MS} ms (${name})`,
      { timeout: 300_000 },
      async (t) => {
        const env = await envOf(t)
        const { url } = await startServer(t, await workFolder(t), {
          GENERATOR: 'off',
          LOG_LEVEL: 'warn',
          MAX_ROOMS_PER_SOCKET: '1000',
          ...env,
        })
        const known = await Promise.all(Array.from({ length: 20 }, () => createChapter(url)))
        const clients = await Promise.all(
          Array.from({ length: connections }, () => connectSocket(t, url, { transports: ['websocket'] })),
        )
        const times = watchHealth(t, url)
        let most = Number.POSITIVE_INFINITY
        for (let round = 1; round <= ROUNDS && most >= LIMIT_MS; round++) {
          await waitFor('a first look', () => times.length > 2)
          times.length = 0
          let joined = 0
          const from = performance.now()
          const floods = clients.map(async ({ socket }) => {
            let [answers, isLost] = [0, false]
            // On a machine that is held up for long its heartbeat may come too late.
            socket.once('disconnect', () => {
              isLost = true
            })
            const count = ({ ok }: { ok: boolean }) => {
              answers += 1
              if (ok) joined += 1
            }
            for (let index = 0; index < JOINS; index++) {
              const chapter_id = known[index] ?? 1000 + index
              socket.emit('join_chapter', { chapter_id }, count)
              socket.emit('leave_chapter', { chapter_id }, count)
            }
            await waitFor('every answer', () => isLost || answers === 2 * JOINS, PATIENCE)
          })
          await Promise.all(floods)
          const tookMs = Math.round(performance.now() - from)
          most = Math.round(Math.max(...times))
          tell(
            `${name}, ${connections}: ${tookMs} ms, ${joined} ok, /healthz ${times.length} times, at most ${most} ms`,
          )
          t.ok(joined > 0)
        }
        t.ok(most < LIMIT_MS, `/healthz took at most ${most} ms`)
      },
    )

/** Asks again and again, in a thread of its own, and notes how long each answer took. */
function watchHealth(t: Test, url: string): number[] {
  const times: number[] = []
  const worker = new Worker(
    `import { parentPort, workerData } from 'node:worker_threads'
    for (;;) {
      const from = performance.now()
      await (await fetch(workerData)).text()
      parentPort.postMessage(performance.now() - from)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }`,
    { eval: true, execArgv: ['--input-type=module'], workerData: `${url}/healthz` },
  )
  worker.on('message', (ms: number) => times.push(ms))
  worker.on('error', () => {})
  t.teardown(() => worker.terminate())
  return times
}
