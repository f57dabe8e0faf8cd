/** Random choices from a seed, and values that programs trip over. */
export interface Random {
  /** In [0, 1). */
  next(): number
  pick<T>(items: readonly T[]): T
}

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let a = seed
  const next = () => {
    a = (a + 0x6d2b79f5) | 0
    let x = Math.imul(a ^ (a >>> 15), 1 | a)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
  return { next, pick: (items) => items[Math.floor(next() * items.length)] as never }
}

// biome-ignore format: one list
const VALUES: readonly unknown[] = [
  null, true, 0, -0, -1, 0.1, 1e21, 2 ** 31, 2 ** 53, 1e308, '', ' ', '0', '\0', '\ud800', '🧑‍🏫', '\u2028\n\r', "'; drop table chapter; --",
  '%00', '{}', 'x'.repeat(300), '가'.repeat(4000), 'NaN', [], {}, [[]], [null], { '': '' }, { 'a\0': 1 }, { toString: 1, length: -1 },
  { _placeholder: true, num: 0 }, { _placeholder: true, num: -1 }, Array(30).fill('a'),
]
const NAMES = [
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
