/** What becomes of the sessions of tenants' peers with another site file; the relay's device is a link with its addresses. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../../base/address.ts'
import { ManualClock } from '../../base/clock.ts'
import { Random } from '../../base/random.ts'
import { withNamespace } from '../../linux/namespace.ts'
import { ScratchNetwork, unprivileged } from '../../linux/scratch.ts'
import { TcpFailure } from '../../linux/tcp-failure.ts'
import { TcpSocket, WOULD_BLOCK } from '../../linux/tcp-socket.ts'
import { BGP_HEADER_BYTES, MESSAGE } from '../../wire/bgp/message.ts'
import { CEASE } from '../../wire/bgp/notification.ts'
import { SessionHost } from '../bgp/session-host.ts'
import { FIRST_DYNAMIC, innerAddress } from './inner-address.ts'
import { PeerMemory, State } from './peer-memory.ts'
import { PeerNumbers } from './peer-numbers.ts'
import { setupWith, siteWith } from './relay-bed.ts'
import { RelayedPeers } from './relayed-peers.ts'

const RANGE = 'name: others, tenant: acme, prefix: 192.168.1.128/25'
const NAMED = 'name: one, tenant: acme, address: 192.168.1.200'
const ELSEWHERE = 'name: two, tenant: globex, address: 192.168.1.200'
const REMOTE = parseAddress('192.168.1.200')!

test('who came from a prefix is held until it has a neighbour of its own', () => {
  const numbers = new PeerNumbers()
  const memory = new PeerMemory()
  const setup = setupWith([RANGE], 'rt-1', numbers)
  const peers = new RelayedPeers({ setup, memory: memory.memory, device: 'gatehouse0', versions: [4] })
  const claim = (slot: number) => {
    memory.announce(slot, setup.ways[0]!.index, REMOTE)
    return peers.claim(innerAddress(FIRST_DYNAMIC + slot, 4))
  }
  const held = claim(0)!
  equal(peers.isNamed(held), false)
  peers.take(setupWith([RANGE, ELSEWHERE], 'rt-1', numbers))
  equal(peers.isNamed(held), false)
  peers.take(setupWith([RANGE, NAMED], 'rt-1', numbers))
  equal(peers.isNamed(held), true)
  equal(peers.isNamed(peers.named('one')!), false)
  equal(claim(1), undefined)
  equal(memory.stateOf(1), State.leaving)
})

test('a session of one who is named from now on ends with a word about it', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  using net = new ScratchNetwork()
  const [node, tenant] = [net.namespace(), net.namespace()]
  net.wire(
    { namespace: node, name: 'relay', addresses: ['240.0.0.1/4'] },
    { namespace: tenant, name: 'peer', addresses: ['240.16.0.0/4'] },
  )
  const numbers = new PeerNumbers()
  const memory = new PeerMemory()
  const setup = setupWith([RANGE], 'rt-1', numbers)
  memory.announce(0, setup.ways[0]!.index, REMOTE)
  const host = withNamespace(node, () => {
    const relay = { setup, memory: memory.memory, device: 'relay', versions: [4] as const }
    const routing = siteWith([RANGE]).routing!
    const [clock, random, pace] = [new ManualClock(), new Random(1), new Int32Array(64)]
    return new SessionHost({ routing, clock, random, pace, relay, toRoutes: () => {}, event: () => {} })
  })
  host.start()
  const peer = withNamespace(tenant, () => TcpSocket.connect({ address: innerAddress(1, 4), port: 179 }))
  if (peer instanceof TcpFailure) throw new Error(peer.sentence)
  equal(typeOf(await messageFrom(peer)), MESSAGE.open)
  host.reload(siteWith([RANGE, NAMED]).routing!, setupWith([RANGE, NAMED], 'rt-1', numbers))
  const last = await messageFrom(peer)
  deepEqual(
    [typeOf(last), ...last.subarray(BGP_HEADER_BYTES)],
    [MESSAGE.notification, CEASE.code, CEASE.configurationChange],
  )
  equal(memory.stateOf(0), State.leaving)
  host.close()
  peer.close()
})

/** The next that comes: there are no two at a time. */
async function messageFrom(peer: TcpSocket): Promise<Uint8Array> {
  const bytes = new Uint8Array(4096)
  const { promise, resolve } = Promise.withResolvers<number>()
  const watch = peer.watch(() => {
    const got = peer.receive(bytes)
    if (got !== WOULD_BLOCK) resolve(got)
  })
  const got = await promise
  watch.stop()
  return bytes.subarray(0, Math.max(0, got))
}

function typeOf(message: Uint8Array): number | undefined {
  return message[BGP_HEADER_BYTES - 1]
}
