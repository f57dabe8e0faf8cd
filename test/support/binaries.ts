/** Finds the programs that the suite runs. */

import { accessSync, constants, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The first of `names` that is an executable file in one of `folders`, which default to the PATH. */
export function findBinary(names: readonly string[], folders = pathFolders()): string | undefined {
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

/**
 * The folder that holds all of `names`. A link on the PATH is followed to where its program is
 * installed, so that two programs of different installations are never mixed.
 */
export function findInstallation(
  names: readonly string[],
  moreFolders: readonly string[],
): string | undefined {
  const [first] = names
  if (first === undefined) return undefined
  return [...pathFolders(), ...moreFolders]
    .map((folder) => join(folder, first))
    .filter(isExecutable)
    .map((file) => dirname(realpathSync(file)))
    .find((folder) => names.every((name) => isExecutable(join(folder, name))))
}

function pathFolders(): string[] {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
