/**
 * Mutated frames through a whole switch: nothing throws, no chunk is lost, the books balance in every row, and what is one
 * tenant's, from its wires or out of its tunnel, leaves under no other's VNI and by no other's wire. `program.fuzz.ts`
 * runs it for seconds, `program.long.ts` for long.
 */

import { equal } from 'node:assert/strict'
import { parseAddress } from '../base/address.ts'
import { Random } from '../base/random.ts'
import { type Totals, unaccounted } from '../dataplane/ledger.ts'
import { spoilt, tunnelId } from '../wire/mutate.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { type CorpusFrame, corpus } from './corpus.ts'
import { ACME, GLOBEX, HOOLI, HOOLI_BRANCH, INITECH, OWN, OWN6, SampleSwitch } from './sample-switch.ts'

const PER_BATCH = 32
const CHUNKS = 512
/** Of the counters: transit and an attachment each. */
const ROWS = 9
/** The books of every row are looked into this often: what is lost there stays lost. */
const AUDIT_BATCHES = 64

/** Nobody's VNI. */
const UNKNOWN = 4242

interface Wire {
  readonly vni: number
  readonly port: string
  readonly vlan: number
}

const WIRES: readonly Wire[] = [ACME, GLOBEX, INITECH, HOOLI, HOOLI_BRANCH]
const OWN4_BYTES = parseAddress(OWN)!
const OWN6_BYTES = parseAddress(OWN6)!

/** Throws at the first frame that is not switched, answered or counted as it should be; returns what was counted. */
export function fuzzSwitch(frames: number, seed: number): Totals {
  const random = new Random(seed)
  const site = new SampleSwitch({ chunks: CHUNKS })
  const samples = corpus()
  const fromWires = samples.filter(({ port }) => WIRES.some((wire) => wire.port === port))
  const fromFabric = samples.filter((sample) => !fromWires.includes(sample))
  const byPort = Map.groupBy(fromWires, ({ port }) => port)
  for (let batch = 0; batch * PER_BATCH < frames; batch++) {
    const { vni } = random.pick(WIRES)
    const wires = WIRES.filter((wire) => wire.vni === vni)
    for (let i = 0; i < PER_BATCH; i++) {
      const wire = random.pick(wires)
      const own = random.chance(0.9) ? byPort.get(wire.port)! : fromWires
      if (random.chance(0.5)) injectFromWire(random, site, wire, random.pick(own).frame)
      else injectFromFabric(random, site, random.chance(0.02) ? UNKNOWN : vni, random.pick(fromFabric))
    }
    site.run()
    site.advance(1)
    for (const [port, sent] of Object.entries(site.sent())) for (const frame of sent) stays(port, frame, vni)
    equal(site.pool.free, CHUNKS - 1)
    equal(unaccounted(site.totals()), 0)
    if (batch % AUDIT_BATCHES === 0) audit(site)
  }
  audit(site)
  return site.totals()
}

function audit(site: SampleSwitch): void {
  for (let row = 1; row < ROWS; row++) equal(unaccounted(site.row(row)), 0, `the books of row ${row}`)
}

/** Whatever the mutation made of the tag: a frame that has one is the wire's. */
function injectFromWire(random: Random, site: SampleSwitch, wire: Wire, frame: Uint8Array): void {
  const out = spoilt(random, frame)
  if (vlanOf(out) !== 0) new DataView(out.buffer).setUint16(14, wire.vlan)
  site.inject(wire.port, out)
}

function injectFromFabric(random: Random, site: SampleSwitch, vni: number, { port, frame }: CorpusFrame): void {
  site.inject(
    random.chance(0.1) ? random.pick(['path-a', 'path-b', 'fn-1', 'host-1']) : port,
    spoilt(random, frame, vni),
  )
}

/** The VNI that a frame comes in under: its wire's, or what its tunnel says. */
export function vniOf(port: string, frame: Uint8Array): number | undefined {
  if (!WIRES.some((wire) => wire.port === port)) return tunnelId(frame)
  return WIRES.find((wire) => wire.port === port && wire.vlan === vlanOf(frame))?.vni
}

/** Throws unless what left by a wire or in a tunnel of ours is the tenant's; the rest is others' packets in transit. */
export function stays(port: string, frame: Uint8Array, vni: number | undefined): void {
  const isWire = WIRES.some((wire) => wire.port === port)
  if (!isWire && !isOurTunnel(frame)) return
  if (vniOf(port, frame) !== vni)
    equal(vniOf(port, frame), vni, `${Buffer.from(frame).toString('hex')} left by ${port}`)
}

/** VXLAN from our own address; what others send from it is in transit, and may say so. */
function isOurTunnel(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer)
  const isIpv4 = view.getUint16(12) === 0x0800
  const [source, l4, own] = isIpv4 ? [26, 34, OWN4_BYTES] : [22, 54, OWN6_BYTES]
  if (frame[isIpv4 ? 23 : 20] !== 17 || frame.length < l4 + 4) return false
  return view.getUint16(l4 + 2) === UDP_PORT.vxlan && own.every((byte, i) => frame[source + i] === byte)
}

function vlanOf(frame: Uint8Array): number {
  if (frame.length < 18) return 0
  const view = new DataView(frame.buffer)
  return view.getUint16(12) === 0x8100 ? view.getUint16(14) & 0xfff : 0
}
