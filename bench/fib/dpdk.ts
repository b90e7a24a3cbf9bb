/**
 * The peer for lookups: DPDK's rte_fib as it ships, in bulk mode (64 addresses a call), run by DPDK's own dpdk-test-fib on
 * the same routes and addresses. It tells cycles of the time stamp counter. Without huge pages, which a machine has only
 * if it was set up with them; where it had, rte_fib was no faster.
 */

import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ensurePackage, findCommand } from '../../lab/packages.ts'
import type { RouteColumns } from '../../src/dataplane/fib/fib.ts'
import type { Family } from '../../src/dataplane/fib/layout.ts'
import { allowedCores } from '../../src/linux/thread.ts'

const PROGRAM = 'dpdk-test-fib'

/** Installs it where it is not there. Undefined when it is there now, otherwise why it is not. */
export function missingDpdk(): string | undefined {
  const state = ensurePackage('dpdk-dev', PROGRAM)
  return typeof state === 'string' ? undefined : state.missing
}

/** A quick run takes what is there. */
export function isDpdkThere(): boolean {
  return findCommand(PROGRAM) !== undefined
}

/** The routes and addresses of one comparison, written to files once and looked up as often as wanted. */
export class DpdkFib {
  readonly #folder = mkdtempSync(join(tmpdir(), 'gatehouse-fib-'))
  readonly #family: Family
  readonly #groups: number
  readonly #memory_MB: number

  private constructor(family: Family, routes: RouteColumns) {
    this.#family = family
    this.#groups = tableGroups(family, routes)
    // The first level is 64 MB, a group 1 KB; a route takes some 200 bytes in the tree beside the table.
    this.#memory_MB = Math.ceil(512 + (this.#groups * 1100 + routes.count * 500) / 2 ** 20)
  }

  static async prepare(family: Family, routes: RouteColumns, addresses: Uint32Array): Promise<DpdkFib> {
    const peer = new DpdkFib(family, routes)
    const words = family === 4 ? 1 : 4
    const prefixes = rows(routes.count, (i) => {
      const address = formatWords(routes.addresses, i * words, family)
      return `${address}/${routes.lengths[i]} ${routes.slots[i]}`
    })
    const wanted = rows(addresses.length / words, (i) =>
      family === 6 ? formatWords(addresses, i * 4, 6) : reversed4(addresses[i]!),
    )
    await pipeline(prefixes, createWriteStream(peer.#routes))
    await pipeline(wanted, createWriteStream(peer.#addresses))
    return peer
  }

  get #routes(): string {
    return join(this.#folder, 'routes')
  }

  get #addresses(): string {
    return join(this.#folder, 'addresses')
  }

  /** Lookups a second, in one run over all addresses. */
  async measure(): Promise<number> {
    const eal = ['--no-huge', '-m', String(this.#memory_MB), '--no-pci', '--no-telemetry', '--no-shconf']
    const core = String(allowedCores().at(-1))
    const test = [
      '-f',
      this.#routes,
      '-t',
      this.#addresses,
      '-g',
      String(this.#groups),
      ...(this.#family === 6 ? ['-6'] : []),
    ]
    const child = spawn(PROGRAM, [...eal, '--log-level=lib.eal:debug', '-l', core, '--', ...test], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    await new Promise<void>((done, fail) => {
      child.on('error', fail)
      child.on('close', () => done())
      // It goes on to measure deletions, for as long as everything before took.
      child.stdout.on('data', () => LOOKUP.test(output) && child.kill('SIGKILL'))
    })
    const cycles = LOOKUP.exec(output)
    const frequency = FREQUENCY.exec(output)
    if (!cycles || !frequency) throw new Error(`${PROGRAM}: ${output.trim().split('\n').at(-1)}`)
    return (Number(frequency[1]) * 1000) / Number(cycles[1])
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const LOOKUP = /AVG FIB lookup ([\d.]+)\n/
const FREQUENCY = /TSC frequency is ~(\d+) KHz/

/** How many groups of 256 entries below the first level (24 bits) it is to make room for, with some to spare. */
function tableGroups(family: Family, { count, addresses, lengths }: RouteColumns): number {
  const groups = new Set<string | number>()
  const words = family === 4 ? 1 : 4
  for (let i = 0; i < count; i++)
    for (let bits = 24; bits < lengths[i]!; bits += 8) {
      const high = addresses[i * words]! >>> Math.max(0, 32 - bits)
      groups.add(
        bits <= 32
          ? high + bits * 2 ** 32
          : `${addresses[i * words]}.${bits}.${addresses[i * words + 1]! >>> (64 - bits)}`,
      )
    }
  return Math.ceil(groups.size * 1.1) + 1000
}

function* rows(count: number, row: (i: number) => string): Generator<string> {
  const PIECE = 10_000
  for (let first = 0; first < count; first += PIECE) {
    const length = Math.min(PIECE, count - first)
    yield Array.from({ length }, (_, i) => `${row(first + i)}\n`).join('')
  }
}

function formatWords(words: Uint32Array, at: number, family: Family): string {
  if (family === 4) return formatNumber4(words[at]!)
  const hex = Array.from(words.subarray(at, at + 4), (word) => word.toString(16).padStart(8, '0')).join('')
  return hex.match(/.{4}/g)!.join(':')
}

function formatNumber4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}

/** dpdk-test-fib looks up the bytes of a file's IPv4 address in the opposite order (22.11), so they are turned round here. */
function reversed4(address: number): string {
  return formatNumber4(address).split('.').reverse().join('.')
}
