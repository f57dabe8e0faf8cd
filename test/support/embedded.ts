/**
 * Embedded databases that are there already. To make one takes seconds of CPU, to open one takes a few tenths, so one is
 * made for the whole run and copied.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openEmbeddedDatabase } from '../../src/store/database.js'
import { waitFor } from './condition.js'

/** Fills a data directory, which must not exist yet, with an empty database that has its migrations. */
export async function copyEmbeddedDatabase(dataDir: string): Promise<void> {
  // A thousand files: a fifth of the time that Node takes.
  await promisify(execFile)('cp', ['-R', await template(), dataDir])
}

let made: Promise<string> | undefined

function template(): Promise<string> {
  made ??= makeTemplate()
  return made
}

/** The first process of the run makes it; the others wait. */
async function makeTemplate(): Promise<string> {
  const { TEST_RUN } = process.env
  const folder = TEST_RUN ?? (await mkdtemp(join(tmpdir(), 'chaptercast-embedded-')))
  const finished = join(folder, 'embedded')
  const unfinished = join(folder, 'embedded.new')
  if (existsSync(finished)) return finished
  const isMine = await mkdir(unfinished).then(
    () => true,
    () => false,
  )
  if (!isMine) {
    await waitFor('the embedded database to be made', () => existsSync(finished), { timeoutMs: 100_000 })
    return finished
  }
  const database = await openEmbeddedDatabase(unfinished)
  await database.close()
  await rename(unfinished, finished)
  return finished
}
