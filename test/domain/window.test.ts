import t from 'tap'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import {
  type Ends,
  HALVE_ONCE_IN_MS,
  isWindowed,
  NARROW_FOR_MS,
  placesOf,
  type Widths,
  type WindowLimits,
  widthsAfter,
  windowOf,
} from '../../src/domain/window.js'
import { frozen, NOON } from '../support/chapters.js'

const NONE: WindowLimits = { all: 0, concept: 0, exercise: 0, quiz: 0 }
const none = () => Object.fromEntries(JOB_KINDS.map((kind) => [kind, 0])) as Record<JobKind, number>
const ends = (
  completed: Partial<Ends['completed']>,
  rateLimited: Partial<Ends['rateLimited']> = {},
): Ends => ({
  completed: { ...none(), ...completed },
  rateLimited: { ...none(), ...rateLimited },
})
const limitedOnce = ends({}, { concept: 1 })
const after = (widths: Widths, limits: WindowLimits, what: Ends, now = NOON) =>
  widthsAfter(frozen(widths), limits, what, now)

t.test('there is a window as soon as one is set, and a kind’s own comes first', async (t) => {
  t.equal(isWindowed(NONE), false)
  for (const name of ['all', ...JOB_KINDS]) t.equal(isWindowed({ ...NONE, [name]: 1 }), true)
  t.equal(windowOf('quiz', NONE), undefined)
  t.equal(windowOf('quiz', { ...NONE, all: 5 }), 'all')
  t.equal(windowOf('quiz', { ...NONE, all: 5, quiz: 2 }), 'quiz')
  t.equal(windowOf('concept', { ...NONE, quiz: 2 }), undefined)
})

t.test(
  'a rate limit halves the window, once for all who ran into it, and never below one place',
  async (t) => {
    const limits = { ...NONE, all: 9 }
    let widths = after({}, limits, ends({}, { concept: 3, quiz: 2 }))
    t.same(widths, { all: { width: 4.5, narrowedAt: NOON } })
    t.equal(placesOf('all', limits, widths, NOON), 4)
    t.equal(after(widths, limits, limitedOnce, NOON + HALVE_ONCE_IN_MS - 1), widths)
    for (let times = 1; times <= 5; times++)
      widths = after(widths, limits, limitedOnce, NOON + times * HALVE_ONCE_IN_MS)
    t.equal(placesOf('all', limits, widths, NOON + 5 * HALVE_ONCE_IN_MS), 1)
  },
)

t.test('results widen it again, one place for each window full, up to what is set', async (t) => {
  const limits = { ...NONE, all: 8 }
  const narrowed = after({}, limits, limitedOnce)
  const places = (completed: number) =>
    placesOf('all', limits, after(narrowed, limits, ends({ quiz: completed })), NOON)
  t.same([0, 4, 5, 9, 10, 100].map(places), [4, 4, 5, 5, 6, 8])
  t.same(after(narrowed, limits, ends({ quiz: 100 })), {}, 'whole again: nothing to remember')
  const whole = {}
  t.equal(after(whole, limits, ends({ quiz: 3 })), whole, 'and a whole one stays as it is')
})

t.test('ten minutes after the last rate limit the window is whole, whatever came of it', async (t) => {
  const limits = { ...NONE, all: 100 }
  const narrowed = after({}, limits, limitedOnce)
  t.equal(placesOf('all', limits, narrowed, NOON + NARROW_FOR_MS - 1), 50)
  t.equal(placesOf('all', limits, narrowed, NOON + NARROW_FOR_MS), 100)
  const again = after(narrowed, limits, limitedOnce, NOON + NARROW_FOR_MS)
  t.equal(placesOf('all', limits, again, NOON + NARROW_FOR_MS), 50, 'half of the whole, not of the half')
})

t.test(
  'the window of a kind is narrowed by that kind alone, and a smaller setting holds at once',
  async (t) => {
    const limits = { ...NONE, all: 10, concept: 4 }
    const widths = after({}, limits, limitedOnce)
    t.same(Object.keys(widths), ['concept'])
    t.equal(placesOf('concept', limits, widths, NOON), 2)
    t.equal(placesOf('all', limits, widths, NOON), 10)
    t.equal(placesOf('quiz', limits, widths, NOON), null)
    t.equal(placesOf('concept', { ...limits, concept: 1 }, widths, NOON), 1)
    t.same(after({}, { ...NONE, quiz: 3 }, limitedOnce), {}, 'a kind without a window has nothing to narrow')
  },
)
