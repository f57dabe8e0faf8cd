import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { apply, brokenCopy, DELIBERATE_FAULTS, FAULT_NAMES } from './deliberate-faults.js'

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url))

for (const name of FAULT_NAMES)
  t.test(`${name} can be put into a copy of the program, which is broken then`, async (t) => {
    const folder = await brokenCopy(name)
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    for (const { file, find, replace } of DELIBERATE_FAULTS[name].patches) {
      const [whole, broken] = await Promise.all(
        [DIST, join(folder, 'dist')].map((dist) => readFile(join(dist, file), 'utf8')),
      )
      t.ok(whole?.includes(find), 'the program itself stays whole')
      t.equal(
        broken,
        whole?.replace(find, () => replace),
      )
      // It can still be read as a program.
      await import(join(folder, 'dist', file))
    }
  })

t.test('a fault whose text is no longer there says that it has to be written anew', (t) => {
  const patch = { file: 'a.js', find: 'once', replace: 'never' }
  t.equal(apply(patch, 'only once'), 'only never')
  t.throws(() => apply(patch, 'gone'), /dist\/a\.js has this 0 times/)
  t.throws(() => apply(patch, 'once and once'), /2 times/)
  t.end()
})
