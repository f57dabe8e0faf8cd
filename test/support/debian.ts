/**
 * Installs Debian packages when asked to (`TEST_INSTALL=1`, as root on a Debian: a container, CI).
 * Otherwise the caller says which command would help.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'

export function canInstallPackages(): boolean {
  return (
    process.env.TEST_INSTALL === '1' &&
    process.getuid?.() === 0 &&
    existsSync('/etc/debian_version') &&
    existsSync('/usr/bin/apt-get')
  )
}

/** Throws with the end of apt-get's output when it fails. Waits up to two minutes for another apt-get. */
export async function installPackages(...names: string[]): Promise<void> {
  console.log(`installing ${names.join(', ')} with apt-get`)
  leaveOutSystemCluster()
  await aptGet('update')
  await aptGet('install', '--yes', '--no-install-recommends', ...names)
}

/**
 * Debian's postgresql package makes a cluster and starts it, unless this file says otherwise.
 * The suite runs its own and leaves none behind.
 */
function leaveOutSystemCluster(): void {
  const file = '/etc/postgresql-common/createcluster.conf'
  if (existsSync(file)) return
  mkdirSync('/etc/postgresql-common', { recursive: true })
  writeFileSync(file, "create_main_cluster = false\nstart_conf = 'manual'\n")
}

async function aptGet(...args: string[]): Promise<void> {
  const options = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Dpkg::Options::=--force-confold']
  const child = spawn('apt-get', [...options, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', UCF_FORCE_CONFFOLD: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  if (code === 0) return
  throw new Error(`apt-get ${args.join(' ')} failed:\n${(out + err).slice(-3000)}`)
}
