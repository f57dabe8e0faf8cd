import t from 'tap'
import { createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { holdWrites } from '../support/gate.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { compareWithLog, latenessOf, NOTHING_WRONG, readLog, watch } from '../support/watch.js'

t.test('a node killed between commit and broadcast: the others tell of it', async (t) => {
  const system = await startNodes(t, 1, { process: true })
  const { databaseUrl, redisPrefix } = system
  const [one] = system.nodes as [TestNode]
  const { nodes } = await startNodes(t, 2, { databaseUrl, env: { REDIS_PREFIX: redisPrefix } })
  const others = nodes as [TestNode, TestNode]
  const chapterId = await createChapter(one.url)
  const watchers = await Promise.all(others.map(({ url }) => watch(t, url, [chapterId])))
  const gate = await holdWrites(t, databaseUrl, 'update')
  const lost = finish(one.url, chapterId, 'concept').catch(() => 'no answer')
  const answered = lost.then((answer) => {
    throw new Error(`answered before the gate: ${JSON.stringify(answer)}`)
  })
  await Promise.race([gate.isReached(), answered])
  // It is decided, but neither has the node heard that it is written, nor will it tell anybody.
  await one.kill()
  t.equal(await lost, 'no answer')
  await gate.open()
  const committedAt = performance.now()
  const log = await readLog(databaseUrl)
  t.equal(log.get(chapterId)?.at(-1)?.name, 'concept_completed')

  await waitFor('the others to hear', () => watchers.every(({ heard }) => heard.length === 5))
  const lateMs = watchers.map(({ heard }) => Math.round((heard.at(-1)?.at ?? 0) - committedAt))
  t.comment(`heard ${lateMs.join(' and ')} ms after the commit`)
  const repeat = await finish(others[0].url, chapterId, 'concept')
  t.match(repeat.body, { status: 'duplicate' }, 'whoever asks again learns that it counted')
  for (const kind of ['exercise', 'quiz'] as const) await finish(others[1].url, chapterId, kind)
  t.match(await compareWithLog(databaseUrl, watchers), NOTHING_WRONG)
  t.ok(latenessOf(watchers).maxMs > 0)
})
