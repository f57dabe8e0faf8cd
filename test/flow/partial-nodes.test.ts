/**
 * Text so far on three nodes: posts that land on each in turn, readers everywhere, and a Redis that is away.
 */
import t from 'tap'
import { connectSocket, createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postPartial, readPartials, workOf } from '../support/partial.js'
import { startNodes } from '../support/three-nodes.js'

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
