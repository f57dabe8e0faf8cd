/** A process that wants a data directory: says whether it got it, and holds it until its input ends. */
import { once } from 'node:events'
import { lockDataDir } from '../../src/store/data-dir-lock.js'

const [dataDir = ''] = process.argv.slice(2)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
try {
  const unlock = await lockDataDir(dataDir)
  process.stdout.write('locked\n')
  await once(process.stdin, 'end')
  await unlock()
} catch (error) {
  process.stdout.write(`${(error as Error).name}: ${(error as Error).message}\n`)
}
process.exit()
