import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import {
  equalBytes,
  formatAddress,
  formatMac,
  formatPrefix,
  ipv4Bytes,
  ipv4Number,
  masked,
  parseAddress,
  parseInterface,
  parseMac,
  parsePrefix,
  prefixContains,
} from './address.ts'
import { freshSeed, Random } from './random.ts'

test('IPv6 is written as RFC 5952 wants it', () => {
  const cases: [written: string, canonical: string][] = [
    // Section 4.1, leading zeros.
    ['2001:0db8::0001', '2001:db8::1'],
    // Section 4.2.1, as short as possible.
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    // Section 4.2.2, one group of zeros is not shortened.
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    // Section 4.2.3, the longest run, and the first of two equal ones.
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    // Section 4.3, lower case.
    ['2001:DB8:ABCD::', '2001:db8:abcd::'],
    // Section 5, IPv4 where it is embedded.
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['::FFFF:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ]
  for (const [written, canonical] of cases) equal(formatAddress(parseAddress(written)!), canonical, written)
})

test('addresses of both families survive writing and reading', () => {
  const seed = freshSeed()
  const random = new Random(seed)
  for (let i = 0; i < 2000; i++) {
    const address = random.bytes(random.pick([4, 16]))
    // Runs of zeros are what the notation is about.
    for (let j = 0; j < address.length; j++) if (random.chance(0.6)) address[j] = 0
    const text = formatAddress(address)
    deepEqual(parseAddress(text), address, `${text}, seed ${seed}`)
  }
})

test('what is no address is undefined', () => {
  const nonsense = [
    '',
    ' ',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.1 ',
    '1:2:3',
    ':::',
    '1::2::3',
    '::1%lo',
    'g::',
  ]
  for (const text of nonsense) equal(parseAddress(text), undefined, text)
})

test('a prefix has a length and no host bits', () => {
  for (const text of [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.1.2.3/32',
    '::/0',
    '2001:db8::/32',
    '2001:db8::1/128',
    'fe80::/10',
  ]) {
    equal(formatPrefix(parsePrefix(text)!), text)
  }
  const nonsense = [
    '10.0.0.0',
    '10.0.0.0/',
    '/8',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
  ]
  for (const text of [...nonsense, '2001:db8::1/32', '::/129']) equal(parsePrefix(text), undefined, text)
})

test('an interface keeps its host bits', () => {
  deepEqual(parseInterface('10.0.0.1/24'), { address: Uint8Array.of(10, 0, 0, 1), length: 24 })
  equal(parseInterface('10.0.0.1'), undefined)
})

test('masking keeps the first bits, at every length', () => {
  const ones = new Uint8Array(16).fill(0xff)
  for (let length = 0; length <= 128; length++) {
    const bits = Array.from(masked(ones, length), (byte) => byte.toString(2).padStart(8, '0')).join('')
    equal(bits, '1'.repeat(length).padEnd(128, '0'))
  }
})

test('a prefix contains its own addresses and no other family', () => {
  const contains = (prefix: string, address: string): boolean =>
    prefixContains(parsePrefix(prefix)!, parseAddress(address)!)
  equal(contains('10.0.0.0/9', '10.127.255.255'), true)
  equal(contains('10.0.0.0/9', '10.128.0.0'), false)
  equal(contains('0.0.0.0/0', '::'), false)
  equal(contains('::/0', '2001:db8::1'), true)
})

test('MAC addresses are six pairs of hexadecimal digits', () => {
  equal(formatMac(parseMac('02:AB:00:00:00:0f')!), '02:ab:00:00:00:0f')
  for (const text of ['', '02:00:00:00:00', '02:00:00:00:00:1', '02-00-00-00-00-01', '02:00:00:00:00:0g']) {
    equal(parseMac(text), undefined, text)
  }
})

test('an IPv4 address is an unsigned number', () => {
  equal(ipv4Number(Uint8Array.of(255, 1, 2, 3)), 0xff010203)
  deepEqual(ipv4Bytes(0xff010203), Uint8Array.of(255, 1, 2, 3))
})

test('bytes are equal when all are', () => {
  equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true)
  equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false)
  equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1)), false)
})
