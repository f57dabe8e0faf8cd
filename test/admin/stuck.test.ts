import t from 'tap'
import { type StuckRules, stuckOf } from '../../src/admin/stuck.js'

const NOON = Date.parse('2026-01-31T12:00:00.000Z')
const SECOND_MS = 1000
const RULES: StuckRules = {
  now: NOON,
  isWindowed: false,
  pausedAt: {},
  queueTimeoutMs: 600 * SECOND_MS,
  unsentMs: 15 * SECOND_MS,
  unstartedMs: 60 * SECOND_MS,
  silentMs: 120 * SECOND_MS,
}
const ago = (seconds: number) => NOON - seconds * SECOND_MS
const QUEUED = {
  kind: 'quiz',
  status: 'queued',
  requestedAt: ago(3600),
  dueAt: ago(15),
  deadlineAt: null,
  lastHeardAt: null,
  leasedUntil: null,
  placedAt: null,
  endedAt: null,
} as const
const SENT = { ...QUEUED, status: 'published', deadlineAt: ago(60) + RULES.queueTimeoutMs } as const

t.test(
  'a job that waits for its retry is told with when its attempt ended and when the next one is due',
  async (t) => {
    const job = { ...QUEUED, dueAt: NOON + 1, endedAt: ago(5) }
    t.same(stuckOf(job, RULES), { why: 'waiting_for_retry', sinceAt: ago(5), untilAt: NOON + 1 })
    const paused = { ...RULES, pausedAt: { quiz: ago(100) } }
    t.equal(stuckOf(job, paused)?.why, 'waiting_for_retry', 'whatever else holds')
  },
)

t.test('a due job that nobody sends is told after fifteen seconds, and not before', async (t) => {
  t.same(stuckOf(QUEUED, RULES), { why: 'not_published', sinceAt: ago(15), untilAt: null })
  t.equal(stuckOf({ ...QUEUED, dueAt: ago(15) + 1 }, RULES), undefined)
})

t.test('a due job of a paused kind is told as paused, since its kind is', async (t) => {
  const rules = { ...RULES, pausedAt: { quiz: ago(5) } }
  t.same(stuckOf(QUEUED, rules), { why: 'paused', sinceAt: ago(5), untilAt: null })
  t.equal(stuckOf({ ...QUEUED, kind: 'concept' }, rules)?.why, 'not_published')
})

t.test('with a window a job without a place waits for one; with a place it is on its way', async (t) => {
  const rules = { ...RULES, isWindowed: true }
  t.equal(stuckOf(QUEUED, rules)?.why, 'window_full')
  t.equal(stuckOf({ ...QUEUED, placedAt: ago(10) }, rules)?.why, 'not_published')
  t.equal(stuckOf({ ...QUEUED, leasedUntil: NOON }, rules)?.why, 'not_published')
})

t.test('a job that was sent and that no worker began is told a minute after it was sent', async (t) => {
  t.same(stuckOf(SENT, RULES), { why: 'no_worker_started', sinceAt: ago(60), untilAt: SENT.deadlineAt })
  t.equal(stuckOf({ ...SENT, deadlineAt: SENT.deadlineAt + 1 }, RULES), undefined)
})

t.test('a job whose worker is heard is not stuck, and one whose worker fell silent is', async (t) => {
  t.equal(stuckOf({ ...SENT, lastHeardAt: ago(119) }, RULES), undefined)
  const silent = { why: 'silent', sinceAt: ago(120), untilAt: SENT.deadlineAt }
  t.same(stuckOf({ ...SENT, lastHeardAt: ago(120) }, RULES), silent)
})

t.test('a job that has ended is never stuck', async (t) => {
  for (const status of ['completed', 'failed', 'cancelled'] as const)
    t.equal(stuckOf({ ...QUEUED, status }, RULES), undefined)
})
