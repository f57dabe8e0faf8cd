import t from 'tap'
import { judgeLog, type LoggedEvent } from './judge-log.js'

const log = (...names: (string | [string, LoggedEvent['payload']])[]): LoggedEvent[] =>
  names.map((event, index) => {
    const [name, payload] = typeof event === 'string' ? [event, {}] : event
    return { seq: index + 1, name, payload }
  })
const promisesOf = (events: LoggedEvent[], status = 'completed', lastSeq = events.length) =>
  judgeLog({ status, lastSeq }, events).map(([promise]) => promise)

const WHOLE = ['chapter_processing_started', 'concept_completed', 'all_completed'] as const

t.test('a log that keeps every promise is left alone', async (t) => {
  t.same(promisesOf(log(...WHOLE)), [])
  t.same(
    promisesOf(log('chapter_processing_started', 'chapter_failed', 'concept_completed', 'all_completed')),
    [],
  )
  t.same(
    promisesOf(
      log(
        ...WHOLE,
        ['concept_regenerating', { revision: 2 }],
        ['concept_completed', { revision: 2 }],
        'all_completed',
      ),
    ),
    [],
  )
})

t.test(
  'a late result of a regeneration that failed may complete the chapter again, and nothing else may',
  async (t) => {
    const again = (...names: (string | [string, LoggedEvent['payload']])[]) =>
      log(...WHOLE, ['concept_regenerating', { revision: 2 }], ...names)
    const failed: [string, LoggedEvent['payload']] = ['concept_failed', { kept: true }]
    const late: [string, LoggedEvent['payload']] = ['concept_completed', { revision: 2 }]
    t.same(promisesOf(again(failed, 'all_completed', late, 'all_completed')), [])
    t.same(promisesOf(again(failed, 'all_completed', 'all_completed')), ['ends'])
    t.same(promisesOf(again(failed, 'all_completed', late, 'all_completed', 'all_completed')), ['ends'])
    t.same(promisesOf(again(late, 'all_completed', ['quiz_completed', {}], 'all_completed')), ['ends'])
  },
)

t.test('a hole, a second end, a result that counted twice and a chapter that hangs are found', async (t) => {
  t.same(promisesOf(log(...WHOLE).toSpliced(1, 1), 'completed', 3), ['hole'])
  t.same(promisesOf(log(...WHOLE), 'completed', 4), ['hole'])
  t.same(promisesOf(log(...WHOLE, 'all_completed')), ['ends'])
  t.same(promisesOf(log('concept_completed', 'concept_completed', 'all_completed')), ['doubledResult'])
  t.same(promisesOf(log('concept_completed'), 'processing'), ['hanging'])
})

t.test('an attempt that a busy model cost is found', async (t) => {
  const retrying = (attempt: number) =>
    ['concept_retrying', { attempt, reason: 'rate_limited' }] as [string, LoggedEvent['payload']]
  t.same(promisesOf(log(retrying(1), ...WHOLE)), [])
  t.same(promisesOf(log(retrying(2), ...WHOLE)), ['busy'])
})
