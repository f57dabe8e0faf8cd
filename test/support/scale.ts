/**
 * How often a test repeats what it proves: enough to catch what a change breaks, and with `npm run test:all` enough to
 * catch what happens rarely.
 */
export function scale(usual: number, all: number): number {
  return process.env.TEST_ALL === '1' ? all : usual
}
