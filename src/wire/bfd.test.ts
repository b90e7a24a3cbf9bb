import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import {
  BFD_AUTHENTICATION,
  BFD_DIAGNOSTIC,
  BFD_FLAG,
  BFD_STATE,
  bfd,
  bfdDiagnostic,
  bfdDigest,
  bfdPassword,
  bfdState,
  checkBfd,
} from './bfd.ts'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { Fault } from './fault.ts'

const AT = 3

// Up, poll, detection time expired before, as scapy draws it.
const plain = hex('21 e0 03 18 11111111 22222222 0000c350 0000ea60 00000000')

codecSuite({
  table: bfd,
  check: checkBfd,
  sample: plain,
  fields: {
    versionDiagnostic: 0x21,
    stateFlags: 0xe0,
    detectMultiplier: 3,
    length: 24,
    myDiscriminator: 0x11111111,
    yourDiscriminator: 0x22222222,
    desiredMinTx_us: 50_000,
    requiredMinRx_us: 60_000,
    requiredMinEchoRx_us: 0,
  },
  wrong: [
    ['version 0', (frame, at) => frame.setUint8(at, 0x01), 'bad-version'],
    ['a length of 23', (frame, at) => bfd.length.set(frame, at, 23), 'bad-header-length'],
    ['a length behind the payload', (frame, at) => bfd.length.set(frame, at, 25), 'bad-header-length'],
    ['authentication without its section', (frame, at) => bfd.stateFlags.set(frame, at, 0xe4), 'bad-header-length'],
    ['a detection multiplier of 0', (frame, at) => bfd.detectMultiplier.set(frame, at, 0), 'bad-field'],
    ['the multipoint bit', (frame, at) => bfd.stateFlags.set(frame, at, 0xe1), 'reserved-bits'],
    ['no discriminator of its own', (frame, at) => bfd.myDiscriminator.set(frame, at, 0), 'bad-field'],
    ['up without knowing us', (frame, at) => bfd.yourDiscriminator.set(frame, at, 0), 'bad-field'],
  ],
})

test('only a session that is down need not know us', () => {
  const judge = (state: number): string => {
    const frame = framed(build.bfd({ state, yourDiscriminator: 0 }))
    return faultName(checkBfd(frame, AT, frame.byteLength))
  }
  deepEqual([BFD_STATE.adminDown, BFD_STATE.down, BFD_STATE.init, BFD_STATE.up].map(judge), [
    'none',
    'none',
    'bad-field',
    'bad-field',
  ])
})

const password = hex('21 e4 03 21 11111111 22222222 0000c350 0000ea60 00000000  01 09 07 736563726574')
const sha1 = hex(`
  21 e4 03 34 11111111 22222222 0000c350 0000ea60 00000000
  05 1c 07 00 00000009 000102030405060708090a0b0c0d0e0f10111213`)

/** The check of the packet whose authentication section is at `at`. */
function check(table: { readonly BYTES: number }): (frame: DataView, at: number, end: number) => number {
  return (frame, at, end) => (at > end - table.BYTES ? Fault.truncated : checkBfd(frame, at - bfd.BYTES, end))
}

codecSuite({
  table: bfdPassword,
  check: check(bfdPassword),
  sample: password,
  at: 24,
  fields: { type: BFD_AUTHENTICATION.password, length: 9, keyId: 7 },
  wrong: [
    ['an empty password', (frame, at) => bfdPassword.length.set(frame, at, 3), 'bad-header-length'],
    ['a section longer than the packet', (frame, at) => bfdPassword.length.set(frame, at, 10), 'bad-header-length'],
    ['a type that nobody knows', (frame, at) => bfdPassword.type.set(frame, at, 6), 'unknown-protocol'],
    ['no type', (frame, at) => bfdPassword.type.set(frame, at, 0), 'unknown-protocol'],
  ],
})

codecSuite({
  table: bfdDigest,
  check: check(bfdDigest),
  sample: sha1,
  at: 24,
  fields: { type: BFD_AUTHENTICATION.meticulousSha1, length: 28, keyId: 7, reserved: 0, sequence: 9 },
  wrong: [
    ['SHA1 with the length of MD5', (frame, at) => bfdDigest.length.set(frame, at, 24), 'bad-header-length'],
    ['MD5 with the length of SHA1', (frame, at) => bfdDigest.type.set(frame, at, 2), 'bad-header-length'],
    ['a password of 25 bytes', (frame, at) => bfdDigest.type.set(frame, at, 1), 'bad-header-length'],
  ],
})

test('a packet is drawn as scapy draws it, and state and diagnostic are read', () => {
  const drawn = build.bfd({
    diagnostic: BFD_DIAGNOSTIC.detectionTimeExpired,
    flags: BFD_FLAG.poll,
    myDiscriminator: 0x11111111,
    yourDiscriminator: 0x22222222,
    requiredMinRx_us: 60_000,
  })
  deepEqual(drawn, plain)
  equal(bfdState(framed(drawn), AT), BFD_STATE.up)
  equal(bfdDiagnostic(framed(drawn), AT), BFD_DIAGNOSTIC.detectionTimeExpired)
})
