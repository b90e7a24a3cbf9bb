import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { interfaceIndex } from '../src/linux/libc.ts'
import { withNamespace } from '../src/linux/namespace.ts'
import { PollSet } from '../src/linux/poll.ts'
import { PacketSocket } from '../src/linux/socket.ts'
import { Steering, SteeringTables } from '../src/linux/steering.ts'
import { Umem, XdpSocket } from '../src/linux/xdp-socket.ts'
import { arpRequest, type EthernetOptions, ethernet } from '../src/wire/build.ts'
import { Lab } from './namespaces.ts'
import { needs } from './needs.ts'
import { attachTrunk } from './trunk.ts'

const CHUNK_BYTES = 2048
const CHUNKS = 64
const TIMEOUT_MS = 2000

/** A trunk port as a switch sees it: whole frames, tags and all. */
class TrunkPort {
  readonly #umem = new Umem(new SharedArrayBuffer((CHUNKS + 4) * CHUNK_BYTES), { chunkBytes: CHUNK_BYTES })
  readonly #bytes = new Uint8Array(this.#umem.memory, this.#umem.base, this.#umem.bytes)
  readonly #tables = new SteeringTables([])
  readonly #steering = new Steering('customer', 1, this.#tables)
  readonly #socket: XdpSocket
  readonly #columns = [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)] as const

  constructor(interfaceName: string) {
    const sizes = { receiveSize: 32, sendSize: 32, fillSize: 32, completionSize: 32 }
    const index = interfaceIndex(interfaceName)
    this.#socket = XdpSocket.open({ umem: this.#umem, interfaceIndex: index, queue: 0, ...sizes })
    this.#steering.setSocket(0, this.#socket.fd)
    this.#steering.attach(index)
    this.#socket.fill(
      Uint32Array.from({ length: 32 }, (_, i) => i * CHUNK_BYTES),
      0,
      32,
    )
  }

  /** The next frame from this address. */
  receive(source: string): Buffer {
    const readable = new PollSet([this.#socket.fd])
    for (;;) {
      if (this.#socket.rx.available() === 0) ok(readable.wait(TIMEOUT_MS) > 0, 'no frame in two seconds')
      if (this.#socket.receive(...this.#columns, 0, 1) === 0) continue
      const at = this.#columns[0][0]!
      const frame = Buffer.from(this.#bytes.slice(at, at + this.#columns[1][0]!))
      if (frame.subarray(6, 12).toString('hex') === source.replaceAll(':', '')) return frame
    }
  }

  send(frame: Uint8Array): void {
    this.#columns[0][0] = 40 * CHUNK_BYTES
    this.#columns[1][0] = frame.length
    this.#columns[2][0] = 0
    this.#bytes.set(frame, 40 * CHUNK_BYTES)
    this.#socket.send(...this.#columns, 0, 1)
    this.#socket.kick()
  }

  close(): void {
    this.#steering.close()
    this.#tables.close()
    this.#socket.close()
  }
}

/** The next frame from an address that begins so. */
function receive(socket: PacketSocket, source: string): Buffer | undefined {
  const readable = new PollSet([socket.fd])
  for (;;) {
    const datagram = socket.receive()
    if (!datagram && readable.wait(TIMEOUT_MS) === 0) return undefined
    const frame = Buffer.from(datagram?.bytes ?? [])
    if (frame.subarray(6, 12).toString('hex').startsWith(source.replaceAll(':', ''))) return frame
  }
}

suite('a trunk', { skip: needs('ip') }, () => {
  test('carries each customer in its VLAN, and what belongs to none to nobody', async () => {
    await using lab = await Lab.open()
    const customers = [
      { namespace: 'one', interface: 'c0', vlan: 100 },
      { namespace: 'two', interface: 'c1', vlan: 200 },
      { namespace: 'plain', interface: 'c2', vlan: 0 },
    ]
    // No router solicitations and the like among the frames that we count.
    const quiet = { 'net/ipv6/conf/all/disable_ipv6': 1, 'net/ipv6/conf/default/disable_ipv6': 1 }
    await lab.addNamespaces(['switch', 'box', ...customers.map((customer) => customer.namespace)], quiet)
    const wire = (a: string, portA: string, b: string, portB: string) => {
      return { a: { namespace: a, interface: portA }, b: { namespace: b, interface: portB }, mtu: 1500, queues: 1 }
    }
    await lab.addLinks([
      wire('switch', 'port', 'box', 'trunk'),
      ...customers.map((customer) => wire('box', customer.interface, customer.namespace, 'wan')),
    ])
    const detach = attachTrunk({ namespace: 'box', customers }, lab.fullName('box'))
    const port = withNamespace(lab.fullName('switch'), () => new TrunkPort('port'))
    const sockets = customers.map(({ namespace }) =>
      withNamespace(lab.fullName(namespace), () => new PacketSocket('wan')),
    )
    try {
      const frame = (options: EthernetOptions): Buffer =>
        Buffer.from(ethernet(options, arpRequest({ senderIp: '192.0.2.1', targetIp: '192.0.2.2' })))
      for (const [i, { vlan }] of customers.entries()) {
        const tag = vlan > 0 ? { vlan } : {}
        const ends = { source: `02:00:00:00:01:0${i}`, destination: 'ff:ff:ff:ff:ff:ff' }
        sockets[i]!.send(frame(ends))
        deepEqual(port.receive(ends.source), frame({ ...ends, ...tag }))
        port.send(frame({ ...ends, ...tag }))
        deepEqual(receive(sockets[i]!, ends.source), frame(ends))
      }
      // The trunk keeps order: had the stray frame gone anywhere, it would have come before the next one.
      port.send(frame({ source: '02:00:00:00:02:00', destination: 'ff:ff:ff:ff:ff:ff', vlan: 300 }))
      for (const { vlan } of customers)
        port.send(frame({ source: '02:00:00:00:02:01', destination: 'ff:ff:ff:ff:ff:ff', ...(vlan > 0 && { vlan }) }))
      for (const socket of sockets) equal(receive(socket, '02:00:00:00:02')?.[11], 1)
    } finally {
      for (const socket of sockets) socket.close()
      port.close()
      detach()
    }
  })
})
