/**
 * Text so far of one chapter on one node: over the bus, between other events, and within bounds.
 */
import t from 'tap'
import type { PartialUpdate } from '../../src/contract/partial.js'
import { KindText, TextMemory, type TextMessage } from '../../src/feed/texts.js'
import { waitFor } from '../support/condition.js'
import { FakeLog, recordFeed } from './fake-log.js'

const JOB = { jobId: 'a', attempt: 1 }

function message(
  stamp: number,
  follows: number,
  offset: number,
  content: string,
  more: object = {},
): TextMessage {
  const length = offset + content.length
  return { kind: 'concept', ...JOB, stamp, follows, offset, content, length, half: '', ...more }
}

function openText(t: Parameters<typeof recordFeed>[0], { textMs = 0 } = {}) {
  const log = new FakeLog()
  log.commit(1)
  const heard: string[] = []
  const recorded = recordFeed(t, log, { textMs, textHoleMs: 5 })
  const room = recorded.feed.open(1)
  room.absorb(log.page(1))
  const say = ({ payload }: PartialUpdate) =>
    heard.push(`${payload.offset} ${'text' in payload ? payload.text : ''}`)
  room.listen({ event: ({ name }) => heard.push(name), progress() {}, partial: say })
  const take = (next: TextMessage) => recorded.bus.deliverText(1, next)
  return { ...recorded, log, room, heard, take }
}

t.test('a change that follows is applied, and what comes twice or late is dropped', async (t) => {
  const { heard, take } = openText(t)
  take(message(1, 0, 0, 'one '))
  take(message(2, 1, 4, 'two '))
  take(message(2, 1, 4, 'two '))
  take(message(1, 0, 0, 'one '))
  take(message(3, 2, 8, 'three'))
  await waitFor('three', () => heard.length === 3)
  t.same(heard, ['0 one ', '4 two ', '8 three'])
})

t.test('a change whose text is missing waits, and the database tells it', async (t) => {
  const { heard, take, log, room } = openText(t)
  take(message(1, 0, 0, 'one '))
  take(message(3, 2, 8, 'three'))
  t.same(heard, ['0 one '])
  const page = log.page.bind(log)
  const row = { kind: 'concept', ...JOB, stamp: 2, length: 8, content: 'one two ' } as const
  log.page = (id, after) => {
    const found = page(id, after)
    return found && { ...found, partials: [row] }
  }
  await waitFor('all', () => room.partials[0]?.payload)
  await waitFor('the rest', () => heard.join('').includes('three'))
  t.equal(heard.map((each) => each.slice(2)).join(''), 'one two three')
})

t.test('what waits to be sent is sent before the end of its attempt rather than after it', async (t) => {
  const { heard, take, log, deliver, room } = openText(t, { textMs: 60_000 })
  take(message(1, 0, 0, 'one '))
  take(message(2, 1, 4, 'two'))
  deliver([log.commit(1, ['concept_completed'])])
  take(message(3, 2, 7, ' late'))
  take(message(4, 0, 0, 'anew'))
  t.same(heard, ['0 one ', '4 two', 'concept_completed'])
  t.same(room.partials, [])
})

t.test('text of the next attempt that overtakes its event is not lost with the attempt before', async (t) => {
  const { heard, take, log, deliver } = openText(t)
  take(message(1, 0, 0, 'first'))
  const retrying = log.commit(1, ['concept_retrying'])
  Object.assign(retrying.events[0]?.payload ?? {}, { attempt: 2 })
  deliver([retrying])
  take(message(2, 1, 5, ' late'))
  take(message(3, 0, 0, 'second', { attempt: 2 }))
  await waitFor('the second', () => heard.at(-1) === '0 second')
  t.same(heard, ['0 first', 'concept_retrying', '0 second'])
})

t.test('a text is sent four times a second at most, and the last one always', async (t) => {
  const { heard, take } = openText(t, { textMs: 100 })
  const begun = performance.now()
  let stamp = 0
  await waitFor('half a second is over', () => {
    take(message(stamp + 1, stamp, stamp, 'x'))
    stamp += 1
    return performance.now() - begun > 500
  })
  await waitFor(
    'the last one',
    () => heard.reduce((sum, each) => sum + (each.split(' ')[1] ?? '').length, 0) === stamp,
  )
  // A timer of Node may be a millisecond early.
  t.ok(heard.length <= (performance.now() - begun) / 98 + 1, `${heard.length} updates`)
})

t.test('a node holds so much text and no more; what is forgotten is sent from its beginning', async (t) => {
  const sent: PartialUpdate[] = []
  const memory = new TextMemory(10_000)
  const texts = Array.from({ length: 10 }, (_, index) => {
    const options = { textMs: 0, textHoleMs: 5, memory, isOpen: () => true, onHole() {} }
    return new KindText(index, 'concept', { ...options, send: (update) => sent.push(update) })
  })
  const write = (index: number, content: string) =>
    texts[index]?.write(JOB, { content, length: content.length, half: '' }, Date.now())
  for (let round = 1; round <= 3; round += 1)
    for (const index of texts.keys()) {
      write(index, 'x'.repeat(round * 1000))
      t.ok(memory.bytes <= 10_000, `${memory.bytes} bytes`)
    }
  t.equal(texts[0]?.whole(), undefined)
  t.match(write(0, 'anew'), { follows: 0, offset: 0, content: 'anew' })
  t.match(sent.at(-1)?.payload, { chapter_id: 0, offset: 0, text: 'anew' })
  for (const text of texts) text.stop()
  t.equal(memory.bytes, 0)
})
