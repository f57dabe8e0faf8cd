/**
 * Writes the board, `chaptercast.json`, from the list of its panels: `node deploy/grafana/board.mjs && npm run format`.
 *
 * Numbers of jobs are the whole system's and every node tells them: max. What a node counts itself is summed.
 */
import { writeFileSync } from 'node:fs'

const of = (name, more = '') => `chaptercast_${name}{job="$job"${more}}`
const rate = (name, by) => `sum by (${by}) (rate(${of(name)}[$__rate_interval]))`
const quantiles = (name, by = 'le') =>
  [0.5, 0.99].map((q) => [
    `histogram_quantile(${q}, sum by (${by}) (rate(${of(`${name}_bucket`)}[$__rate_interval])))`,
    `${by === 'le' ? '' : `{{${by.replace('le, ', '')}}} `}p${q * 100}`,
  ])

/** Title, unit, what it says, queries with the name of their lines. */
const PANELS = [
  ['Chapters', 'ops', 'Made, ended and deleted, a second', [[rate('chapters_total', 'what'), '{{what}}']]],
  [
    'Time from request to end',
    's',
    'Of runs: first ones, retries, regenerations',
    quantiles('run_seconds', 'le, outcome'),
  ],
  [
    'Jobs by state',
    'short',
    'Queued, or with a worker',
    [[`max by (kind, status) (${of('jobs')})`, '{{kind}} {{status}}']],
  ],
  [
    'Age of the oldest job',
    's',
    'How long it has been due, or with a worker',
    [[`max by (status) (${of('oldest_job_age_seconds')})`, '{{status}}']],
  ],
  [
    'Callbacks',
    'ops',
    'From workers, by how they were answered',
    [[rate('callbacks_total', 'callback, answer'), '{{callback}} {{answer}}']],
  ],
  ['Time since a worker called', 's', 'Any node', [[`min(${of('last_callback_age_seconds')})`, 'silence']]],
  [
    'Attempts that failed',
    'ops',
    'By kind and reason; time-outs and busy models too',
    [[rate('attempt_failures_total', 'kind, reason'), '{{kind}} {{reason}}']],
  ],
  [
    'Jobs that failed for good',
    'ops',
    'Dead letters',
    [[rate('dead_letters_total', 'kind, reason'), '{{kind}} {{reason}}']],
  ],
  [
    'Delivery delay',
    's',
    'From the commit of an event until a node sends it to a room',
    quantiles('delivery_seconds'),
  ],
  [
    'Feed repairs',
    'ops',
    'Events that did not come by themselves and were read from the log',
    [[rate('feed_repairs_total', 'instance'), '{{instance}}']],
  ],
  [
    'Sockets',
    'short',
    'Connections of each node',
    [[`sum by (instance) (${of('sockets')})`, '{{instance}}']],
  ],
  [
    'Rooms and courses',
    'short',
    'That somebody listens to, all nodes',
    [
      [`sum(${of('rooms')})`, 'rooms'],
      [`sum(${of('courses')})`, 'courses'],
    ],
  ],
  ['Commit groups: time', 's', 'From the read of a group to its commit', quantiles('commit_group_seconds')],
  [
    'Commit groups: commands',
    'short',
    'Commands that were written together, on average',
    [
      [
        `sum(rate(${of('commit_group_commands_sum')}[$__rate_interval])) / sum(rate(${of('commit_group_commands_count')}[$__rate_interval]))`,
        'commands',
      ],
    ],
  ],
  [
    'Dependencies',
    'short',
    '1 while a dependency answers, the worst of the nodes',
    [
      [`min by (dependency) (${of('dependency_up')})`, '{{dependency}}'],
      [`1 - max(${of('redis_deaf')})`, 'events from Redis'],
    ],
  ],
  [
    'Nodes',
    'short',
    'That answer Prometheus',
    [
      ['sum(up{job="$job"})', 'up'],
      ['count(up{job="$job"})', 'known'],
    ],
  ],
  ['Requests', 'reqps', 'By status', [[rate('http_request_seconds_count', 'status'), '{{status}}']]],
  ['Time of a request', 's', 'All routes but event streams', quantiles('http_request_seconds')],
  ['Notices', 'ops', 'Of ended runs, to NOTIFY_URL', [[rate('notices_total', 'outcome'), '{{outcome}}']]],
  [
    'Event loop, late by',
    's',
    'p99 of each node',
    [['nodejs_eventloop_lag_p99_seconds{job="$job"}', '{{instance}}']],
  ],
  ['Memory', 'bytes', 'Of each node', [['process_resident_memory_bytes{job="$job"}', '{{instance}}']]],
  [
    'CPU',
    'percentunit',
    'Of each node; one core is 100 %',
    [['rate(process_cpu_seconds_total{job="$job"}[$__rate_interval])', '{{instance}}']],
  ],
]

const datasource = { type: 'prometheus', uid: '$datasource' }
const panels = PANELS.map(([title, unit, description, queries], index) => ({
  id: index + 1,
  type: 'timeseries',
  title,
  description,
  datasource,
  gridPos: { x: (index % 2) * 12, y: Math.floor(index / 2) * 7, w: 12, h: 7 },
  fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 8, showPoints: 'never' } }, overrides: [] },
  options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  targets: queries.map(([expr, legendFormat], at) => ({
    refId: String.fromCharCode(65 + at),
    datasource,
    expr,
    legendFormat,
  })),
}))

const board = {
  uid: 'chaptercast',
  title: 'chaptercast',
  tags: ['chaptercast'],
  schemaVersion: 39,
  editable: true,
  refresh: '10s',
  time: { from: 'now-1h', to: 'now' },
  timezone: 'browser',
  templating: {
    list: [
      { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
      {
        name: 'job',
        type: 'query',
        datasource,
        query: { query: 'label_values(chaptercast_sockets, job)', refId: 'job' },
        refresh: 2,
        current: { text: 'chaptercast', value: 'chaptercast' },
      },
    ],
  },
  panels,
}
writeFileSync(new URL('chaptercast.json', import.meta.url), `${JSON.stringify(board, null, 2)}\n`)
