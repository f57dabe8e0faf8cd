/**
 * Asks a Prometheus every query of the board and says which return nothing: `node check.mjs http://localhost:9090`.
 * Ends with 1 if any does. The Prometheus must have scraped a node under load for a minute.
 */
import { readFileSync } from 'node:fs'

const [prometheus = 'http://localhost:9090', job = 'chaptercast'] = process.argv.slice(2)
const { panels } = JSON.parse(readFileSync(new URL('chaptercast.json', import.meta.url), 'utf8'))
let empty = 0
for (const { title, targets } of panels)
  for (const { expr } of targets) {
    const query = expr.replaceAll('$job', job).replaceAll('$__rate_interval', '1m')
    const answer = await fetch(`${prometheus}/api/v1/query?${new URLSearchParams({ query })}`)
    const { data, error } = await answer.json()
    const found = data?.result.filter(({ value }) => value[1] !== 'NaN').length ?? 0
    if (found === 0) empty += 1
    console.log(`${found === 0 ? 'NOTHING' : String(found).padStart(7)}  ${title}: ${error ?? query}`)
  }
process.exitCode = empty === 0 ? 0 : 1
