/** The figures as one table in Markdown: a row for each measure, a column for each program, a value for each number of nodes. */
import { type Figures, MEASURES, type Measure } from './measure.js'
import type { Program } from './system.js'

export interface Result {
  program: Program
  nodes: number
  figures: Figures
}

export function tableOf(results: readonly Result[]): string {
  const programs = [...new Set(results.map(({ program }) => program))]
  const counts = [...new Set(results.map(({ nodes }) => nodes))].sort((a, b) => a - b)
  const figureOf = (program: Program, nodes: number, measure: Measure) =>
    results.find((result) => result.program === program && result.nodes === nodes)?.figures[measure]
  const isCompared = programs.includes('floor') && programs.includes('chaptercast')

  const rows = (Object.keys(MEASURES) as Measure[]).flatMap((measure) => {
    const cells = programs.map((program) => counts.map((nodes) => figureOf(program, nodes, measure)))
    if (cells.flat().every((value) => value === undefined)) return []
    const ratios = counts.map((nodes) => {
      const [own, floor] = [figureOf('chaptercast', nodes, measure), figureOf('floor', nodes, measure)]
      return own === undefined || floor === undefined || Math.min(own, floor) <= 0
        ? undefined
        : Number((own / floor).toFixed(2))
    })
    return [[MEASURES[measure], ...[...cells, ...(isCompared ? [ratios] : [])].map(cellOf)]]
  })
  const nodes = `${counts.join(' / ')} ${counts.length === 1 && counts[0] === 1 ? 'node' : 'nodes'}`
  const heading = [`on ${nodes}`, ...programs, ...(isCompared ? ['chaptercast / floor'] : [])]
  return [heading, heading.map((_, column) => (column === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

/** `0.26 / 0.41 / –` */
function cellOf(values: readonly (number | undefined)[]): string {
  if (values.every((value) => value === undefined)) return ''
  return values.map((value) => value?.toLocaleString('en') ?? '–').join(' / ')
}
