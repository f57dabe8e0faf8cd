import { readFileSync } from 'node:fs'
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, post } from '../support/client.js'

const BOARD = new URL('../../deploy/grafana/chaptercast.json', import.meta.url)
const ALERTS = new URL('../../deploy/alerts.yml', import.meta.url)
const RUNBOOKS = new URL('../../docs/operating.md', import.meta.url)

/** Prometheus’ own. */
const ELSEWHERE = ['up']

const metricsOf = async (url: string) => (await fetch(`${url}/metrics`)).text()

t.test('a node tells every metric that the Grafana board asks for', async (t) => {
  const { url } = await buildTestApp(t)
  const told = await metricsOf(url)
  const { panels } = JSON.parse(readFileSync(BOARD, 'utf8'))
  const asked = new Set<string>()
  for (const { targets } of panels)
    for (const { expr } of targets)
      for (const [, name = ''] of expr.matchAll(/([a-z_0-9]+)\{job=/g)) asked.add(name)
  t.ok(asked.size > 20)
  for (const name of asked)
    if (!ELSEWHERE.includes(name))
      t.ok(told.includes(`# TYPE ${name.replace(/_(bucket|sum|count)$/, '')} `), name)
})

t.test('metrics tell how many chapters were made, how runs ended and how late events came', async (t) => {
  const { url } = await buildTestApp(t)
  const [first, second] = [await createChapter(url), await createChapter(url)]
  const { ask, hears } = await connectSocket(t, url)
  await ask('join_chapter', { chapter_id: first })
  for (const kind of ['concept', 'exercise', 'quiz'] as const) await finish(url, first, kind)
  await hears('all_completed')
  await post(`${url}/v1/chapter/${second}/cancel`)
  const told = await metricsOf(url)
  for (const line of [
    'chaptercast_chapters_total{what="created"} 2',
    'chaptercast_chapters_total{what="completed"} 1',
    'chaptercast_chapters_total{what="cancelled"} 1',
    'chaptercast_chapters_total{what="failed"} 0',
    'chaptercast_run_seconds_count{outcome="completed"} 1',
    'chaptercast_run_seconds_count{outcome="cancelled"} 1',
    'chaptercast_dependency_up{dependency="database"} 1',
  ])
    t.ok(told.includes(`${line}\n`), line)
  t.match(told, /chaptercast_delivery_seconds_count [1-9]/)
})

t.test('every alert has a runbook under its name', async (t) => {
  const runbooks = readFileSync(RUNBOOKS, 'utf8')
  const alerts = [...readFileSync(ALERTS, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name)
  t.ok(alerts.length > 10)
  for (const name of alerts) t.ok(runbooks.includes(`\n### ${name}\n`), name)
})
