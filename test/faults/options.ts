/** The arguments of `npm run faults`. */
import { parseArgs } from 'node:util'
import { FAULT_KINDS, type FaultKind } from './schedule.js'

/** The deliberate faults of `support/deliberate-faults.ts`. */
export const BREAKS = [
  'write-without-version',
  'trust-arrival-order',
  'lease-not-renewed',
  'subscribe-not-awaited',
] as const
export type Break = (typeof BREAKS)[number]

export const HELP = `npm run faults [-- options]

Starts PostgreSQL with a standby, Redis, a broker, nodes, watchers, a worker and clients; lets faults happen to them;
and holds the database, the sockets and the worker against each other. Prints one table. Ends with 1 when something
is not as promised.

  --chapters 1000        chapters that are made
  --rate 15              chapters a second at most; a run takes a minute at least
  --seed N               of the faults, the clients and the worker; a new one unless given
  --nodes 3              from 2 on
  --watchers 60          sockets; a chapter is watched by two or three of them, and some by event streams
  --only a,b             these faults alone
  --without a,b          all but these
  --no-faults            none: what the machine does by itself
  --attempt-timeout 30   deadline of an attempt, in seconds
  --dispatch kafka       how jobs reach the worker: kafka or http
  --from REF             nodes begin as this commit and are updated one by one; worker and clients use only what
                         0.1.0 had
  --break NAME           a deliberate fault in the nodes, which the report has to find
  --keep                 keep the logs of nodes also when nothing is wrong
  --help                 this text

The faults: ${FAULT_KINDS.join(', ')}.
To break: ${BREAKS.join(', ')}.
A real Kafka is used where KAFKA_BROKERS names one; its faults are made on the way to it.`

export interface Options {
  chapters: number
  rate: number
  seed: number
  nodes: number
  watchers: number
  kinds: readonly FaultKind[]
  attemptTimeoutMs: number
  dispatch: 'kafka' | 'http'
  from: string | undefined
  break: Break | undefined
  keep: boolean
}

/** A run is not shorter: faults last for seconds. */
const SHORTEST_S = 60

export function readOptions(args: string[]): Options | { help: true } | { problem: string } {
  try {
    const { values } = parseArgs({
      args,
      options: {
        chapters: { type: 'string', default: '1000' },
        rate: { type: 'string', default: '15' },
        seed: { type: 'string' },
        nodes: { type: 'string', default: '3' },
        watchers: { type: 'string', default: '60' },
        only: { type: 'string' },
        without: { type: 'string' },
        'no-faults': { type: 'boolean', default: false },
        'attempt-timeout': { type: 'string', default: '30' },
        dispatch: { type: 'string' },
        from: { type: 'string' },
        break: { type: 'string' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) return { help: true }
    const chapters = whole('--chapters', values.chapters, 1)
    const broken = values.break === undefined ? undefined : oneOf<Break>('--break', values.break, BREAKS)
    // Only jobs by HTTP are held by a node.
    const usual = broken === 'lease-not-renewed' ? 'http' : 'kafka'
    // Other faults lose messages, too.
    const all: readonly FaultKind[] = broken === 'subscribe-not-awaited' ? ['slow-redis'] : FAULT_KINDS
    const only = values['no-faults'] ? [] : (listOf('--only', values.only) ?? all)
    const without = listOf('--without', values.without) ?? []
    return {
      chapters,
      rate: Math.min(whole('--rate', values.rate, 1), chapters / SHORTEST_S),
      seed: values.seed === undefined ? 1 + Math.floor(Math.random() * 1e6) : whole('--seed', values.seed, 0),
      nodes: whole('--nodes', values.nodes, 2),
      watchers: whole('--watchers', values.watchers, 1),
      kinds: only.filter((kind) => !without.includes(kind)),
      attemptTimeoutMs: 1000 * whole('--attempt-timeout', values['attempt-timeout'], 5),
      dispatch: oneOf('--dispatch', values.dispatch ?? usual, ['kafka', 'http'] as const),
      from: values.from,
      break: broken,
      keep: values.keep,
    }
  } catch (error) {
    // Node's own words go on over several sentences.
    return { problem: ((error as Error).message.split(/\. |\n/)[0] ?? '').replace(/\.$/, '') }
  }
}

function whole(option: string, text: string, least: number): number {
  const number = Number(text)
  if (text !== '' && Number.isInteger(number) && number >= least) return number
  throw new Error(`${option} must be a whole number from ${least} on, not ${JSON.stringify(text)}`)
}

function oneOf<T extends string>(option: string, text: string, words: readonly T[]): T {
  const word = words.find((known) => known === text)
  if (word !== undefined) return word
  throw new Error(`${option} must be one of ${words.join(', ')}, not ${JSON.stringify(text)}`)
}

function listOf(option: string, text: string | undefined): FaultKind[] | undefined {
  return text?.split(',').map((name) => oneOf<FaultKind>(option, name.trim(), FAULT_KINDS))
}
