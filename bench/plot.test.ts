import { doesNotMatch, equal, match } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { linePlot } from './plot.ts'

/** All coordinates that a plot draws at. */
function coordinates(svg: string): number[] {
  return Array.from(svg.matchAll(/ (?:x|y|cx|cy|x1|x2|y1|y2)="(-?[\d.]+)"/g), ([, value]) => Number(value))
}

suite('a plot', () => {
  test('of lines has a mark a point, both labels, the legend, and lies within its frame', () => {
    const svg = linePlot({
      title: 'lookups & <more>',
      x: { label: 'routes', log: true },
      y: { label: 'rate [M/s]' },
      lines: [
        { name: 'ours', points: [[1000, 80], [1e6, 60]] }, // biome-ignore format: points
        { name: 'theirs', points: [[1000, 90], [1e6, 75]] }, // biome-ignore format: points
      ],
    })
    equal(svg.match(/<circle/g)!.length, 4)
    for (const text of ['lookups &amp; &lt;more&gt;', 'routes', 'rate \\[M/s\\]', 'ours', 'theirs', '10 K'])
      match(svg, new RegExp(text))
    for (const at of coordinates(svg)) equal(at >= -400 && at <= 720, true, `${at}`)
  })

  test('with many lines has a legend of as many rows as fit beside each other', () => {
    const lines = Array.from({ length: 6 }, (_, i) => ({
      name: `a device with a long name, load ${i}`,
      points: [[1, i] as const],
    }))
    const svg = linePlot({ title: 't', x: { label: 'x' }, y: { label: 'y' }, lines })
    match(svg, /viewBox="0 0 720 440"/)
    const names = Array.from(svg.matchAll(/x="([\d.]+)" y="([\d.]+)"[^>]*>a device/g), ([, x, y]) => [
      Number(x),
      Number(y),
    ])
    equal(names.length, 6)
    for (const [x, y] of names) equal(x! + 34 * 6.6 <= 720 && y! <= 440, true, `${x} ${y}`)
  })

  test('of one value, of equal values and of zeros has no NaN in it', () => {
    for (const value of [0, 5]) {
      const svg = linePlot({
        title: 't',
        x: { label: 'x' },
        y: { label: 'y' },
        lines: [{ name: 'l', points: [[1, value]] }],
      })
      doesNotMatch(svg, /NaN|Infinity/)
    }
  })
})
