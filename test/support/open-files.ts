import { readdirSync, readlinkSync } from 'node:fs'

/** Files that this process has open and that it serves. */
export function openFiles(): string[] {
  const names = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return names.filter((name) => /swagger-ui-bundle\.js$|marked.*\.js$/.test(name))
}
