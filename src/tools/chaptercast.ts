#!/usr/bin/env node
/**
 * `npx chaptercast admin <command>`: the command of the package.
 */
import { runAdmin } from './admin/command.js'

const [name, ...args] = process.argv.slice(2)
if (name === 'admin')
  process.exitCode = await runAdmin(args, {
    print: console.log,
    printError: console.error,
    env: process.env,
  })
else {
  console.error('chaptercast admin <command>: what operators see and do; chaptercast admin --help says more')
  process.exitCode = 2
}
