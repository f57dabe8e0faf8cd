/**
 * `npm run admin -- <command>` and `npx chaptercast admin <command>`: what operators see and do, from a terminal. A thin
 * client of `/v1/admin/`: it asks the server, and shows the answer as a table or, with `--json`, as it came.
 *
 * Ends with 0 when it was done, 1 when the server refused it, 2 when the command line is wrong, and 3 when the server does
 * not answer or cannot do it now.
 */
import { parseArgs } from 'node:util'
import type {
  AdminAccepted,
  AdminChapter,
  AuditEntry,
  DeadLetterView,
  DeliveryView,
  KindList,
  KindState,
  Redrive,
  StuckJob,
} from '../../contract/admin.js'
import { type Cell, cellOf, tableOf } from './table.js'

export const ADMIN_HELP = `What operators see and do. The server decides; this shows.

  npm run admin -- <command> [options]        npx chaptercast admin <command> [options]

See
  stuck                      jobs that do not go on, and why
                             --kind, --owner, --course, --why, --unsent S, --unstarted S, --silent S
  chapter ID                 the whole story of one chapter; --answers shows answers too (with --json)
  dead-letters               jobs that failed for good
                             --kind, --owner, --course, --reason, --from TIME, --to TIME
  redrives [ID]              redrives, or one of them
  kinds                      which kinds are paused
  deliveries                 notices to NOTIFY_URL; --state, --chapter
  audit                      what operators did; --chapter, --action, --actor

Do
  redrive                    try dead letters again: --id JOB_ID (repeat it), the filters of dead-letters, or --all
                             --rate N a second (10), --limit N at most
  cancel-redrive ID          start no further job of it
  pause KIND, resume KIND    send nothing of a kind; --reason TEXT
  resend CHAPTER SEQ         send a notice again
  end CHAPTER KIND           the attempt under way has failed; --reason, --error TEXT, --no-retry
  restart CHAPTER KIND       start it anew now

Options
  --url URL                  the server (CHAPTERCAST_URL, else http://localhost:8000)
  --json                     the answer as it came
  --limit N                  at most so many rows (50)
  -h, --help

CHAPTERCAST_TOKEN is the token, with role admin, where clients need one.
Exit code: 0 done, 1 refused, 2 wrong command line, 3 the server does not answer.`

export interface Terminal {
  print(text: string): void
  printError(text: string): void
  env: Readonly<Record<string, string | undefined>>
}

/** The command line is wrong. The message is for the user. */
class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The server said no, or nothing. */
class ServerError extends Error {
  override readonly name = 'ServerError'
  readonly exitCode: number

  constructor(message: string, exitCode: 1 | 3) {
    super(message)
    this.exitCode = exitCode
  }
}

const TIMEOUT_MS = 30_000
const DEFAULT_LIMIT = 50
const PAGE_MAX = 100

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const OPTIONS = {
  url: text,
  json: flag,
  help: { type: 'boolean', short: 'h' },
  limit: text,
  kind: text,
  owner: text,
  course: text,
  why: text,
  unsent: text,
  unstarted: text,
  silent: text,
  reason: text,
  from: text,
  to: text,
  answers: flag,
  id: { type: 'string', multiple: true },
  all: flag,
  rate: text,
  state: text,
  chapter: text,
  action: text,
  actor: text,
  error: text,
  'no-retry': flag,
} as const
type Given = ReturnType<typeof parse>['values']

function parse(args: string[]) {
  return parseArgs({ args, options: OPTIONS, allowPositionals: true })
}

interface Asked {
  given: Given
  /** What stands after the command. */
  names: string[]
  ask: (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<unknown>
}

interface Command {
  /** How many names it needs, and may have. */
  names: [least: number, most: number]
  run(asked: Asked): Promise<{ body: unknown; shown: string }>
}

/** @returns the exit code */
export async function runAdmin(args: string[], terminal: Terminal): Promise<number> {
  try {
    const { values: given, positionals } = parse(args)
    const [name, ...names] = positionals
    if (given.help === true || name === undefined) {
      terminal.print(ADMIN_HELP)
      return given.help === true ? 0 : 2
    }
    const command = COMMANDS[name]
    if (command === undefined) throw new UsageError(`There is no command ${name}`)
    const [least, most] = command.names
    if (names.length < least || names.length > most)
      throw new UsageError(`${name} needs ${least === most ? least : `${least} to ${most}`} names after it`)
    const { body, shown } = await command.run({ given, names, ask: askerOf(given, terminal.env) })
    terminal.print(given.json === true ? JSON.stringify(body, null, 2) : shown)
    return 0
  } catch (error) {
    if (error instanceof ServerError) {
      terminal.printError(error.message)
      return error.exitCode
    }
    const isUsage =
      error instanceof UsageError || String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS')
    if (!isUsage) throw error
    terminal.printError(`${(error as Error).message}\n(npm run admin -- --help)`)
    return 2
  }
}

function askerOf(given: Given, env: Terminal['env']): Asked['ask'] {
  const base = (given.url ?? env.CHAPTERCAST_URL ?? 'http://localhost:8000').replace(/\/+$/, '')
  if (!URL.canParse(base)) throw new UsageError(`${base} is not the address of a server`)
  const token = env.CHAPTERCAST_TOKEN
  return async (method, path, body) => {
    const response = await fetch(`${base}/v1/admin${path}`, {
      method,
      headers: {
        accept: 'application/json',
        ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: Error & { cause?: { message?: string; code?: string } }) => {
      const why = error.cause?.message || error.cause?.code || error.message
      throw new ServerError(`${base} does not answer: ${why}`, 3)
    })
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok && answer !== undefined) return answer
    const { code, detail } = (answer ?? {}) as { code?: string; detail?: string }
    const said = detail === undefined ? 'it is not a chaptercast server' : `${detail} (${code})`
    const hint = response.status === 401 ? '; set CHAPTERCAST_TOKEN' : ''
    const isBusy = response.status >= 500 || response.status === 429
    throw new ServerError(`HTTP ${response.status}: ${cleaned(said)}${hint}`, isBusy ? 3 : 1)
  }
}

/** Pages are read until there are as many rows as are wanted. */
async function list<Item>(
  { given, ask }: Asked,
  path: string,
  query: Record<string, string | undefined>,
): Promise<{ items: Item[]; next_cursor: string | null }> {
  const limit = whole('--limit', given.limit) ?? DEFAULT_LIMIT
  const items: Item[] = []
  let cursor: string | null = null
  do {
    const asked = new URLSearchParams({ limit: String(Math.min(PAGE_MAX, limit - items.length)) })
    for (const [name, value] of Object.entries(query)) if (value !== undefined) asked.set(name, value)
    if (cursor !== null) asked.set('cursor', cursor)
    const page = (await ask('GET', `${path}?${asked}`)) as { items: Item[]; next_cursor: string | null }
    items.push(...page.items)
    cursor = page.next_cursor
  } while (cursor !== null && items.length < limit)
  return { items, next_cursor: cursor }
}

/** What a table shows of each item, by the title of the column. */
type Columns<Item> = Record<string, (item: Item) => Cell>

/** A list as a table. */
async function listed<Item>(
  asked: Asked,
  path: string,
  query: Record<string, string | undefined>,
  columns: Columns<Item>,
): Promise<{ body: unknown; shown: string }> {
  const body = await list<Item>(asked, path, query)
  const more = body.next_cursor === null ? '' : '\nThere are more; --limit shows them.'
  const shown = body.items.length === 0 ? 'None.' : rowsOf(columns, body.items) + more
  return { body, shown }
}

function whole(name: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  if (!/^[1-9]\d{0,15}$/.test(given)) throw new UsageError(`${name} ${given} must be a whole number from 1`)
  return Number(given)
}

function cleaned(said: string): string {
  return said.replaceAll(/\p{Cc}+/gu, ' ')
}

const failureFilter = ({ owner, course, kind, reason, from, to }: Given) => ({
  owner_id: owner,
  course_id: course,
  kind,
  reason,
  from: instantOf('--from', from),
  to: instantOf('--to', to),
})

function instantOf(name: string, given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  const at = Date.parse(given)
  if (Number.isNaN(at)) throw new UsageError(`${name} ${given} must be a time, such as 2026-01-31T09:00:00Z`)
  return new Date(at).toISOString()
}

const COMMANDS: Readonly<Record<string, Command>> = {
  stuck: {
    names: [0, 0],
    run: (asked) => {
      const { kind, owner, course, why, unsent, unstarted, silent } = asked.given
      const query = {
        ...{ kind, owner_id: owner, course_id: course, why },
        ...{ unsent_s: unsent, unstarted_s: unstarted, silent_s: silent },
      }
      return listed<StuckJob>(asked, '/stuck', query, {
        chapter: ({ chapter_id }) => chapter_id,
        kind: ({ kind: of }) => of,
        why: (job) => job.why,
        since: ({ since_at }) => since_at,
        until: ({ until_at }) => until_at,
        before: ({ waiting_before }) => waiting_before,
        attempt: ({ attempt, max_attempts }) => `${attempt}/${max_attempts}`,
        owner: ({ owner_id }) => owner_id,
        title: ({ title }) => title,
      })
    },
  },
  chapter: {
    names: [1, 1],
    async run({ given, names, ask }) {
      const query = given.answers === true ? '?answers=true' : ''
      const body = (await ask(
        'GET',
        `/chapter/${encodeURIComponent(names[0] ?? '')}${query}`,
      )) as AdminChapter
      return { body, shown: storyOf(body) }
    },
  },
  'dead-letters': {
    names: [0, 0],
    run: (asked) =>
      listed<DeadLetterView>(asked, '/dead-letters', failureFilter(asked.given), {
        id: ({ job_id }) => job_id,
        chapter: ({ chapter_id }) => chapter_id,
        kind: ({ kind }) => kind,
        'failed at': ({ failed_at }) => failed_at,
        reason: ({ reason }) => reason,
        error: ({ error }) => error,
        tries: ({ attempts }) => attempts.length,
        owner: ({ owner_id }) => owner_id,
        title: ({ title }) => title,
      }),
  },
  redrive: {
    names: [0, 0],
    async run({ given, ask }) {
      const filter = Object.entries(failureFilter(given)).flatMap(([name, value]) =>
        value === undefined
          ? []
          : [[name, name.endsWith('_id') ? whole(`--${name.slice(0, -3)}`, value) : value]],
      )
      const isNamed = given.id !== undefined
      if (isNamed ? filter.length > 0 || given.all === true : filter.length === 0 && given.all !== true)
        throw new UsageError('redrive needs --id, a filter, or --all')
      const rate = whole('--rate', given.rate)
      const limit = whole('--limit', given.limit)
      const body = (await ask('POST', '/dead-letters/redrive', {
        ...(isNamed ? { ids: given.id } : { filter: Object.fromEntries(filter) }),
        ...(rate === undefined ? {} : { rate_per_s: rate }),
        ...(limit === undefined ? {} : { limit }),
      })) as Redrive
      return { body, shown: `${redrivesTable([body])}\nHow far it is: redrives ${body.redrive_id}` }
    },
  },
  redrives: {
    names: [0, 1],
    async run(asked) {
      const [id] = asked.names
      if (id !== undefined) {
        const body = (await asked.ask('GET', `/redrives/${encodeURIComponent(id)}`)) as Redrive
        return { body, shown: redrivesTable([body]) }
      }
      const body = await list<Redrive>(asked, '/redrives', {})
      return { body, shown: body.items.length === 0 ? 'None.' : redrivesTable(body.items) }
    },
  },
  'cancel-redrive': {
    names: [1, 1],
    async run({ names, ask }) {
      const body = (await ask('DELETE', `/redrives/${encodeURIComponent(names[0] ?? '')}`)) as Redrive
      return { body, shown: redrivesTable([body]) }
    },
  },
  kinds: {
    names: [0, 0],
    async run({ ask }) {
      const body = (await ask('GET', '/kinds')) as KindList
      return { body, shown: kindsTable(body.kinds) }
    },
  },
  pause: {
    names: [1, 1],
    async run({ given, names, ask }) {
      const said = given.reason === undefined ? {} : { reason: given.reason }
      const body = (await ask(
        'POST',
        `/kinds/${encodeURIComponent(names[0] ?? '')}/pause`,
        said,
      )) as KindState
      return { body, shown: kindsTable([body]) }
    },
  },
  resume: {
    names: [1, 1],
    async run({ names, ask }) {
      const body = (await ask('POST', `/kinds/${encodeURIComponent(names[0] ?? '')}/resume`)) as KindState
      return { body, shown: kindsTable([body]) }
    },
  },
  deliveries: {
    names: [0, 0],
    run: (asked) =>
      listed<DeliveryView>(
        asked,
        '/deliveries',
        { state: asked.given.state, chapter_id: asked.given.chapter },
        DELIVERY_COLUMNS,
      ),
  },
  resend: {
    names: [2, 2],
    async run({ names, ask }) {
      const [chapter = '', seq = ''] = names.map(encodeURIComponent)
      const body = (await ask('POST', `/deliveries/${chapter}/${seq}/resend`)) as DeliveryView
      return { body, shown: deliveriesTable([body]) }
    },
  },
  end: {
    names: [2, 2],
    async run({ given, names, ask }) {
      const [chapter = '', kind = ''] = names.map(encodeURIComponent)
      const body = (await ask('POST', `/chapter/${chapter}/${kind}/end`, {
        ...(given.reason === undefined ? {} : { reason: given.reason }),
        ...(given.error === undefined ? {} : { error: given.error }),
        ...(given['no-retry'] === true ? { retryable: false } : {}),
      })) as AdminAccepted
      return { body, shown: acceptedText(body) }
    },
  },
  restart: {
    names: [2, 2],
    async run({ names, ask }) {
      const [chapter = '', kind = ''] = names.map(encodeURIComponent)
      const body = (await ask('POST', `/chapter/${chapter}/${kind}/restart`)) as AdminAccepted
      return { body, shown: acceptedText(body) }
    },
  },
  audit: {
    names: [0, 0],
    run: (asked) => {
      const { chapter, action, actor } = asked.given
      return listed<AuditEntry>(asked, '/audit', { chapter_id: chapter, action, actor }, AUDIT_COLUMNS)
    },
  },
}

const DELIVERY_COLUMNS: Columns<DeliveryView> = {
  chapter: ({ chapter_id }) => chapter_id,
  seq: ({ seq }) => seq,
  type: ({ type }) => type,
  state: ({ state }) => state,
  'ended at': ({ ended_at }) => ended_at,
  tries: ({ attempts }) => attempts,
  'next try': ({ due_at }) => due_at,
  status: ({ last_status }) => last_status,
  error: ({ last_error }) => last_error,
}

const AUDIT_COLUMNS: Columns<AuditEntry> = {
  at: ({ at }) => at,
  who: ({ actor }) => actor,
  what: ({ action }) => action,
  chapter: ({ chapter_id }) => chapter_id,
  kind: ({ kind }) => kind,
  outcome: ({ outcome, problem }) => (problem === null ? outcome : `${outcome}: ${problem}`),
  details: ({ details }) => JSON.stringify(details),
  request: ({ request_id }) => request_id,
}

function rowsOf<Item>(columns: Columns<Item>, items: readonly Item[]): string {
  return tableOf(
    Object.keys(columns),
    items.map((item) => Object.values(columns).map((cell) => cell(item))),
  )
}

const deliveriesTable = (deliveries: readonly DeliveryView[]) => rowsOf(DELIVERY_COLUMNS, deliveries)

function redrivesTable(redrives: readonly Redrive[]): string {
  return rowsOf<Redrive>(
    {
      redrive: ({ redrive_id }) => redrive_id,
      status: ({ status }) => status,
      redriven: ({ redriven }) => redriven,
      skipped: ({ skipped }) => skipped,
      'asked for': ({ filter, ids }) => (filter === null ? `${ids?.length} ids` : JSON.stringify(filter)),
      'a second': ({ rate_per_s }) => rate_per_s,
      limit: ({ limit }) => limit,
      by: ({ actor }) => actor,
      at: ({ created_at }) => created_at,
      problem: ({ last_error }) => last_error,
    },
    redrives,
  )
}

function kindsTable(kinds: readonly KindState[]): string {
  return rowsOf<KindState>(
    {
      kind: ({ kind }) => kind,
      state: ({ is_paused }) => (is_paused ? 'paused' : 'goes on'),
      since: ({ paused_at }) => paused_at,
      by: ({ paused_by }) => paused_by,
      reason: ({ reason }) => reason,
      queued: ({ queued }) => queued,
      'with workers': ({ published }) => published,
    },
    kinds,
  )
}

function acceptedText({ chapter_id, message, job }: AdminAccepted): string {
  const { status, attempt, max_attempts } = job
  return `Chapter ${chapter_id}: ${cleaned(message)}. It is ${status}, attempt ${attempt} of ${max_attempts}.`
}

function storyOf(story: AdminChapter): string {
  const { chapter, jobs, events, deliveries, dead_letters: letters, audit } = story
  const parts = [
    `Chapter ${chapter.chapter_id}: ${cellOf(chapter.title)}\n` +
      `${chapter.status}, ${Math.floor(chapter.progress)} %; owner ${chapter.owner_id}, course ${chapter.course_id}; made ${chapter.created_at}`,
    rowsOf<AdminChapter['jobs'][number]>(
      {
        kind: ({ kind }) => kind,
        status: ({ status }) => status,
        why: ({ why }) => why,
        attempt: ({ attempt, max_attempts }) => `${attempt}/${max_attempts}`,
        'due at': ({ due_at }) => due_at,
        'last heard': ({ last_heard_at }) => last_heard_at,
        deadline: ({ deadline_at }) => deadline_at,
        error: ({ error }) => error && `${error.reason}${error.message === null ? '' : `: ${error.message}`}`,
      },
      jobs,
    ),
  ]
  const attempts = jobs.flatMap(({ kind, history }) => history.map((each) => ({ kind, ...each })))
  if (attempts.length > 0)
    parts.push(
      rowsOf<(typeof attempts)[number]>(
        {
          attempts: ({ kind, revision, attempt }) => `${kind} ${revision}.${attempt}`,
          began: ({ started_at }) => started_at,
          ended: ({ ended_at }) => ended_at,
          outcome: ({ outcome }) => outcome,
          reason: ({ reason }) => reason,
          error: ({ error }) => error,
        },
        attempts,
      ),
    )
  parts.push(
    story.is_log_expired
      ? 'Its log was deleted after its retention.'
      : rowsOf<AdminChapter['events'][number]>(
          {
            seq: ({ data }) => data.seq,
            at: ({ data }) => data.at,
            event: ({ event }) => event,
            message: ({ data }) => String((data as Record<string, unknown>).message ?? ''),
          },
          events,
        ),
  )
  if (letters.length > 0)
    parts.push(
      rowsOf<DeadLetterView>(
        {
          'dead letter': ({ job_id }) => job_id,
          kind: ({ kind }) => kind,
          'failed at': ({ failed_at }) => failed_at,
          reason: ({ reason }) => reason,
          error: ({ error }) => error,
        },
        letters,
      ),
    )
  if (deliveries.length > 0) parts.push(deliveriesTable(deliveries))
  if (audit.length > 0) parts.push(rowsOf(AUDIT_COLUMNS, audit))
  return parts.join('\n\n')
}
