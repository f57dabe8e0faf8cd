/**
 * `npm run fuzz -- --seed N --seconds 60`: see bench.ts. Ends with 1 at the first fault.
 */
import { createBench } from './bench.js'
import { HELP, readOptions } from './options.js'

const options = readOptions(process.argv.slice(2))
if ('help' in options) console.log(HELP)
else if ('problem' in options) {
  console.error(`${options.problem} (npm run fuzz -- --help)`)
  process.exitCode = 1
} else {
  const { seed, seconds } = options
  const bench = createBench({ seed, seconds, say: console.log })
  const fault = (what: string) => (error: unknown) => {
    console.error(`${what} (${bench.last()})`, error)
    process.exit(1)
  }
  process.on('uncaughtException', fault('uncaught exception'))
  process.on('unhandledRejection', fault('unhandled rejection'))
  const counts = await bench.run().catch(fault('fault'))
  const perMinute = Object.entries(counts).map(
    ([name, count]) => [name, Math.round((count * 60) / seconds)] as const,
  )
  const total = perMinute.reduce((sum, [, count]) => sum + count, 0)
  console.log(`seed ${seed}: ${total} inputs a minute, no fault`, Object.fromEntries(perMinute))
  process.exit(0)
}
