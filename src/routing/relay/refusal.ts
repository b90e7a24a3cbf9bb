/**
 * Why the relay passes something on to nobody: a row a reason, with a sentence for people. Each frame and packet that ends
 * here is counted under exactly one of them.
 */

const refusals = [
  ['none', 'it was passed on'],
  ['cut', 'it was longer than any packet of a session is'],
  ['malformed', 'a header in it is wrong'],
  ['unknown-sender', 'it came from nobody who forwards for the tenant'],
  ['unknown-segment', 'no tenant with neighbours has a segment of this VNI'],
  ['not-for-us', 'it was sent to somebody else on the segment'],
  ['not-ours-to-answer', 'ARP or neighbour discovery about somebody else'],
  ['too-many-questions', 'ARP or neighbour discovery of a segment that asks without end'],
  ['fragment', 'sessions send no fragments'],
  ['ip-options', 'an IP packet with options or extension headers'],
  ['not-a-session', 'it is neither BGP nor BFD, and answers no probe'],
  ['stranger', 'no neighbour has this address'],
  ['stranger-connects', 'somebody who is no neighbour wants to connect'],
  ['wrong-local-address', 'this neighbour is spoken to from another address of ours'],
  ['elsewhere', 'another routing node holds this session'],
  ['too-far', 'its TTL says that it was routed more often than GTSM allows'],
  ['unsigned', 'it has no MD5 signature, and this neighbour has a password'],
  ['wrong-signature', 'its MD5 signature is wrong'],
  ['unexpected-signature', 'it has an MD5 signature, and this neighbour has no password'],
  ['connects-too-often', 'a neighbour that connects again and again'],
  ['too-many-dynamic', 'more neighbours came from prefixes than there is room for'],
  ['kernel-full', 'the kernel took no more packets'],
  ['kernel-noise', 'the kernel said something that is meant for no neighbour'],
  ['end-not-meant', 'a FIN or RST of the kernel that no session asked for'],
  ['unresolved', 'the neighbour does not answer ARP or neighbour discovery'],
  ['network-full', 'the network took no more packets'],
] as const

type RefusalName = (typeof refusals)[number][0]

export const Refusal = Object.fromEntries(refusals.map(([name], code) => [name, code])) as {
  readonly [Name in RefusalName]: number
}

/** What a relay has counted since it began. */
export class RelayCounters {
  /** Frames from forwarding nodes, and packets of theirs that the kernel got. */
  received = 0
  delivered = 0
  /** Packets from the kernel, and frames that were sent to neighbours: a train of segments is one, and many. */
  taken = 0
  sent = 0
  /** ARP and neighbour discovery: answered, asked, and learnt from. */
  answered = 0
  asked = 0
  learnt = 0
  readonly #refused = new Float64Array(refusals.length)

  refuse(reason: number): void {
    this.#refused[reason]!++
  }

  refused(reason: number): number {
    return this.#refused[reason]!
  }

  /** For people: reasons that came up, by name. */
  show(): RelayCounts {
    const { received, delivered, taken, sent, answered, asked, learnt } = this
    const named = refusals.flatMap(([name], code) => (this.#refused[code]! > 0 ? [[name, this.#refused[code]!]] : []))
    return { received, delivered, taken, sent, answered, asked, learnt, refused: Object.fromEntries(named) }
  }
}

export interface RelayCounts {
  readonly received: number
  readonly delivered: number
  readonly taken: number
  readonly sent: number
  readonly answered: number
  readonly asked: number
  readonly learnt: number
  readonly refused: Readonly<Record<string, number>>
}
