/**
 * Messages with bytes changed, cut out and repeated, through every decoder: none throws, none looks at what is around the
 * message, check and decode agree about what is sound, and what was vouched for can be read to its last byte. And routes
 * at random through the builder and back. FUZZ_N messages, FUZZ_SEED to repeat a run.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { equalBytes } from '../../base/address.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { Reader, Writer } from '../cursor.ts'
import { countInPath, mergeAs4Path, readSegments } from './as-path.ts'
import { EXTENDED_LENGTH } from './attribute-row.ts'
import { formatCapability } from './capability.ts'
import { checkAttributes, errorNotification } from './check-attributes.ts'
import { drawn } from './drawn.ts'
import { type AttributeContext, AttributeFacts, attributeContext, OUTCOME } from './facts.ts'
import { FAMILY, type Family, families, hasFamily } from './family.ts'
import { BGP_HEADER_BYTES, checkHeader, EXTENDED_MESSAGE_BYTES_MAX, MESSAGE, openBody } from './message.ts'
import { corpus, mutated, NEXT_HOP, ORIGIN, PATH } from './mutations.ts'
import { decodeNlri, encodeNlri } from './nlri.ts'
import { decodeNotification, encodeNotification, formatNotification, isNotification } from './notification.ts'
import { decodeOpen, encodeOpen } from './open.ts'
import { readPrefix4, readPrefix6, readVpn4, readVpn6, VpnPrefix } from './prefix.ts'
import { decodeRefresh } from './refresh.ts'
import { endOfRib, splitUpdate, UpdateParts } from './update.ts'
import { UpdateBuilder } from './update-builder.ts'
import { decodeUpdate, encodeUpdate, formatUpdate, type PathAttribute } from './update-message.ts'

const COUNT = Number(process.env['FUZZ_N'] ?? 200_000)
/** Every so many messages go through the decoders of objects too, which take a hundred times as long. */
const LOOKED_AT_CLOSELY = 16
const SEED = Number(process.env['FUZZ_SEED'] ?? freshSeed())
console.log(`bgp.fuzz: FUZZ_SEED=${SEED} FUZZ_N=${COUNT}`)
const random = new Random(SEED)

const facts = new AttributeFacts()
const parts = new UpdateParts()

const contexts: readonly AttributeContext[] = [
  attributeContext(),
  attributeContext({ families: 15, extendedNextHop: 5, external: false, aigp: true }),
  attributeContext({ families: 15, extendedNextHop: 5, aigp: true }),
  attributeContext({ families: 15, as4: false }),
  attributeContext({ families: 15, as4: false, external: false }),
  attributeContext({ families: 15, addPath: 15 }),
  attributeContext({ families: 3, addPath: 1, external: false }),
]

const updates = corpus.filter((message) => message[18] === MESSAGE.update)
/** For each message the contexts in which it is sound, or all of them where there is none. */
const fitting = new Map(
  corpus.map((message) => {
    const sound = contexts.filter((context) => {
      const from = new Reader(message)
      openBody(from, 0, message.length)
      return splitUpdate(from, parts) && checkAttributes(from, parts, context, facts) < OUTCOME.withdraw
    })
    return [message, sound.length > 0 ? sound : contexts]
  }),
)

/** The message with something around it, and where it is. */
function surrounded(message: Uint8Array, by: number): { bytes: Uint8Array; at: number } {
  const at = 5
  const bytes = new Uint8Array(at + message.length + 40).fill(by)
  bytes.set(message, at)
  return { bytes, at }
}

test(`${COUNT} mutated messages through every decoder, FUZZ_SEED=${SEED}`, () => {
  const seen = [0, 0, 0, 0]
  for (let run = 0; run < COUNT; run++) {
    const sample = random.chance(0.7) ? random.pick(updates) : random.pick(corpus)
    const message = random.chance(0.05) ? sample : mutated(sample, random)
    const context = random.chance(0.7) ? random.pick(fitting.get(sample)!) : random.pick(contexts)
    const { bytes, at } = surrounded(message, random.pick([0, 0xff, 0x40]))
    const from = new Reader(bytes)
    from.window(at, at + message.length)
    const length = checkHeader(from, EXTENDED_MESSAGE_BYTES_MAX)
    ok(length >= -3 && length !== 0 && (length < 0 || length >= BGP_HEADER_BYTES))
    openBody(from, at, message.length)
    const outcome = splitUpdate(from, parts) ? checkAttributes(from, parts, context, facts) : OUTCOME.reset
    seen[outcome]!++
    if (outcome !== OUTCOME.reset) readsToTheEnd(from, context)
    if (run % LOOKED_AT_CLOSELY !== 0) continue
    judgedAlike(message, context, outcome, at)
    agrees(from, bytes, message, context, outcome)
    openBody(from, at, message.length)
    decodeOthers(from)
  }
  if (COUNT >= 10_000)
    for (const [outcome, count] of seen.entries()) ok(count > COUNT / 100, `outcome ${outcome}: ${seen}`)
})

/** Bodies of all kinds as every other kind too. */
function decodeOthers(from: Reader): void {
  const { at } = from
  const end = at + from.remaining
  const open = decodeOpen(from)
  if (isNotification(open)) formatNotification(open)
  else {
    for (const capability of open.capabilities) formatCapability(capability)
    // What is not printable in a name is not kept.
    if (!open.capabilities.some(({ kind }) => kind === 'fqdn'))
      deepEqual(decodeOpen(new Reader(encodeOpen(open).slice(BGP_HEADER_BYTES))), { ...open })
  }
  from.window(at, end)
  const told = decodeNotification(from)
  formatNotification(told)
  if (told.data.length < 4000 && end - at >= 2)
    deepEqual(decodeNotification(new Reader(encodeNotification(told).slice(BGP_HEADER_BYTES))), told)
  from.window(at, end)
  const refresh = decodeRefresh(from)
  if (isNotification(refresh)) formatNotification(refresh)
}

/** The same in other surroundings. */
function judgedAlike(message: Uint8Array, context: AttributeContext, outcome: number, at: number): void {
  const alone = new Reader(message)
  const otherParts = new UpdateParts()
  const other = new AttributeFacts()
  openBody(alone, 0, message.length)
  const again = splitUpdate(alone, otherParts) ? checkAttributes(alone, otherParts, context, other) : OUTCOME.reset
  equal(again, outcome)
  if (outcome === OUTCOME.reset) return
  equal(other.asPathLength, facts.asPathLength)
  equal(other.mpReachNlriEnd === 0 ? 0 : other.mpReachNlriEnd + at, facts.mpReachNlriEnd)
  equal(endOfRib(otherParts, other), endOfRib(parts, facts))
}

function agrees(
  from: Reader,
  bytes: Uint8Array,
  message: Uint8Array,
  context: AttributeContext,
  outcome: number,
): void {
  errorNotification(from, facts)
  const body = new Reader(message)
  openBody(body, 0, message.length)
  const decoded = decodeUpdate(body, context)
  if (outcome === OUTCOME.reset) {
    if (decoded) formatUpdate(decoded, context)
    return
  }
  hasPrefixes(from, context)
  // An attribute that is longer than all of them has no place in a list.
  if (!decoded) {
    equal(outcome, OUTCOME.withdraw)
    return
  }
  formatUpdate(decoded, context)
  if (outcome !== OUTCOME.withdraw) mergesPaths(from, bytes, context)
  const found = new Set<number>()
  for (const attribute of decoded.attributes) {
    if (found.has(attribute.row.code)) continue
    found.add(attribute.row.code)
    attributeAgrees(attribute, context, outcome)
  }
  const again = encodeUpdate(decoded, context)
  const reread = new Reader(again)
  openBody(reread, 0, again.length)
  deepEqual(decodeUpdate(reread, context), decoded)
}

function attributeAgrees(attribute: PathAttribute, context: AttributeContext, outcome: number): void {
  const { row, value, bytes, flags } = attribute
  const dropped = row.code < 32 && (facts.droppedSeen & (1 << row.code)) !== 0
  if (value === undefined) {
    ok(dropped || outcome >= row.outcome, `${row.name} is malformed, and the outcome ${outcome}`)
    return
  }
  const out = new Writer()
  row.write(out, value, context.as4)
  // Bytes that are reserved are not kept.
  if (row.code !== 14) deepEqual(out.finish().slice(), bytes)
  if (dropped) ok(row.scope !== 0 || row.isOpaque, `${row.name} is sound, and was dropped`)
  ok((flags & EXTENDED_LENGTH) !== 0 || bytes.length < 256)
}

function mergesPaths(from: Reader, bytes: Uint8Array, context: AttributeContext): void {
  countInPath(from, facts.asPathAt, facts.asPathEnd, context.as4, 65001)
  equal(from.failed, false)
  if (context.as4) return
  const out = new Uint8Array(2 * bytes.length + 10)
  const end = mergeAs4Path(new DataView(bytes.buffer), facts, out, 0)
  ok(end < out.length)
  const isLong = (out[0]! & EXTENDED_LENGTH) !== 0
  const merged = readSegments(new Reader(out.slice(isLong ? 4 : 3, end)), true)
  const length = merged.reduce((sum, { type, numbers }) => sum + (type === 2 ? numbers.length : type === 1 ? 1 : 0), 0)
  equal(length, facts.asPathLength)
}

const vpn = new VpnPrefix()

function readsToTheEnd(from: Reader, context: AttributeContext): void {
  read(from, FAMILY.ipv4Unicast, parts.withdrawnAt, parts.withdrawnEnd, context)
  read(from, FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd, context)
  read(from, facts.mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd, context)
  read(from, facts.mpUnreachFamily, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd, context)
}

/** How many there are. */
function read(from: Reader, family: number, at: number, end: number, context: AttributeContext): number {
  if (family < 0) return 0
  const addPath = hasFamily(context.addPath, family)
  let count = 0
  from.window(at, end)
  for (; from.remaining > 0; count++) {
    if (addPath) from.u32()
    const length = from.u8()
    if (family === FAMILY.ipv4Unicast) readPrefix4(from, length)
    else if (family === FAMILY.ipv6Unicast) readPrefix6(from, length, vpn.words)
    else if (family === FAMILY.vpnv4) readVpn4(from, length, vpn)
    else readVpn6(from, length, vpn)
  }
  ok(!from.failed)
  return count
}

/** As objects they are as many. */
function hasPrefixes(from: Reader, context: AttributeContext): void {
  for (const [family, at, end] of [
    [FAMILY.ipv4Unicast, parts.withdrawnAt, parts.withdrawnEnd],
    [FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd],
    [facts.mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd],
    [facts.mpUnreachFamily, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd],
  ] as const) {
    if (family < 0) continue
    const count = read(from, family, at, end, context)
    from.window(at, end)
    const found = decodeNlri(family as Family, from.bytes(end - at), hasFamily(context.addPath, family))
    equal(found?.length, count)
  }
}

const BUILDS = Math.max(1, COUNT >> 10)

test(`${BUILDS} runs of routes through the builder and back, FUZZ_SEED=${SEED}`, () => {
  const builder = new UpdateBuilder()
  for (let run = 0; run < BUILDS; run++) {
    const family = random.pick(Object.values(FAMILY))
    const withdraws = random.chance(0.3)
    const classic = family === FAMILY.ipv4Unicast && random.chance(0.7)
    const context = attributeContext({ families: 15, extendedNextHop: 5, addPath: random.chance(0.5) ? 15 : 0 })
    const attributes = drawn(`${ORIGIN} ${PATH} ${classic ? NEXT_HOP : ''}`)
    const nextHop = classic || withdraws ? undefined : random.bytes(nextHopBytes(family)).fill(9)
    builder.bytesMax = random.pick([128, 4096, 65535])
    builder.addPath = context.addPath
    const out = new Uint8Array(random.below(40_000) + 300).fill(0xa5)
    const at = random.below(100)
    const end = out.length - random.below(100)
    builder.target(out.subarray(0, end))
    equal(builder.begin(at, family, withdraws ? undefined : attributes, nextHop), true)
    const written = new Writer()
    for (let left = random.below(3000); left > 0; left--) if (!addRandom(builder, family, withdraws, written)) break
    const finished = builder.finish()
    ok(finished <= end)
    ok(out.subarray(0, at).every((byte) => byte === 0xa5))
    ok(out.subarray(end).every((byte) => byte === 0xa5))
    const found = prefixesIn(out, at, finished, context, builder.bytesMax)
    ok(equalBytes(found, written.finish()), `run ${run}: other prefixes came out than went in`)
  }
})

function nextHopBytes(family: Family): number {
  return family === FAMILY.vpnv4 ? random.pick([12, 24]) : family === FAMILY.vpnv6 ? 24 : random.pick([16, 32])
}

// Adds one, and its bytes to those that must come out.
function addRandom(builder: UpdateBuilder, family: Family, withdraws: boolean, into: Writer): boolean {
  const { addressBits } = families[family]!
  const length = random.below(addressBits + 1)
  const words = Uint32Array.from({ length: 4 }, (_, i) => random.u32() & mask(length - 32 * i))
  const pathId = random.u32()
  const label = random.below(1 << 20)
  const [high, low] = [random.u32(), random.u32()]
  const isAdded =
    family === FAMILY.ipv4Unicast
      ? builder.addPrefix4(words[0]!, length, pathId)
      : family === FAMILY.ipv6Unicast
        ? builder.addPrefix6(words, 0, length, pathId)
        : family === FAMILY.vpnv4
          ? builder.addVpn4(label, high, low, words[0]!, length, pathId)
          : builder.addVpn6(label, high, low, words, 0, length, pathId)
  if (!isAdded) return false
  const address = new Writer()
  for (const word of words) address.u32(word)
  const prefix = { address: address.finish().slice(0, addressBits / 8), length }
  const hasIds = builder.addPath !== 0
  const bytes = encodeNlri(family, [{ prefix, pathId, label, distinguisher: { high, low } }], hasIds)
  // A withdrawal's label is none.
  if (withdraws && families[family]!.headBits > 0) bytes.set([0x80, 0, 0], hasIds ? 5 : 1)
  into.bytes(bytes)
  return true
}

function mask(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits)
}

/** The bytes of all prefixes in the messages. */
function prefixesIn(
  out: Uint8Array,
  begin: number,
  end: number,
  context: AttributeContext,
  bytesMax: number,
): Uint8Array {
  const found = new Writer()
  const from = new Reader(out)
  for (let at = begin; at < end; ) {
    from.window(at, end)
    const length = checkHeader(from, bytesMax)
    equal(openBody(from, at, length), MESSAGE.update)
    equal(splitUpdate(from, parts), true)
    equal(checkAttributes(from, parts, context, facts), OUTCOME.fine)
    for (const [from_, to] of [
      [parts.withdrawnAt, parts.withdrawnEnd],
      [parts.nlriAt, parts.nlriEnd],
      [facts.mpReachNlriAt, facts.mpReachNlriEnd],
      [facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd],
    ] as const)
      found.bytes(out.subarray(from_, to))
    at += length
  }
  return found.finish().slice()
}
