/**
 * What a FIB takes in memory, in a process of its own: what the process grows by, and so also what the writer keeps outside
 * of the arena. Run with --expose-gc and the name of a case; prints one JSON object.
 */

import { memoryUsage, resourceUsage } from 'node:process'
import { Random } from '../../src/base/random.ts'
import { createFibMemory, type FibLimits, FibWriter } from '../../src/dataplane/fib/fib.ts'
import { createQsbrMemory, QsbrWriter } from '../../src/dataplane/qsbr.ts'
import { seconds } from '../measure.ts'
import { internetRoutes4 } from './internet.ts'

export interface MemoryResult {
  readonly seconds: number
  /** What the process has more than before, once all is in, and at most on the way. */
  readonly resident_bytes: number
  readonly peak_bytes: number
  /** The arena alone, as it went on. */
  readonly taken_bytes: readonly number[]
}

function writer(limits: FibLimits): FibWriter {
  return new FibWriter(createFibMemory(limits), new QsbrWriter(createQsbrMemory(1)))
}

const collect = (globalThis as { gc?: () => void }).gc!

/** `prepare` makes the input, which does not count; what it returns fills the FIB. */
function measure(fib: FibWriter, prepare: () => (taken: () => void) => void): MemoryResult {
  const fill = prepare()
  collect()
  const before = memoryUsage.rss()
  const taken_bytes: number[] = []
  const taken = (): void => void taken_bytes.push(fib.stats().words.taken * 4)
  const duration = seconds(() => fill(taken))
  const peak_bytes = resourceUsage().maxRSS * 1024 - before
  collect()
  taken()
  return { seconds: duration, resident_bytes: memoryUsage.rss() - before, peak_bytes, taken_bytes }
}

/** 10 K tenants, 100 scattered routes each. */
function scattered(random: Random): MemoryResult {
  const TENANTS = 10_000
  const ROUTES = 100
  const fib = writer({ vrfs: TENANTS })
  return measure(fib, () => {
    const tables = Array.from({ length: TENANTS }, () => internetRoutes4(random, ROUTES))
    return () => {
      for (const [vrf, routes] of tables.entries()) fib.load(vrf, 4, routes)
    }
  })
}

/** One table. */
function internet(random: Random, count: number): MemoryResult {
  const fib = writer({})
  return measure(fib, () => {
    const routes = internetRoutes4(random, count)
    return () => fib.load(0, 4, routes)
  })
}

/** 10 K tenants with 100 routes, of which each in turn fills to 20 K and shrinks back, as a snapshot of its routes says. */
function inTurn(random: Random, tenants: number): MemoryResult {
  const TENANTS = 10_000
  const FEW = 100
  const MANY = 20_000
  const fib = writer({ vrfs: TENANTS })
  return measure(fib, () => {
    const many = internetRoutes4(random, MANY)
    const few = { ...many, count: FEW }
    return (taken) => {
      for (let vrf = 0; vrf < TENANTS; vrf++) fib.load(vrf, 4, few)
      taken()
      for (let vrf = 0; vrf < tenants; vrf++)
        for (const routes of [many, few]) {
          fib.load(vrf, 4, routes)
          taken()
        }
    }
  })
}

const CASES: Readonly<Record<string, (random: Random, size: number) => MemoryResult>> = { scattered, internet, inTurn }

console.log(JSON.stringify(CASES[process.argv[2]!]!(new Random(1), Number(process.argv[3]))))
