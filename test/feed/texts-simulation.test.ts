/**
 * Texts that grow on three nodes over a simulated Redis (`simulated-redis.ts`) and a database that answers late, with
 * readers that come at every moment. Workers post to one node after the other: they append, send all anew, repeat, go
 * back, and fail and begin again. Every reader puts together what it is given, without a gap or a repeat, and in the end has
 * what the worker has.
 *
 * The clocks of the nodes are the same to a millisecond, and so long a worker waits between two posts: of two texts that
 * none of both nodes has heard of the other, the later one counts by the clock. That the simulation can fail was tried by
 * hand: it does with a calm and a lossy Redis when a change is applied to whatever text is there.
 */
import t from 'tap'
import type { CommitGroups } from '../../src/chapters/commit-group.js'
import { catchUp, createPageReader } from '../../src/feed/catch-up.js'
import { createFeed, type RoomShare } from '../../src/feed/feed.js'
import { createTextIntake } from '../../src/feed/text-intake.js'
import type { PartialRow, PartialStore } from '../../src/store/partials.js'
import type { Heard } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { readPartials } from '../support/partial.js'
import { type Random, seeded } from '../support/random.js'
import { FakeLog } from './fake-log.js'
import { SimulatedRedis, WEATHERS, type Weather } from './simulated-redis.js'

const NODES = 3
const CHAPTERS = 30
const READERS = 4
const SEED = 1
/** A machine may be busy for seconds. */
const NEVER_MS = 60_000

interface Reader {
  chapterId: number
  heard: Heard[]
  room: RoomShare | undefined
}

/** A chapter's concept, as the database has it. */
interface Job {
  jobId: string
  attempt: number
  isOver: boolean
  /** What its worker has written. */
  text: string
}

for (const weather of WEATHERS)
  t.test(
    `with a ${weather} Redis, every reader has exactly the text that was written (${SEED})`,
    async (t) => {
      const world = buildWorld(SEED, weather)
      t.teardown(() => world.close())
      await world.run()
      const { readers, jobs } = world
      const open = readers.filter(({ room }) => room !== undefined)
      const contentOf = ({ heard, chapterId }: Reader) => readPartials(heard, chapterId, 'concept').content
      const isRight = (reader: Reader) => {
        const job = jobs.get(reader.chapterId)
        const wanted = job === undefined || job.isOver ? undefined : job.text
        return (contentOf(reader) ?? '') === (wanted ?? '')
      }
      await waitFor('everyone has the text', () => open.every(isRight)).catch(() => {})
      const updates = readers.flatMap(({ heard }) => heard.filter(({ name }) => name === 'concept_partial'))
      t.comment(`${open.length} readers, ${updates.length} updates, ${JSON.stringify(world.counts)}`)
      t.ok(updates.length > 300, `${updates.length} updates`)
      t.ok(world.counts.ignored > 20 && world.counts.goneOn > 20, 'lengths were wrong, and were right')
      const wrong = open.filter((reader) => !isRight(reader))
      t.same(
        wrong.map((reader) => [reader.chapterId, contentOf(reader), jobs.get(reader.chapterId)]).slice(0, 3),
        [],
      )
      t.same(
        readers
          .flatMap(({ heard, chapterId }) => readPartials(heard, chapterId, 'concept').faults)
          .slice(0, 5),
        [],
      )
      for (const { heard } of readers) {
        const end = heard.findIndex(({ name }) => name === 'concept_completed')
        const isLate = end >= 0 && heard.slice(end).some(({ name }) => name === 'concept_partial')
        if (isLate) t.fail('text after the end')
      }
      t.same(world.errors, [])
    },
  )

function buildWorld(seed: number, weather: Weather) {
  const random = seeded(seed)
  const { below, chance } = random
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, below(ms)))
  const log = new FakeLog()
  log.latency = () => pause(5)
  const redis = new SimulatedRedis({ random, pause }, weather)
  const jobs = new Map<number, Job>()
  const rows = new Map<number, PartialRow>()
  const errors: unknown[] = []
  const counts = { posts: 0, ignored: 0, goneOn: 0, writes: 0 }

  const isCurrent = (job: Job | undefined, { jobId, attempt }: { jobId: string; attempt: number }) =>
    job !== undefined && !job.isOver && job.jobId === jobId && job.attempt === attempt

  const page = log.page.bind(log)
  log.page = (chapterId, after) => {
    const found = page(chapterId, after)
    const row = rows.get(chapterId)
    return found && { ...found, partials: row && isCurrent(jobs.get(chapterId), row) ? [row] : [] }
  }

  const store: PartialStore = {
    async write(writes) {
      await pause(5)
      return writes.map(({ chapterId, kind, jobId, attempt, text }) => {
        counts.writes += 1
        if (!isCurrent(jobs.get(chapterId), { jobId, attempt })) return 'not current'
        if (chance(0.1)) return 'busy'
        const known = rows.get(chapterId)
        const isNewer = known === undefined || known.attempt !== attempt || known.stamp < (text?.stamp ?? 0)
        if (text !== null && isNewer) rows.set(chapterId, { kind, jobId, attempt, ...text })
        return 'written'
      })
    },
    async deleteEnded() {},
  }

  const nodes = Array.from({ length: NODES }, () => {
    const bus = redis.connect()
    const feed = createFeed({
      events: log,
      bus,
      ...{ holeMs: 4, repairMs: 25, textMs: 5, textHoleMs: 6 },
      // Less than all of it: what is forgotten is read again.
      textBytes: 20_000,
      toRoom() {},
      onError: (error) => errors.push(error),
    })
    const readPage = createPageReader(log)
    const groups = {
      async submit({ chapterId, named }: { chapterId: number; named: { jobId: string; attempt: number } }) {
        await pause(5)
        const job = jobs.get(chapterId)
        const answer = { message: '', chapter_id: chapterId }
        if (job === undefined || !isCurrent(job, named)) return { ...answer, status: 'ignored' }
        const lastSeq = log.chapters.get(chapterId)?.lastSeq ?? 0
        return { ...answer, status: 'success', work: { jobId: job.jobId, attempt: job.attempt, lastSeq } }
      },
    } as unknown as Pick<CommitGroups, 'submit'>
    const intake = createTextIntake({
      ...{ groups, feed, readPage, store, hasOthers: true, writeMs: 15, idleMs: 60 },
      policy: { timeoutMs: 1_000_000, heartbeatMs: 1_000_000 },
      now: () => performance.timeOrigin + performance.now(),
      onError: (error) => errors.push(error),
    })
    return { bus, feed, readPage, intake }
  })
  const anyNode = () => nodes[below(NODES)] as (typeof nodes)[number]

  function commit(
    chapterId: number,
    name: 'concept_completed' | 'concept_retrying' | 'concept_started',
    attempt: number,
  ) {
    const entry = log.commit(chapterId, [name])
    Object.assign(entry.events[0]?.payload ?? {}, { attempt })
    anyNode().feed.publish([entry])
    if (chance(0.05)) void anyNode().bus.breakConnection()
  }

  async function work(chapterId: number, random: Random): Promise<void> {
    const { below, chance } = random
    const job: Job = { jobId: `job ${chapterId}`, attempt: 1, isOver: false, text: '' }
    let longest = 0
    jobs.set(chapterId, job)
    commit(chapterId, 'concept_started', 1)
    const letters = () =>
      Array.from({ length: 1 + below(20) }, () => random.pick(['a', 'b ', '변', '😀', '\n'])).join('')
    for (let left = 8 + below(15); left > 0; left--) {
      await pause(30)
      await new Promise((resolve) => setTimeout(resolve, 2))
      counts.posts += 1
      const kind = random()
      let text = kind < 0.1 ? [...job.text].slice(0, below(20)).join('') : job.text + letters()
      if (kind > 0.95) text = letters()
      const isAppended = kind >= 0.1 && kind < 0.7
      let offset: number | undefined = isAppended ? job.text.length : undefined
      for (const since = performance.now(); ; ) {
        if (performance.now() - since > NEVER_MS) throw new Error('a text is never taken')
        const content = offset === undefined ? { text } : { text: text.slice(offset), offset }
        const { jobId, attempt } = job
        const answer = await anyNode().intake.post({
          chapterId,
          kind: 'concept',
          named: { jobId, attempt },
          content,
        })
        if (answer.status === 'success') {
          if (offset !== undefined) counts.goneOn += 1
          if (answer.length !== text.length) errors.push(`length ${answer.length} of ${text.length}`)
          break
        }
        counts.ignored += 1
        // What it has is another text after a lost message: all is sent anew, soon or after a while.
        const isBehind = answer.length > 0 && text.length >= answer.length && chance(0.7)
        offset = isBehind || performance.now() - since > 1000 ? undefined : offset
      }
      job.text = text
      longest = Math.max(longest, text.length)
      if (chance(0.1)) {
        // A node that missed that the text became shorter may still have any length that it had before.
        const wrong = { text: 'wrong', offset: longest + 1 + below(3) }
        const named = { jobId: job.jobId, attempt: job.attempt }
        const { status } = await anyNode().intake.post({ chapterId, kind: 'concept', named, content: wrong })
        if (status === 'ignored') counts.ignored += 1
        else errors.push('a wrong offset was taken')
      }
      if (chance(0.05)) {
        job.attempt += 1
        job.text = ''
        commit(chapterId, 'concept_retrying', job.attempt)
      }
    }
    if (chance(0.4)) {
      job.isOver = true
      commit(chapterId, 'concept_completed', job.attempt)
    }
  }

  async function read(reader: Reader): Promise<void> {
    const { chapterId, heard } = reader
    await pause(700)
    for (;;) {
      const { feed, readPage } = anyNode()
      const from = heard.length
      await catchUp({
        ...{ feed, readPage, chapterId, after: 0, isWanted: () => true },
        onCaughtUp({ room, missed }) {
          reader.room = room
          heard.push(...missed, ...room.partials)
          room.listen({
            event: (event) => heard.push(event),
            progress() {},
            partial: (update) => heard.push(update),
          })
        },
      })
      await pause(400)
      if (!chance(0.4)) return
      // Elsewhere, from the beginning, as after a reload.
      reader.room?.close()
      reader.room = undefined
      heard.splice(0, from + heard.length)
    }
  }

  const readers = Array.from({ length: CHAPTERS * READERS }, (_, index): Reader => {
    return { chapterId: 1 + (index % CHAPTERS), heard: [], room: undefined }
  })
  return {
    ...{ readers, jobs, errors, counts },
    async run() {
      const workers = Array.from({ length: CHAPTERS }, (_, index) =>
        work(1 + index, seeded(seed * 1000 + index)),
      )
      await Promise.all([...workers, ...readers.map(read)])
    },
    async close() {
      await Promise.all(nodes.map(({ intake }) => intake.close()))
      for (const { room } of readers) room?.close()
      await Promise.all(nodes.map(({ feed }) => feed.close()))
    },
  }
}
