/**
 * `npm run admin -- <command>`.
 */
import { runAdmin } from './command.js'

process.exitCode = await runAdmin(process.argv.slice(2), {
  print: console.log,
  printError: console.error,
  env: process.env,
})
