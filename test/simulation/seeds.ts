/**
 * Runs seeds one after the other and says what is wrong with each: `node seeds.js '{"from":1,"to":100,"step":2,…}'`, as
 * `main.ts` starts it. A seed that goes wrong is run once more, with its steps written down.
 */
import { fileURLToPath } from 'node:url'
import { run } from './run.js'

export interface SeedsOptions {
  from: number
  to: number
  step: number
  commands: number
  checksVersion: boolean
  /** How many of the last steps are shown. */
  steps: number
}

/** A line of what it prints. */
export interface SeedReport {
  seed: number
  setting: string
  commands: number
  seconds: number
  /** Lines for people; empty when all is well. */
  wrong: string[]
}

/** Of a step that is shown. */
const MAX_LENGTH = 240
const NAMED = /chapter (\d+)/

/** What is wrong with a seed, and how it came to that. */
export async function reportOn(
  seed: number,
  options: Omit<SeedsOptions, 'from' | 'to' | 'step'>,
): Promise<SeedReport> {
  const { commands, checksVersion } = options
  const first = await run({ seed, commands, checksVersion })
  const { setting, seconds, counts } = first
  const report = { seed, setting, seconds, commands: counts.commands ?? 0 }
  if (first.wrong.length === 0) return { ...report, wrong: [] }
  const again = await run({ seed, commands, checksVersion, isRecorded: true })
  const isSame = again.hash === first.hash
  const [, chapter] = NAMED.exec(first.wrong[0] ?? '') ?? []
  const concerns = new RegExp(`"chapter(Id)?":${chapter ?? '\\d+'}\\b|FAULT|WRONG|starts|fails`)
  return {
    ...report,
    wrong: [
      ...first.wrong,
      isSame
        ? `The last steps of chapter ${chapter ?? '(all)'}:`
        : 'A second run of this seed was another one!',
      ...again.steps
        .filter((step) => concerns.test(step))
        .slice(-options.steps)
        .map((step) => step.slice(0, MAX_LENGTH)),
    ],
  }
}

if (fileURLToPath(import.meta.url) === process.argv[1]) {
  const options = JSON.parse(process.argv[2] ?? '{}') as SeedsOptions
  for (let seed = options.from; seed <= options.to; seed += options.step)
    process.stdout.write(`${JSON.stringify(await reportOn(seed, options))}\n`)
}
