import t, { type Test } from 'tap'
import type { DeadLetter, GenerationMessage } from '../../src/contract/generation.js'
import { createLocalQueue } from '../../src/dispatch/local-queue.js'
import type { JobQueue } from '../../src/dispatch/queue.js'
import type { JobRef } from '../../src/store/jobs.js'
import { waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { MESSAGE, withHeaders } from '../support/message.js'
import { gate } from '../support/node.js'

const NOW = Date.parse('2026-01-31T09:00:00.000Z')
const never = new AbortController().signal
const job = (job_id: string, attempt = 1) => withHeaders({ ...MESSAGE, job_id, attempt })
/** How the database knows the jobs of these ids. */
const refs = (...jobIds: string[]) => jobIds.map((jobId) => ({ chapterId: 1, kind: 'concept', jobId }))

t.test('a job is held in the database before its work begins', async (t) => {
  const { queue, did, held } = queueFor(t)
  const holding = gate()
  held.before = () => holding.wait()
  const publishing = queue.publish([job('a'), job('b')], never)
  await holding.passed
  t.strictSame(did, [])
  holding.open()
  await publishing
  t.strictSame(did, ['work a 1', 'work b 1'])
  t.match(held.calls, [{ jobs: refs('a', 'b'), until: NOW + 9000 }])
})

t.test('a hold that fails, or comes too late, means that nothing was taken', async (t) => {
  const { queue, did, held } = queueFor(t)
  held.before = () => {
    throw new Error('the database is away')
  }
  await t.rejects(queue.publish([job('a')], never), { message: 'the database is away' })
  held.before = () => {}
  await t.rejects(queue.publish([job('a')], AbortSignal.abort(new Error('too late'))), {
    message: 'too late',
  })
  t.strictSame(did, [])
  t.equal(queue.capacity, 1000)
})

t.test('a job that is given twice is worked on once', async (t) => {
  const { queue, did } = queueFor(t)
  await queue.publish([job('a')], never)
  await queue.publish([job('a'), job('b'), job('b')], never)
  t.strictSame(did, ['work a 1', 'work b 1'])
  t.equal(queue.capacity, 998)
})

t.test('a newer attempt ends the work on the older one', async (t) => {
  const { queue, did } = queueFor(t)
  await queue.publish([job('a', 1)], never)
  await queue.publish([job('a', 2)], never)
  await waitFor('both are seen to', () => did.length === 3)
  t.strictSame(did, ['work a 1', 'abort a 1', 'work a 2'])
  t.equal(queue.capacity, 999, 'only the newer one counts')
})

t.test('an older attempt that comes late does not end the work on the newer one', async (t) => {
  const { queue, did } = queueFor(t)
  await queue.publish([job('a', 2)], never)
  await queue.publish([job('a', 1), job('b')], never)
  t.strictSame(did, ['work a 2', 'work b 1'])
})

t.test('work that is done makes room', async (t) => {
  const { queue, finish } = queueFor(t)
  await queue.publish([job('a'), job('b')], never)
  t.equal(queue.capacity, 998)
  finish('a')
  await waitFor('the room is there', () => queue.capacity === 999)
})

t.test('no more than two hundred are worked on at once, and none is forgotten', async (t) => {
  const { queue, did, finish } = queueFor(t)
  const ids = Array.from({ length: 450 }, (_, i) => `${i}`)
  await queue.publish(
    ids.map((id) => job(id)),
    never,
  )
  t.equal(did.length, 200)
  for (const id of ids) {
    await waitFor(`${id} is worked on`, () => did.includes(`work ${id} 1`))
    finish(id)
  }
  await waitFor('all are done', () => queue.capacity === 1000)
})

t.test('a worker that fails lets go of its job, which then comes again', async (t) => {
  const { queue, did, finish, lines } = queueFor(t)
  await queue.publish([job('a')], never)
  finish('a', new Error('the webhook is away'))
  await waitFor('it is let go', () => queue.capacity === 1000)
  t.match(lines, [{ level: 'warn', fields: { job_id: 'a', attempt: 1, kind: 'concept', chapter_id: 1 } }])
  await queue.publish([job('a')], never)
  t.strictSame(did, ['work a 1', 'work a 1'])
})

t.test('while work goes on its hold is renewed', async (t) => {
  const { queue, held } = queueFor(t)
  await queue.publish([job('a'), job('b')], never)
  const renewed = await waitFor('the renewal', () => held.calls[1])
  t.strictSame(renewed, { jobs: refs('a', 'b'), until: NOW + 9000 })
})

t.test(
  'closing aborts the work and gives its jobs up, so that another process may have them at once',
  async (t) => {
    const { queue, did, held } = queueFor(t)
    await queue.publish([job('a'), job('b')], never)
    await queue.close()
    t.strictSame(did, ['work a 1', 'work b 1', 'abort a 1', 'abort b 1'])
    t.match(held.calls.at(-1), { jobs: refs('a', 'b'), until: NOW })
  },
)

t.test('closing with nothing to do asks the database for nothing', async (t) => {
  const { queue, held } = queueFor(t)
  await queue.close()
  t.strictSame(held.calls, [])
})

t.test('without a worker nothing is held: whoever wants to answers by hand', async (t) => {
  const { queue, held } = queueFor(t, { isIdle: true })
  await queue.publish([job('a')], never)
  t.equal(queue.capacity, 1000)
  t.strictSame(held.calls, [])
})

t.test('a dead letter is told to the log', async (t) => {
  const { queue, lines } = queueFor(t)
  const letter: DeadLetter = {
    ...job('a', 3).value,
    reason: 'refused',
    error: 'no',
    failed_at: MESSAGE.requested_at,
  }
  await queue.publishDeadLetters([withHeaders(letter)], never)
  t.match(lines, [{ level: 'warn', fields: { job_id: 'a', attempt: 3, reason: 'refused', error: 'no' } }])
})

/** A queue whose worker writes down what it is told and goes on until `finish`, or until it is aborted. */
function queueFor(t: Test, { isIdle = false } = {}) {
  const did: string[] = []
  const lines: LogLine[] = []
  const endings = new Map<string, (error?: Error) => void>()
  const held = {
    calls: [] as { jobs: JobRef[]; until: number }[],
    before: (): Promise<void> | void => {},
  }
  const work = ({ job_id, attempt }: GenerationMessage, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      did.push(`work ${job_id} ${attempt}`)
      endings.set(job_id, (error) => (error === undefined ? resolve() : reject(error)))
      signal.addEventListener('abort', () => {
        did.push(`abort ${job_id} ${attempt}`)
        reject(signal.reason)
      })
    })
  const queue: JobQueue = createLocalQueue({
    work: isIdle ? undefined : work,
    async hold(jobs, until) {
      await held.before()
      held.calls.push({ jobs, until })
    },
    now: () => NOW,
    log: silentLog((line) => lines.push(line)),
  })
  t.teardown(() => queue.close())
  return { queue, did, held, lines, finish: (id: string, error?: Error) => endings.get(id)?.(error) }
}
