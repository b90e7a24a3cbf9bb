/** The thread of the relay: relay.ts between a TUN device and the sockets of its tunnels. */

import { parentPort, workerData } from 'node:worker_threads'
import { formatAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { watch } from '../../linux/poll.ts'
import { TUN_PACKET_BYTES } from '../../linux/tun.ts'
import { PeerMemory } from './peer-memory.ts'
import { Refusal } from './refusal.ts'
import { Relay } from './relay.ts'
import { openReceiver, openSender, openTun, packetMaxTo } from './relay-device.ts'
import type { RelaySetup } from './ways.ts'

export interface RelayThreadSetup {
  readonly setup: RelaySetup
  readonly memory: SharedArrayBuffer
}

/** To the thread, and back. */
export interface RelayQuestion {
  readonly id: number
  readonly what: 'show' | 'close' | 'members'
  readonly members?: readonly string[]
}

export interface RelayReady {
  readonly kind: 'ready'
  /** Of the TUN device. */
  readonly device: string
}

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { setup, memory } = workerData as RelayThreadSetup

/** Of one turn, so that both directions, and the agent, have theirs. */
const BATCHES_PER_TURN = 8
const PACKETS_PER_TURN = 256

const named = setup.ways.filter(({ number }) => number !== 0).length
const tun = openTun()
const receiver = openReceiver(setup.address)
const sender = openSender(setup.address, (packets) => {
  for (let i = 0; i < packets; i++) relay.counters.refuse(Refusal['network-full'])
})
const widths = new Map<string, number>()
const relay = new Relay({
  setup,
  memory: new PeerMemory(named, memory),
  clock: systemClock,
  sink: sender,
  kernel: tun,
  packetMax(vip) {
    const text = formatAddress(vip)
    const known = widths.get(text) ?? packetMaxTo(vip)
    widths.set(text, known)
    return known
  },
})

function fromNodes(): void {
  for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
    const count = receiver.receive()
    for (let i = 0; i < count; i++) {
      if (receiver.isCut(i)) relay.counters.refuse(Refusal.cut)
      else relay.frame(receiver.view, receiver.at(i), receiver.end(i), receiver.from(i))
    }
    if (count === 0) break
  }
  relay.flush()
}

const packet = new Uint8Array(TUN_PACKET_BYTES)

/** True when there is more. */
function fromKernel(): boolean {
  let left = PACKETS_PER_TURN
  for (; left > 0; left--) {
    const bytes = tun.read(packet)
    if (bytes === 0) break
    relay.packet(packet.subarray(0, bytes))
  }
  relay.flush()
  return left === 0
}

watch(receiver.fd, fromNodes)
watch(tun.fd, () => void fromKernel())

agent.on('message', ({ id, what, members }: RelayQuestion) => {
  if (members) relay.setMembers(members)
  // The last words of the sessions are in the device: closing them has put them there.
  if (what === 'close') while (fromKernel());
  agent.postMessage({ kind: 'answer', id, answer: relay.counters.show() })
})
agent.postMessage({ kind: 'ready', device: tun.name } satisfies RelayReady)
