import t from 'tap'
import { createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { frontOf, startNodes, type TestNode } from '../support/three-nodes.js'
import { compareWithLog, NOTHING_WRONG, watch } from '../support/watch.js'

const LONG = { timeoutMs: 60_000, everyMs: 20 }

t.test('a stock client is back in its rooms on another node after its node was killed', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2, { process: true })
  const [one, two] = nodes as [TestNode, TestNode]
  const front = await frontOf(t, one)
  const chapters = await Promise.all([createChapter(two.url), createChapter(two.url)])
  const watchers = await Promise.all(
    [{}, { transports: ['polling'] }, { transports: ['websocket'] }].map((options) =>
      watch(t, front.url, chapters, options),
    ),
  )
  front.leadTo(two)
  await one.kill()
  // Nobody is there yet: what comes now is replayed.
  for (const chapterId of chapters) await finish(two.url, chapterId, 'concept')
  await waitFor('all to be back', () => watchers.every(({ connections }) => connections === 2), LONG)
  for (const chapterId of chapters) {
    await finish(two.url, chapterId, 'exercise')
    await finish(two.url, chapterId, 'quiz')
  }
  const report = await compareWithLog(databaseUrl, watchers)
  t.match(report, NOTHING_WRONG)
  t.equal(report.heard, watchers.length * chapters.length * (8 + 4), 'the four it had are told again')
})
