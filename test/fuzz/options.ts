/** The arguments of `npm run fuzz`. */
import { parseArgs } from 'node:util'

export const HELP = `npm run fuzz [-- options]

Sends hostile inputs to one server on the embedded database: HTTP, socket packets, tokens, messages from Kafka and
Redis. The same seed gives the same inputs. Ends with 1 at the first fault, and says what was sent last.

  --seed 1         of the inputs, a whole number
  --seconds 60     how long
  --help           this text`

export type Options = { seed: number; seconds: number } | { help: true } | { problem: string }

export function readOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seed: { type: 'string' },
        seconds: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help === true) return { help: true }
    const [seed, seconds] = [values.seed ?? '1', values.seconds ?? '60']
    if (!/^\d{1,9}$/.test(seed))
      return { problem: `--seed must be a whole number, not ${JSON.stringify(seed)}` }
    if (!/^[1-9]\d{0,5}$/.test(seconds))
      return { problem: `--seconds must be a whole number from 1 on, not ${JSON.stringify(seconds)}` }
    return { seed: Number(seed), seconds: Number(seconds) }
  } catch (error) {
    // Node's own words go on over several sentences.
    return { problem: ((error as Error).message.split(/\. |\n/)[0] ?? '').replace(/\.$/, '') }
  }
}
