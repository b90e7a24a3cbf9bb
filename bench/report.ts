/**
 * What every benchmark hands back: one document, a row a line of the design's table or of a paper's figure. A bar is a
 * ratio wherever there is a peer, because absolute figures drift on shared machines; the absolute figures stand beside it.
 */

import { readFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'

export interface BenchRow {
  readonly what: string
  /** Null where it could not be measured; `what` then says why. */
  readonly value: number | null
  readonly unit: string
  readonly peer: string | null
  readonly peer_value: number | null
  /** value / peer_value */
  readonly ratio: number | null
  /** What must be reached and what is aimed at: of the ratio where there is a peer, of the value where there is none. */
  readonly bar: number | null
  readonly aim: number | null
  /** Null where there is no bar, or nothing to hold against it. */
  readonly pass: boolean | null
}

export interface BenchDocument {
  readonly bench: string
  readonly machine: string
  readonly rows: readonly BenchRow[]
}

export interface BenchOptions {
  /** Smaller and shorter: the figures only show that it runs. */
  readonly quick: boolean
  /** For people, as it goes on. */
  readonly say: (text: string) => void
  /** Keeps a plot, by a file name such as fib-memory.svg. */
  readonly plot: (name: string, svg: string) => void
}

/** A module of `bench/main.ts`'s table. */
export type Bench = (options: BenchOptions) => Promise<BenchDocument>

export interface Measured {
  readonly what: string
  readonly value: number | null
  readonly unit: string
  readonly peer?: string
  readonly peerValue?: number | undefined
  readonly bar?: number
  readonly aim?: number
  /** Which way is good; higher unless said. */
  readonly better?: 'higher' | 'lower'
}

export function benchRow({ what, value, unit, peer, peerValue, bar, aim, better = 'higher' }: Measured): BenchRow {
  const ratio = value !== null && peerValue ? value / peerValue : null
  const judged = peer === undefined ? value : ratio
  const pass = bar === undefined || judged === null ? null : better === 'higher' ? judged >= bar : judged <= bar
  return {
    what,
    value,
    unit,
    peer: peer ?? null,
    peer_value: peerValue ?? null,
    ratio,
    bar: bar ?? null,
    aim: aim ?? null,
    pass,
  }
}

/** Processor, cores, memory, kernel, runtime: what figures depend on. */
export function machineText(): string {
  const cores = cpus()
  // Virtual machines and arm64 often have no model name.
  const model = cores[0]?.model.trim() || arch()
  const memory_GB = Math.round(totalmem() / 2 ** 30)
  return `${model}, ${cores.length} cores, ${memory_GB} GB, ${virtualization()}Linux ${release()}, Node ${process.versions.node}`
}

function virtualization(): string {
  try {
    return /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')) ? 'virtual, ' : ''
  } catch {
    return ''
  }
}

/** The document as a table for people: a line a row, then what was missed. */
export function formatReport({ bench, machine, rows }: BenchDocument): string {
  const table = [HEADINGS, ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
  const missed = rows.filter((row) => row.pass === false)
  const verdict = missed.length === 0 ? [] : ['', ...missed.map((row) => `not reached: ${row.what}`)]
  return [`${bench}: ${machine}`, '', ...lines, ...verdict].join('\n')
}

const HEADINGS = ['what', 'measured', 'peer', 'ratio', 'bar', 'aim', '']

function cells(row: BenchRow): string[] {
  const bound = (bound: number | null): string => {
    if (bound === null) return ''
    return row.peer === null ? formatValue(bound, row.unit) : `${formatNumber(bound)}x`
  }
  const peerValue = row.peer_value === null ? 'not measured' : formatValue(row.peer_value, row.unit)
  return [
    row.what,
    row.value === null ? 'not measured' : formatValue(row.value, row.unit),
    row.peer === null ? '' : `${row.peer}: ${peerValue}`,
    row.ratio === null ? '' : `${formatNumber(row.ratio)}x`,
    bound(row.bar),
    bound(row.aim),
    row.pass === null ? '' : row.pass ? 'reached' : 'NOT REACHED',
  ]
}

function formatValue(value: number, unit: string): string {
  return `${formatNumber(value)} ${unit}`
}

/** Three significant digits: 0.981, 12.3, 1,230,000. */
export function formatNumber(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  const rounded = digits > 0 ? value : Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { maximumFractionDigits: digits })
}
