/**
 * What has brought down others' speakers, through tables and out again: the outcome is the RFC's, and whatever is passed on is
 * sound, for peers of four octets and of two.
 */

import { deepEqual, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { updateBody } from '../../wire/bgp/drawn.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { hostileUpdates } from '../../wire/bgp/hostile-updates.ts'
import { EXTENDED_MESSAGE_BYTES_MAX } from '../../wire/bgp/message.ts'
import { EngineBed } from './engine-bed.ts'

const PREFIX = '10.1.2.0/24'
const families = [FAMILY.ipv4Unicast, FAMILY.ipv6Unicast, FAMILY.vpnv4, FAMILY.vpnv6]
const extended = { receiveBytesMax: EXTENDED_MESSAGE_BYTES_MAX, sendBytesMax: EXTENDED_MESSAGE_BYTES_MAX }
const GOOD = updateBody({ attributes: '40 01 01 00 40 02 00 40 03 04 c0000209', nlri: '18 0a0102' })
/** Who is told: the last one of them of all that there is. */
const READERS = [{ agreed: { as4: false } }, { internal: true }, {}, { agreed: extended }]

suite('a peer that had announced 10.1.2.0/24 and sends', () => {
  for (const [name, what, parts, outcome, { as4 = true, external = true } = {}] of hostileUpdates)
    test(`${what} (${name}): ${outcome}`, () => {
      // The paths of them all begin with AS 65001.
      const bed = new EngineBed({ as: 65_000 })
      bed.up(1, { families, internal: !external, agreed: { ...extended, as4, extendedNextHop: 0b0101 } })
      const readers = READERS.map((how, i) => {
        bed.up(2 + i, { families, ...how })
        return bed.told.get(2 + i)!
      })
      bed.update(1, GOOD)
      ok(readers.at(-1)!.has(PREFIX))
      bed.update(1, updateBody(parts))
      deepEqual(
        bed.said.map(({ kind }) => kind),
        outcome === 'reset' ? ['failed'] : [],
      )
      if (outcome === 'withdraw') ok(!readers.some((told) => told.has(PREFIX)))
      else ok(readers.at(-1)!.has(PREFIX))
      bed.down(1)
      const { paths, prefixes } = bed.engine.counts()
      deepEqual({ paths, prefixes }, { paths: 0, prefixes: 0 })
    })
})
