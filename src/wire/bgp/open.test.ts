import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../cursor.ts'
import { type Capability, capabilitiesOf, formatCapability } from './capability.ts'
import { drawn } from './drawn.ts'
import { BGP_HEADER_BYTES, checkHeader, MESSAGE, MESSAGE_BYTES_MAX, messageOf, openBody } from './message.ts'
import { isNotification, type Notification, OPEN_ERROR } from './notification.ts'
import { decodeOpen, encodeOpen, type Open } from './open.ts'

const BODY = drawn(`
  04                                   # version
  5ba0                                 # AS_TRANS
  005a                                 # hold time 90 s
  0a000001                             # identifier
  4e                                   # parameters
    02 4c                              # capabilities
    01 04 0001 00 01                   # IPv4 unicast
    02 00                              # route refresh
    05 06 0001 0001 0002               # IPv4 unicast over IPv6
    06 00                              # extended messages
    09 01 03                           # customer
    40 06 c078 0001 01 80              # graceful restart: restarting, notification, 120 s, IPv4 kept
    41 04 fa56ea00                     # AS 4200000000
    45 08 0001 01 03  0002 01 01       # additional paths
    46 00                              # enhanced refresh
    47 07 0001 01 80 000e10            # long-lived graceful restart, an hour
    49 0c 02 7231 08 6c61622e74657374  # r1.lab.test
    63 02 abcd                         # unknown to us
    80 00                              # the refresh of before RFC 2918, unknown to us
`)

const CAPABILITIES: readonly Capability[] = [
  { kind: 'multiprotocol', afi: 1, safi: 1 },
  { kind: 'route-refresh' },
  { kind: 'extended-next-hop', families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
  { kind: 'extended-message' },
  { kind: 'role', role: 3 },
  {
    kind: 'graceful-restart',
    restarting: true,
    notification: true,
    restartTime_s: 120,
    families: [{ afi: 1, safi: 1, forwarding: true }],
  },
  { kind: 'four-octet-as', as: 4_200_000_000 },
  {
    kind: 'add-path',
    families: [
      { afi: 1, safi: 1, receive: true, send: true },
      { afi: 2, safi: 1, receive: true, send: false },
    ],
  },
  { kind: 'enhanced-refresh' },
  {
    kind: 'long-lived-graceful-restart',
    families: [{ afi: 1, safi: 1, forwarding: true, staleTime_s: 3600 }],
  },
  { kind: 'fqdn', host: 'r1', domain: 'lab.test' },
  { kind: 'unknown', code: 99, bytes: drawn('abcd') },
  { kind: 'unknown', code: 128, bytes: drawn('') },
]

const OPEN: Open = { as: 4_200_000_000, holdTime_s: 90, identifier: 0x0a000001, capabilities: CAPABILITIES }
/** Before the parameters. */
const FIXED = '04 fde9 005a 0a000001'

function decode(body: Uint8Array): Open | Notification {
  return decodeOpen(new Reader(body))
}

/** The subcode that the peer is told, or 'sound'. */
function verdict(body: Uint8Array): number | 'sound' {
  const open = decode(body)
  if (!isNotification(open)) return 'sound'
  equal(open.code, OPEN_ERROR.code)
  return open.subcode
}

test('an OPEN with every capability is read and written as drawn', () => {
  deepEqual(decode(BODY), OPEN)
  deepEqual(encodeOpen(OPEN), messageOf(MESSAGE.open, BODY))
})

test('capabilities are a few words for people', () => {
  deepEqual(CAPABILITIES.map(formatCapability), [
    'ipv4-unicast',
    'route-refresh',
    'extended-next-hop ipv4-unicast over afi 2',
    'extended-message',
    'role customer',
    'graceful-restart 120 s, restarting, notification ipv4-unicast kept',
    'four-octet-as 4200000000',
    'add-path ipv4-unicast receive send,ipv6-unicast receive',
    'enhanced-refresh',
    'long-lived-graceful-restart ipv4-unicast 3600 s',
    'fqdn r1.lab.test',
    'capability 99 abcd',
    'capability 128',
  ])
})

test('cut at any byte it is refused', () => {
  for (let length = 0; length < BODY.length; length++)
    equal(verdict(BODY.subarray(0, length)), OPEN_ERROR.unspecific, `${length} bytes`)
})

test('with a byte more it is refused', () => {
  equal(verdict(Uint8Array.of(...BODY, 0)), OPEN_ERROR.unspecific)
  equal(verdict(drawn(`${FIXED} 00 00`)), OPEN_ERROR.unspecific)
})

for (const [what, body, expected] of [
  ['no parameters', `${FIXED} 00`, 'sound'],
  ['version 3', '03 fde9 005a 0a000001 00', OPEN_ERROR.version],
  ['AS 0', '04 0000 005a 0a000001 00', OPEN_ERROR.peerAs],
  ['AS 0 in four octets', `${FIXED} 08 02 06 41 04 00000000`, OPEN_ERROR.peerAs],
  ['hold time 0', '04 fde9 0000 0a000001 00', 'sound'],
  ['hold time 1', '04 fde9 0001 0a000001 00', OPEN_ERROR.holdTime],
  ['hold time 2', '04 fde9 0002 0a000001 00', OPEN_ERROR.holdTime],
  ['hold time 3', '04 fde9 0003 0a000001 00', 'sound'],
  ['identifier 0', '04 fde9 005a 00000000 00', OPEN_ERROR.identifier],
  ['an identifier that is no address of a host (RFC 6286)', '04 fde9 005a ffffffff 00', 'sound'],
  ['a parameter that nobody knows', `${FIXED} 02 07 00`, OPEN_ERROR.optionalParameter],
  ['authentication, which is no more', `${FIXED} 03 01 01 00`, OPEN_ERROR.optionalParameter],
  ['a parameter longer than all of them', `${FIXED} 04 02 03 02 00`, OPEN_ERROR.unspecific],
  ['parameters longer than the message', `${FIXED} 05 02 02 02 00`, OPEN_ERROR.unspecific],
  ['parameters shorter than the message', `${FIXED} 03 02 02 02 00`, OPEN_ERROR.unspecific],
  ['a parameter without its length', `${FIXED} 01 02`, OPEN_ERROR.unspecific],
  ['a capability longer than its parameter', `${FIXED} 04 02 02 02 01`, OPEN_ERROR.unspecific],
  ['a capability without its length', `${FIXED} 03 02 01 02`, OPEN_ERROR.unspecific],
  ['an empty parameter', `${FIXED} 02 02 00`, 'sound'],
  ['a parameter for each capability', `${FIXED} 08 02 02 02 00 02 02 46 00`, 'sound'],
  ['extended parameters', `${FIXED} ff ff 0005 02 0002 02 00`, 'sound'],
  ['extended parameters whatever the first length', `${FIXED} 04 ff 0005 02 0002 02 00`, 'sound'],
  ['extended parameters of no bytes', `${FIXED} ff ff 0000`, 'sound'],
  ['no parameters, whatever follows', `${FIXED} 00 ff 0005 02 0002 02 00`, OPEN_ERROR.unspecific],
  ['extended parameters that lie', `${FIXED} ff ff 0006 02 0002 02 00`, OPEN_ERROR.unspecific],
  ['an extended parameter that lies', `${FIXED} ff ff 0005 02 0003 02 00`, OPEN_ERROR.unspecific],
  ['255 bytes of parameters as ever', `${FIXED} ff 02 fd ${'63 fb'}${'00'.repeat(251)}`, 'sound'],
] as const)
  test(`an OPEN with ${what}: ${expected}`, () => equal(verdict(drawn(body)), expected))

test('the peer is told which version we speak', () => {
  deepEqual(decode(drawn('05 fde9 005a 0a000001 00')), { code: 2, subcode: 1, data: drawn('0004') })
})

test('each capability of a length that it cannot have is kept as bytes, and the session lives', () => {
  for (const { code, lengths } of [
    { code: 1, lengths: [0, 3, 5] },
    { code: 2, lengths: [1] },
    { code: 5, lengths: [1, 5, 7] },
    { code: 6, lengths: [1] },
    { code: 9, lengths: [0, 2] },
    { code: 64, lengths: [0, 1, 3, 5] },
    { code: 65, lengths: [0, 3, 5] },
    { code: 69, lengths: [1, 3, 5] },
    { code: 70, lengths: [1] },
    { code: 71, lengths: [1, 6, 8] },
    { code: 73, lengths: [0, 1, 3] },
  ])
    for (const length of lengths) {
      const open = decode(
        drawn(FIXED + [length + 4, 2, length + 2, code, length].map(byte).join('') + '00'.repeat(length)),
      )
      ok(!isNotification(open), `capability ${code} of ${length} bytes`)
      deepEqual(open.capabilities, [{ kind: 'unknown', code, bytes: new Uint8Array(length) }])
    }
})

function byte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

test('other values of add-path than 1, 2 and 3 are ignored, and unknown bits of a name are not printed', () => {
  const open = decode(drawn(`${FIXED} 14 02 12 45 0c 0001 01 00 0001 80 04 0002 01 02 49 02 00 00`))
  ok(!isNotification(open))
  deepEqual(capabilitiesOf(open.capabilities, 'add-path'), [
    { kind: 'add-path', families: [{ afi: 2, safi: 1, receive: false, send: true }] },
  ])
})

test('more than 255 bytes of parameters take the extended form, and come back', () => {
  const many: Capability[] = Array.from({ length: 40 }, (_, i) => ({
    kind: 'unknown',
    code: 200,
    bytes: new Uint8Array(10).fill(i),
  }))
  const open: Open = { as: 65001, holdTime_s: 180, identifier: 7, capabilities: many }
  const message = encodeOpen(open)
  const from = new Reader(message)
  equal(checkHeader(from, MESSAGE_BYTES_MAX), message.length)
  equal(openBody(from, 0, message.length), MESSAGE.open)
  deepEqual(decodeOpen(from), open)
  deepEqual(message.slice(BGP_HEADER_BYTES + 9, BGP_HEADER_BYTES + 16), drawn('ff ff 01e3 02 01e0'))
  for (let length = 0; length < message.length - BGP_HEADER_BYTES; length++)
    equal(verdict(message.subarray(BGP_HEADER_BYTES, BGP_HEADER_BYTES + length)), OPEN_ERROR.unspecific)
})
