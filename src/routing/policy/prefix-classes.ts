/**
 * All prefix conditions of a chain of policies in one structure: a look at a route's prefix says which of them hold, at
 * once, as the number of a class. Routes of one class are all the same to the chain, whichever prefixes they have.
 *
 *   nodes      the prefixes of all entries, each with the longest one that it lies in
 *   rows       of a node, by the route's length: from this length on, this class
 *   segments   the address space cut where a node begins or ends: from this address on, this is the longest node
 *   buckets    by the address's upper bits, where in the segments to begin to look
 *
 * A route's node is that of its address, or one above it that is no longer than the route; there the row of its length is
 * taken. An entry of another length than `ge` to `le` is just not in the row.
 */

import { type Prefix, parsePrefix } from '../../base/address.ts'
import type { PrefixList } from '../../config/policy.ts'

type Entry = PrefixList['prefixes'][number]

/** No condition holds. */
export const CLASS_NONE = 0
const NONE = -1
const DIGIT_ZERO = 48

interface Building {
  /** The address in words. */
  readonly key: readonly number[]
  readonly length: number
  readonly entries: { readonly ge: number; readonly le: number; readonly condition: number }[]
}

/** Classes are sets of conditions; equal sets are one class. */
class ClassNames {
  readonly #wordsEach: number
  readonly #known = new Map<string, number>([['', CLASS_NONE]])
  readonly #sets: (readonly number[])[] = [[]]
  readonly #joins = new Map<number, number>()
  readonly #conditions: number

  constructor(conditions: number) {
    this.#conditions = conditions
    this.#wordsEach = (conditions + 31) >>> 5
  }

  /** The class of all that holds in this one, and the condition. */
  with(one: number, condition: number): number {
    const join = one * this.#conditions + condition
    const known = this.#joins.get(join)
    if (known !== undefined) return known
    const set = this.#sets[one]!
    const larger = set.includes(condition) ? set : [...set, condition].sort((a, b) => a - b)
    const name = larger.join(' ')
    const found = this.#known.get(name) ?? this.#sets.length
    if (found === this.#sets.length) {
      this.#known.set(name, found)
      this.#sets.push(larger)
    }
    this.#joins.set(join, found)
    return found
  }

  /** A bit a condition. */
  bits(): Uint32Array {
    const bits = new Uint32Array(this.#wordsEach * this.#sets.length)
    for (const [name, set] of this.#sets.entries())
      for (const condition of set) bits[name * this.#wordsEach + (condition >>> 5)]! |= 1 << (condition & 31)
    return bits
  }
}

export class PrefixClasses {
  /** Of an address: 1 for IPv4, 4 for IPv6. */
  readonly #words: number
  readonly #starts: Uint32Array
  readonly #segmentNode: Int32Array
  readonly #segments: number
  readonly #buckets: Uint32Array
  readonly #shift: number
  // By node.
  readonly #lengths: Uint8Array
  readonly #parent: Int32Array
  readonly #rowAt: Uint32Array
  // Of rows.
  readonly #fromLength: Uint8Array
  readonly #class: Uint32Array
  readonly #bits: Uint32Array
  readonly #wordsEach: number

  /** Entries of the other IP version are left out. A condition holds for a route that one of its entries is for. */
  constructor(conditions: readonly (readonly Entry[])[], isIpv6: boolean) {
    this.#words = isIpv6 ? 4 : 1
    this.#wordsEach = (conditions.length + 31) >>> 5
    const nodes = nodesOf(conditions, isIpv6)
    const count = nodes.length
    this.#lengths = Uint8Array.from(nodes, ({ length }) => length)
    this.#parent = new Int32Array(count).fill(NONE)
    const segments = cut(nodes, this.#parent, this.#words)
    this.#segments = segments.nodes.length
    this.#starts = Uint32Array.from(segments.starts)
    this.#segmentNode = Int32Array.from(segments.nodes)
    const names = new ClassNames(conditions.length)
    const rows = rowsOf(nodes, this.#parent, names)
    this.#rowAt = rows.at
    this.#fromLength = Uint8Array.from(rows.fromLength)
    this.#class = Uint32Array.from(rows.class)
    this.#bits = names.bits()
    const bucketBits = Math.min(16, Math.max(1, 32 - Math.clz32(this.#segments)))
    this.#shift = 32 - bucketBits
    this.#buckets = this.#bucketsOf(1 << bucketBits)
  }

  /** `address` as words, no bits set behind the length. */
  classOf(address: Uint32Array, length: number): number {
    let node = this.#segmentNode[this.#segmentOf(address)]!
    while (node !== NONE && this.#lengths[node]! > length) node = this.#parent[node]!
    if (node === NONE) return CLASS_NONE
    let row = this.#rowAt[node + 1]! - 1
    while (this.#fromLength[row]! > length) row--
    return this.#class[row]!
  }

  /** Whether a condition holds for the routes of a class. */
  holds(name: number, condition: number): boolean {
    return ((this.#bits[name * this.#wordsEach + (condition >>> 5)]! >>> (condition & 31)) & 1) !== 0
  }

  // The last one that does not begin behind the address. The first one begins at 0.
  #segmentOf(address: Uint32Array): number {
    const starts = this.#starts
    const bucket = address[0]! >>> this.#shift
    let low = this.#buckets[bucket]!
    let high = this.#buckets[bucket + 1]! + 1
    if (this.#words === 1) {
      const key = address[0]!
      while (high - low > 1) {
        const middle = (low + high) >>> 1
        if (starts[middle]! <= key) low = middle
        else high = middle
      }
      return low
    }
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (compareWords(starts, 4 * middle, address, 0, 4) <= 0) low = middle
      else high = middle
    }
    return low
  }

  // For each the last segment that begins at or before its first address; one more for the end.
  #bucketsOf(count: number): Uint32Array {
    const buckets = new Uint32Array(count + 1)
    let segment = 0
    const isBefore = (next: number, first: number): boolean => {
      const at = next * this.#words
      if (this.#starts[at]! !== first) return this.#starts[at]! < first
      for (let i = 1; i < this.#words; i++) if (this.#starts[at + i] !== 0) return false
      return true
    }
    for (let bucket = 0; bucket < count; bucket++) {
      while (segment + 1 < this.#segments && isBefore(segment + 1, bucket * 2 ** this.#shift)) segment++
      buckets[bucket] = segment
    }
    buckets[count] = this.#segments - 1
    return buckets
  }
}

/** By address and then by length, so that what others lie in comes before them. */
function nodesOf(conditions: readonly (readonly Entry[])[], isIpv6: boolean): Building[] {
  const byPrefix = new Map<string, Building>()
  for (const [condition, entries] of conditions.entries())
    for (const { prefix, ge, le } of entries) {
      if (prefix.includes(':') !== isIpv6) continue
      const entry = { ge, le, condition }
      const known = byPrefix.get(prefix)
      if (known) known.entries.push(entry)
      else byPrefix.set(prefix, { ...(isIpv6 ? parsed(prefix) : parsed4(prefix)), entries: [entry] })
    }
  return [...byPrefix.values()].sort((a, b) => compareKeys(a.key, b.key) || a.length - b.length)
}

function parsed(text: string): Pick<Building, 'key' | 'length'> {
  const prefix = parsePrefix(text)!
  return { key: [...wordsOf(prefix)], length: prefix.length }
}

/** Of canonical text: there may be hundreds of thousands, and a reload waits for them. */
function parsed4(text: string): Pick<Building, 'key' | 'length'> {
  let [address, octet] = [0, 0]
  let at = 0
  for (; ; at++) {
    const digit = text.charCodeAt(at) - DIGIT_ZERO
    if (digit >= 0 && digit <= 9) {
      octet = 10 * octet + digit
      continue
    }
    address = address * 256 + octet
    octet = 0
    if (text[at] === '/') break
  }
  return { key: [address], length: Number(text.slice(at + 1)) }
}

export function wordsOf({ address }: Prefix): Uint32Array {
  const view = new DataView(address.buffer, address.byteOffset, address.length)
  return Uint32Array.from({ length: address.length / 4 }, (_, i) => view.getUint32(4 * i))
}

function compareWords(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number, words: number): number {
  for (let i = 0; i < words; i++) if (a[aAt + i] !== b[bAt + i]) return a[aAt + i]! - b[bAt + i]!
  return 0
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return 0
}

/** Cuts the address space, and tells each node which one it lies in. */
function cut(nodes: readonly Building[], parent: Int32Array, words: number): { starts: number[]; nodes: number[] } {
  const starts: number[] = new Array(words).fill(0)
  const owners = [NONE]
  const open: { readonly node: number; readonly after: readonly number[] | undefined }[] = []
  let last: readonly number[] = starts.slice()
  const begin = (at: readonly number[], node: number): void => {
    // What begins where the one before began leaves nothing of that.
    if (compareKeys(at, last) === 0) owners[owners.length - 1] = node
    else {
      for (let i = 0; i < words; i++) starts.push(at[i]!)
      owners.push(node)
      last = at
    }
  }
  const close = (): void => {
    const { after } = open.pop()!
    if (after) begin(after, open.at(-1)?.node ?? NONE)
  }
  for (const [node, { key, length }] of nodes.entries()) {
    for (let top = open.at(-1); top; top = open.at(-1)) {
      if (!top.after || compareKeys(key, top.after) < 0) break
      close()
    }
    parent[node] = open.at(-1)?.node ?? NONE
    begin(key, node)
    open.push({ node, after: after(key, length) })
  }
  while (open.length > 0) close()
  return { starts, nodes: owners }
}

/** The first address behind a prefix; undefined when it ends the address space. */
function after(key: readonly number[], length: number): readonly number[] | undefined {
  const next = key.slice()
  if (length === 0) return undefined
  let word = (length - 1) >>> 5
  let sum = next[word]! + 2 ** (31 - ((length - 1) & 31))
  for (;;) {
    next[word] = sum % 2 ** 32
    if (sum < 2 ** 32) return next
    if (word-- === 0) return undefined
    sum = next[word]! + 1
  }
}

/** What holds at each node by the route's length: what holds at the node above, and the node's own. */
function rowsOf(
  nodes: readonly Building[],
  parent: Int32Array,
  names: ClassNames,
): { at: Uint32Array; fromLength: number[]; class: number[] } {
  const at = new Uint32Array(nodes.length + 1)
  const fromLength: number[] = []
  const classes: number[] = []
  for (const [node, { length, entries }] of nodes.entries()) {
    at[node] = fromLength.length
    const above = parent[node]!
    const inherited = (of: number): number => {
      if (above === NONE) return CLASS_NONE
      let row = at[above + 1]! - 1
      while (fromLength[row]! > of) row--
      return classes[row]!
    }
    const cuts = [length]
    for (const { ge, le } of entries) cuts.push(ge, le + 1)
    if (above !== NONE)
      for (let row = at[above]!; row < at[above + 1]!; row++) cuts.push(Math.max(length, fromLength[row]!))
    cuts.sort((a, b) => a - b)
    for (let cut = 0; cut < cuts.length; cut++) {
      const from = cuts[cut]!
      if (from === cuts[cut - 1]) continue
      let name = inherited(from)
      for (const { ge, le, condition } of entries) if (from >= ge && from <= le) name = names.with(name, condition)
      if (fromLength.length > at[node]! && classes.at(-1) === name) continue
      fromLength.push(from)
      classes.push(name)
    }
    at[node + 1] = fromLength.length
  }
  return { at, fromLength, class: classes }
}
