/**
 * What models and workers hand in, and what the judge makes of it. The same cases go through every door: see
 * `judge.test.ts`, `doors.test.ts` and `test/n8n`.
 */
import type { JobKind } from '../../src/contract/job.js'
import type { Locale } from '../../src/contract/scalar.js'

export interface Case {
  /** A sentence about what comes in. */
  about: string
  kind: JobKind
  /** What the worker hands in: a value, or with `raw` the model’s own text. */
  given: unknown
  /** What is stored; of options the order does not matter. `undefined`: it is refused. */
  stored: Record<string, unknown> | undefined
  /** Of the refusal, where that matters. */
  path?: string
  /** Default 1. */
  quizCount?: number
  /** Default `ko`. */
  locale?: Locale
}

const FRUIT = ['사과', '바나나', '포도', '감']
const { raw: tex } = String

/** One question, as a quiz. */
const ask = (fields: object) => ({ quizzes: [{ question: '맞는 것은?', ...fields }] })
const stored = (fields: object) => ({
  quizzes: [{ question: '맞는 것은?', type: 'multiple', ...fields }],
})

const key = (
  about: string,
  options: unknown,
  correct_answer: unknown,
  right?: string,
  kept = options,
): Case => ({
  about,
  kind: 'quiz',
  given: ask({ options, correct_answer }),
  stored: right === undefined ? undefined : stored({ options: kept, correct_answer: right }),
  ...(right === undefined ? { path: '/body/quizzes/0/correct_answer' } : {}),
})

const KEYS: Case[] = [
  key('a key as a letter', FRUIT, 'B', '바나나'),
  key('a key as a small letter', FRUIT, 'd', '감'),
  key('a key as a number', FRUIT, '2', '바나나'),
  key('a key as a circled number', FRUIT, '②', '바나나'),
  key('a key as a dark circled number', FRUIT, '❸', '포도'),
  key('a key as a circled letter', FRUIT, 'ⓐ', '사과'),
  key('a key as a full-width letter', FRUIT, 'Ｂ', '바나나'),
  key('a key as a letter in brackets', FRUIT, '(C)', '포도'),
  key('a key as a letter with a point', FRUIT, 'C.', '포도'),
  key('a key as a Korean number word', FRUIT, '3번', '포도'),
  key('a key with “Option” before the letter', FRUIT, 'Option B', '바나나'),
  key('a key with “정답:” before the number', FRUIT, '정답: 4', '감'),
  key('a key with its letter and its text', FRUIT, 'B. 바나나', '바나나'),
  key('a key with its number and its text', FRUIT, '2) 바나나', '바나나'),
  key('a key with its circled number and its text', FRUIT, '②번 바나나', '바나나'),
  key('a key whose letter and text disagree', FRUIT, 'A. 바나나', undefined),
  key('a key as a list of one', FRUIT, ['바나나'], '바나나'),
  key('a key as a list of two', FRUIT, ['사과', '감'], undefined),
  key('two letters as a key', FRUIT, 'A, C', undefined),
  key('a letter beyond the options', FRUIT, 'E', undefined),
  key('number 0', FRUIT, '0', undefined),
  key('number 5 of four', FRUIT, '5', undefined),
  key('a bare number that may count from 0', FRUIT, 2, undefined),
  key('a bare number that is an option', ['1', '2', '3'], 2, '2'),
  key('a key that is no option', FRUIT, '수박', undefined),
  key('a key that is a part of an option', FRUIT, '바나', undefined),
  key('an option that is the letter', ['C', 'B', 'A', 'D'], 'B', 'B'),
  key('an option that is the number', ['4', '3', '2', '1'], '2', '2'),
  key('a number that is no option among numbers', ['1', '3', '5', '7'], '2', undefined),
  key('a number among amounts', ['10개', '20개', '30개', '40개'], '2', undefined),
  key('a number that another option holds', ['2개', '3개', '4개', '5개'], '2', undefined),
  key('a number that its option holds', ['1차 함수', '2차 함수', '3차 함수'], '2', '2차 함수'),
  key('a letter among single letters', ['x', 'y', 'z'], 'B', undefined),
  key('a letter that another option holds', ['비타민 C', '비타민 A', '비타민 B'], 'A', undefined),
  key('a small letter that another option holds', ['비타민 C', '비타민 A', '비타민 B'], 'a', undefined),
  key('a letter that its option holds', ['비타민 A', '비타민 B', '비타민 C'], 'B', '비타민 B'),
  key('a letter beside options with an article', ['a dog', 'the cat', 'a bird', 'fish'], 'B', 'the cat'),
  key('a decimal that ends like an option', ['5 m', '2 m', '3 m'], '1.5 m', undefined),
  key('a Korean letter that the options do not have', FRUIT, '나', undefined),
  key('a key without its space', ['(6, 2)', '(2, 6)', '(3, 4)'], '(6,2)', '(6, 2)'),
  key('a key in other case', ['Int', 'String', 'Bool'], 'int', 'Int'),
  key('a key in full width', ['abc', 'def'], 'ａｂｃ', 'abc'),
  key('a key in decomposed Hangul', FRUIT, '바나나'.normalize('NFD'), '바나나'),
  key('a key with spaces around it', FRUIT, ' 바나나\n', '바나나'),
  key('a key with an invisible space', FRUIT, '바\u200b나나', '바나나'),
  key(
    'options that differ in case only, and one of them as key',
    ['Python', 'python', 'PYTHON'],
    'python',
    'python',
  ),
  key('a key that fits two options in other case', ['Python', 'python', 'Java'], 'PYTHON', undefined),
  key('a superscript that is no plain digit', ['x²', 'x³'], 'x2', undefined),
  key('a key in another spelling of quotes', ['"42"', '42'], '“42”', undefined),
  key('a key of spaces', FRUIT, '   ', undefined),
  key('null for a key', FRUIT, null, undefined),
  key('a key under which nothing stands', FRUIT, '', undefined),
]

const OPTIONS: Case[] = [
  key(
    'options with letters and text',
    FRUIT.map((text, i) => ({ label: 'ABCD'[i], text })),
    'B',
    '바나나',
    FRUIT,
  ),
  key(
    'options with numbers as ids',
    FRUIT.map((text, i) => ({ id: i + 1, text })),
    '3',
    '포도',
    FRUIT,
  ),
  key(
    'options with ids that count from 0',
    FRUIT.map((text, i) => ({ id: i, value: text })),
    '2',
    '포도',
    FRUIT,
  ),
  key(
    'options that are numbers, with a word about each',
    [1, 2, 3].map((n) => ({ text: String(n), explanation: `${n}이다` })),
    '2',
    '2',
    ['1', '2', '3'],
  ),
  {
    ...key(
      'numbers beside words that may be the options',
      [1, 2].map((n) => ({ value: n, explanation: `${n}이다` })),
      '2',
      undefined,
    ),
    path: '/body/quizzes/0/options/0',
  },
  key('a circled number that another option holds', ['①+②', '②+③', '①+③'], '③', undefined),
  key(
    'options whose letters are not in order',
    [
      { label: 'B', text: '사과' },
      { label: 'A', text: '바나나' },
    ],
    'A',
    '바나나',
    ['사과', '바나나'],
  ),
  key(
    'options as objects with text alone',
    FRUIT.map((text) => ({ text })),
    '감',
    '감',
    FRUIT,
  ),
  key('options as one object by letter', { A: '사과', B: '바나나', C: '포도' }, 'C', '포도', [
    '사과',
    '바나나',
    '포도',
  ]),
  key('options as objects of one letter each', [{ A: '사과' }, { B: '바나나' }], 'B', '바나나', [
    '사과',
    '바나나',
  ]),
  key('options as lines with letters', 'A. 사과\nB. 바나나\nC. 포도', 'B', '바나나', [
    '사과',
    '바나나',
    '포도',
  ]),
  key('letters before all options', ['A. 사과', 'B. 바나나', 'C. 포도'], 'B', '바나나', [
    '사과',
    '바나나',
    '포도',
  ]),
  key('letters in brackets before all', ['(a) 사과', '(b) 바나나'], '(b)', '바나나', ['사과', '바나나']),
  key('circled numbers before all', ['①사과', '②바나나', '③ 포도'], '③', '포도', ['사과', '바나나', '포도']),
  key('numbers before all', ['1) 사과', '2) 바나나'], '2', '바나나', ['사과', '바나나']),
  key('Korean letters before all', ['가. 사과', '나. 바나나'], '나', '바나나', ['사과', '바나나']),
  key('letters before all, and the whole option as key', ['A) 사과', 'B) 바나나'], 'B) 바나나', '바나나', [
    '사과',
    '바나나',
  ]),
  key('letters before all, and the text as key', ['A) 사과', 'B) 바나나'], '사과', '사과', [
    '사과',
    '바나나',
  ]),
  key('a label that is another option’s text', ['1) 3', '2) 1', '3) 2'], '1', undefined),
  key('letters before some options only', ['A. 사과', '바나나', '포도'], '포도', '포도'),
  key('initials that are no letters before options', ['A. Smith', 'C. Brown'], 'C. Brown', 'C. Brown'),
  key('decimals that are no numbers before options', ['1.5', '2.5', '3.5'], '2.5', '2.5'),
  key('ratios that are no numbers before options', ['1:2', '2:1'], '2:1', '2:1'),
  key('amounts that are no numbers before options', ['1 apple', '2 apples'], '2 apples', '2 apples'),
  key('numbers as options', [1, 2, 3], '3', '3', ['1', '2', '3']),
  key('the same option twice', ['사과', '감', '감'], '사과', '사과', ['사과', '감']),
  {
    about: 'an option that says of itself that it is right',
    kind: 'quiz',
    given: ask({
      options: [
        { text: '사과', correct: false },
        { text: '감', correct: true },
      ],
    }),
    stored: stored({ options: ['사과', '감'], correct_answer: '감' }),
  },
  key(
    'a key and an option that says that it is right, which disagree',
    [
      { text: '사과', isCorrect: true },
      { text: '감', isCorrect: false },
    ],
    '감',
    undefined,
  ),
  { ...key('one option alone', ['사과'], '사과', undefined), path: '/body/quizzes/0/options' },
  { ...key('the same option only', ['사과', '사과'], '사과', undefined), path: '/body/quizzes/0/options' },
  { ...key('no options', null, '사과', undefined), path: '/body/quizzes/0/options' },
  { ...key('an empty list of options', [], '사과', undefined), path: '/body/quizzes/0/options' },
  { ...key('an empty option', ['사과', ''], '사과', undefined), path: '/body/quizzes/0/options/1' },
  { ...key('an option of spaces', ['사과', ' '], '사과', undefined), path: '/body/quizzes/0/options/1' },
  { ...key('an option that is null', ['사과', null], '사과', undefined), path: '/body/quizzes/0/options/1' },
  {
    ...key('options as words in a line', '사과, 바나나', '사과', undefined),
    path: '/body/quizzes/0/options',
  },
  key('options that are names of nothing in a program', ['null', 'undefined', '…'], 'undefined', 'undefined'),
]

const truth = (
  about: string,
  options: unknown,
  correct_answer: unknown,
  right?: string,
  kept = options,
): Case => ({
  about,
  kind: 'quiz',
  given: ask({ options, correct_answer, type: 'boolean' }),
  stored: right === undefined ? undefined : stored({ options: kept, correct_answer: right, type: 'boolean' }),
  ...(right === undefined ? { path: '/body/quizzes/0/correct_answer' } : {}),
})
const TRUE_FALSE = ['True', 'False']
const TRUTHS: Case[] = [
  truth('true in another case', TRUE_FALSE, 'true', 'True'),
  truth('JSON’s own true', TRUE_FALSE, true, 'True'),
  truth('JSON’s own false', TRUE_FALSE, false, 'False'),
  truth('false as a letter', TRUE_FALSE, 'F', 'False'),
  truth('the Korean word beside English options', TRUE_FALSE, '거짓', 'False'),
  truth('the English word beside Korean options', ['참', '거짓'], 'False', '거짓'),
  truth('O and X as options', ['O', 'X'], 'true', 'O'),
  truth('O beside Korean options', ['맞다', '틀리다'], 'O', '맞다'),
  truth('yes and no', ['예', '아니오'], 'True', '예'),
  truth('the second place', TRUE_FALSE, 'B', 'False'),
  truth('1, which is true and the first place', TRUE_FALSE, '1', 'True'),
  truth('1, which is true and not the first place', ['False', 'True'], '1', undefined),
  truth('0, which may be false or the first place', TRUE_FALSE, '0', undefined),
  truth('a word that is no truth', TRUE_FALSE, '아마', undefined),
  truth('options that are both true', ['참', 'True'], 'yes', undefined),
  truth('no options', null, 'true', '참', ['참', '거짓']),
  truth('no options and a Korean word', [], '거짓', '거짓', ['참', '거짓']),
  truth('no options and X', undefined, 'X', '거짓', ['참', '거짓']),
  truth('no options and JSON’s own false', null, false, '거짓', ['참', '거짓']),
  { ...truth('no options in an English chapter', null, '참', 'True', TRUE_FALSE), locale: 'en' },
  truth('no options and a word that is no truth', null, '사과', undefined),
]

const typed = (about: string, type: unknown, known: string | undefined, fields: object): Case => ({
  about,
  kind: 'quiz',
  given: ask({ ...fields, type }),
  stored: known === undefined ? undefined : stored({ ...fields, type: known }),
  ...(known === undefined ? { path: '/body/quizzes/0/type' } : {}),
})
const choice = { options: FRUIT, correct_answer: '감' }
const word = { correct_answer: '변수', options: null }
const TYPES: Case[] = [
  typed('the type multiple_choice', 'multiple_choice', 'multiple', choice),
  typed('the type Multiple Choice', 'Multiple Choice', 'multiple', choice),
  typed('the type MCQ', 'MCQ', 'multiple', choice),
  typed('the type 객관식', '객관식', 'multiple', choice),
  typed('null for a type', null, 'multiple', choice),
  typed('the type short_answer', 'short_answer', 'short', word),
  typed('the type 단답형', '단답형', 'short', word),
  typed('the type true_false', 'true_false', 'boolean', { options: TRUE_FALSE, correct_answer: 'True' }),
  typed('the type O/X', 'O/X', 'boolean', { options: ['O', 'X'], correct_answer: 'X' }),
  typed('the type essay', 'essay', undefined, word),
  typed('the type multiple_select, which has several keys', 'multiple_select', undefined, choice),
  typed('a number for a type', 1, undefined, choice),
  typed('a short answer that is a letter', 'short', 'short', { correct_answer: 'B', options: null }),
  typed('a short answer among options', 'short', 'short', choice),
  {
    ...typed('a short answer that may be a place among options', 'short', undefined, {
      options: FRUIT,
      correct_answer: 'B',
    }),
    path: '/body/quizzes/0/correct_answer',
  },
  {
    about: 'other names of the fields',
    kind: 'quiz',
    given: { questions: [{ question: '맞는 것은?', choices: FRUIT, correctAnswer: '감' }] },
    stored: stored(choice),
  },
  {
    about: 'answer beside correct_answer',
    kind: 'quiz',
    given: ask({ ...choice, answer: '사과' }),
    stored: stored(choice),
  },
  {
    about: 'the difficulty in Korean',
    kind: 'exercise',
    given: { question: '푸세요', answer: '1', difficulty: '쉬움' },
    stored: { question: '푸세요', answer: '1', difficulty: 'easy' },
  },
  {
    about: 'the difficulty in other case',
    kind: 'exercise',
    given: { question: '푸세요', answer: '1', difficulty: 'HARD' },
    stored: { question: '푸세요', answer: '1', difficulty: 'hard' },
  },
  {
    about: 'no difficulty',
    kind: 'exercise',
    given: { question: '푸세요', answer: '1' },
    stored: { question: '푸세요', answer: '1', difficulty: 'medium' },
  },
  {
    about: 'a difficulty that is none',
    kind: 'exercise',
    given: { question: '푸세요', answer: '1', difficulty: 'impossible' },
    stored: undefined,
    path: '/body/difficulty',
  },
]

/** The text as a model writes it inside the quotes, without a thought for JSON, and what is stored. */
const latex = (about: string, written: string, text: string): Case => ({
  about,
  kind: 'concept',
  given: { raw: `{"title":"식","content":"${written}"}` },
  stored: { title: '식', content: text },
})
/** The text as somebody has already parsed it. */
const parsed = (about: string, content: string, text: string): Case => ({
  about,
  kind: 'concept',
  given: { title: '식', content },
  stored: { title: '식', content: text },
})
const LATEX: Case[] = [
  latex('a command that JSON does not know', tex`$\sigma$`, tex`$\sigma$`),
  latex('a fraction, which JSON takes for a form feed', tex`$\frac{1}{2}$`, tex`$\frac{1}{2}$`),
  latex('beta, which JSON takes for a backspace', tex`$\beta$`, tex`$\beta$`),
  latex(
    'theta and times, which JSON takes for tabs',
    tex`$\theta \times \text{가}$`,
    tex`$\theta \times \text{가}$`,
  ),
  latex('nabla, which JSON takes for a line break', tex`$\nabla f$`, tex`$\nabla f$`),
  latex('nu in a formula', tex`진동수 $\nu$는`, tex`진동수 $\nu$는`),
  latex('neq in a formula', tex`$a \neq b$`, tex`$a \neq b$`),
  latex('tan and to in a formula', tex`$\tan x \to 0$`, tex`$\tan x \to 0$`),
  latex('rho and right, which JSON takes for returns', tex`$\left(\rho\right)$`, tex`$\left(\rho\right)$`),
  latex('underline, which JSON takes for a broken character', tex`\underline{x}`, tex`\underline{x}`),
  latex('round brackets', tex`\(\alpha + \nu\)`, tex`\(\alpha + \nu\)`),
  latex('square brackets', tex`\[\frac{a}{b}\]`, tex`\[\frac{a}{b}\]`),
  latex(
    'a matrix with its line breaks',
    tex`\begin{matrix} a & b \\ c & d \end{matrix}`,
    tex`\begin{matrix} a & b \\ c & d \end{matrix}`,
  ),
  latex('a percent sign and a dollar', tex`50\% 와 \$5`, tex`50\% 와 \$5`),
  latex('an apostrophe', tex`it\'s`, `it's`),
  latex('a command outside a formula', tex`값은 \theta 이다`, tex`값은 \theta 이다`),
  latex('commands with their backslash doubled', tex`$\\frac{1}{2}$ $\\nu$`, tex`$\frac{1}{2}$ $\nu$`),
  latex(
    'a matrix with all doubled',
    tex`\\begin{matrix} a \\\\ b \\end{matrix}`,
    tex`\begin{matrix} a \\ b \end{matrix}`,
  ),
  latex('a real line break and tab', tex`첫째\n둘째\t셋째`, '첫째\n둘째\t셋째'),
  latex(
    'line breaks before words that look like commands',
    tex`x = 1\nu = 2\ni = 3\ne = 4`,
    'x = 1\nu = 2\ni = 3\ne = 4',
  ),
  latex('tabs before words that look like commands', tex`\tan apple\top`, '\tan apple\top'),
  latex('a formula on lines of its own', tex`$$\nu = 1\n$$`, '$$\nu = 1\n$$'),
  latex(
    'a line break in a formula whose commands are doubled',
    tex`$$\\alpha\nu = 1$$`,
    '$$\\alpha\nu = 1$$',
  ),
  latex('money and a line break', tex`$5\nto $6`, '$5\nto $6'),
  latex('an escaped quote, slash and character', tex`\"가\" \/ \uac01 \u003c`, '"가" / 각 <'),
  latex('a regular expression', tex`\bword\b \d+`, tex`\bword\b \d+`),
  latex('code that is escaped', tex`print(\"a\\n\") \\d+`, tex`print("a\n") \d+`),
  parsed('a fraction that became a form feed', '$\frac{1}{2}$', tex`$\frac{1}{2}$`),
  parsed('beta that became a backspace', '$\beta$', tex`$\beta$`),
  parsed('theta that became a tab', '$\theta$', tex`$\theta$`),
  parsed('nabla that became a line break', '$\nabla f$', tex`$\nabla f$`),
  parsed('rho that became a return', '$\rho$', tex`$\rho$`),
  parsed('right text with commands', '$\\frac{1}{2}$\n$\\nu$\nu', '$\\frac{1}{2}$\n$\\nu$\nu'),
  parsed('a form feed before a word', '끝\fChapter 2', '끝\fChapter 2'),
  parsed(
    'lines and tabs of a program',
    'x = 1\nu = 2\n\treturn x\r\n\tan',
    'x = 1\nu = 2\n\treturn x\r\n\tan',
  ),
]

const CONCEPT = { title: '변수', content: '# 변수\n\n값의 이름' }
const json = JSON.stringify(CONCEPT)
const text = (about: string, raw: string, is: object | null = CONCEPT): Case => ({
  about,
  kind: 'concept',
  given: { raw },
  stored: is === null ? undefined : { ...is },
})
const QUESTION = { question: '맞는 것은?', correct_answer: '감', options: FRUIT, type: 'multiple' }
const short = (n: number) => ({
  question: `${n}번 문제`,
  correct_answer: `답 ${n}`,
  type: 'short',
  options: null,
})
const NEARLY: Case[] = [
  text('the JSON alone', json),
  text('a raw line break in a string', '{"title":"변수","content":"# 변수\n\n값의 이름"}'),
  text('a trailing comma', `${json.slice(0, -1)},}`),
  text('a fence around it', `\`\`\`json\n${json}\n\`\`\``),
  text('a fence without its end', `\`\`\`json\n${json}`),
  text('sentences around it', `Here is [1] the {note}:\n${json}\nI hope this helps {really}!`),
  text('thoughts before it', `<think>{"title": "draft"} {hm}</think>${json}`),
  text('thoughts without their beginning', `so {"title":"x","content":"y"}…</think>${json}`),
  text('a byte order mark', `\ufeff${json}`),
  text('single quotes', `{'title': '변수', 'content': '# 변수\\n\\n값의 이름'}`),
  text('names without quotes', '{title: "변수", content: "# 변수\\n\\n값의 이름"}'),
  text('curly quotes around names', '{“title”: “변수”, “content”: “# 변수\\n\\n값의 이름”}'),
  text('a comment', `{"title":"변수", // the title\n"content":"# 변수\\n\\n값의 이름"}`),
  text('no comma between the fields', '{"title":"변수"\n"content":"# 변수\\n\\n값의 이름"}'),
  text('the last bracket missing', json.slice(0, -1)),
  text('quotes inside a string', '{"title":"변수","content":"이름은 "변수"라고 한다"}', {
    title: '변수',
    content: '이름은 "변수"라고 한다',
  }),
  text('a fence inside the text', JSON.stringify({ title: '코드', content: '```py\nx = {}\n```' }), {
    title: '코드',
    content: '```py\nx = {}\n```',
  }),
  text('a mark of thoughts inside the text', JSON.stringify({ title: '생각', content: 'a </think> {b}' }), {
    title: '생각',
    content: 'a </think> {b}',
  }),
  text('a text that is cut off', json.slice(0, -5), null),
  text('a text that is cut off behind a quote', '{"title":"변수","content":"He said \\"', null),
  text('no JSON', 'Sorry, I cannot do that.', null),
  text('nothing', '', null),
  text('null', 'null', null),
  text('a list', '[]', null),
  text('another object', '{"foo": 1}', null),
  text('two different results', `${json} or {"title":"a","content":"b"}`, null),
  text('the same result twice', `${json}\n${json}`),
  text('a place holder and then the result', `{"title":"…","content":"…"}\n${json}`),
  { about: 'JSON as a string', kind: 'concept', given: json, stored: CONCEPT },
  text('JSON as a string in the text', JSON.stringify(json)),
  text('JSON with its quotes escaped', '{\\"title\\": \\"변수\\", \\"content\\": \\"값의 이름\\"}', {
    title: '변수',
    content: '값의 이름',
  }),
  { about: 'an object named for the kind', kind: 'concept', given: { concept: CONCEPT }, stored: CONCEPT },
  { about: 'an object named for a field', kind: 'concept', given: { content: CONCEPT }, stored: CONCEPT },
  { about: 'a list of one object', kind: 'concept', given: [CONCEPT], stored: CONCEPT },
  { about: 'text in another field', kind: 'concept', given: { output: `Here: ${json}` }, stored: CONCEPT },
  {
    about: 'two results side by side',
    kind: 'concept',
    given: { a: CONCEPT, b: { title: 'x', content: 'y' } },
    stored: undefined,
  },
  {
    about: 'the same questions twice, once as text',
    kind: 'quiz',
    given: { quiz: { quizzes: [QUESTION] }, text: JSON.stringify([QUESTION]) },
    stored: stored(choice),
  },
  { about: 'raw beside a whole result', kind: 'concept', given: { ...CONCEPT, raw: '{}' }, stored: CONCEPT },
  {
    about: 'fields nobody knows',
    kind: 'concept',
    given: { ...CONCEPT, usage: { tokens: 1 } },
    stored: CONCEPT,
  },
  { about: 'a bare list of questions', kind: 'quiz', given: [QUESTION], stored: stored(choice) },
  { about: 'a question alone', kind: 'quiz', given: QUESTION, stored: stored(choice) },
  {
    about: 'questions under the kind’s name',
    kind: 'quiz',
    given: { quiz: [QUESTION] },
    stored: stored(choice),
  },
  {
    about: 'questions in two objects',
    kind: 'quiz',
    given: { quizzes: { quizzes: [QUESTION] } },
    stored: stored(choice),
  },
  {
    about: 'a list of questions in a fence',
    kind: 'quiz',
    given: { raw: `\`\`\`\n${JSON.stringify([QUESTION])}\n\`\`\`` },
    stored: stored(choice),
  },
  {
    about: 'questions one after the other',
    kind: 'quiz',
    given: { raw: [1, 2].map((n) => JSON.stringify(short(n))).join('\n') },
    stored: { quizzes: [short(1), short(2)] },
    quizCount: 2,
  },
  {
    about: 'options that break off in dots',
    kind: 'quiz',
    given: { raw: '{"quizzes":[{"question":"무엇?","options":["a","b",...],"correct_answer":"a"}]}' },
    stored: undefined,
  },
  {
    about: 'questions that are cut off',
    kind: 'quiz',
    given: { raw: '{"quizzes":[{"question":"무엇?","options":["a","b"' },
    stored: undefined,
  },
]

const many = (count: number, bad: number[] = []) =>
  Array.from({ length: count }, (_, i) =>
    bad.includes(i) ? { ...QUESTION, correct_answer: '수박' } : short(i),
  )
const AMOUNTS: Case[] = [
  {
    about: 'a 21st question, which is broken, of 20',
    kind: 'quiz',
    given: { quizzes: many(21, [20]) },
    stored: { quizzes: many(20) },
    quizCount: 20,
  },
  {
    about: '21 good questions of 20',
    kind: 'quiz',
    given: { quizzes: many(21) },
    stored: { quizzes: many(20) },
    quizCount: 20,
  },
  {
    about: 'a model’s five questions of three',
    kind: 'quiz',
    given: { raw: JSON.stringify({ quizzes: many(5) }) },
    stored: { quizzes: many(3) },
    quizCount: 3,
  },
  {
    about: 'one bad question of three',
    kind: 'quiz',
    given: { quizzes: many(3, [1]) },
    stored: { quizzes: [short(0), short(2)] },
    quizCount: 3,
  },
  {
    about: 'two bad questions of five',
    kind: 'quiz',
    given: { quizzes: many(5, [0, 4]) },
    stored: { quizzes: [short(1), short(2), short(3)] },
    quizCount: 5,
  },
  {
    about: 'three bad questions of five',
    kind: 'quiz',
    given: { quizzes: many(5, [0, 1, 4]) },
    stored: undefined,
    quizCount: 5,
  },
  {
    about: 'one bad question of two',
    kind: 'quiz',
    given: { quizzes: many(2, [0]) },
    stored: undefined,
    quizCount: 2,
  },
  {
    about: 'a model’s one question of three',
    kind: 'quiz',
    given: { raw: JSON.stringify({ quizzes: many(1) }) },
    stored: undefined,
    quizCount: 3,
  },
  {
    about: 'a model’s two questions of three',
    kind: 'quiz',
    given: { raw: JSON.stringify({ quizzes: many(2) }) },
    stored: { quizzes: many(2) },
    quizCount: 3,
  },
  {
    about: 'a bad question among more than were asked for',
    kind: 'quiz',
    given: { quizzes: many(4, [0]) },
    stored: { quizzes: [short(1), short(2), short(3)] },
    quizCount: 3,
  },
  {
    about: 'only bad questions',
    kind: 'quiz',
    given: { quizzes: many(3, [0, 1, 2]) },
    stored: undefined,
    quizCount: 3,
  },
  { about: 'no questions', kind: 'quiz', given: { quizzes: [] }, stored: undefined, path: '/body/quizzes' },
]

const silent = (about: string, kind: JobKind, given: object, path: string): Case => ({
  about,
  kind,
  given,
  stored: undefined,
  path,
})
const NOTHING: Case[] = [
  ...[
    '…',
    '...',
    'undefined',
    'null',
    '   ',
    '\n\u00a0\u200b',
    '---',
    '[object Object]',
    '"…"',
    '<...>',
    '\0',
  ].map((content) =>
    silent(
      `${JSON.stringify(content)} for a content`,
      'concept',
      { title: '변수', content },
      '/body/content',
    ),
  ),
  silent('dots for a title', 'concept', { title: '…', content: 'a' }, '/body/title'),
  silent('dots for a question', 'exercise', { question: '...', answer: '1' }, '/body/question'),
  silent('dots for an answer', 'exercise', { question: 'q', answer: '…' }, '/body/answer'),
  silent('undefined for an answer', 'exercise', { question: 'q', answer: 'undefined' }, '/body/answer'),
  silent(
    'dots for a question of a quiz',
    'quiz',
    ask({ ...choice, question: '…' }),
    '/body/quizzes/0/question',
  ),
  silent('a number for a content', 'concept', { title: 'a', content: 1 }, '/body/content'),
  {
    about: 'an operator for an answer',
    kind: 'exercise',
    given: { question: '같은지 보는 연산자는?', answer: '==', difficulty: 'easy' },
    stored: { question: '같은지 보는 연산자는?', answer: '==', difficulty: 'easy' },
  },
  {
    about: 'a sentence with dots',
    kind: 'concept',
    given: { title: 'undefined와 null', content: '…그리고 undefined' },
    stored: { title: 'undefined와 null', content: '…그리고 undefined' },
  },
  {
    about: 'an emoji for a content',
    kind: 'concept',
    given: { title: '🧑‍🏫', content: '👍' },
    stored: { title: '🧑‍🏫', content: '👍' },
  },
]

const CHARACTERS: Case[] = [
  {
    about: 'a NUL in a text',
    kind: 'concept',
    given: { title: 'a\0', content: 'b\0c' },
    stored: { title: 'a', content: 'bc' },
  },
  {
    about: 'half an emoji',
    kind: 'exercise',
    given: { question: 'a\ud83d', answer: '\udc00b', difficulty: 'easy' },
    stored: { question: 'a\ufffd', answer: '\ufffdb', difficulty: 'easy' },
  },
  {
    about: 'half an emoji as an escape',
    kind: 'concept',
    given: { raw: '{"title":"a\\ud83d","content":"b\\u0000c"}' },
    stored: { title: 'a\ufffd', content: 'bc' },
  },
  {
    about: 'a whole emoji as an escape',
    kind: 'concept',
    given: { raw: '{"title":"a\\ud83d\\ude00","content":"b"}' },
    stored: { title: 'a😀', content: 'b' },
  },
  {
    about: 'a NUL in an option and its key',
    kind: 'quiz',
    given: ask({ options: ['a\0', 'b'], correct_answer: 'a\0' }),
    stored: stored({ options: ['a', 'b'], correct_answer: 'a' }),
  },
  {
    about: 'two halves that become the same option',
    kind: 'quiz',
    given: ask({ options: ['\ud83d', '\ud83e'], correct_answer: '\ud83e' }),
    stored: undefined,
  },
  {
    about: 'invisible characters in a text',
    kind: 'concept',
    given: { title: '가\u200b나', content: '\ufeff다\u00a0' },
    stored: { title: '가\u200b나', content: '\ufeff다\u00a0' },
  },
]

export const CASES: readonly Case[] = [
  ...KEYS,
  ...OPTIONS,
  ...TRUTHS,
  ...TYPES,
  ...LATEX,
  ...NEARLY,
  ...AMOUNTS,
  ...NOTHING,
  ...CHARACTERS,
]

/** As the model’s own text would be: what is a value, written as JSON. */
export function asModelText({ given }: Case): string {
  if (
    typeof given === 'object' &&
    given !== null &&
    'raw' in given &&
    typeof given.raw === 'string' &&
    !('title' in given)
  )
    return given.raw
  return JSON.stringify(given)
}

/** Options in the order of their characters, so that results can be compared. */
export function sorted(result: unknown): unknown {
  const { quizzes } = (result ?? {}) as { quizzes?: { options?: string[] | null }[] }
  if (quizzes === undefined) return result
  return {
    quizzes: quizzes.map((quiz) => ({ ...quiz, options: quiz.options ? quiz.options.toSorted() : null })),
  }
}
