/**
 * Text so far on three nodes: posts that land on each in turn, readers everywhere, a Redis that is away, a node that is
 * killed, and what it costs the database.
 */
import t from 'tap'
import { connectSocket, createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postPartial, readPartials, workOf } from '../support/partial.js'
import { startNodes } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

const TEXT = Array.from({ length: 400 }, (_, index) => `${index} 변수😀`).join(' ')

t.test('posts that land on one node after the other are one text for readers on each', async (t) => {
  const { nodes } = await startNodes(t, 3)
  const urlOf = (index: number) => nodes[index % 3]?.url ?? ''
  const id = await createChapter(urlOf(0))
  const work = await workOf(urlOf(0), id, 'concept')
  const readers = [await connectSocket(t, urlOf(0)), await connectSocket(t, urlOf(1))]
  for (const { ask } of readers) await ask('join_chapter', { chapter_id: id })
  const refused: unknown[] = []
  const step = Math.ceil(TEXT.length / 30)
  for (let round = 0, offset = 0; offset < TEXT.length; round += 1) {
    const text = TEXT.slice(offset, offset + step)
    const { body } = await postPartial(urlOf(round), id, 'concept', { text, offset }, work)
    if (body.status !== 'success') refused.push({ round, offset, ...body })
    offset = body.length
    if (round % 10 === 5) {
      const late = await connectSocket(t, urlOf(round + 1))
      await late.ask('join_chapter', { chapter_id: id })
      readers.push(late)
    }
  }
  t.same(refused, [], 'every node knows the length')
  t.match((await finish(urlOf(2), id, 'concept')).body, { status: 'success' })
  for (const { heard, hears } of readers) {
    await hears('concept_completed')
    const before = heard.slice(
      0,
      heard.findIndex(({ name }) => name === 'concept_completed'),
    )
    t.same(readPartials(before, id, 'concept'), { content: TEXT, attempt: 1, faults: [] })
    t.equal(
      heard.findLastIndex(({ name }) => name === 'concept_partial') < before.length,
      true,
      'none is late',
    )
  }
})

t.test('while Redis is away others read the text from the database within seconds', async (t) => {
  const { nodes } = await startNodes(t, 2, { proxies: true })
  const [one, two] = nodes
  if (one === undefined || two === undefined) throw new Error('two nodes')
  const id = await createChapter(one.url)
  const work = await workOf(one.url, id, 'concept')
  const reader = await connectSocket(t, two.url)
  await reader.ask('join_chapter', { chapter_id: id })
  await postPartial(one.url, id, 'concept', { text: 'before ' }, work)
  await reader.hears('concept_partial')
  one.redis.cut()
  two.redis.stall()
  await postPartial(one.url, id, 'concept', { text: 'during ', offset: 7 }, work)
  await waitFor('it is read', () => readPartials(reader.heard, id, 'concept').content === 'before during ')
  const appended = await postPartial(two.url, id, 'concept', { text: 'elsewhere', offset: 14 }, work)
  t.match(appended.body, { status: 'success', length: 23 }, 'the other node knows the length')
  one.redis.resume()
  two.redis.resume()
  await waitFor('Redis is back', async () => (await one.readyz()).dependencies.redis === 'ok', {
    timeoutMs: 30_000,
  })
  const whole = 'before during elsewhere'
  await waitFor('all is read', () => readPartials(reader.heard, id, 'concept').content === whole)
  t.same(readPartials(reader.heard, id, 'concept').faults, [])
})

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
