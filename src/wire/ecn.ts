/**
 * Explicit congestion notification across a tunnel, RFC 6040. On the way in the outer header copies the inner one's TOS
 * or traffic class, DSCP and ECN (section 4.1, normal mode); on the way out the inner DSCP survives and the ECN bits
 * are combined (section 4.2).
 */

/** The two lower bits of IPv4's TOS and IPv6's traffic class, RFC 3168 section 5. */
export const ECN = { notCapable: 0, capable1: 1, capable0: 2, congested: 3 } as const

/** Congestion that the inner packet cannot tell its receiver about. */
const ECN_DROP = 4

/** RFC 6040 figure 4, a row for each inner codepoint, a column for each outer one, both in numerical order. */
// biome-ignore format: a table
const DECAPSULATED = Uint8Array.of(
  // outer: not capable,   ECT(1),         ECT(0),         congested
  ECN.notCapable, ECN.notCapable, ECN.notCapable, ECN_DROP,      // inner not capable
  ECN.capable1,   ECN.capable1,   ECN.capable1,   ECN.congested, // inner ECT(1)
  ECN.capable0,   ECN.capable1,   ECN.capable0,   ECN.congested, // inner ECT(0)
  ECN.congested,  ECN.congested,  ECN.congested,  ECN.congested, // inner congested
)

/** The TOS or traffic class that leaves the tunnel, or -1 when the packet must be dropped. */
export function decapsulatedTos(inner: number, outer: number): number {
  const ecn = DECAPSULATED[((inner & 3) << 2) | (outer & 3)]!
  return ecn === ECN_DROP ? -1 : (inner & 0xfc) | ecn
}
