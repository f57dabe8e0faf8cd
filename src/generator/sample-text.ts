/**
 * The words of the sample model. All of it is about one topic: a chapter’s title, what its description
 * says, and the words of both. A person’s text goes into Markdown through `markdown` only; questions and
 * answers are plain text.
 */
import type { GenerationMessage } from '../contract/generation.js'
import { type JobKind, type JobResults, MAX_QUIZZES, type QuizItem } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'

/** A chapter in the terms the sample text is written in; every text on one line, without control characters. */
export interface Topic {
  title: string
  /** The beginning of the description; may be empty. */
  description: string
  /** One to four words that stand for the chapter. */
  terms: readonly [string, ...string[]]
  quizCount: number
  /** Chooses between equally good texts; the same for every attempt at a chapter. */
  seed: number
}

export interface Phrases {
  /** What a text begins with that was written again. */
  again: (instruction: string) => string
  write: { [K in JobKind]: (topic: Topic) => JobResults[K] }
  /** What is said while thinking, in order. */
  progress: Record<JobKind, readonly string[]>
  failed: string
}

export function topicOf(message: GenerationMessage): Topic {
  const { chapter_id, locale } = message
  const title = oneLine(message.title) || UNTITLED[locale]
  const description = oneLine(message.description)
  return {
    title,
    description: shorten(description, DESCRIPTION_MAX),
    terms: termsOf(title, description),
    quizCount: Math.min(MAX_QUIZZES, Math.max(1, message.quiz_count)),
    seed: hash(`${chapter_id}\n${title}`) + (message.revision ?? 1) - 1,
  }
}

/** The text of a regeneration says what was asked for: a sample can follow no instruction, but show that it arrived. */
export function sayInstruction<K extends JobKind>(
  result: JobResults[K],
  { revision = 1, instruction, locale }: GenerationMessage,
): JobResults[K] {
  if (revision === 1) return result
  const note = PHRASES[locale].again(shorten(oneLine(instruction ?? ''), INSTRUCTION_MAX))
  if ('content' in result) return { ...result, content: `> ${markdown(note)}\n\n${result.content}` }
  if ('answer' in result) return { ...result, question: `${note}\n\n${result.question}` }
  const [first, ...others] = result.quizzes
  if (first === undefined) return result
  return { ...result, quizzes: [{ ...first, question: `${note} ${first.question}` }, ...others] }
}

/**
 * Text as Markdown that shows exactly it: no markup, no HTML, no link, no table cell ends in it.
 * CommonMark lets every ASCII punctuation mark be escaped; those left out mean nothing inside a line.
 */
export function markdown(text: string): string {
  return text.replace(/[\\`*_{}[\]<>()#+\-.!|~&=:@$]/g, '\\$&')
}

export const PHRASES: Record<Locale, Phrases> = {
  ko: {
    again: (instruction) =>
      instruction === ''
        ? '다시 생성한 샘플입니다.'
        : `다시 생성한 샘플입니다. 요청한 내용: “${instruction}”`,
    write: {
      concept: (topic) => ({
        title: `${topic.title}: 개념 정리`,
        content: conceptKo(topic),
      }),
      exercise: (topic) => {
        const { title, terms, seed } = topic
        const tasks = [
          `“${terms[0]}”의 뜻을 자기 말로 두 문장 안에 설명하세요.`,
          `일상에서 “${terms[0]}”에 해당하는 예와 반례를 하나씩 드세요.`,
          `“${terms.at(-1)}”에 대해 친구가 틀리기 쉬운 문제를 하나 만들고, 왜 틀리기 쉬운지 쓰세요.`,
        ]
        const hints = [
          '뜻풀이: 노트를 보지 않고 썼고, 용어를 그 용어로 설명하지 않았으면 됩니다.',
          '예와 반례: 둘을 가르는 기준을 한 문장으로 말할 수 있으면 됩니다.',
          '문제 만들기: 정답과 함께, 틀린 답을 고르게 되는 까닭까지 적었으면 됩니다.',
        ]
        const { count, difficulty } = levelOf(seed)
        return {
          question: `“${title}” 챕터에서 배운 것을 노트를 덮고 풀어 보세요.\n\n${numbered(tasks.slice(0, count))}`,
          answer: `정답은 하나가 아닙니다. 다음을 기준으로 스스로 확인하세요.\n\n${numbered(hints.slice(0, count))}\n\n(이 문제는 체험용 샘플입니다. AI 모델이나 n8n을 연결하면 챕터의 내용에 맞는 문제가 만들어집니다.)`,
          difficulty,
        }
      },
      quiz: (topic) => quizOf(topic, quizKo(topic), ['참', '거짓']),
    },
    progress: {
      concept: [
        '챕터의 제목과 설명을 읽고 있습니다.',
        '핵심 용어를 고르고 있습니다.',
        '개념 설명을 쓰고 있습니다.',
        '표와 예제를 다듬고 있습니다.',
      ],
      exercise: [
        '연습할 내용을 고르고 있습니다.',
        '문제를 쓰고 있습니다.',
        '풀이 기준을 정리하고 있습니다.',
        '난이도를 맞추고 있습니다.',
      ],
      quiz: [
        '물어볼 내용을 고르고 있습니다.',
        '질문을 쓰고 있습니다.',
        '보기를 섞고 있습니다.',
        '정답을 확인하고 있습니다.',
      ],
    },
    failed: '샘플 생성기가 이 시도를 일부러 실패시켰습니다(metadata.sample).',
  },
  en: {
    again: (instruction) =>
      instruction === '' ? 'Written again.' : `Written again. What was asked for: “${instruction}”`,
    write: {
      concept: (topic) => ({
        title: `${topic.title}: the concept`,
        content: conceptEn(topic),
      }),
      exercise: (topic) => {
        const { title, terms, seed } = topic
        const tasks = [
          `Explain “${terms[0]}” in your own words, in two sentences at most.`,
          `Give one everyday example of “${terms[0]}”, and one counterexample.`,
          `Write a question about “${terms.at(-1)}” that is easy to get wrong, and say why it is.`,
        ]
        const hints = [
          'The explanation: you wrote it without your notes, and it does not define the term by itself.',
          'The example and the counterexample: you can say in one sentence what tells them apart.',
          'Your question: it comes with its answer, and with the reason why a wrong one is tempting.',
        ]
        const { count, difficulty } = levelOf(seed)
        return {
          question: `Close your notes on “${title}” and try this.\n\n${numbered(tasks.slice(0, count))}`,
          answer: `There is more than one right answer. Check yours against this.\n\n${numbered(hints.slice(0, count))}\n\n(This exercise is a sample. Connect an AI model or n8n to get one about the chapter’s content.)`,
          difficulty,
        }
      },
      quiz: (topic) => quizOf(topic, quizEn(topic), ['True', 'False']),
    },
    progress: {
      concept: [
        'Reading the chapter’s title and description.',
        'Choosing the key terms.',
        'Writing the explanation.',
        'Polishing the table and the example.',
      ],
      exercise: [
        'Choosing what to practise.',
        'Writing the exercise.',
        'Writing the solution.',
        'Setting the difficulty.',
      ],
      quiz: [
        'Choosing what to ask.',
        'Writing the questions.',
        'Shuffling the options.',
        'Checking the answers.',
      ],
    },
    failed: 'The sample generator failed this attempt on purpose (metadata.sample).',
  },
}

const UNTITLED: Record<Locale, string> = { ko: '이번 챕터', en: 'This chapter' }
const DESCRIPTION_MAX = 280
const INSTRUCTION_MAX = 280
const TERM_MAX = 40
const TERMS_MAX = 4
/** How many of the three tasks an exercise has. */
const LEVELS = [
  { difficulty: 'easy', count: 1 },
  { difficulty: 'medium', count: 2 },
  { difficulty: 'hard', count: 3 },
] as const
type Level = (typeof LEVELS)[number]

function conceptKo({ title, description, terms }: Topic): string {
  const name = markdown(title)
  const rows = [
    ['무엇이고, 왜 필요한가?', '예를 두 개 들어 봅니다'],
    ['다른 용어와 무엇이 다른가?', '차이를 표로 적어 봅니다'],
    ['언제 쓰고, 언제 쓰지 않는가?', '반례를 하나 찾아 봅니다'],
    ['무엇을 알아야 이해할 수 있는가?', '배우지 않은 사람에게 설명해 봅니다'],
  ]
  return `“${name}” 챕터를 시작합니다. 무엇을 배우는지 먼저 훑어보고, 핵심 용어를 자기 말로 설명한 다음, 작은 예제로 확인합니다.

> ${markdown(description) || '한 문장으로 요약할 수 있으면 절반은 이해한 것입니다.'}

## 학습 목표

- “${name}”에서 다루는 문제가 무엇인지 한 문장으로 말합니다.
- 핵심 용어를 자기 말로 설명합니다: ${terms.map(markdown).join(', ')}
- 배운 것이 맞는 경우와 맞지 않는 경우를 하나씩 찾습니다.

## 핵심 용어

| 용어 | 먼저 던질 질문 | 확인하는 방법 |
| --- | --- | --- |
${tableRows(terms, rows)}

## 다섯 단계로 공부하기

1. **훑어보기**: 제목과 설명만 보고 무엇을 배울지 예상합니다.
2. **예시 찾기**: 용어마다 예와 반례를 하나씩 찾습니다.
3. **직접 해 보기**: 노트를 덮고 예제를 처음부터 다시 풉니다.
4. **설명하기**: 배우지 않은 사람에게 3분 안에 설명합니다.
5. **다시 보기**: 1일, 3일, 7일, 14일 뒤에 기억나는 것부터 적어 봅니다.

### 복습 계획

날을 나누어 복습하는 것을 **분산 학습**이라고 합니다.

\`\`\`python
chapter = ${JSON.stringify(title)}
for day in (1, 3, 7, 14):
    print(f"{day}일 뒤: {chapter}, 노트를 덮고 설명해 보기")
\`\`\`

## 기억할 것

> 다시 읽은 것보다 떠올려 본 것이 오래 남습니다. 이것을 **인출 연습**이라고 합니다.

---

*이 글은 체험용 샘플입니다. 실제 내용은 \`GENERATOR=openai\`로 AI 모델을, 또는 \`KAFKA_BROKERS\`로 n8n을 연결하면 만들어집니다.*
`
}

function conceptEn({ title, description, terms }: Topic): string {
  const name = markdown(title)
  const rows = [
    ['What is it, and what is it for?', 'Give two examples'],
    ['How does it differ from the others?', 'Write the differences into a table'],
    ['When does it apply, and when not?', 'Find a counterexample'],
    ['What do you need to know first?', 'Explain it to somebody new to it'],
  ]
  return `This is where “${name}” begins. Skim what is coming, put the key terms into your own words, and check them on a small example.

> ${markdown(description) || 'What you can sum up in a sentence, you have half understood.'}

## Goals

- Say in one sentence which problem “${name}” is about.
- Explain the key terms in your own words: ${terms.map(markdown).join(', ')}
- Find one case where what you learned applies, and one where it does not.

## Key terms

| Term | Ask first | Then check |
| --- | --- | --- |
${tableRows(terms, rows)}

## Five steps

1. **Skim**: from the title and the description alone, guess what is coming.
2. **Find examples**: for every term, one example and one counterexample.
3. **Do it yourself**: close your notes and work through the example again.
4. **Explain**: tell somebody new to it, in 3 minutes.
5. **Come back**: after 1, 3, 7 and 14 days, write down what you remember first.

### A plan for reviewing

Spreading reviews over days is called **spaced practice**.

\`\`\`python
chapter = ${JSON.stringify(title)}
for day in (1, 3, 7, 14):
    print(f"day {day}: {chapter}, explain it with the notes closed")
\`\`\`

## To remember

> What you recalled stays longer than what you reread. This is called **retrieval practice**.

---

*This is sample text. For real content connect an AI model with \`GENERATOR=openai\`, or n8n with \`KAFKA_BROKERS\`.*
`
}

type Draft =
  | { type: 'multiple'; question: string; answer: string; others: string[] }
  | { type: 'short'; question: string; answer: string }
  | { type: 'boolean'; question: string; answer: boolean }

/** Twenty, types in turn; the first ones are about the chapter itself. */
function quizKo({ title, terms }: Topic): Draft[] {
  return [
    {
      type: 'multiple',
      question: `“${title}”의 내용을 오래 기억하는 데 가장 효과적인 방법은 무엇입니까?`,
      answer: '노트를 덮고 떠올려 본다',
      others: ['같은 쪽을 여러 번 다시 읽는다', '모든 문장에 밑줄을 긋는다', '시험 전날 한 번에 몰아서 본다'],
    },
    {
      type: 'short',
      question: `“${title}” 노트의 핵심 용어 표에서 맨 위에 있는 용어를 쓰세요.`,
      answer: terms[0],
    },
    {
      type: 'boolean',
      question: `“${terms.at(-1)}”도 “${title}” 챕터의 핵심 용어에 들어 있다.`,
      answer: true,
    },
    {
      type: 'multiple',
      question: `“${title}”의 복습 계획에서 첫 복습은 언제입니까?`,
      answer: '1일 뒤',
      others: ['3일 뒤', '7일 뒤', '14일 뒤'],
    },
    {
      type: 'short',
      question: '노트를 덮고 배운 것을 떠올려 보는 공부 방법을 무엇이라고 합니까?',
      answer: '인출 연습',
    },
    {
      type: 'boolean',
      question: '같은 글을 다시 읽는 것이 떠올려 보는 것보다 오래 남는다.',
      answer: false,
    },
    {
      type: 'multiple',
      question: `“${terms[0]}”의 뜻을 이해했는지 확인하는 가장 좋은 방법은 무엇입니까?`,
      answer: '배우지 않은 사람에게 자기 말로 설명한다',
      others: ['뜻풀이를 그대로 베껴 쓴다', '용어의 글자 수를 센다', '노트의 색을 바꾼다'],
    },
    {
      type: 'short',
      question: '규칙이나 뜻이 들어맞지 않는 예를 무엇이라고 합니까?',
      answer: '반례',
    },
    {
      type: 'boolean',
      question: `“${terms[0]}”의 반례를 찾으면 그 말이 어디까지 적용되는지 알 수 있다.`,
      answer: true,
    },
    {
      type: 'multiple',
      question: '다섯 단계 가운데 가장 먼저 하는 것은 무엇입니까?',
      answer: '훑어보기',
      others: ['예시 찾기', '설명하기', '다시 보기'],
    },
    {
      type: 'short',
      question: '다섯 단계 가운데 마지막 단계의 이름을 쓰세요.',
      answer: '다시 보기',
    },
    {
      type: 'boolean',
      question: '첫 복습은 배운 지 일주일이 지난 뒤에 한다.',
      answer: false,
    },
    {
      type: 'multiple',
      question: '비슷한 두 용어가 헷갈릴 때 이 노트가 권하는 것은 무엇입니까?',
      answer: '차이를 표로 적어 본다',
      others: ['둘 중 하나만 외운다', '나중으로 미룬다', '같은 뜻으로 여긴다'],
    },
    {
      type: 'short',
      question: '한 번에 몰아서 보지 않고 날을 나누어 복습하는 것을 무엇이라고 합니까?',
      answer: '분산 학습',
    },
    {
      type: 'boolean',
      question: '복습할 때는 노트를 보기 전에 기억나는 것부터 적는다.',
      answer: true,
    },
    {
      type: 'multiple',
      question: `“${title}”의 예제를 다시 풀 때 가장 좋은 방법은 무엇입니까?`,
      answer: '노트를 덮고 처음부터 푼다',
      others: ['답을 보면서 베껴 쓴다', '마지막 줄만 확인한다', '눈으로만 따라간다'],
    },
    {
      type: 'short',
      question: '배운 것을 몇 분 안에 설명해 보라고 합니까?',
      answer: '3분',
    },
    {
      type: 'boolean',
      question: '뜻풀이를 외웠으면 자기 말로 설명해 볼 필요는 없다.',
      answer: false,
    },
    {
      type: 'multiple',
      question: '용어마다 예와 함께 찾아야 하는 것은 무엇입니까?',
      answer: '반례',
      others: ['외국어 번역', '글자 수', '발음 기호'],
    },
    {
      type: 'short',
      question: '복습 간격 네 개를 짧은 것부터 차례로 쓰세요. (단위: 일)',
      answer: '1, 3, 7, 14',
    },
  ]
}

function quizEn({ title, terms }: Topic): Draft[] {
  return [
    {
      type: 'multiple',
      question: `What helps most to remember “${title}” for long?`,
      answer: 'Recalling it with the notes closed',
      others: [
        'Reading the same page again and again',
        'Underlining every sentence',
        'Cramming the night before',
      ],
    },
    {
      type: 'short',
      question: `Which term comes first in the table of key terms of “${title}”?`,
      answer: terms[0],
    },
    {
      type: 'boolean',
      question: `“${terms.at(-1)}” is among the key terms of “${title}”.`,
      answer: true,
    },
    {
      type: 'multiple',
      question: `When does the plan for “${title}” put the first review?`,
      answer: 'After 1 day',
      others: ['After 3 days', 'After 7 days', 'After 14 days'],
    },
    {
      type: 'short',
      question: 'What is recalling with the notes closed called?',
      answer: 'retrieval practice',
    },
    {
      type: 'boolean',
      question: 'Rereading a text makes it stay longer than recalling it.',
      answer: false,
    },
    {
      type: 'multiple',
      question: `What is the best check that you understand “${terms[0]}”?`,
      answer: 'Explaining it in your own words to somebody new to it',
      others: [
        'Copying out its definition',
        'Counting its letters',
        'Giving it another colour in your notes',
      ],
    },
    {
      type: 'short',
      question: 'What is a case called that a rule does not fit?',
      answer: 'counterexample',
    },
    {
      type: 'boolean',
      question: `A counterexample shows how far “${terms[0]}” reaches.`,
      answer: true,
    },
    {
      type: 'multiple',
      question: 'Which of the five steps comes first?',
      answer: 'Skim',
      others: ['Find examples', 'Explain', 'Come back'],
    },
    {
      type: 'short',
      question: 'What is the last of the five steps called?',
      answer: 'Come back',
    },
    {
      type: 'boolean',
      question: 'The first review is a week after learning.',
      answer: false,
    },
    {
      type: 'multiple',
      question: 'What do the notes suggest when two terms are easily confused?',
      answer: 'Writing their differences into a table',
      others: ['Learning only one of them', 'Leaving it for later', 'Treating them as one'],
    },
    {
      type: 'short',
      question: 'What is spreading reviews over days called?',
      answer: 'spaced practice',
    },
    {
      type: 'boolean',
      question: 'A review starts with what you remember, before the notes.',
      answer: true,
    },
    {
      type: 'multiple',
      question: `How should you repeat an example of “${title}”?`,
      answer: 'From the start, with the notes closed',
      others: ['By copying the answer', 'By checking the last line only', 'By following it with your eyes'],
    },
    {
      type: 'short',
      question: 'In how many minutes should you be able to explain it?',
      answer: '3',
    },
    {
      type: 'boolean',
      question: 'Whoever knows the definition by heart need not explain it.',
      answer: false,
    },
    {
      type: 'multiple',
      question: 'What belongs to every term besides an example?',
      answer: 'A counterexample',
      others: ['A translation', 'Its number of letters', 'Its pronunciation'],
    },
    {
      type: 'short',
      question: 'After how many days do the four reviews come, the shortest first?',
      answer: '1, 3, 7, 14',
    },
  ]
}

/** `words` are those for true and false. */
function quizOf({ quizCount, seed }: Topic, drafts: Draft[], words: [string, string]): JobResults['quiz'] {
  return {
    quizzes: drafts.slice(0, quizCount).map((draft, i) => quizItem(draft, seed + i, words)),
  }
}

function quizItem(draft: Draft, seed: number, words: [string, string]): QuizItem {
  const { type, question } = draft
  switch (draft.type) {
    case 'multiple': {
      const options = [...draft.others]
      options.splice(seed % (options.length + 1), 0, draft.answer)
      return { type, question, correct_answer: draft.answer, options }
    }
    case 'boolean':
      return {
        type,
        question,
        correct_answer: words[draft.answer ? 0 : 1],
        options: [...words],
      }
    case 'short':
      return { type, question, correct_answer: draft.answer }
  }
}

function tableRows(terms: readonly string[], rows: string[][]): string {
  return terms.map((term, i) => `| ${[markdown(term), ...(rows[i] ?? [])].join(' | ')} |`).join('\n')
}

function numbered(lines: string[]): string {
  return lines.map((line, i) => `${i + 1}. ${line}`).join('\n')
}

/** Control characters and direction overrides would reach beyond the text itself. */
function oneLine(text: string): string {
  return text
    .replace(/\p{Bidi_Control}/gu, '')
    .replace(/\p{Cs}/gu, '\uFFFD')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
}

/** At most `max` characters as a reader counts them, so that no emoji is cut apart. */
function shorten(text: string, max: number): string {
  if (text.length <= max) return text
  let count = 0
  // Not all of a long text: that takes minutes.
  for (const { index } of new Intl.Segmenter().segment(text)) {
    if (count === max) return `${text.slice(0, index).trimEnd()}…`
    count += 1
  }
  return text
}

/** The first words of the title, then of the description; the title itself when it has none. */
function termsOf(title: string, description: string): [string, ...string[]] {
  const words = `${title} ${description}`
    .split(/[\s,;:!?|/·()[\]{}<>"“”‘’「」『』《》]+/u)
    .map((word) => (WORD.exec(word)?.[0] ?? '').replace(PARTICLE, ''))
    .filter((word) => word !== '' && !STOPWORDS.has(word.toLowerCase()))
    .map((word) => shorten(word, TERM_MAX))
  const [first, ...rest] = [...new Set(words)].slice(0, TERMS_MAX)
  return first === undefined ? [shorten(title, TERM_MAX)] : [first, ...rest]
}

/** From the first letter or digit to the last, so without quotes and dots around it, but C++ and C# whole. */
const WORD = /[\p{L}\p{N}].*[\p{L}\p{M}\p{N}+#]|[\p{L}\p{N}]/u
/** A Korean particle after a word of two syllables or more: 변수와, 자료형의; not 효과, 민주주의. */
const PARTICLE = /(?<=^\p{Script=Hangul}{2,})(?:[와과을를]|(?<!주)의)$/u
const STOPWORDS = new Set(
  'a an and as at by for from how in into is it its of on or the this to via what why with 및 그리고 또는 이 그'.split(
    ' ',
  ),
)

/** FNV-1a, 32 bits: spreads well and needs nothing. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193)
  return value >>> 0
}

function levelOf(seed: number): Level {
  return LEVELS[seed % LEVELS.length] ?? LEVELS[0]
}
