import t from 'tap'
import { decide } from '../../src/domain/decide.js'
import {
  appendText,
  applyChange,
  changeBetween,
  type PartialContent,
  wholeQuestions,
  wholeText,
} from '../../src/domain/partial-text.js'
import {
  at,
  CANCELLED,
  COMPLETED,
  chapterWith,
  decideOn,
  FAILED,
  NOON,
  namesOf,
  POLICY,
  STARTED,
  workOf,
} from '../support/chapters.js'
import { seeded } from '../support/random.js'

const partialOf = (named: object) => ({ type: 'partial', chapterId: 1, kind: 'concept', named }) as const

t.test('the first text of an attempt is its heartbeat, and what follows is no event', async (t) => {
  for (const status of ['queued', 'published'] as const) {
    const state = chapterWith({ concept: { status, deadlineAt: status === 'queued' ? null : NOON } })
    const first = decideOn(state, partialOf(workOf(state, 'concept')))
    t.same(namesOf(first), ['concept_started'])
    t.match(first.state.jobs.concept, { status: 'published', deadlineAt: NOON + POLICY.timeoutMs })
    t.match(first.reply, {
      status: 'success',
      work: { ...workOf(state, 'concept'), lastSeq: first.state.lastSeq },
    })
    const second = decideOn(first.state, partialOf(workOf(state, 'concept')), at(NOON + 1000))
    t.same(namesOf(second), [])
    t.equal(second.state.jobs.concept.deadlineAt, NOON + 1000 + POLICY.timeoutMs)
    t.equal(second.state.progressVersion, first.state.progressVersion)
  }
})

t.test(
  'text that does not name the current work changes nothing, and a useless worker is told',
  async (t) => {
    const open = chapterWith({ concept: { ...STARTED, attempt: 2 } })
    const cases: [typeof open, object, boolean][] = [
      [open, {}, false],
      [open, { ...workOf(open, 'concept'), attempt: 1 }, false],
      [open, { jobId: 'another' }, false],
      [chapterWith({ concept: COMPLETED }), workOf(open, 'concept'), true],
      [chapterWith({ concept: FAILED }), workOf(open, 'concept'), false],
      [chapterWith({ concept: FAILED }, { status: 'failed' }), workOf(open, 'concept'), false],
      [chapterWith({ concept: CANCELLED }, { status: 'cancelled' }), workOf(open, 'concept'), true],
    ]
    for (const [state, named, isUseless] of cases) {
      const { reply, state: after } = decide(state, partialOf(named), at(NOON))
      t.equal(after, state)
      t.equal(reply.status, 'ignored')
      t.equal(reply.work, undefined)
      t.equal(reply.cancelled ?? false, isUseless, reply.message)
    }
  },
)

t.test('whatever a text becomes, the change leads there and cuts no character', async (t) => {
  const random = seeded(7)
  const letters = ['a', 'b', '😀', '😁', '👩‍👧', '변']
  let before: PartialContent = ''
  for (let round = 0; round < 5000; round += 1) {
    const kept = [...before].slice(0, random.below(10)).join('')
    const after: string = kept + Array.from({ length: random.below(6) }, () => random.pick(letters)).join('')
    const change = changeBetween(before, after)
    if (change === undefined) t.equal(before, after)
    else {
      const applied = applyChange(before, change)
      const isRight =
        applied === after &&
        String(change.content).isWellFormed() &&
        String(before).slice(0, change.offset).isWellFormed()
      if (!isRight) t.fail(JSON.stringify({ before, after, change }))
    }
    before = after
  }
})

t.test('a text in pieces is the text, wherever it is cut', async (t) => {
  const text = 'a\0 😀 \ud800 변수 \udc00😁'
  const whole = wholeText(text)
  t.equal(whole.content, 'a 😀 \ufffd 변수 \ufffd😁')
  t.equal(whole.length, text.length)
  for (let cut = 0; cut <= text.length; cut += 1) {
    const first = wholeText(text.slice(0, cut))
    t.ok(String(first.content).isWellFormed())
    t.equal(first.length, cut)
    t.same(appendText(first, text.slice(cut)), whole)
  }
})

t.test('questions are told apart one by one', async (t) => {
  const [one, two, three] = ['1', '2', '3'].map((question) => ({ question }))
  const questions = (...all: ({ question: string } | undefined)[]) =>
    wholeQuestions(all as { question: string }[]).content
  t.same(changeBetween(questions(one), questions(one, two)), { offset: 1, content: [two] })
  t.same(changeBetween(questions(one, two), questions(one, three)), { offset: 1, content: [three] })
  t.same(changeBetween(questions(one, two), questions(one)), { offset: 1, content: [] })
  t.equal(changeBetween(questions(one), questions({ ...one } as { question: string })), undefined)
})
