import { seeded } from '../support/random.js'

/** Random choices from a seed, and values that programs trip over. */
export interface Random {
  /** In [0, 1). */
  next(): number
  pick<T>(items: readonly T[]): T
}

export function randomFrom(seed: number): Random {
  const random = seeded(seed)
  return { next: random, pick: random.pick }
}

// biome-ignore format: one list
const VALUES: readonly unknown[] = [
  null, true, 0, -0, -1, 0.1, 1e21, 2 ** 31, 2 ** 53, -(2 ** 63), 1e-9, 1e308, '', ' ', '0', '\0', '\ud800', '🧑‍🏫', '\u2028\n\r', "'; drop table chapter; --",
  '%00', '{}', '$1', 'null', 'a\udfffb', '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f', 'x'.repeat(300), '가'.repeat(4000), 'NaN', [], {}, [[]], [null], { '': '' }, { 'a\0': 1 }, { toString: 1, length: -1 },
  { _placeholder: true, num: 0 }, { _placeholder: true, num: -1 }, Array(30).fill('a'),
]
export const IDS = [
  ...[
    '0',
    '-1',
    '1.5',
    'x',
    '%00',
    '%ZZ',
    '%F0%9F%92%A9',
    '9007199254740991',
    '9007199254740993',
    '1e3',
    '',
    '..',
  ],
  ...['1'.repeat(40), "1'--", '%01', '999'],
]
/** By the byte. */
export const TARGETS_OF_REQUESTS = [
  ...[
    '/',
    '*',
    'http://x/v1/chapter/',
    'x',
    '//',
    '/%76%31/chapter/',
    '/socket.io/?EIO=4&transport=polling',
    '/healthz',
  ],
  ...[
    '/v1/chapter/1/events',
    '/docs/static/index.css',
    `/${'a'.repeat(9000)}`,
    '/v1/chapter/?x=\xff',
    '/nowhere',
  ],
]
export const CHUNKS = [
  '0\r\n\r\n',
  'zz\r\n',
  '-1\r\n',
  'ffffffffffffffffff\r\n',
  '1\r\n{',
  '1;a=b\r\n{\r\n0\r\nx: y\r\n\r\n',
]
export const LENGTHS = ['0', '-1', '1', 'x', '99999999999', '9'.repeat(30), '1048577', '1, 1']
const NAMES = [
  'content',
  'options',
  'kind',
  'metadata',
  'title',
  'quizzes',
  'job_id',
  'attempt',
  'chapter_id',
  'x',
  '',
  'constructor',
  '__proto__',
  'a\0',
]

export function mutate(random: Random, value: unknown, depth = 0): unknown {
  if (random.next() < 0.2 || depth > 4) return random.pick(VALUES)
  if (Array.isArray(value))
    return value.map((item) => (random.next() < 0.4 ? mutate(random, item, depth + 1) : item))
  if (typeof value !== 'object' || value === null) return random.pick(VALUES)
  const entries = Object.entries(value).filter(() => random.next() > 0.1)
  if (random.next() < 0.3) entries.push([random.pick(NAMES), random.pick(VALUES)])
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, random.next() < 0.4 ? mutate(random, inner, depth + 1) : inner]),
  )
}

/** Text whose bytes are changed here and there, or that breaks off. */
export function corrupt(random: Random, text: string): Buffer {
  const bytes = Buffer.from(text)
  for (let left = 1 + random.next() * 4; left > 0 && bytes.length > 0; left--)
    bytes[Math.floor(random.next() * bytes.length)] = Math.floor(random.next() * 256)
  return bytes.subarray(0, random.next() < 0.3 ? Math.floor(random.next() * bytes.length) : bytes.length)
}

/** One or the other. */
export function spoil(random: Random, value: unknown): Buffer {
  const text = JSON.stringify(random.next() < 0.8 ? mutate(random, value) : value) ?? ''
  return random.next() < 0.3 ? corrupt(random, text) : Buffer.from(text)
}
