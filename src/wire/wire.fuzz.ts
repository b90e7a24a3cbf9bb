/**
 * Random and mutated bytes through every check, and through every reader and writer that a check promises is safe. Each
 * frame lies at the very end of its buffer, so reading or writing behind it is a RangeError; what is written in front
 * of it or where the check was not asked is found by comparison. FUZZ_N frames, FUZZ_SEED to repeat a run.
 */

import { deepEqual, equal, fail } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { arp, checkArp } from './arp.ts'
import { bfd, bfdDiagnostic, bfdState, checkBfd } from './bfd.ts'
import * as build from './build.ts'
import { pseudoHeader4, pseudoHeader6, sum16 } from './checksum.ts'
import { decapsulatedTos } from './ecn.ts'
import { checkEthernet, ETHERTYPE, etherTypeAt, isGroupAddressed, vlanId } from './ethernet.ts'
import { faults } from './fault.ts'
import { checkGre, gre, greHeaderBytes, greKey, greSequence, writeGreChecksum } from './gre.ts'
import { type Field, print } from './header.ts'
import { checkIcmp, icmp, isIcmpError, quoteEnd, writeIcmpChecksum } from './icmp.ts'
import { checkIcmpv6, icmpv6, writeIcmpv6Checksum } from './icmpv6.ts'
import * as v4 from './ipv4.ts'
import * as v6 from './ipv6.ts'
import { checkNeighbourDiscovery, ND_OPTION, neighbourDiscoveryBytes, neighbourOption } from './neighbour-discovery.ts'
import { pcapFileHeader, pcapRecordBytes, readPcap } from './pcap.ts'
import { checkTcp, clampMss, TCP_FLAG, TCP_OPTION, tcp, tcpOption } from './tcp.ts'
import { checkUdp, UDP_PORT, udp, udpChecksumHolds, writeUdpChecksum } from './udp.ts'
import { checkVxlan, vxlan } from './vxlan.ts'

const COUNT = Number(process.env['FUZZ_N'] ?? 100_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? freshSeed())
console.log(`wire.fuzz: FUZZ_SEED=${SEED} FUZZ_N=${COUNT}`)

/** In front of every frame. */
const GUARD = 64
const GUARD_BYTE = 0xa5
const { PROTOCOL } = v4

/** One frame of every kind that is known, some within others. */
function corpus(): Uint8Array[] {
  const data = build.text('some data that is carried')
  // The MSS on an odd offset.
  const tcpSyn = build.tcp({ flags: TCP_FLAG.syn, options: Uint8Array.of(1, 2, 4, 5, 0xb4, 3, 3, 7) })
  const { hopByHop, destinationOptions, routing, fragment6, authentication } = build
  const inner = build.ethernet({}, build.ipv4({}, tcpSyn))
  const quoted = build.ipv4({}, build.udp({}, data))
  const quoted6 = build.ipv6({}, build.udp({}, data))
  const toVxlan = { destinationPort: UDP_PORT.vxlan, checksum: false }
  return [
    build.arpRequest({ senderIp: '10.0.0.1', targetIp: '10.0.0.2' }),
    quoted,
    quoted6,
    build.ipv4({ options: Uint8Array.of(1, 131, 7, 4, 10, 0, 0, 9) }, tcpSyn),
    build.ipv4({}, build.icmpEcho({}, data)),
    build.ipv4({}, build.icmpError({ type: 3, code: 4, mtu: 1400 }, quoted)),
    build.ipv4({}, build.udp(toVxlan, build.vxlan({ vni: 7 }, inner))),
    build.ipv4({}, build.gre({ key: 7, checksum: true, sequence: 1 }, quoted6)),
    build.ipv4({ ttl: 255 }, build.udp({ destinationPort: UDP_PORT.bfdSingleHop }, build.bfd())),
    build.ipv4({ moreFragments: true, fragmentOffset: 8, protocol: PROTOCOL.udp }, data),
    build.ipv6({ extensions: [hopByHop(), routing(), fragment6({ offset: 0, more: true })] }, tcpSyn),
    build.ipv6({ extensions: [destinationOptions(), authentication()] }, build.gre({ key: 1 }, inner)),
    build.ipv6({}, build.icmpv6Echo({}, data)),
    build.ipv6({}, build.icmpv6({ type: 2, rest: 1400 }, quoted6)),
    build.ipv6(
      { source: 'fe80::1', hopLimit: 255 },
      build.neighbourSolicitation({ target: 'fe80::2', sourceMac: '02:00:00:00:00:01' }),
    ),
    build.ipv6(
      { source: 'fe80::2', hopLimit: 255 },
      build.neighbourAdvertisement({ target: 'fe80::2', targetMac: '02:00:00:00:00:02' }),
    ),
  ].map((layer, i) => build.ethernet(i % 3 === 0 ? {} : i % 3 === 1 ? { vlan: 7 } : { serviceVlan: 9, vlan: 7 }, layer))
}

/**
 * Bytes changed, removed, doubled or cut: most mutants stay near enough to what is sound to get past the first check.
 */
function mutated(random: Random, frame: Uint8Array): Uint8Array {
  if (random.chance(0.02)) return random.bytes(random.below(200))
  let bytes = frame
  for (let times = random.below(4); times > 0 && bytes.length > 0; times--) {
    const at = random.below(bytes.length)
    const kind = random.below(10)
    if (kind === 0) bytes = bytes.slice(0, at)
    else if (kind === 1) bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1)])
    else if (kind === 2) bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at / 2)])
    else {
      bytes = bytes.slice()
      bytes[at] = kind < 7 ? random.pick([0, 1, 2, 4, 0x7f, 0x80, 0xff]) : bytes[at]! ^ (1 << random.below(8))
    }
  }
  return bytes
}

/** Goes down a frame as a node does, and uses all that the checks promise. Keeps what it found, for comparison. */
class Descent {
  readonly verdicts: string[] = []
  readonly found: string[] = []
  readonly #frame: DataView
  readonly #walk = v6.ipv6Walk()
  /** Lengths and checksums rarely survive a mutation; then they are made to fit, so that what is behind is reached. */
  readonly #repair: boolean

  constructor(frame: DataView, repair: boolean) {
    this.#frame = frame
    this.#repair = repair
  }

  #sound(what: string, fault: number): boolean {
    this.verdicts.push(`${what} ${faults[fault]?.[0] ?? fail(`${what} returned ${fault}`)}`)
    return fault === 0
  }

  #note(...values: unknown[]): void {
    this.found.push(values.join(' '))
  }

  #print(table: Readonly<Record<string, Field | number | string>>, at: number): void {
    this.found.push(print(table, this.#frame, at))
  }

  ethernet(at: number, end: number): void {
    const frame = this.#frame
    if (!this.#sound('ethernet', checkEthernet(frame, at, end))) return
    const type = etherTypeAt(frame, at)
    this.#note(vlanId(frame, at), isGroupAddressed(frame, at))
    this.#network(frame.getUint16(type), type + 2, end)
  }

  #network(etherType: number, at: number, end: number): void {
    if (etherType === ETHERTYPE.arp && this.#sound('arp', checkArp(this.#frame, at, end))) this.#print(arp, at)
    if (etherType === ETHERTYPE.ipv4) this.#ipv4(at, end)
    if (etherType === ETHERTYPE.ipv6) this.#ipv6(at, end)
    if (etherType === ETHERTYPE.bridgedEthernet) this.ethernet(at, end)
  }

  #ipv4(at: number, limit: number): void {
    const frame = this.#frame
    if (this.#repair && at + 20 <= limit && at + v4.ipv4HeaderBytes(frame, at) <= limit) {
      v4.ipv4.totalLength.set(frame, at, Math.min(v4.ipv4.totalLength.get(frame, at), limit - at))
      v4.writeIpv4Checksum(frame, at)
    }
    if (!this.#sound('ipv4', v4.checkIpv4(frame, at, limit))) return
    this.#print(v4.ipv4, at)
    this.#note(v4.isSourceRouted(frame, at), v4.hasDontFragment(frame, at), v4.ipv4FragmentOffset(frame, at))
    const end = at + v4.ipv4.totalLength.get(frame, at)
    const upper = at + v4.ipv4HeaderBytes(frame, at)
    const protocol = v4.ipv4.protocol.get(frame, at)
    if (v4.ipv4.ttl.get(frame, at) > 0) v4.decrementTtl(frame, at)
    v4.setTos(frame, at, decapsulatedTos(v4.ipv4.tos.get(frame, at), 3) & 0xff)
    equal(v4.checkIpv4(frame, at, end), 0, 'sound, and sound no more with another TTL and TOS')
    if (v4.ipv4FragmentOffset(frame, at) > 0) return
    if (protocol === PROTOCOL.icmp) this.#icmp(upper, end)
    else this.#upper(protocol, upper, end, pseudoHeader4(frame, at, protocol, end - upper))
  }

  #ipv6(at: number, limit: number): void {
    const frame = this.#frame
    if (this.#repair && at + 40 <= limit) {
      v6.ipv6.payloadLength.set(frame, at, Math.min(v6.ipv6.payloadLength.get(frame, at), limit - at - 40))
    }
    if (!this.#sound('ipv6', v6.checkIpv6(frame, at, limit))) return
    this.#print(v6.ipv6, at)
    const end = v6.ipv6End(frame, at)
    v6.setTrafficClass(frame, at, decapsulatedTos(v6.trafficClass(frame, at), 1) & 0xff)
    this.#note(v6.flowLabel(frame, at))
    const walk = this.#walk
    if (!this.#sound('walk', v6.walkIpv6(frame, at, end, walk))) return
    this.#note(walk.protocol, walk.at, walk.fragment)
    if (walk.at > end) fail(`the walk ended ${walk.at - end} bytes behind the packet`)
    if (walk.fragment === v6.FRAGMENT.later) return
    const { protocol, at: upper } = walk
    if (protocol === PROTOCOL.icmpv6) this.#icmpv6(upper, end, at)
    else this.#upper(protocol, upper, end, pseudoHeader6(frame, at, protocol, end - upper))
  }

  #icmp(at: number, end: number): void {
    if (this.#repair && at + icmp.BYTES <= end) writeIcmpChecksum(this.#frame, at, end)
    if (!this.#sound('icmp', checkIcmp(this.#frame, at, end))) return
    this.#print(icmp, at)
    if (!isIcmpError(icmp.type.get(this.#frame, at))) return
    const quote = quoteEnd(this.#frame, at, end)
    if (quote > end) fail(`the quote ended ${quote - end} bytes behind the message`)
    this.#sound('quoted ipv4', v4.checkIpv4Header(this.#frame, at + icmp.BYTES, quote))
  }

  #icmpv6(at: number, end: number, ip: number): void {
    const frame = this.#frame
    if (this.#repair && at + icmpv6.BYTES <= end) writeIcmpv6Checksum(frame, at, end, ip)
    if (!this.#sound('icmpv6', checkIcmpv6(frame, at, end, ip))) return
    this.#print(icmpv6, at)
    if (neighbourDiscoveryBytes(icmpv6.type.get(frame, at)) === 0) return
    if (!this.#sound('discovery', checkNeighbourDiscovery(frame, at, end, ip))) return
    for (const type of Object.values(ND_OPTION)) {
      const option = neighbourOption(frame, at, end, type)
      if (option !== 0) this.#note(type, sum16(frame, option, option + frame.getUint8(option + 1) * 8))
    }
  }

  #upper(protocol: number, at: number, end: number, pseudo: number): void {
    if (protocol === PROTOCOL.ipv4) this.#ipv4(at, end)
    if (protocol === PROTOCOL.ipv6) this.#ipv6(at, end)
    if (protocol === PROTOCOL.tcp) this.#tcp(at, end)
    if (protocol === PROTOCOL.udp) this.#udp(at, end, pseudo)
    if (protocol === PROTOCOL.gre) this.#gre(at, end)
  }

  #tcp(at: number, end: number): void {
    const frame = this.#frame
    if (this.#repair && at + 20 <= end) {
      tcp.dataOffset.set(frame, at, Math.min(tcp.dataOffset.get(frame, at), ((end - at) >> 2) << 4))
    }
    if (!this.#sound('tcp', checkTcp(frame, at, end))) return
    this.#print(tcp, at)
    const before = sum16(frame, at, end)
    if (clampMss(frame, at, 1200)) equal(sum16(frame, at, end) % 0xffff, before % 0xffff, 'the clamp changed the sum')
    this.#note(tcpOption(frame, at, TCP_OPTION.mss), tcpOption(frame, at, 8))
  }

  #udp(at: number, end: number, pseudo: number): void {
    const frame = this.#frame
    if (this.#repair && at + 8 <= end) udp.length.set(frame, at, Math.min(udp.length.get(frame, at), end - at))
    if (!this.#sound('udp', checkUdp(frame, at, end))) return
    this.#print(udp, at)
    this.#note(udpChecksumHolds(frame, at, pseudo))
    const port = udp.destinationPort.get(frame, at)
    const data = at + udp.BYTES
    const stop = at + udp.length.get(frame, at)
    if (port === UDP_PORT.vxlan && this.#sound('vxlan', checkVxlan(frame, data, stop))) {
      this.#print(vxlan, data)
      this.ethernet(data + vxlan.BYTES, stop)
    }
    if (port === UDP_PORT.bfdSingleHop && this.#sound('bfd', checkBfd(frame, data, stop))) {
      this.#print(bfd, data)
      this.#note(bfdState(frame, data), bfdDiagnostic(frame, data))
    }
    writeUdpChecksum(frame, at, pseudo)
    equal(udpChecksumHolds(frame, at, pseudo), true)
  }

  #gre(at: number, end: number): void {
    const frame = this.#frame
    if (this.#repair && at + 8 <= end && gre.flagsVersion.get(frame, at) >= 0x8000) writeGreChecksum(frame, at, end)
    if (!this.#sound('gre', checkGre(frame, at, end))) return
    this.#note(greKey(frame, at), greSequence(frame, at))
    this.#network(gre.protocol.get(frame, at), at + greHeaderBytes(gre.flagsVersion.get(frame, at)), end)
  }
}

/** Goes down a frame that has `behind` further bytes after its end. Returns what it found; throws what must not be. */
function descend(bytes: Uint8Array, behind: number, repair: boolean): Pick<Descent, 'verdicts' | 'found'> {
  const memory = new Uint8Array(GUARD + bytes.length + behind).fill(GUARD_BYTE)
  memory.set(bytes, GUARD)
  const descent = new Descent(new DataView(memory.buffer), repair)
  descent.ethernet(GUARD, GUARD + bytes.length)
  for (let i = 0; i < GUARD; i++) equal(memory[i], GUARD_BYTE, `written ${GUARD - i} bytes before the frame`)
  for (let i = GUARD + bytes.length; i < memory.length; i++) equal(memory[i], GUARD_BYTE, 'written behind the frame')
  return { verdicts: descent.verdicts, found: descent.found }
}

function inHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

test('the corpus is sound down to what is innermost', () => {
  for (const frame of corpus()) {
    const verdicts = descend(frame, 0, false).verdicts
    deepEqual(
      verdicts.filter((verdict) => !verdict.endsWith(' none')),
      [],
      inHex(frame),
    )
  }
})

test('no mutant makes a check or a reader throw, read behind its end or write where it may not', () => {
  const random = new Random(SEED)
  const frames = corpus()
  for (let i = 0; i < COUNT; i++) {
    const bytes = mutated(random, random.pick(frames))
    const repair = random.chance(0.7)
    try {
      deepEqual(descend(bytes, 32, repair), descend(bytes, 0, repair), 'what is behind the end changed the verdict')
    } catch (error) {
      fail(`seed ${SEED}, mutant ${i}, repair ${repair}: ${inHex(bytes)}\n${(error as Error).stack}`)
    }
  }
})

test('no mutant of a capture makes the reader throw, and its records stay within the file', () => {
  const random = new Random(SEED)
  const frames = corpus()
  const record = (bytes: Uint8Array): Uint8Array =>
    pcapRecordBytes({ seconds: 1, nanoseconds: 2, bytes, originalLength: bytes.length })
  const file = Uint8Array.from([pcapFileHeader(), ...frames.map(record)].flatMap((part) => [...part]))
  for (let i = 0; i < COUNT / 10; i++) {
    const { records, fault } = readPcap(mutated(random, file))
    if (records.length > frames.length * 2) fail(`seed ${SEED}, mutant ${i}: ${records.length} records`)
    if (fault === 'not-pcap') equal(records.length, 0)
  }
})
