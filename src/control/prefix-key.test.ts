import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parsePrefix } from '../base/address.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { addRow, compareKeys, formatKey, keyAt4, keyAt6, keyOf } from './prefix-key.ts'

const prefixes = [
  '0.0.0.0/0',
  '0.0.0.0/1',
  '128.0.0.0/1',
  '0.0.0.0/32',
  '10.1.0.0/16',
  '192.168.1.0/24',
  '255.255.255.252/30',
  '255.255.255.254/31',
  '255.255.255.255/32',
  '::/0',
  '::/128',
  '2001:db8::/32',
  '2001:db8:0:8000::/49',
  'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128',
]

test('a prefix is its key and comes back from it, and no two have the same', () => {
  const keys = prefixes.map((text) => keyOf(parsePrefix(text)!))
  deepEqual(keys.map(formatKey), prefixes)
  equal(new Set(keys).size, prefixes.length)
})

test('a row of columns and its prefix have the same key', () => {
  const builders = { v4: new RouteColumnsBuilder(1), v6: new RouteColumnsBuilder(4) }
  for (const text of prefixes) addRow(builders, 7, keyOf(parsePrefix(text)!), 9)
  const [v4, v6] = [builders.v4.build(), builders.v6.build()]
  const back = [
    ...Array.from(v4.lengths, (_, row) => keyAt4(v4, row)),
    ...Array.from(v6.lengths, (_, row) => keyAt6(v6, row)),
  ]
  deepEqual(back.map(formatKey), prefixes)
})

test('keys are in the order in which people read prefixes', () => {
  const texts = [
    '0.0.0.0/0',
    '9.0.0.0/8',
    '10.0.0.0/8',
    '10.0.0.0/31',
    '10.0.0.1/32',
    '200.0.0.0/24',
    '::/0',
    '2001:db8::/32',
  ]
  const keys = texts.toReversed().map((text) => keyOf(parsePrefix(text)!))
  deepEqual(keys.sort(compareKeys).map(formatKey), texts)
})
