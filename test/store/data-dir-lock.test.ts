import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { lockDataDir } from '../../src/store/data-dir-lock.js'

const HOLDER = fileURLToPath(new URL('lock-holder.js', import.meta.url))

t.test('of many processes that start at once no more than one gets the directory', async (t) => {
  const dataDir = t.testdir()
  const holders = await Promise.all(Array.from({ length: 6 }, () => startHolder(t, dataDir)))
  const said = await Promise.all(holders.map((holder) => holder.begin()))
  const winners = said.filter((line) => line === 'locked')
  t.ok(winners.length <= 1, `${winners.length} of ${said.length}`)
  t.equal(said.filter((line) => /^DataDirLockedError/.test(line)).length, said.length - winners.length)
  await Promise.all(holders.map((holder) => holder.end()))
  t.strictSame(await readdir(dataDir), [], 'nothing is left behind')
})

t.test('a second process is told who has the directory and what to do', async (t) => {
  const dataDir = t.testdir()
  const [holder, second] = await Promise.all([startHolder(t, dataDir), startHolder(t, dataDir)])
  t.equal(await holder.begin(), 'locked')
  const refusal = await second.begin()
  t.match(refusal, `The data directory ${dataDir} is in use by process ${holder.child.pid};`)
  t.match(refusal, 'Stop that one, or set DATA_DIR to another directory.')
  await t.rejects(lockDataDir(dataDir), { name: 'DataDirLockedError' })

  await holder.end()
  const unlock = await lockDataDir(dataDir)
  await t.rejects(lockDataDir(dataDir), { message: `process ${process.pid};` }, 'nor twice in one process')
  await unlock()
  await unlock()
  t.strictSame(await readdir(dataDir), [])
})

t.test('the directory of a process that was killed is free', async (t) => {
  const dataDir = t.testdir()
  const holder = await startHolder(t, dataDir)
  t.equal(await holder.begin(), 'locked')
  holder.child.kill('SIGKILL')
  await once(holder.child, 'exit')
  t.equal((await readdir(dataDir)).length, 1)
  await (await lockDataDir(dataDir))()
  t.strictSame(await readdir(dataDir), [], 'its claim is cleared away')
})

t.test('a pid that was given to another process since is not taken for the old one', async (t) => {
  const dataDir = t.testdir()
  const holder = await startHolder(t, dataDir)
  t.equal(await holder.begin(), 'locked')
  const [file = ''] = await readdir(dataDir)
  const claim = JSON.parse(await readFile(join(dataDir, file), 'utf8'))
  t.match(claim, { pid: holder.child.pid, host: hostname(), startedAt: String })
  await holder.end()

  for (const pid of [1, process.pid]) await writeClaim(dataDir, { ...claim, pid })
  await (await lockDataDir(dataDir))()
  t.strictSame(await readdir(dataDir), [])
})

t.test('what cannot be checked is respected: another host, an unknown start, a damaged claim', async (t) => {
  const host = hostname()
  const elsewhere = t.testdir({ elsewhere: {}, unknown: {}, damaged: {} })
  await writeClaim(join(elsewhere, 'elsewhere'), { pid: 1, startedAt: 'x', host: 'another' })
  await t.rejects(lockDataDir(join(elsewhere, 'elsewhere')), {
    name: 'DataDirLockedError',
    message: 'process 1 on host another;',
  })
  await writeClaim(join(elsewhere, 'unknown'), { pid: process.pid, startedAt: 'unknown', host })
  await t.rejects(lockDataDir(join(elsewhere, 'unknown')), { name: 'DataDirLockedError' })

  const damaged = join(elsewhere, 'damaged', 'lock-1-damaged.json')
  await writeFile(damaged, '')
  await t.rejects(
    lockDataDir(join(elsewhere, 'damaged')),
    { name: 'DataDirLockedError', message: damaged },
    'a power failure may leave it empty; it is said which file to delete',
  )
  for (const directory of ['elsewhere', 'unknown', 'damaged'])
    t.equal((await readdir(join(elsewhere, directory))).length, 1, 'only the claim that was there is left')
})

interface Holder {
  child: ChildProcess
  /** Lets it try; what it says. */
  begin(): Promise<string>
  end(): Promise<void>
}

async function startHolder(t: Test, dataDir: string): Promise<Holder> {
  const child = spawn(process.execPath, [HOLDER, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => String((await lines.next()).value)
  t.equal(await next(), 'ready')
  return {
    child,
    begin() {
      child.stdin.write('go\n')
      return next()
    },
    async end() {
      child.stdin.end()
      await exited
    },
  }
}

function writeClaim(dataDir: string, claim: { pid: number; startedAt: string; host: string }): Promise<void> {
  return writeFile(join(dataDir, `lock-${claim.pid}-test.json`), JSON.stringify(claim))
}
