import t from 'tap'
import { soFarOf } from '../../src/generator/text-so-far.js'

t.test('a text grows with every piece and ends as the whole, whatever stands in it', async (t) => {
  const contents = [
    '## 변수\n\n값에 "붙이는" 이름 😀 \\ / \f\t \u0001',
    'x { [ ] } "content": "no" \\n \\u1234 \\" end',
    '',
    'a\\',
  ]
  for (const content of contents) {
    const wholes = [
      JSON.stringify({ title: 'A "content": "trap"', content }),
      JSON.stringify({ content, title: 'after' }, null, 2),
      `Here it is:\n\`\`\`json\n${JSON.stringify({ concept: { title: 't', content } })}\n\`\`\``,
      `<think>{"content": "thought"}</think>\n${JSON.stringify({ content })}`,
    ]
    for (const whole of wholes) {
      let last = ''
      for (let end = 0; end <= whole.length; end += 1) {
        const soFar = soFarOf('concept', whole.slice(0, end))
        const text = soFar !== undefined && 'text' in soFar ? soFar.text : ''
        if (!content.startsWith(text) || text.length < last.length)
          t.fail(`${JSON.stringify(text)} of ${whole.slice(0, end)}`)
        last = text
      }
      t.equal(last, content)
    }
  }
})

t.test('of an exercise the question is shown, and never its answer', async (t) => {
  const whole = JSON.stringify({ question: 'Swap a and b.', answer: 'a, b = b, a', difficulty: 'easy' })
  const shown = Array.from({ length: whole.length }, (_, end) =>
    JSON.stringify(soFarOf('exercise', whole.slice(0, end + 1))),
  )
  t.equal(shown.at(-1), '{"text":"Swap a and b."}')
  t.notMatch(shown.join('\n'), /b, a/)
})

t.test('LaTeX that is not escaped is shown as LaTeX', async (t) => {
  t.same(soFarOf('concept', '{"content": "$\\frac{1}{2}$ and $\\sigma$ is'), {
    text: '$\\frac{1}{2}$ and $\\sigma$ is',
  })
  t.same(
    soFarOf('concept', '{"content": "half \\fra'),
    { text: 'half ' },
    'a command that has not come whole waits',
  )
  t.same(soFarOf('concept', '{"content": "one\\ntwo \\u00'), { text: 'one\ntwo ' })
})

t.test('of a quiz whole questions are shown one by one', async (t) => {
  const quizzes = [
    { question: 'One {?', options: ['[', '}'], correct_answer: '[', type: 'multiple' },
    { question: 'Two "?"', options: null, correct_answer: 'x', type: 'short' },
    { question: 'Three', options: [{ label: 'A', text: 'a' }], correct_answer: 'A' },
  ]
  for (const whole of [
    JSON.stringify({ quizzes }),
    JSON.stringify(quizzes, null, 2),
    JSON.stringify({ data: { questions: quizzes } }),
  ]) {
    let last = 0
    for (let end = 0; end <= whole.length; end += 1) {
      const soFar = soFarOf('quiz', whole.slice(0, end))
      const found = soFar !== undefined && 'quizzes' in soFar ? soFar.quizzes : []
      if (found.length < last || found.length > last + 1) t.fail(`${found.length} after ${last}`)
      if (JSON.stringify(found) !== JSON.stringify(quizzes.slice(0, found.length)))
        t.fail(JSON.stringify(found))
      last = found.length
    }
    t.equal(last, 3)
  }
})

t.test('what is no JSON shows nothing', async (t) => {
  for (const text of [
    '',
    'I cannot [1] do {x} that',
    '<think>still {"content": "thinking"',
    '{',
    '[',
    '"content": "x"',
  ])
    for (const kind of ['concept', 'exercise', 'quiz'] as const) t.equal(soFarOf(kind, text), undefined, text)
})
