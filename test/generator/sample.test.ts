import { Ajv } from 'ajv'
import { marked } from 'marked'
import t from 'tap'
import type { GenerationMessage } from '../../src/contract/generation.js'
import {
  JOB_KINDS,
  type JobKind,
  type JobResults,
  MAX_QUIZZES,
  QUIZ_TYPES,
  type QuizItem,
  RESULTS,
} from '../../src/contract/job.js'
import { LOCALES } from '../../src/contract/scalar.js'
import { createSampleModel } from '../../src/generator/sample.js'
import type { SoFar } from '../../src/generator/text-so-far.js'

const ajv = new Ajv({ strict: false })

const HOSTILE = [
  '# 제목 | 표 | 끝',
  '```\n---\n> *굵게* _기울임_ **',
  '\\',
  '\\| \\\\| `|`',
  '<script>alert(1)</script><!-- <b>',
  '[link](javascript:alert(1)) ![x](y) [a]: b',
  'https://example.com www.example.com a@example.com <http://a.b>',
  '&lt;b&gt; &amp; &#35; &copy;',
  '~~지움~~ ==강조== $x^2$ :smile:',
  '1. 하나\n2. 둘\n- [ ] 셋\n\n\n    코드',
  '👩‍👩‍👧‍👦🇰🇷 emoji 🎉',
  '🎉',
  'متغيرات وأنواع \u202eevil\u202c עברית',
  '\u202e',
  '\u0007\t\u2028x',
  '"따옴표" \'와\' “인용”',
  '__proto__ constructor toString',
  'x'.repeat(255),
  '😀'.repeat(255),
  '| --- | --- |',
]

// Faults are gathered and asserted once: thousands of passing lines tell nothing, and such titles are no TAP.

t.test('every kind keeps the contract, in both languages, whatever the title', async (t) => {
  const faults: unknown[] = []
  for (const locale of LOCALES) {
    for (const title of ['변수와 자료형', ...HOSTILE]) {
      for (const description of ['', title, title.repeat(40)]) {
        for (const kind of JOB_KINDS) {
          const result = await resultOf(kind, { locale, title, description })
          if (!ajv.validate(RESULTS[kind], result)) faults.push([locale, kind, title, ajv.errors])
          const unstorable = /\\u0000|\\ud[89a-f]|undefined/.exec(JSON.stringify(result))
          if (unstorable) faults.push([locale, kind, title, unstorable])
        }
      }
    }
  }
  t.strictSame(faults, [])
})

t.test(
  'a chapter has exactly as many quizzes as it asked for, each with an answer that counts',
  async (t) => {
    const faults: unknown[] = []
    for (const locale of LOCALES) {
      for (const title of ['변수와 자료형', '1일 뒤', 'Skim', ...HOSTILE]) {
        for (let quiz_count = 1; quiz_count <= MAX_QUIZZES; quiz_count++) {
          const result = await resultOf('quiz', { locale, title, quiz_count })
          const { quizzes } = result
          if (!ajv.validate(RESULTS.quiz, result) || quizzes.length !== quiz_count) faults.push(result)
          if (new Set(quizzes.map(({ question }) => question)).size !== quiz_count) faults.push('one twice')
          faults.push(...quizzes.filter((quiz) => !isAnswerable(quiz)))
        }
      }
    }
    t.strictSame(faults, [])
  },
)

t.test('three quizzes already show every type', async (t) => {
  const { quizzes } = await resultOf('quiz', { quiz_count: 3 })
  t.strictSame(new Set(quizzes.map(({ type }) => type)), new Set(QUIZ_TYPES))
})

t.test('true and false are said in the chapter’s language', async (t) => {
  for (const [locale, options] of [
    ['ko', ['참', '거짓']],
    ['en', ['True', 'False']],
  ] as const) {
    const { quizzes } = await resultOf('quiz', { locale, quiz_count: MAX_QUIZZES })
    const booleans = quizzes.filter(({ type }) => type === 'boolean')
    t.ok(booleans.length > 3)
    for (const quiz of booleans) t.strictSame(quiz.options, options)
    t.strictSame(new Set(booleans.map(({ correct_answer }) => correct_answer)), new Set(options))
  }
})

t.test('the right option is not always in the same place', async (t) => {
  const { quizzes } = await resultOf('quiz', { quiz_count: MAX_QUIZZES })
  const places = quizzes
    .filter(({ type }) => type === 'multiple')
    .map(({ options, correct_answer }) => options?.indexOf(correct_answer))
  t.ok(new Set(places).size > 2, places.join())
})

t.test('a concept shows what the page can show, and says that it is a sample', async (t) => {
  for (const locale of LOCALES) {
    const { title, content } = await resultOf('concept', { locale })
    t.match(title, '변수와 자료형')
    const html = await htmlOf({ locale })
    for (const tag of ['h2', 'h3', 'ul', 'ol', 'table', 'blockquote', 'pre', 'strong', 'em']) {
      t.match(html, `<${tag}>`, `${locale} ${tag}`)
    }
    for (const words of ['변수와 자료형', 'Python 기초', '<td>변수</td>', '<td>자료형</td>'])
      t.match(html, words)
    t.match(content.trim().split('\n').at(-1), locale === 'ko' ? /샘플.*GENERATOR=openai/ : /sample.*n8n/)
  }
})

t.test('a hostile title shows as it is written and changes nothing around it', async (t) => {
  for (const locale of LOCALES) {
    const plain = await htmlOf({ locale })
    const faults: unknown[] = []
    for (const title of HOSTILE) {
      const html = await htmlOf({ locale, title, description: title })
      const shown = title
        .replace(/\p{Bidi_Control}/gu, '')
        .replace(/[\s\p{Cc}]+/gu, ' ')
        .trim()
      if (!textOf(html).includes(`“${shown}`)) faults.push(['not shown', title, html])
      // One to four terms make as many rows of three cells; all other markup is the same for every title.
      const rows = tagsOf(html).filter((tag) => tag === '<tr>').length - 1
      const cells = tagsOf(html).filter((tag) => tag === '<td>').length
      if (rows < 1 || rows > 4 || cells !== rows * 3) faults.push(['table', title, html])
      if (tagsOf(html).filter(isNoRow).join() !== tagsOf(plain).filter(isNoRow).join()) {
        faults.push(['markup', title, html])
      }
    }
    t.strictSame(faults, [], locale)
  }
})

t.test('the same chapter always gets the same text', async (t) => {
  for (const kind of JOB_KINDS) {
    t.strictSame(await resultOf(kind, { attempt: 1 }), await resultOf(kind, { attempt: 2 }))
  }
})

t.test('a part that is written again says in the chapter’s language what was asked for', async (t) => {
  const faults: unknown[] = []
  for (const [locale, begin] of [
    ['ko', '다시 생성한'],
    ['en', 'Written again'],
  ] as const)
    for (const instruction of [null, '더 짧게', ...HOSTILE, 'long '.repeat(400)])
      for (const kind of JOB_KINDS) {
        const result = await resultOf(kind, { locale, revision: 2, instruction })
        const text = JSON.stringify(result)
        if (!ajv.validate(RESULTS[kind], result)) faults.push([kind, instruction, ajv.errors])
        if (!text.includes(begin)) faults.push([kind, instruction, 'not said'])
        if (instruction === '더 짧게' && !text.includes('“더 짧게”'))
          faults.push([kind, 'not what was asked'])
        const first = await resultOf(kind, { locale, revision: 1, instruction: null })
        if (JSON.stringify(first).includes(begin)) faults.push([kind, 'said at first'])
      }
  t.strictSame(faults, [])
})

t.test('exercises come in every difficulty', async (t) => {
  const seen = new Set<unknown>()
  for (let chapter_id = 1; chapter_id <= 30; chapter_id++) {
    seen.add((await resultOf('exercise', { chapter_id })).difficulty)
  }
  t.strictSame(seen, new Set(['easy', 'medium', 'hard']))
})

t.test('a long description is quoted from its beginning, without cutting an emoji apart', async (t) => {
  const { content } = await resultOf('concept', { description: '👩‍👩‍👧‍👦'.repeat(400) })
  t.match(content, `> ${'👩‍👩‍👧‍👦'.repeat(280)}…\n`)
})

t.test('a description made to be slow to read is not', async (t) => {
  for (const part of ['.', 'a\u0301', '.a', '\u0301', '(', 'a+']) {
    // CPU time: what else the machine does must not count.
    const before = process.cpuUsage()
    await resultOf('concept', { description: part.repeat(10_000 / part.length) })
    t.ok(process.cpuUsage(before).user < 3_000_000, part)
  }
})

t.test('a text of hundreds of thousands of characters does not stop the sample generator', async (t) => {
  for (const part of ['가', '와', '가 ', 'a\u0301', '👩‍👩‍👧‍👦'])
    for (const field of ['title', 'description']) {
      const before = process.cpuUsage()
      await resultOf('quiz', { [field]: part.repeat(300_000 / part.length) })
      t.ok(process.cpuUsage(before).user < 3_000_000, `${field} of ${part}`)
    }
})

t.test('thinking takes the time asked for, evenly filled with progress', async (t) => {
  const totals: Record<JobKind, number> = { concept: 1000, exercise: 1300, quiz: 1700 }
  for (const locale of LOCALES) {
    for (const kind of JOB_KINDS) {
      const { waits, progress } = await run(kind, { locale }, 1000)
      t.equal(Math.round(waits.reduce((sum, ms) => sum + ms, 0)), totals[kind])
      t.equal(new Set(waits).size, 1, 'evenly')
      t.strictSame(
        progress.map(({ percent }) => percent),
        [20, 40, 60, 80],
      )
      for (const { text } of progress) t.match(text, locale === 'ko' ? /[가-힣]/ : /^[A-Z]/)
    }
  }
})

t.test('without thinking time it answers at once and reports nothing', async (t) => {
  t.match(await run('quiz', {}, 0), { waits: [], progress: [], error: undefined })
})

t.test('an abort ends the thinking', async (t) => {
  const abort = new AbortController()
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  for (const metadata of [{}, { sample: { hang: ['concept'] } }]) {
    const abort = new AbortController()
    const thinking = createSampleModel({ delayMs: 600_000 }).generate(
      { ...message('concept'), kind: 'concept', metadata },
      { signal: abort.signal, onProgress() {}, onText() {} },
    )
    abort.abort(new Error('enough'))
    await t.rejects(thinking)
    t.equal(timers(), before)
  }
  abort.abort(new Error('too late'))
  await t.rejects(
    createSampleModel({ delayMs: 0 }).generate(
      { ...message('concept'), kind: 'concept' },
      { signal: abort.signal, onProgress() {}, onText() {} },
    ),
    { message: 'too late' },
  )
})

t.test('metadata makes an attempt fail, and the next one succeed', async (t) => {
  const metadata = { sample: { fail: ['quiz'] } }
  t.match(await run('quiz', { metadata }, 10), {
    error: { name: 'ModelError', reason: 'model_error', retryable: true, message: /metadata\.sample/ },
    progress: { length: 4 },
  })
  t.equal((await run('quiz', { metadata, attempt: 2 })).error, undefined)
  t.equal((await run('concept', { metadata })).error, undefined, 'another kind')
})

t.test('metadata says how many attempts fail, whether for good, and how long each takes', async (t) => {
  const metadata = { sample: { fail: ['concept'], times: 3, retryable: false, delay_ms: 50 } }
  t.match(await run('concept', { metadata, attempt: 3 }), {
    error: { retryable: false },
    waits: Array(5).fill(10),
  })
  t.equal((await run('concept', { metadata, attempt: 4 })).error, undefined)
})

t.test('metadata that makes no sense is ignored', async (t) => {
  for (const sample of [
    null,
    'fail',
    { fail: 'quiz' },
    { fail: ['quiz', 'video'] },
    { fail: ['quiz'], times: 0 },
    { fail: ['quiz'], times: 1.5 },
    { fail: ['quiz'], delay_ms: 600_001 },
    { fail: ['quiz'], delay_ms: -1 },
    { fail: ['quiz'], retryable: 'no' },
  ]) {
    const { error, waits } = await run('quiz', { metadata: { sample } }, 10)
    t.equal(error, undefined, JSON.stringify(sample))
    t.equal(waits.length, 5)
  }
})

function message(kind: JobKind, fields: Partial<GenerationMessage> = {}): GenerationMessage {
  return {
    job_id: '7b1c2c9e-3a52-4f0e-9c55-0a3b9f2f7f11',
    kind,
    attempt: 1,
    max_attempts: 3,
    chapter_id: 1,
    course_id: 1,
    owner_id: 1,
    title: '변수와 자료형',
    description: 'Python 기초',
    locale: 'ko',
    quiz_count: 3,
    metadata: {},
    requested_at: '2026-01-31T09:00:00.000Z',
    deadline_at: '2026-01-31T09:10:00.000Z',
    callback: { start_url: '', finish_url: '', fail_url: '', progress_url: '' },
    ...fields,
  }
}

async function resultOf<K extends JobKind>(
  kind: K,
  fields: Partial<GenerationMessage> = {},
): Promise<JobResults[K]> {
  return createSampleModel({ delayMs: 0 }).generate(
    { ...message(kind, fields), kind },
    { signal: new AbortController().signal, onProgress() {}, onText() {} },
  )
}

/** Thinks without taking time; tells what it waited, reported and threw. */
async function run(kind: JobKind, fields: Partial<GenerationMessage>, delayMs = 0) {
  const waits: number[] = []
  const progress: { percent: number; text: string }[] = []
  const texts: SoFar[] = []
  let error: unknown
  const model = createSampleModel({ delayMs, delay: async (ms) => void waits.push(ms) })
  const context = {
    signal: new AbortController().signal,
    onProgress: (percent: number, text: string) => void progress.push({ percent, text }),
    onText: (soFar: SoFar) => void texts.push(soFar),
  }
  await model.generate({ ...message(kind, fields), kind }, context).catch((thrown: unknown) => {
    error = thrown
  })
  return { waits, progress, texts, error }
}

function isAnswerable({ type, options, correct_answer }: QuizItem): boolean {
  if (type === 'short') return options === undefined
  return options?.includes(correct_answer) === true && new Set(options).size === options.length
}

async function htmlOf(fields: Partial<GenerationMessage>): Promise<string> {
  return marked.parse((await resultOf('concept', fields)).content)
}

function tagsOf(html: string): string[] {
  return html.match(/<[^>]*>/g) ?? []
}

function isNoRow(tag: string): boolean {
  return !/^<\/?t[dr]>$/.test(tag)
}

function textOf(html: string): string {
  const entities: Record<string, string> = {
    '&lt;': '<',
    '&gt;': '>',
    '&quot;': '"',
    '&#39;': "'",
    '&amp;': '&',
  }
  return html.replace(/<[^>]*>/g, '').replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => entities[entity] ?? '')
}

t.test('the text grows while it thinks, up to the result', async (t) => {
  const { texts, waits } = await run('concept', {}, 6000)
  const written = texts.map((soFar) => ('text' in soFar ? soFar.text : ''))
  t.ok(written.length >= 20, `${written.length} times`)
  t.ok(
    waits.every((ms) => ms <= 300),
    'three times a second or more',
  )
  for (const [index, text] of written.entries()) {
    t.ok(text.startsWith(written[index - 1] ?? ''))
    t.ok(text.length > (written[index - 1]?.length ?? 0))
  }
  t.equal(written.at(-1), (await resultOf('concept')).content)

  const quizzes = (await run('quiz', { quiz_count: 4 }, 3000)).texts
  t.same(quizzes.at(-1), { quizzes: (await resultOf('quiz', { quiz_count: 4 })).quizzes })
  t.ok(quizzes.some((soFar) => 'quizzes' in soFar && soFar.quizzes.length === 2))
  t.same((await run('exercise', {}, 0)).texts, [], 'without a delay it answers at once')
})
