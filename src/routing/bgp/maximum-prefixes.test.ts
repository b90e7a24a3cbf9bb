import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { CEASE } from '../../wire/bgp/notification.ts'
import { PlainPeer } from './plain-peer.ts'
import { type NeighbourText, plainNeighbour, SpeakerBed } from './speaker-bed.ts'

const LIMIT = 5
const OVER = `${CEASE.code}.${CEASE.maximumPrefixes}`

/** The peer sends more than it may, and is told so. */
async function exceed(bed: SpeakerBed): Promise<void> {
  const peer = await bed.peer(2)
  peer.announce(LIMIT, 0)
  while ((await bed.speaker.counts()).paths < LIMIT);
  equal(bed.lost().length, 0)
  peer.announce(2 * LIMIT, 0)
  await peer.closed()
  equal(peer.notifications.at(-1), OVER)
  while (bed.lost().length === 0) await once(bed.news, 'event')
  match(bed.lost()[0]!, /maximum number of prefixes reached/)
  while ((await bed.speaker.counts()).paths > 0);
}

/** It comes back: true when it is let in. */
async function isLetIn(bed: SpeakerBed): Promise<boolean> {
  const again = new PlainPeer({ local: '127.0.0.2', port: bed.port, as: 65_002 })
  const isUp = await Promise.race([again.established().then(() => true), again.closed().then(() => false)])
  again.close()
  return isUp
}

const neighbour = (maximum: object): NeighbourText => ({
  ...plainNeighbour(2),
  maximum_prefixes: { limit: LIMIT, ...maximum },
})
const range = (maximum: object): NeighbourText => {
  const { address, as, passive, ...others } = neighbour(maximum)
  return { ...others, name: 'range', prefix: '127.0.0.0/24', as_range: { from: 65_002, to: 65_010 } }
}

suite('a peer that sends more routes than it may (RFC 4486)', () => {
  for (const [what, of] of [
    ['named by its address', neighbour],
    ['of a range', range],
  ] as const) {
    test(`and is ${what} rests as long as restart_s says`, async () => {
      await using bed = await SpeakerBed.start([of({ restart_s: 1 })])
      await exceed(bed)
      const start_ms = performance.now()
      let refused = 0
      while (!(await isLetIn(bed))) refused++
      ok(refused > 0)
      ok(performance.now() - start_ms > 500)
    })

    test(`and is ${what} rests for good, until the site file says another thing of it`, async () => {
      await using bed = await SpeakerBed.start([of({})])
      await exceed(bed)
      deepEqual([await isLetIn(bed), await isLetIn(bed)], [false, false])
      await bed.reload([of({ limit: 100 })])
      deepEqual(await isLetIn(bed), true)
    })
  }
})
