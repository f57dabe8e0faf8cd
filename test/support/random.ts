/** Random numbers that come again: a test that fails prints its seed, and the seed gives the same run. */

export interface Random {
  /** From 0 up to, and not including, 1. */
  (): number
  /** A whole number from 0 up to, and not including, `n`. */
  below(n: number): number
  /** True with probability `p`. */
  chance(p: number): boolean
  pick<T>(items: readonly T[]): T
}

/** mulberry32: the same numbers for the same seed, on every machine. */
export function seeded(seed: number): Random {
  let state = seed
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(random() * n)
  return Object.assign(random, {
    below,
    chance: (p: number) => random() < p,
    pick: <T>(items: readonly T[]) => items[below(items.length)] as T,
  })
}
