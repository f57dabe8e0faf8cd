/**
 * Text so far: a node that is killed, and what it costs the database.
 */
import t from 'tap'
import { connectSocket, createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postPartial, readPartials, workOf } from '../support/partial.js'
import { startNodes } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

const TEXT = Array.from({ length: 400 }, (_, index) => `${index} 변수😀`).join(' ')

t.test(
  'a node that is killed in the middle takes at most a second of the text, and the next post mends it',
  async (t) => {
    const { nodes } = await startNodes(t, 2, { process: true })
    const [one, two] = nodes
    if (one === undefined || two === undefined) throw new Error('two nodes')
    const id = await createChapter(two.url)
    const work = await workOf(two.url, id, 'concept')
    let offset = 0
    let killedAt = 0
    const lengths: [at: number, length: number][] = []
    const until = performance.now() + 3000
    // One character at a time, and never to the end, however fast the machine is.
    while (performance.now() < until && offset < TEXT.length - 10) {
      const text = TEXT.slice(offset, offset + 1)
      const { body } = await postPartial(one.url, id, 'concept', { text, offset }, work)
      offset = body.length
      lengths.push([performance.now(), offset])
    }
    await one.kill()
    killedAt = performance.now()
    const answer = await postPartial(two.url, id, 'concept', { text: 'x', offset: TEXT.length }, work)
    t.match(answer.body, { status: 'ignored' })
    const { length } = answer.body
    const expected = lengths.findLast(([at]) => at < killedAt - 1000)?.[1] ?? 0
    t.ok(length >= expected, `${length} of ${offset} are left, at least ${expected}`)
    const reader = await connectSocket(t, two.url)
    await reader.ask('join_chapter', { chapter_id: id })
    const rest = await postPartial(two.url, id, 'concept', { text: TEXT.slice(length), offset: length }, work)
    t.match(rest.body, { status: 'success', length: TEXT.length })
    await waitFor('the reader has all', () => readPartials(reader.heard, id, 'concept').content === TEXT)
    t.same(readPartials(reader.heard, id, 'concept').faults, [])
  },
)

t.test('a worker that posts every token costs two small writes a second, and none of the log', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1, { redisUrl: false })
  const url = nodes[0]?.url ?? ''
  const id = await createChapter(url)
  const work = await workOf(url, id, 'concept')
  const reader = await connectSocket(t, url)
  await reader.ask('join_chapter', { chapter_id: id })
  await postPartial(url, id, 'concept', { text: TEXT.slice(0, 1) }, work)
  const writes = async () => {
    const [row] = await query<{ partial: string; job: string; chapter: string; event: string }>(
      databaseUrl,
      `select sum(n_tup_ins + n_tup_upd) filter (where relname = 'partial') as partial,
        sum(n_tup_upd) filter (where relname = 'job') as job,
        sum(n_tup_upd) filter (where relname = 'chapter') as chapter,
        sum(n_tup_ins) filter (where relname = 'event') as event from pg_stat_user_tables`,
    )
    return {
      partial: Number(row?.partial),
      job: Number(row?.job),
      chapter: Number(row?.chapter),
      event: Number(row?.event),
    }
  }
  // PostgreSQL counts late: settled is what two looks in a row say.
  const settled = () => {
    let last: string | undefined
    return waitFor(
      'the counters stand still',
      async () => {
        await query(databaseUrl, 'select pg_stat_clear_snapshot()')
        const counted = await writes()
        const [before, now] = [last, JSON.stringify(counted)]
        last = now
        return before === now ? counted : undefined
      },
      { timeoutMs: 20_000, everyMs: 1500 },
    )
  }
  const before = await settled()
  const begun = performance.now()
  let posts = 0
  for (let length = 1; performance.now() - begun < 4000 || posts < 200; ) {
    const at = performance.now()
    const burst = Array.from({ length: 20 }, () => {
      length += 1
      return postPartial(url, id, 'concept', { text: TEXT.slice(0, length) }, work)
    })
    for (const { body } of await Promise.all(burst)) if (body.status === 'success') posts += 1
    await waitFor('a tenth of a second is over', () => performance.now() - at >= 100, { everyMs: 2 })
  }
  const seconds = (performance.now() - begun) / 1000
  const after = await settled()
  const written = { ...after }
  for (const name of ['partial', 'job', 'chapter', 'event'] as const) written[name] -= before[name]
  const heard = reader.heard.filter(({ name }) => name === 'concept_partial').length
  t.comment(`${posts} posts in ${seconds.toFixed(1)} s: ${JSON.stringify(written)}, ${heard} updates`)
  t.ok(written.partial + written.job <= 2 * (seconds + 1), JSON.stringify(written))
  t.match(written, { chapter: 0, event: 0 })
  t.ok(heard <= 5 * (seconds + 1), `${heard} updates`)
  const last = TEXT.slice(0, posts + 1)
  await waitFor('the last one is heard', () => readPartials(reader.heard, id, 'concept').content === last)
})
