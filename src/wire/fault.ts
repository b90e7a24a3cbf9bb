/**
 * What can be wrong with bytes that claim to be a header. A `check` returns one of these, 0 for nothing;
 * `dataplane/drop.ts` continues the same numbering with what is wrong with a sound packet.
 */

export const faults = [
  ['none', 'nothing is wrong'],
  ['truncated', 'the frame ends before the header does'],
  ['bad-version', 'the version field is not the one of this protocol'],
  ['bad-header-length', 'a length field points outside of the frame or inside its own header'],
  ['bad-checksum', 'the checksum does not match'],
  ['bad-option', 'an option or extension header is malformed'],
  ['reserved-bits', 'a field that must be zero is not'],
  ['bad-field', 'a field holds a value that its protocol does not allow'],
  ['unknown-protocol', 'the next protocol is not one that is handled'],
] as const

export type FaultName = (typeof faults)[number][0]

export const Fault = Object.fromEntries(faults.map(([name], code) => [name, code])) as {
  readonly [Name in FaultName]: number
}
