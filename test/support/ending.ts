/** What a test and a run have in common: whatever is started says how it ends. */
export interface Ending {
  teardown(end: () => unknown): void
}

/** For programs that are no tests: `end()` does everything that was registered, the latest first. */
export function createEnding(): Ending & { end(): Promise<void> } {
  const ends: (() => unknown)[] = []
  return {
    teardown: (end) => void ends.unshift(end),
    async end() {
      for (const end of ends.splice(0)) await end()
    },
  }
}
