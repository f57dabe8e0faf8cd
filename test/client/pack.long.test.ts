/**
 * The package as its users have it: packed, installed by npm into projects that have nothing else, type-checked
 * strictly there, and run against a server. The programs are the readme’s own. Without npm’s registry the parts
 * that install are skipped, and say so.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { buildTestApp } from '../support/app.js'
import { workFolder } from '../support/server-process.js'

const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url))
const TSC = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
const RUN_MS = 60_000

/** Every export is used, as its users would. */
const EXPORTS = `
import * as client from 'chaptercast-client'
import type {
  ChapterConnection, ChapterCreate, ChapterEvent, Chapters, ChapterSnapshot, ConnectOptions, CreateOptions, EventName,
  EventPayload, FollowOptions, JobKind, JobSnapshot, LearningView, Listeners, Token, WatchOptions,
} from 'chaptercast-client'

const options: ConnectOptions = { token: async () => undefined, socket: { transports: ['websocket'] } }
const chapters: Chapters = client.connectChapters('http://localhost:8000/behind/a/proxy', options)

export async function all(body: ChapterCreate, how: CreateOptions, watching: WatchOptions, following: FollowOptions) {
  const { chapter_id: id } = await chapters.create(body, how)
  const watch: client.ChapterWatch = chapters.watch(id, watching)
  const stop: () => void = watch.on('quiz_retrying', ({ attempt, retry_at }) => [attempt.toFixed(), retry_at.length], following)
  stop()
  watch.on('progress_update', (update: Listeners['progress_update']) => update.progress.toFixed())
  // @ts-expect-error: there is no such event
  watch.on('quiz_forgotten', () => {})
  // @ts-expect-error: a chapter has an owner
  chapters.create({ course_id: 1, title: '' })
  for await (const event of watch) seqOf(event)
  const snapshot: ChapterSnapshot = watch.snapshot
  const connection: ChapterConnection = snapshot.connection
  const jobs: JobSnapshot[] = client.JOB_KINDS.map((kind: JobKind) => snapshot.jobs[kind])
  const { items, next_cursor } = await chapters.list({ owner_id: 1 })
  const learning: LearningView = await watch.completed({ answers: true })
  return [connection, jobs, items, next_cursor, learning, await chapters.get(id), await chapters.cancel(id), watch.cursor]
}

function seqOf<Name extends EventName>({ payload }: { name: Name; payload: EventPayload<Name> }): number {
  return payload.seq
}

export function nameOf(event: ChapterEvent): string {
  // The payload’s type follows from the name.
  return event.name === 'chapter_failed' ? event.payload.failed.join() : event.name
}

export function textOf(error: unknown): string {
  if (error instanceof client.RefusedError) return error.errors.map(({ path, message }) => path + message).join()
  if (error instanceof client.ChapterFailedError) return error.failed.join()
  if (error instanceof client.ChapterCancelledError) return error.snapshot.message
  if (error instanceof client.UnreachableError || error instanceof client.ClosedError) return error.message
  return error instanceof client.ChaptercastError ? error.code : ''
}

export const token: Token = 'a token'
console.log(JSON.stringify(Object.keys(client).sort()))
chapters.close()
`

const HOOKS = `
import { connectChapters, type ChapterSnapshot, type ChapterEvent } from 'chaptercast-client'
import {
  ChaptersProvider, useChapter, useChapters, useCreateChapter, useEvents, useLearning,
  type CreateChapter, type LearningState,
} from 'chaptercast-client/react'
import { version } from 'react'
import { renderToString } from 'react-dom/server'
import { App } from './readme-1.js'

const chapters = connectChapters('http://localhost:8000')

function Chapter({ id }: { id: number }) {
  const chapter: ChapterSnapshot = useChapter(id)
  const none: ChapterSnapshot | null = useChapter(null)
  // @ts-expect-error: there may be none
  const some: ChapterSnapshot = useChapter(undefined)
  if (some !== null) throw new Error('there is none')
  const events: readonly ChapterEvent[] = useEvents(id)
  const { learning }: LearningState = useLearning(id, { answers: true })
  const { isCreating }: CreateChapter = useCreateChapter()
  const isSame: boolean = useChapters() === chapters
  if (none !== null || learning !== null || isCreating || !isSame) throw new Error('on a server nothing is known')
  return <p>{[chapter.chapter_id, chapter.connection, events.length].join(' ')}</p>
}

console.log('React ' + version)
console.log(renderToString(<App />))
console.log(renderToString(<ChaptersProvider chapters={chapters}><Chapter id={7} /></ChaptersProvider>))
`

const folder = await workFolder(t)
const tarball = await pack()
const registry = (await run(folder, 'npm', 'config', 'get', 'registry')).trim()
const isReachable = await fetch(registry, { method: 'HEAD', signal: AbortSignal.timeout(10_000) }).then(
  () => true,
  () => false,
)
const options = {
  skip: !isReachable && `npm’s registry ${registry} does not answer: nothing can be installed`,
}

await t.test(
  'the package has its code, its types, its readme and its licence, and nothing else',
  async (t) => {
    const files = (await run(folder, 'tar', '-tzf', tarball)).trim().split('\n')
    const names = files.map((file) => file.replace('package/', ''))
    t.same(
      names.filter((name) => !/^(dist\/[a-z-]+\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(name)),
      [],
    )
    for (const name of [
      'LICENSE',
      'README.md',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/react.js',
      'dist/react.d.ts',
      'dist/vue.js',
      'dist/vue.d.ts',
      'dist/svelte.js',
      'dist/svelte.d.ts',
    ])
      t.ok(names.includes(name), name)
    const isMapped = async (name: string) =>
      (await readFile(join(folder, 'package', name), 'utf8')).includes('sourceMappingURL')
    const mapped = await Promise.all(names.map(isMapped))
    t.notOk(mapped.includes(true), 'no code names a source map that is not there')
    t.match(await readFile(join(folder, 'package/dist/react.js'), 'utf8'), /^['"]use client['"]/)
  },
)

await t.test(
  'in a project without React it is checked strictly, and completes a chapter',
  options,
  async (t) => {
    const { url } = await buildTestApp(t, { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0' })
    const project = await makeProject(
      'plain',
      {},
      { 'exports.ts': EXPORTS, ...(await readmePrograms('ts', url)) },
    )
    t.same(await dependencies(project), ['socket.io-client'])
    t.same(
      (await installed(project)).filter((name) => /^(react|@types|@sinclair)/.test(name)),
      [],
      'nothing that its users did not ask for',
    )
    for (const moduleResolution of ['nodenext', 'bundler']) await check(t, project, moduleResolution)
    t.same(JSON.parse(await run(project, 'node', 'out/exports.js')), [
      'ChapterCancelledError',
      'ChapterFailedError',
      'ChapterWatch',
      'ChaptercastError',
      'ClosedError',
      'CourseWatch',
      'JOB_KINDS',
      'RefusedError',
      'UnreachableError',
      'connectChapters',
    ])
    const output = await run(project, 'node', 'out/readme-1.js')
    t.match(output, /^1 chapter_processing_started /m)
    t.match(output, /^11 all_completed /m)
    t.match(output.trimEnd(), / 3$/, 'and then the content')
  },
)

for (const version of [18, 19]) {
  await t.test(
    `with React ${version} the hooks are checked strictly, and render on a server`,
    options,
    async (t) => {
      const react = {
        react: version,
        'react-dom': version,
        '@types/react': version,
        '@types/react-dom': version,
      }
      const programs = await readmePrograms('tsx', 'http://localhost:8000')
      const project = await makeProject(`react-${version}`, react, { 'hooks.tsx': HOOKS, ...programs })
      for (const moduleResolution of ['nodenext', 'bundler']) await check(t, project, moduleResolution)
      const output = await run(project, 'node', 'out/hooks.js')
      t.match(output, `React ${version}.`)
      t.match(output, '<main><button>Create</button></main>')
      t.match(output, '<p>7 connecting 0</p>')
    },
  )
}

/** Compiles and packs without touching `dist`, which others may be using; leaves it unpacked in `package`, too. */
async function pack(): Promise<string> {
  const source = join(folder, 'source')
  await mkdir(source)
  const build = [
    '-p',
    CLIENT,
    '--outDir',
    join(source, 'dist'),
    '--tsBuildInfoFile',
    join(source, 'dist/.tsbuildinfo'),
  ]
  await run(CLIENT, TSC, ...build)
  for (const name of ['package.json', 'README.md', 'LICENSE'])
    await copyFile(join(CLIENT, name), join(source, name))
  const [packed] = JSON.parse(await run(source, 'npm', 'pack', '--json', '--pack-destination', folder))
  const path = join(folder, packed.filename)
  await run(folder, 'tar', '-xzf', path)
  return path
}

async function makeProject(name: string, wants: Record<string, number>, files: Record<string, string>) {
  const project = join(folder, name)
  await mkdir(project)
  const manifest = { name, private: true, type: 'module' }
  for (const [file, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...files }))
    await writeFile(join(project, file), text)
  const packages = Object.entries(wants).map(([name, version]) => `${name}@${version}`)
  const quietly = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline']
  await run(project, 'npm', 'install', ...quietly, tarball, ...packages)
  return project
}

/** The readme’s programs of one language, by the names of their files. */
async function readmePrograms(language: 'ts' | 'tsx', url: string): Promise<Record<string, string>> {
  const readme = await readFile(join(CLIENT, 'README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, of]) => of === language)
  return Object.fromEntries(
    blocks.map(([, , text], index) => [
      `readme-${index + 1}.${language}`,
      (text ?? '').replaceAll('http://localhost:8000', url),
    ]),
  )
}

async function check(t: Test, project: string, moduleResolution: string) {
  const compilerOptions = {
    module: moduleResolution === 'bundler' ? 'esnext' : moduleResolution,
    moduleResolution,
    target: 'es2022',
    lib: ['es2023', 'dom', 'dom.iterable'],
    types: [],
    jsx: 'react-jsx',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    rootDir: '.',
    outDir: 'out',
  }
  await writeFile(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['*.ts', '*.tsx'] }),
  )
  t.equal(await run(project, TSC, '-p', '.').catch((error) => error.stdout), '', `with ${moduleResolution}`)
}

async function dependencies(project: string): Promise<string[]> {
  const manifest = await readFile(join(project, 'node_modules/chaptercast-client/package.json'), 'utf8')
  return Object.keys(JSON.parse(manifest).dependencies)
}

function installed(project: string): Promise<string[]> {
  return readdir(join(project, 'node_modules'))
}

async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  // Tap has every process of a test load its own loaders, by this variable.
  const clean = ['-u', 'NODE_OPTIONS', program, ...args]
  const { stdout } = await promisify(execFile)('env', clean, { cwd, timeout: RUN_MS })
  return stdout
}
