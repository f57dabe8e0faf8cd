/**
 * `npm run simulate [-- options]`: runs of the whole core in simulated time, see `docs/architecture.md`. Prints the
 * seeds, and for each that went wrong what is wrong and its last steps. Exit code 1 when one did.
 */
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compile } from '../support/compile.js'
import { brokenCopy, FAULT_NAMES, type FaultName } from '../support/deliberate-faults.js'
import type { SeedReport, SeedsOptions } from './seeds.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** A program that is broken shows it again and again. */
const MAX_SHOWN = 5

const HELP = `npm run simulate -- [options]

  --seed N        runs this seed alone
  --seeds N       runs so many new ones (2000)
  --from N        the first of them; any, unless it is given
  --commands N    about how many commands a seed gives (500)
  --break NAME    puts a fault into the program, which has to be found: ${FAULT_NAMES.join(', ')}
  --steps N       how many steps of a seed that went wrong are shown (40)
  --jobs N        how many run at once; as many as there are cores
  --help`

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string' },
    commands: { type: 'string', default: '500' },
    break: { type: 'string' },
    steps: { type: 'string', default: '40' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(HELP)
else process.exitCode = await simulate()

async function simulate(): Promise<number> {
  const fault = faultNamed(values.break)
  const from = Number(values.seed ?? values.from ?? 1 + Math.floor(Math.random() * 1e9))
  const to = values.seed === undefined ? from + Number(values.seeds) - 1 : from
  const commands = Number(values.commands)
  await compile()
  const folder = fault === undefined ? ROOT : await brokenCopy(fault)
  console.log(`seeds ${from} to ${to}, ${commands} commands each${fault ? `, with ${fault}` : ''}`)
  const startedAt = performance.now()
  const done: SeedReport[] = []
  try {
    const step = Math.min(Number(values.jobs), to - from + 1)
    const options = {
      to,
      step,
      commands,
      checksVersion: fault !== 'write-without-version',
      steps: Number(values.steps),
    }
    await Promise.all(
      Array.from({ length: step }, (_, index) =>
        runSeeds(folder, { from: from + index, ...options }, (report) => {
          if (report.wrong.length > 0 && done.filter(({ wrong }) => wrong.length > 0).length < MAX_SHOWN)
            show(report)
          done.push(report)
        }),
      ),
    )
  } finally {
    if (fault !== undefined) await rm(folder, { recursive: true, force: true })
  }
  const sum = (of: (report: SeedReport) => number) => done.reduce((total, report) => total + of(report), 0)
  const wrong = done.filter((report) => report.wrong.length > 0)
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(
    `${done.length} seeds, ${sum((report) => report.commands)} commands, ${Math.round(sum((report) => report.seconds) / 60)} simulated minutes in ${seconds} s; ${wrong.length} seeds went wrong`,
  )
  if (done.length < to - from + 1) console.log(`${to - from + 1 - done.length} seeds did not end`)
  return wrong.length > 0 || done.length < to - from + 1 ? 1 : 0
}

async function runSeeds(
  folder: string,
  options: SeedsOptions,
  onReport: (report: SeedReport) => void,
): Promise<void> {
  const child = spawn(
    process.execPath,
    [join(folder, 'dist-test/simulation/seeds.js'), JSON.stringify(options)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  for await (const line of createInterface({ input: child.stdout })) onReport(JSON.parse(line))
}

function show({ seed, setting, wrong }: SeedReport): void {
  console.log(`\nseed ${seed}: ${setting}`)
  for (const line of wrong) console.log(`  ${line}`)
  console.log(`  again: npm run simulate -- --seed ${seed} --commands ${values.commands}\n`)
}

function faultNamed(name: string | undefined): FaultName | undefined {
  if (name === undefined) return undefined
  const found = FAULT_NAMES.find((each) => each === name)
  if (found === undefined) throw new Error(`--break ${name}: there are ${FAULT_NAMES.join(', ')}`)
  return found
}
