/**
 * `gatehouse bench NAME`: measures what the design promises, beside its peers, and prints a table, or with --json one
 * document. A full run's table, document and plots are kept under bench/results/. The exit code tells whether it ran, not how
 * fast.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bench, formatReport } from './report.ts'
import { Results } from './results.ts'

/** A line each. Modules are loaded when they are asked for, because of what some of them need. */
const BENCHES: Readonly<Record<string, { readonly about: string; readonly load: () => Promise<Bench> }>> = {
  bgp: {
    about: 'BGP: a table from one peer to another, beside FRR and BIRD',
    load: async () => (await import('./bgp.ts')).benchBgp,
  },
  control: {
    about: 'the control module: routes from the BGP message to every FIB, failovers',
    load: async () => (await import('./control.ts')).benchControl,
  },
  fib: {
    about: 'the FIB: lookups beside DPDK rte_fib, updates, memory',
    load: async () => (await import('./fib.ts')).benchFib,
  },
  forward: {
    about: 'the forwarding node: throughput, latency, stalls, beside Linux VXLAN and DPDK testpmd',
    load: async () => (await import('./forward.ts')).benchForward,
  },
}

const RESULTS = join(import.meta.dirname, 'results')

function usage(): string {
  const names = Object.entries(BENCHES).map(([name, { about }]) => `  ${name.padEnd(10)}${about}`)
  return `gatehouse bench NAME [--json] [--quick]\n\n${names.join('\n')}`
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  const bench = BENCHES[positionals[0] ?? '']
  if (!bench || positionals.length > 1) {
    console.error(usage())
    return 2
  }
  const results = new Results(values.quick ? undefined : RESULTS)
  const run = await bench.load()
  const result = await run({
    quick: values.quick,
    say: (text) => console.error(text),
    plot: (name, svg) => results.plot(name, svg),
  })
  results.report(result)
  console.log(values.json ? JSON.stringify(result, null, 2) : formatReport(result))
  return 0
}

process.exitCode = await main()
