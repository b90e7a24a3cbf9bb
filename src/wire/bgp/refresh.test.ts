import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../cursor.ts'
import { drawn } from './drawn.ts'
import { BGP_HEADER_BYTES } from './message.ts'
import { decodeRefresh, encodeRefresh, REFRESH } from './refresh.ts'

const SAMPLE = drawn(`
  ffffffff ffffffff ffffffff ffffffff  # marker
  0017                                 # length
  05                                   # ROUTE-REFRESH
  0001 02 80                           # VPNv4, end of it
`)

test('a ROUTE-REFRESH is read and written as drawn', () => {
  const refresh = { afi: 1, safi: 128, subtype: REFRESH.end }
  deepEqual(decodeRefresh(new Reader(SAMPLE.subarray(BGP_HEADER_BYTES))), refresh)
  deepEqual(encodeRefresh(refresh), SAMPLE)
})

test('one that is cut is refused: as a length of the header, or as a mark of another length', () => {
  for (let length = 0; length < 4; length++) {
    const told = decodeRefresh(new Reader(drawn('0001 02 80').subarray(0, length)))
    if (length < 3) deepEqual(told, { code: 1, subcode: 2, data: Uint8Array.of(0, 19 + length) })
    else equal('code' in told && told.code, 7)
  }
})

test('a mark with something behind it is sent back whole, a request with filters is taken', () => {
  const long = decodeRefresh(new Reader(drawn('0001 01 01 ee')))
  deepEqual(long, { code: 7, subcode: 1, data: drawn('ffffffff ffffffff ffffffff ffffffff 0018 05 0001 01 01 ee') })
  deepEqual(decodeRefresh(new Reader(drawn('0001 00 01 01 80 00'))), { afi: 1, safi: 1, subtype: REFRESH.request })
})
