/**
 * The whole client, `socket.io-client` included, against a server that drops, repeats, delays and reorders what
 * it says, over connections that fail in every way: hundreds of seeded runs in virtual time, and some over real
 * sockets. Whoever follows a chapter hears its log from where he began, once and in order, to its end.
 *
 * A failure names its seed; `CLIENT_SEED=7` runs that one alone.
 */
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Chapters, connectChapters } from '../../src/client/index.js'
import { waitFor } from '../support/condition.js'
import { seeded } from '../support/random.js'
import { scale } from '../support/scale.js'
import { listen } from './real-wire.js'
import { SimulatedRun } from './simulated-run.js'
import { UnrulyServer, WELL } from './unruly-server.js'
import { inVirtualTime } from './virtual-time.js'

const RUNS = scale(40, 250)
const REAL_RUNS = scale(4, 24)
const REAL_STORM_MS = scale(1500, 5000)
const LIMIT_MS = 20 * 60_000

t.test('whatever happens underneath, everyone hears the log once, in order, to its end', async (t) => {
  const only = process.env.CLIENT_SEED
  const seeds = only ? [Number(only)] : Array.from({ length: RUNS }, (_, index) => index + 1)
  const totals = { events: 0, joins: 0, connections: 0, iterations: 0, virtualMs: 0 }
  for (const seed of seeds) {
    const run = new SimulatedRun(seed)
    try {
      const { tookMs, timersLeft } = await inVirtualTime(() => run.live(), {
        limitMs: LIMIT_MS,
        random: seeded(-seed),
      })
      if (timersLeft > 0) run.faults.push(`${timersLeft} timers are left`)
      totals.virtualMs += tookMs
    } catch (error) {
      run.faults.push(error instanceof Error ? `${error.stack}` : String(error))
    }
    totals.events += run.heard
    totals.joins += run.joins
    totals.connections += run.wire.begun
    totals.iterations += run.iterations
    if (run.faults.length > 0) t.fail(`seed ${seed} (${run.plot})`, { faults: run.faults.slice(0, 5) })
  }
  t.comment(JSON.stringify(totals))
  if (!only) for (const [name, count] of Object.entries(totals)) t.ok(count > RUNS, `${name}: ${count}`)
})

t.test('in virtual time, what else is in the process keeps its real timers', async (t) => {
  let other: NodeJS.Timeout | undefined
  const begun = new Promise<void>((resolve) => {
    setImmediate(() => {
      other = setTimeout(() => {}, 1_000_000)
      resolve()
    })
  })
  const { timersLeft } = await inVirtualTime(() => begun, { limitMs: 1, random: Math.random })
  t.equal(timersLeft, 0)
  t.type(other, 'object', 'a real one')
  clearTimeout(other)
})

t.test('the same over real sockets', async (t) => {
  const seeds = Array.from({ length: REAL_RUNS }, (_, index) => index + 1)
  const heard = await Promise.all(seeds.map((seed) => realRun(t, seed)))
  t.comment(`${heard.flat().length} events`)
})

/** Three clients, two of them late, and one chapter: a storm, then calm. */
async function realRun(t: Test, seed: number): Promise<number[]> {
  const random = seeded(seed)
  const manners = {
    ...WELL,
    ...{ drop: 0.1, repeat: 0.2, delay: 0.5, delayMs: 200, refuse: 0.1, failHttp: 0.2 },
  }
  const server = new UnrulyServer(random, manners)
  const wire = await listen(t, server, random)
  wire.refuse = 0.15
  const chapter = server.chapter(1)
  const clients = ['early', 'late', 'later'].map((token) => connectChapters(wire.url, { token }))
  t.teardown(() => {
    for (const client of clients) client.close()
  })
  const hear = async (client: number, after: number) => {
    const seqs: number[] = []
    for await (const { payload } of (clients[client] as Chapters).watch(1, { after })) seqs.push(payload.seq)
    return { after, seqs }
  }
  const heard = [hear(0, 0), hear(0, 0)]
  const snapshots = clients.map((client) => client.watch(1))
  for (const watch of snapshots) watch.subscribe(() => {})
  for (const until = performance.now() + REAL_STORM_MS; performance.now() < until; ) {
    await delay(random.below(150))
    // An end would be the end of those who listen.
    const isNearEnd = chapter.log.length > 25
    if (!chapter.isOver && !isNearEnd && random.chance(0.4)) server.advance(chapter)
    else if (random.chance(0.1)) wire.disturb(random.pick(['close', 'disconnect', 'silence']), random())
    else if (random.chance(0.02) && heard.length < 6)
      heard.push(hear(1 + random.below(2), random.below(chapter.log.length + 1)))
  }
  server.manners = WELL
  wire.refuse = 0
  if (!chapter.isOver) server.advance(chapter, 'end')
  // The last word may have been lost; who comes back is told.
  wire.disturb('close')

  const all = await Promise.all(heard)
  for (const { after, seqs } of all) {
    const end = seqs.at(-1) ?? after
    t.same(
      seqs,
      Array.from({ length: end - after }, (_, index) => after + 1 + index),
      `seed ${seed}, after ${after}`,
    )
  }
  for (const watch of snapshots) {
    await waitFor('the last snapshot', () => watch.snapshot.last_seq === chapter.log.length, {
      timeoutMs: 30_000,
    })
    const { status, last_seq } = watch.snapshot
    t.same({ status, last_seq }, { status: chapter.state?.status, last_seq: chapter.state?.lastSeq })
  }
  for (const client of clients) client.close()
  await waitFor('every connection is closed', () => wire.openCount === 0)
  return all.flatMap(({ seqs }) => seqs)
}
