/**
 * How long a tenant's packets take to find the backup (DSR section 6): from the loss of the carrier, and from BFD's Down, to the
 * first packet that comes by the other connection, with ten thousand routes over both. Detection is told apart: of a carrier it
 * is the switch's, and of a silent router it is BFD's, whose detection time the site file gives. A carrier is lost when the
 * switch's port has none: what the kernel takes before that, to close the device at the other end, is told apart too.
 */

import { FailoverBed } from '../../lab/failover/bed.ts'
import { quantile } from '../measure.ts'
import { linePlot } from '../plot.ts'
import { type BenchOptions, type BenchRow, benchRow } from '../report.ts'

const FULL = { routes: 10_000, times: 100 }
const QUICK = { routes: 500, times: 3 }
/** Its detection time is told beside what is judged, and is no part of it. */
const BFD = { interval_ms: 100, multiplier: 3 }
const BAR_ms = 10
const AIM_ms = 3

interface Series {
  /** What is held against the bar: all of it from the loss of the carrier, and from BFD's Down on. */
  readonly judged_ms: readonly number[]
  readonly detection_ms: readonly number[]
  readonly closing_ms: readonly number[]
  readonly lost: readonly number[]
}

export async function failoverRows({ quick, say, plot }: BenchOptions): Promise<BenchRow[]> {
  const { routes, times } = quick ? QUICK : FULL
  say(`${times} failovers by carrier and ${times} by BFD, ${routes.toLocaleString('en-US')} routes`)
  await using bed = await FailoverBed.build({ routes, bfd: BFD })
  const carrier = await series(times, async () => {
    const { closing_ms, detection_ms, reaction_ms, lost } = await bed.carrierLoss()
    return { judged_ms: detection_ms + reaction_ms, detection_ms, closing_ms, lost }
  })
  const silence = await series(times, async () => {
    const { closing_ms, detection_ms, reaction_ms, lost } = await bed.silence()
    return { judged_ms: Math.max(0, reaction_ms), detection_ms, closing_ms, lost }
  })
  plot(
    'control-failover.svg',
    linePlot({
      title: `Failover with ${routes.toLocaleString('en-US')} routes: the part that is not later`,
      ...{ x: { label: 'time [ms]' }, y: { label: 'part of failovers' } },
      lines: [
        { name: 'from the loss of the carrier', points: distribution(carrier.judged_ms) },
        { name: "from BFD's Down", points: distribution(silence.judged_ms) },
      ],
    }),
  )
  const where = `failover with ${routes.toLocaleString('en-US')} routes`
  return [
    ...rowsOf(`${where}, carrier loss to the first packet on the backup`, carrier.judged_ms, true),
    ...rowsOf(`${where}, of it until the switch has seen and said it`, carrier.detection_ms, false),
    ...rowsOf(`${where}, the kernel closing the device before that`, carrier.closing_ms, false),
    ...rowsOf(`${where}, BFD's Down to the first packet on the backup`, silence.judged_ms, true),
    ...rowsOf(
      `${where}, detection by BFD of ${BFD.multiplier} x ${BFD.interval_ms} ms, which comes before`,
      silence.detection_ms,
      false,
    ),
    ...rowsOf(`${where}, packets of 1,000 a second lost with a carrier`, carrier.lost, false, 'packets'),
  ]
}

async function series(
  times: number,
  once: () => Promise<{ judged_ms: number; detection_ms: number; closing_ms: number; lost: number }>,
): Promise<Series> {
  const all = []
  for (let i = 0; i < times; i++) all.push(await once())
  return {
    judged_ms: all.map(({ judged_ms }) => judged_ms),
    detection_ms: all.map(({ detection_ms }) => detection_ms),
    closing_ms: all.map(({ closing_ms }) => closing_ms),
    lost: all.map(({ lost }) => lost),
  }
}

function rowsOf(what: string, values: readonly number[], isJudged: boolean, unit = 'ms'): BenchRow[] {
  const bars = isJudged ? { bar: BAR_ms, aim: AIM_ms } : {}
  return [
    benchRow({ what: `${what}: p50`, value: quantile(values, 0.5), unit, better: 'lower' }),
    benchRow({ what: `${what}: p99`, value: quantile(values, 0.99), unit, better: 'lower', ...bars }),
  ]
}

function distribution(values: readonly number[]): (readonly [number, number])[] {
  return values.toSorted((a, b) => a - b).map((value, i) => [value, (i + 1) / values.length] as const)
}
