/**
 * `npm run test:python`: the Python client, in an environment of its own in the temporary folder. Checks its types with
 * mypy, then runs its tests against real servers of this checkout. Needs python3 (3.10 or newer) and PyPI; where one is
 * missing it says so and fails. No part of `npm test`, which must pass without them.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROJECT = fileURLToPath(new URL('../../deploy/clients/python/', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'chaptercast-python-'))
try {
  process.exitCode = test()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function test(): number {
  const version = spawnSync('python3', ['-c', 'import sys, venv; print(sys.version_info >= (3, 10))'])
  if (version.stdout?.toString().trim() !== 'True') return missing('python3, 3.10 or newer, with venv')
  execFileSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' })
  const python = join(folder, 'bin/python')
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-e', '.[test]']
  if (run(python, install) !== 0) return missing('the packages: PyPI cannot be reached')
  return (
    run(python, ['-m', 'mypy', '--cache-dir', join(folder, 'mypy')]) || run(python, ['-m', 'pytest', '-q'])
  )
}

/** @returns its exit code */
function run(program: string, args: string[]): number {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
  return spawnSync(program, args, { cwd: PROJECT, stdio: 'inherit', env }).status ?? 1
}

function missing(what: string): number {
  console.error(`The Python client cannot be tested here. Missing: ${what}`)
  return 1
}
