/**
 * Single faults of a connection, and how soon the client is over them; in virtual time.
 */
import t from 'tap'
import { type ConnectOptions, connectChapters } from '../../src/client/index.js'
import { Room } from '../../src/client/room.js'
import { seeded } from '../support/random.js'
import { GOOD_LINE, MemoryWire } from './memory-wire.js'
import { UnrulyServer, WELL } from './unruly-server.js'
import { inVirtualTime } from './virtual-time.js'

const passes = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function until(check: () => boolean): Promise<void> {
  while (!check()) await passes(10)
}

/** A well-mannered server, one client and a chapter with four events. */
function world(options: ConnectOptions = {}) {
  const server = new UnrulyServer(seeded(1), WELL)
  const wire = new MemoryWire(server, seeded(2), GOOD_LINE)
  const chapters = connectChapters('http://server.test', {
    ...options,
    fetch: server.fetch,
    socket: { transports: wire.transportsFor('client') },
  })
  const chapter = server.chapter(1)
  chapter.advance(server.random, Date.now())
  const hear = (after = 0) => {
    const seqs: number[] = []
    const done = (async () => {
      for await (const { payload } of chapters.watch(1, { after })) seqs.push(payload.seq)
    })()
    done.catch(() => {})
    return { seqs, done }
  }
  return { server, wire, chapters, chapter, hear }
}

const inTime = (task: () => Promise<void>) => inVirtualTime(task, { limitMs: 10 * 60_000, random: seeded(3) })

t.test('an event that was lost is asked for within seconds, however much progress comes', async (t) => {
  await inTime(async () => {
    const { server, chapters, chapter, hear } = world()
    const { seqs } = hear()
    await until(() => seqs.length === 4)
    server.manners = { ...WELL, drop: 1 }
    while (chapter.log.length === 4) server.advance(chapter)
    server.manners = WELL
    const known = chapter.log.length
    while (chapter.log.length === known) server.advance(chapter)
    const lostAt = Date.now()
    while (seqs.length < known) {
      server.tellProgress(chapter)
      await passes(100)
    }
    const tookMs = Date.now() - lostAt
    t.ok(tookMs < 6000, `it took ${tookMs} ms`)
    chapters.close()
  })
})

for (const [how, manners, limitMs] of [
  ['is refused for now', { refuse: 1 }, 3000],
  ['is never answered', { unanswered: 1, drop: 1 }, 25_000],
] as const)
  t.test(`a join that ${how} is asked again, on the same connection`, async (t) => {
    await inTime(async () => {
      const { server, wire, chapters, hear } = world()
      server.manners = { ...WELL, ...manners }
      let joins = 0
      server.onJoin = () => {
        joins += 1
      }
      const { seqs } = hear()
      await until(() => joins === 1)
      server.manners = WELL
      const askedAt = Date.now()
      await until(() => seqs.length === 4)
      const tookMs = Date.now() - askedAt
      t.ok(tookMs < limitMs, `it took ${tookMs} ms`)
      t.equal(wire.begun, 1)
      chapters.close()
    })
  })

t.test('another life is noticed, also when an earlier place is asked for meanwhile', async (t) => {
  await inTime(async () => {
    const { server, wire, chapters, chapter, hear } = world()
    const first = hear()
    while (chapter.log.length < 7) server.advance(chapter)
    const last = chapter.log.length
    await until(() => first.seqs.length === last)
    const resumed = hear(last)
    chapter.beginAnotherLife()
    chapter.advance(server.random, Date.now())
    wire.disturb('close')
    const early = hear()
    await until(() => resumed.seqs.length === 4)
    server.advance(chapter, 'end')
    await Promise.all([first.done, resumed.done, early.done])
    const anew = chapter.log.map(({ payload }) => payload.seq)
    t.same(first.seqs.slice(last), anew)
    t.same(resumed.seqs, anew)
    t.same(early.seqs.slice(-anew.length), anew)
    chapters.close()
  })
})

t.test('a token that comes too late does not speak for the next connection', async (t) => {
  await inTime(async () => {
    let asked = 0
    const { wire, chapters, hear } = world({
      token: async () => {
        asked += 1
        // Longer than the server waits for a client to say what it wants.
        if (asked === 1) await passes(45_600)
        if (asked === 2) await passes(5000)
        return `token ${asked}`
      },
    })
    const { seqs } = hear()
    await until(() => seqs.length === 4)
    t.equal(wire.repeatedConnects, 0)
    chapters.close()
  })
})

t.test('a connection that went silent is replaced within seconds of waking', async (t) => {
  await inVirtualTime(
    async () => {
      const { server, wire, chapters, chapter, hear } = world()
      const { seqs } = hear()
      await until(() => seqs.length === 4)
      wire.disturb('silence')
      while (chapter.log.length === 4) server.advance(chapter)
      const realNow = Date.now
      Date.now = () => realNow() + 3_600_000
      const wokeAt = Date.now()
      await until(() => seqs.length === chapter.log.length)
      const tookMs = Date.now() - wokeAt
      t.ok(tookMs < 10_000, `it took ${tookMs} ms`)
      Date.now = realNow
      chapters.close()
    },
    { limitMs: 10 * 60_000, random: seeded(3) },
  )
})

t.test('what a chapter once was does not flash by', async (t) => {
  await inTime(async () => {
    const { server, chapters, chapter } = world()
    server.advance(chapter, 'end')
    const watch = chapters.watch(1)
    const statuses = new Set<string | null>()
    watch.subscribe(() => statuses.add(watch.snapshot.status))
    await until(() => watch.snapshot.last_seq === chapter.log.length)
    t.same([...statuses], [null, 'completed'])
    chapters.close()
  })
})

t.test('a room that nobody follows is left, while another one is followed', async (t) => {
  await inTime(async () => {
    const { server, chapters, chapter } = world()
    server.advance(server.chapter(2))
    const stop = chapters.watch(1).subscribe(() => {})
    const other = chapters.watch(2)
    other.subscribe(() => {})
    await until(() => other.snapshot.last_seq === 4 && server.membersOf(chapter) === 1)
    stop()
    await until(() => server.membersOf(chapter) === 0)
    t.equal(other.snapshot.connection, 'live')
    chapters.close()
  })
})

const NO_LINK = { enter() {}, leave() {}, rejoin() {}, close() {} }

t.test('of a replay that was cut off nothing is shown', async (t) => {
  await inTime(async () => {
    const http = () => Promise.reject(new Error('not asked'))
    const room = new Room(1, 0, { link: NO_LINK, http, disposed() {} })
    const follower = { changed() {} }
    room.follow(follower, 0)
    room.joined({ chapter_id: 1, status: 'completed', progress: 100, last_seq: 9 })
    const more = { chapter_id: 1, message: '', at: new Date().toISOString() }
    room.event({
      name: 'chapter_processing_started',
      payload: { ...more, seq: 1, status: 'processing_started', title: '변수' },
    })
    room.event({ name: 'chapter_failed', payload: { ...more, seq: 2, status: 'failed', failed: ['quiz'] } })
    room.disconnected()
    t.match(room.snapshot, { connection: 'reconnecting', status: null, last_seq: 0 })
    t.same(room.events, [])
    room.unfollow(follower)
  })
})

t.test('a request waits for a busy server as long as that wants, up to half a minute', async (t) => {
  await inTime(async () => {
    for (const [seconds, limitMs] of [
      [45, 0],
      [8, 30_000],
    ] as const) {
      const fetch = async () =>
        new Response('busy', { status: 503, headers: { 'retry-after': `${seconds}` } })
      const begunAt = Date.now()
      const error = await connectChapters('http://server.test', { fetch })
        .get(1)
        .catch((reason: unknown) => reason)
      const tookMs = Date.now() - begunAt
      t.match(error, { name: 'RefusedError', status: 503, retryAfterMs: seconds * 1000 })
      t.ok(tookMs <= limitMs, `it took ${tookMs} ms`)
    }
  })
})

t.test('a view or an answer that counts events which are still on their way ends nothing', async (t) => {
  await inTime(async () => {
    const view = { last_seq: 9, status: 'completed', title: '변수', progress: 100, jobs: [] }
    const http = <T>() => Promise.resolve(view as T)
    const room = new Room(1, 8, { link: NO_LINK, http, disposed() {} })
    const follower = { changed() {} }
    room.follow(follower, 8)
    room.joined({ chapter_id: 1, status: 'processing', progress: 50, last_seq: 8 })
    await passes(10)
    t.notOk(room.isEnded)
    const all = { chapter_id: 1, message: '', at: new Date().toISOString(), status: 'all_completed' } as const
    room.event({ name: 'all_completed', payload: { ...all, seq: 9 } })
    t.ok(room.isEnded)
    room.hearOf(10)
    t.notOk(room.isEnded, 'a retry was accepted')
    room.unfollow(follower)
    room.close()
  })
})
