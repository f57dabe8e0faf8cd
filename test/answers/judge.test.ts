/**
 * The judge itself: each case of the table, what it says of a refusal, and where the right option stands.
 */
import t from 'tap'
import { judgeAnswer } from '../../src/answers/judge.js'
import { type QuizChapter, settleQuiz } from '../../src/answers/quiz.js'
import { asModelText, CASES, type Case, sorted } from './cases.js'

const CHAPTER: QuizChapter = { chapterId: 7, locale: 'ko', quizCount: 1, minShare: 0.6 }

function judged({ kind, quizCount = 1, locale = 'ko' }: Case, given: unknown) {
  const verdict = judgeAnswer(kind, given)
  if ('violations' in verdict) return verdict
  const { answer, mended } = verdict
  if (answer.kind !== 'quiz') return { result: answer.result, mended }
  const settled = settleQuiz(answer.result, { ...CHAPTER, quizCount, locale })
  return 'violations' in settled
    ? settled
    : { result: settled.result, mended: [...mended, ...settled.mended] }
}

for (const each of CASES)
  t.test(
    `${each.kind}: ${each.about} is ${each.stored === undefined ? 'refused' : 'stored as it was meant'}`,
    async (t) => {
      const ways = { 'as it came': each.given, 'as a model’s own text': { raw: asModelText(each) } }
      for (const [way, given] of Object.entries(ways)) {
        const verdict = judged(each, given)
        if (each.stored !== undefined) {
          t.notHas(verdict, { violations: [] }, JSON.stringify(verdict))
          t.strictSame('result' in verdict && sorted(verdict.result), sorted(each.stored), way)
        } else {
          t.ok('violations' in verdict, `${way}: ${JSON.stringify(verdict)}`)
          if (each.path !== undefined) t.match(verdict, { violations: [{ path: each.path }] }, way)
        }
      }
    },
  )

t.test('what needs no mending is not counted as mended', async (t) => {
  const quizzes = [{ question: '무엇?', correct_answer: 'a', options: ['a', 'b'], type: 'multiple' }]
  t.match(judgeAnswer('quiz', { quizzes }), { mended: [] })
  t.match(judgeAnswer('quiz', { raw: JSON.stringify({ quizzes }) }), { mended: [] })
  t.match(judgeAnswer('concept', { title: 'a', content: '$\\frac12$\n' }), { mended: [] })
})

t.test('what was mended is named', async (t) => {
  const named = (kind: Case['kind'], given: unknown) => {
    const verdict = judgeAnswer(kind, given)
    return 'mended' in verdict ? [...verdict.mended].sort() : verdict
  }
  t.strictSame(named('concept', { raw: '```\n{"title":"a","content":"\\frac12",}\n```' }), [
    'extracted',
    'latex',
    'repaired',
  ])
  t.strictSame(named('concept', { concept: { title: 'a\0', content: 'b' } }), ['characters', 'unwrapped'])
  const options = ['A. a', 'B. b']
  const question = { question: 'q', options, correct_answer: 'B', type: 'mcq' }
  t.strictSame(named('quiz', { quizzes: [question] }), ['key', 'names', 'options'])
  const bool = { question: 'q', options: ['True', 'False'], correct_answer: '참', type: 'boolean' }
  t.strictSame(named('quiz', { quizzes: [bool] }), ['truth'])
})

t.test('a refusal tells the next attempt which question was wrong, and why', async (t) => {
  const bad = { question: 'q', options: ['사과', '감'], correct_answer: '수박' }
  t.match(judgeAnswer('quiz', { quizzes: [bad] }), {
    violations: [{ path: '/body/quizzes/0/correct_answer', message: /must be one of the options.*수박/ }],
  })
  const good = { ...bad, correct_answer: '감' }
  const verdict = judged(
    { about: '', kind: 'quiz', given: 0, stored: {}, quizCount: 3 },
    { quizzes: [good, bad, bad] },
  )
  t.match(verdict, {
    violations: [
      { path: '/body/quizzes/1/correct_answer' },
      { path: '/body/quizzes/2/correct_answer' },
      { path: '/body/quizzes', message: /1 good question.*3 were asked for/ },
    ],
  })
})

const four = { question: 'q', correct_answer: 'b', options: ['a', 'b', 'c', 'd'], type: 'multiple' as const }
const optionsOf = (chapterId: number, options: string[], index = 0) => {
  const quizzes = Array.from({ length: index + 1 }, () => ({
    ...four,
    options,
    correct_answer: options[1] ?? '',
  }))
  const settled = settleQuiz(
    { quizzes, refused: [], isModelText: false },
    { ...CHAPTER, chapterId, quizCount: index + 1 },
  )
  return 'result' in settled ? (settled.result.quizzes[index]?.options ?? []) : []
}

t.test('the right option stands at each place about as often, however the model orders them', async (t) => {
  const places = [0, 0, 0, 0]
  for (let id = 1; id <= 2000; id += 1) {
    const at = optionsOf(id, four.options).indexOf('b')
    places[at] = (places[at] ?? 0) + 1
  }
  for (const count of places) t.ok(count > 420 && count < 580, `${count} of 2000`)
  const later = Array.from({ length: 12 }, (_, index) => optionsOf(1, four.options, index).join(''))
  t.ok(new Set(later).size > 4, 'the questions of one chapter differ, too')
})

t.test('the order is the same whenever the same chapter is asked for', async (t) => {
  for (const id of [1, 2, 2 ** 40, Number.MAX_SAFE_INTEGER])
    t.strictSame(optionsOf(id, four.options), optionsOf(id, four.options))
})

t.test('“all of the above” stays last', async (t) => {
  const lasts = [
    'All of the above',
    'None of the above',
    '위의 모두',
    '위 보기 모두',
    '모두 정답',
    '정답 없음',
    '해당 없음',
    'Both of these',
  ]
  for (const last of lasts)
    for (let id = 1; id <= 20; id += 1)
      t.equal(optionsOf(id, [last, 'a', 'b', 'c']).at(-1), last, `${last} in chapter ${id}`)
})

t.test('options that name each other by their places keep them', async (t) => {
  for (const option of ['A와 B', 'Both A and C', '①과 ②', '1번과 2번', 'C. x'])
    for (let id = 1; id <= 20; id += 1) {
      const options = ['x', 'y', 'z', option]
      t.strictSame(optionsOf(id, options), options)
    }
})

t.test('any text is judged quickly and without an exception', { timeout: 60_000 }, async (t) => {
  const pieces = [
    '{',
    '[',
    '"',
    '\\"',
    '\\',
    ':',
    ',',
    '}',
    "'",
    '$',
    '\\[',
    '```',
    '{"a":',
    'x "y',
    '\n',
    '…',
    '<think>',
  ]
  for (const piece of pieces) {
    const raw = `{"title":"${piece.repeat(200_000 / piece.length)}`
    const since = performance.now()
    for (const kind of ['concept', 'exercise', 'quiz'] as const) judgeAnswer(kind, { raw })
    t.ok(performance.now() - since < 10_000, `${piece}: ${Math.round(performance.now() - since)} ms`)
  }
  for (const given of [
    undefined,
    null,
    1,
    '',
    [],
    {},
    [[]],
    { raw: null },
    { quizzes: [[], null, {}] },
    { __proto__: null },
  ])
    for (const kind of ['concept', 'exercise', 'quiz'] as const)
      t.ok('violations' in judgeAnswer(kind, given), JSON.stringify(given))
})

t.test('an object with thousands of fields is refused by their number, at any depth', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [`f${index}`, '{"title":1}']))
  const expected = { violations: [{ message: 'has more than 1000 fields' }] }
  t.match(judgeAnswer('concept', { ...many, title: 'T', content: 'Long enough.' }), expected)
  t.match(judgeAnswer('quiz', many), expected)
  t.has(judgeAnswer('quiz', { result: many }), { violations: [{}] })
})
