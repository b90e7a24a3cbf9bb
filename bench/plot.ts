/**
 * A small plot writer: lines as one SVG file that reads on light and dark ground, with units on the axes and a
 * legend. Only what the benchmarks' figures need: no pies, no third dimension.
 */

import { formatNumber } from './report.ts'

export interface Axis {
  /** With its unit: `latency [us]`. */
  readonly label: string
  /** Powers of ten. For values above zero. */
  readonly log?: boolean
}

export interface LinePlot {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[]
}

const WIDTH = 720
const HEIGHT = 400
const LEFT = 78
const RIGHT = 20
const TOP = 44
const BOTTOM = 84
const LEGEND_ROW = 20
/** About. */
const LETTER_WIDTH = 6.6
const INNER_WIDTH = WIDTH - LEFT - RIGHT
const INNER_HEIGHT = HEIGHT - TOP - BOTTOM

/** Okabe and Ito's colours, which the colour-blind can tell apart, without those that vanish on white or on black. */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9']

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .axis { stroke: #57606a } .grid { stroke: #57606a; stroke-opacity: 0.2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .axis { stroke: #9198a1 } .grid { stroke: #9198a1; stroke-opacity: 0.25 }
  }`

interface Scale {
  /** 0 at the axis' beginning, 1 at its end. */
  place(value: number): number
  readonly ticks: readonly number[]
}

export function linePlot({ title, x, y, lines }: LinePlot): string {
  const points = lines.flatMap((line) => line.points)
  const across = scaleFor(
    points.map(([at]) => at),
    x.log === true,
    false,
  )
  const up = scaleFor(
    points.map(([, value]) => value),
    y.log === true,
    true,
  )
  const at = (value: number): number => LEFT + across.place(value) * INNER_WIDTH
  const drawn = lines.map(({ points }, i) => {
    const path = points.map(([x, y]) => `${round(at(x))},${round(height(up, y))}`)
    const marks = points.length > 30 ? [] : path.map((point) => mark(point, colour(i)))
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour(i)}" stroke-width="2"/>${marks.join('')}`
  })
  const labels = across.ticks.map((tick) => text(at(tick), HEIGHT - BOTTOM + 18, formatTick(tick), 'middle'))
  const legend = lines.map(({ name }) => name)
  return document(title, [...frame(up, y), ...labels, bottomLabel(x.label), ...drawn], legendOf(legend))
}

function scaleFor(values: readonly number[], log: boolean, fromZero: boolean): Scale {
  if (log) return logScale(Math.min(...values), Math.max(...values))
  const low = Math.min(...values, ...(fromZero ? [0] : []))
  const high = Math.max(...values)
  return linearScale(low, high > low ? high : low + (Math.abs(low) || 1), fromZero)
}

function logScale(low: number, high: number): Scale {
  const first = Math.floor(Math.log10(low))
  const last = Math.max(first + 1, Math.ceil(Math.log10(high)))
  return {
    place: (value) => (Math.log10(value) - first) / (last - first),
    ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
  }
}

// Ticks at 1, 2 or 5 times a power of ten, four to ten of them, and room for one more above the highest value.
function linearScale(low: number, high: number, headroom: boolean): Scale {
  const rough = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10)
  const first = Math.floor(low / step) * step
  const last = Math.ceil((high + (headroom ? step / 2 : 0)) / step) * step
  return {
    place: (value) => (value - first) / (last - first),
    ticks: Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => first + i * step),
  }
}

function height(scale: Scale, value: number): number {
  return HEIGHT - BOTTOM - scale.place(value) * INNER_HEIGHT
}

// The grid, the axes, and what the vertical one says.
function frame(up: Scale, y: Axis): string[] {
  const grid = up.ticks.flatMap((tick) => [
    line('grid', LEFT, height(up, tick), WIDTH - RIGHT, height(up, tick)),
    text(LEFT - 8, height(up, tick) + 4, formatTick(tick), 'end'),
  ])
  const middle = round(TOP + INNER_HEIGHT / 2)
  const label = `<text transform="rotate(-90)" x="-${middle}" y="16" text-anchor="middle">${escaped(y.label)}</text>`
  const axes = [
    line('axis', LEFT, TOP, LEFT, HEIGHT - BOTTOM),
    line('axis', LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM),
  ]
  return [...grid, label, ...axes]
}

function bottomLabel(label: string): string {
  return text(LEFT + INNER_WIDTH / 2, HEIGHT - BOTTOM + 38, label, 'middle')
}

interface Legend {
  readonly parts: readonly string[]
  readonly rows: number
}

/** As many rows as the names need. */
function legendOf(names: readonly string[]): Legend {
  let at = LEFT
  let row = 0
  const parts = names.map((name, i) => {
    const width = 18 + name.length * LETTER_WIDTH + 20
    if (at > LEFT && at + width > WIDTH) {
      at = LEFT
      row++
    }
    const y = HEIGHT - 24 + row * LEGEND_ROW
    const box = `<rect x="${round(at)}" y="${y}" width="12" height="12" fill="${colour(i)}"/>`
    const entry = box + text(at + 18, y + 10, name, 'start')
    at += width
    return entry
  })
  return { parts, rows: row + 1 }
}

function document(title: string, parts: readonly string[], legend: Legend): string {
  const height = HEIGHT + (legend.rows - 1) * LEGEND_ROW
  const heading = `<text class="title" x="${LEFT}" y="24">${escaped(title)}</text>`
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`
  const root = `<svg xmlns="http://www.w3.org/2000/svg" ${size}>`
  return `${[root, `<style>${STYLE}\n</style>`, heading, ...parts, ...legend.parts, '</svg>'].join('\n')}\n`
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`
}

function mark(point: string, fill: string): string {
  const [x, y] = point.split(',')
  return `<circle cx="${x}" cy="${y}" r="3" fill="${fill}"/>`
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(content)}</text>`
}

function formatTick(value: number): string {
  if (Math.abs(value) >= 1e6) return `${formatNumber(value / 1e6)} M`
  return Math.abs(value) >= 1e4 ? `${formatNumber(value / 1e3)} K` : formatNumber(value)
}

function colour(i: number): string {
  return COLOURS[i % COLOURS.length]!
}

function round(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '')
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
