/**
 * Faults that are put into the product on purpose, to show that a test or a report would find them: small patches of
 * the compiled program, so that the product itself has no switch. They are applied to a copy of `dist/`; the project's
 * own stays whole.
 *
 * Each patch names the exact text that it replaces. When that text is no longer there, or there twice, nothing is
 * patched and an error says so: the fault has to be written anew for the code as it is now.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Patch {
  /** In `dist/`. */
  file: string
  find: string
  replace: string
}

interface DeliberateFault {
  /** What users would see. */
  about: string
  patches: readonly Patch[]
}

export const FAULT_NAMES = [
  'write-without-version',
  'trust-arrival-order',
  'lease-not-renewed',
  'subscribe-not-awaited',
] as const
export type FaultName = (typeof FAULT_NAMES)[number]

export const DELIBERATE_FAULTS: Record<FaultName, DeliberateFault> = {
  'write-without-version': {
    about: 'A write takes a chapter that moved since it was read: what another command did is undone.',
    patches: [
      {
        file: 'store/group-statements.js',
        find: `change."expectedVersion" = c.version
    and coalesce(change."expectedWriteId", c.write_id) = c.write_id`,
        replace: 'true',
      },
    ],
  },
  'trust-arrival-order': {
    about: 'The feed hands on what comes as it comes: watchers miss events, or hear them in the wrong order.',
    patches: [
      {
        file: 'feed/chapter-feed.js',
        find: `const next = this.held.get(this.position + 1);
            if (next === undefined)
                break;
            this.held.delete(this.position + 1);
            this.position += 1;`,
        replace: `const [next] = this.held.values();
            if (next === undefined)
                break;
            this.held.delete(next.payload.seq);
            this.position = next.payload.seq;`,
      },
    ],
  },
  'lease-not-renewed': {
    about:
      'A node does not renew its hold on jobs that its own workers are at: after nine seconds others send them again.',
    patches: [
      { file: 'dispatch/local-queue.js', find: 'if (held.size > 0)', replace: 'if (held.size < 0)' },
      { file: 'dispatch/http-queue.js', find: 'if (open.size === 0)', replace: 'if (open.size >= 0)' },
    ],
  },
  'subscribe-not-awaited': {
    about: 'A join reads the log before other nodes are heard: what is committed in between comes late.',
    patches: [{ file: 'feed/catch-up.js', find: 'await room.subscribed;', replace: 'void room.subscribed;' }],
  },
}

/** What a broken copy has of its own, and what it shares with the project. */
const COPIED = ['dist', 'dist-test']
const LINKED = ['package.json', 'node_modules', 'drizzle', 'src']
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * The project with this fault in it: start `dist/server.js` in there, or what is in `dist-test/`. Needs a compiled
 * program (`compile.ts`).
 * @returns the folder; whoever asked for it removes it
 */
export async function brokenCopy(name: FaultName): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `chaptercast-${name}-`))
  try {
    for (const entry of LINKED) await symlink(join(ROOT, entry), join(folder, entry))
    for (const entry of COPIED) await cp(join(ROOT, entry), join(folder, entry), { recursive: true })
    await breakProgram(join(folder, 'dist'), name)
    return folder
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** @throws when a text that is to be replaced is not there exactly once; then nothing is changed */
async function breakProgram(dist: string, name: FaultName): Promise<void> {
  const patched = await Promise.all(
    DELIBERATE_FAULTS[name].patches.map(async (patch) => {
      const file = join(dist, patch.file)
      return { file, text: apply(patch, await readFile(file, 'utf8')) }
    }),
  )
  await Promise.all(patched.map(({ file, text }) => writeFile(file, text)))
}

/** The text with its one occurrence replaced. */
export function apply({ file, find, replace }: Patch, text: string): string {
  const count = text.split(find).length - 1
  if (count !== 1)
    throw new Error(`dist/${file} has this ${count} times and not once; write the fault anew:\n${find}`)
  return text.replace(find, () => replace)
}
