/** The thread of the relay: relay.ts between a TUN device and the sockets of its tunnels. */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { stopWatching, watch } from '../../linux/poll.ts'
import { setScheduling } from '../../linux/thread.ts'
import { TUN_PACKET_BYTES } from '../../linux/tun.ts'
import { PeerMemory } from './peer-memory.ts'
import { Refusal } from './refusal.ts'
import { Relay } from './relay.ts'
import { BATCH, openReceiver, openSender, openTun, packetMaxTo } from './relay-device.ts'
import type { RelaySetup } from './ways.ts'

export interface RelayThreadSetup {
  readonly setup: RelaySetup
  readonly memory: SharedArrayBuffer
}

/** To the thread, and back. */
export interface RelayQuestion {
  readonly id: number
  readonly what: 'show' | 'close' | 'members' | 'setup'
  readonly members?: readonly string[]
  readonly setup?: RelaySetup
}

export interface RelayReady {
  readonly kind: 'ready'
  /** Of the TUN device. */
  readonly device: string
}

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { setup, memory } = workerData as RelayThreadSetup

// Keepalives come and go through here. What waits while others have the core is lost once the queues are full.
setScheduling('round-robin')

/** Of one turn, so that both directions, and the agent, have theirs. */
const BATCHES_PER_TURN = 8
const PACKETS_PER_TURN = 256
/** Between two looks while there is something to do, and how many may find nothing. */
const LOOK_ms = 1
const QUIET_LOOKS = 20
/** At most: a look at the ways to all VIPs costs some calls of the kernel's each. */
const MEASURE_EVERY_ms = 1000

const tun = openTun()
const receiver = openReceiver(setup.address)
const sender = openSender(setup.address, (packets) => {
  for (let i = 0; i < packets; i++) relay.counters.refuse(Refusal['network-full'])
  measureSoon()
})
const relay = new Relay({
  setup,
  memory: new PeerMemory(memory),
  clock: systemClock,
  sink: sender,
  kernel: tun,
  packetMax: packetMaxTo,
})

/** What the network does not take may be too long for a way that has become narrower. */
let isMeasuring = false
function measureSoon(): void {
  if (isMeasuring) return
  isMeasuring = true
  systemClock.after(MEASURE_EVERY_ms, () => {
    isMeasuring = false
    relay.measure()
  })
}

/** True when there is more. */
function fromNodes(): boolean {
  let batches = 0
  for (; batches < BATCHES_PER_TURN; batches++) {
    const count = receiver.receive()
    for (let i = 0; i < count; i++) {
      if (receiver.isCut(i)) relay.counters.refuse(Refusal.cut)
      else relay.frame(receiver.view, receiver.at(i), receiver.end(i), receiver.from(i))
    }
    if (count < BATCH) break
  }
  return batches === BATCHES_PER_TURN
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
  return left === 0
}

let quiet = QUIET_LOOKS

/**
 * Once something has come it is looked every millisecond whether more has, until it is quiet: ten thousand sessions say a
 * little all the time, and to be woken for each packet of theirs costs more than the packet.
 */
function look(): void {
  const { received, taken } = relay.counters
  const isMore = [fromNodes(), fromKernel()].includes(true)
  relay.flush()
  const isQuiet = relay.counters.received === received && relay.counters.taken === taken
  quiet = isQuiet ? quiet + 1 : 0
  if (isMore) setImmediate(look)
  else if (quiet < QUIET_LOOKS) systemClock.after(LOOK_ms, look)
  else for (const one of watches) one.want(true, false)
}

function wake(): void {
  if (quiet < QUIET_LOOKS) return
  quiet = 0
  for (const one of watches) one.want(false, false)
  look()
}

const watches = [watch(receiver.fd, wake), watch(tun.fd, wake)]

/** The last words of the sessions are in the device: closing them has put them there. */
function close(): void {
  while (fromKernel());
  relay.flush()
  stopWatching()
}

agent.on('message', ({ id, what, members, setup }: RelayQuestion) => {
  if (members) relay.setMembers(members)
  if (setup) relay.take(setup)
  if (what === 'close') close()
  agent.postMessage({ kind: 'answer', id, answer: relay.counters.show() })
})
agent.postMessage({ kind: 'ready', device: tun.name } satisfies RelayReady)
