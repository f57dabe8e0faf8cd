import t from 'tap'
import { tableOf } from './table.js'

t.test('the table has a row for each measure that was taken, and compares with the floor', async (t) => {
  const table = tableOf([
    { program: 'floor', nodes: 1, figures: { webhookCpu: 0.5, joinsPerSecond: 1200 } },
    { program: 'chaptercast', nodes: 1, figures: { webhookCpu: 0.25 } },
    { program: 'chaptercast', nodes: 2, figures: { webhookCpu: 0.3 } },
  ])
  t.same(table.split('\n'), [
    '| on 1 / 2 nodes | floor | chaptercast | chaptercast / floor |',
    '| --- | --: | --: | --: |',
    '| webhook: CPU ms | 0.5 / – | 0.25 / 0.3 | 0.5 / – |',
    '| sockets that connect and join, a second | 1,200 / – |  |  |',
  ])
})
