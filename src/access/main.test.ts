/**
 * A switch as a process between kernels: a customer's, and one that plays the tenants' gateway with Linux's own VXLAN.
 * It knows its batch from disk; there is no bus and no control module.
 *
 *   customer --acme-- edge ==path-a, path-b== gateway (VIP 10.255.0.1, VNI 1001 and 1002)
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { KeptBatches } from '../agent/kept-batches.ts'
import { switchFeed } from '../agent/names.ts'
import { formatMac, parseAddress } from '../base/address.ts'
import { restless } from '../linux/idle.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { IcmpSocket, PacketSocket } from '../linux/socket.ts'
import { ARP_OPERATION } from '../wire/arp.ts'
import * as build from '../wire/build.ts'
import { switchBatch } from '../wire/control/switch.ts'
import { ICMP_TYPE, icmpEcho } from '../wire/icmp.ts'

let pings = process.pid
const address = (text: string) => parseAddress(text)!
const OWN = '10.0.0.1'
const VIP = '10.255.0.1'
const TIMEOUT_ms = 60_000

const SITE = JSON.stringify({
  site: 'test',
  gateway: { mac: '02:67:68:00:00:01' },
  switches: [{ name: 'edge-1', address: OWN, uplinks: ['path-a', 'path-b'], ports: ['acme'] }],
})

const gatewayMac = (vni: number) => `02:00:00:00:00:${vni % 100}`.replace(/:(.)$/, ':0$1')

class Scene {
  readonly network = new ScratchNetwork()
  readonly customer = this.network.namespace()
  readonly edge = this.network.namespace()
  readonly gateway = this.network.namespace()
  readonly #directory = mkdtempSync(join(tmpdir(), 'gatehouse-'))
  process: ChildProcess | undefined

  static async open(): Promise<Scene> {
    const scene = new Scene()
    await scene.#keepBatch()
    await scene.start()
    return scene
  }

  private constructor() {
    const { network, customer, edge, gateway } = this
    network.wire(
      { namespace: customer, name: 'uplink', addresses: ['192.168.1.2/24'] },
      { namespace: edge, name: 'acme' },
    )
    for (const [i, path] of ['path-a', 'path-b'].entries())
      network.wire(
        { namespace: edge, name: path, addresses: [`10.1.${i}.1/30`] },
        { namespace: gateway, name: path, addresses: [`10.1.${i}.2/30`] },
        { mtu: 1600 },
      )
    // Both tenants' gateways have the same address; each answers on its own segment only.
    withNamespace(gateway, () => writeFileSync('/proc/sys/net/ipv4/conf/all/arp_ignore', '1'))
    ip('-n', edge, 'address', 'add', `${OWN}/32`, 'dev', 'lo')
    ip('-n', gateway, 'address', 'add', `${VIP}/32`, 'dev', 'lo')
    this.layRoutes()
    for (const vni of [1001, 1002]) {
      const ends = ['local', VIP, 'remote', OWN, 'dstport', '4789', 'noudpcsum']
      const mac = gatewayMac(vni)
      ip('-n', gateway, 'link', 'add', `vx${vni}`, 'address', mac, 'type', 'vxlan', 'id', `${vni}`, ...ends)
      ip('-n', gateway, 'address', 'add', '192.168.1.1/24', 'dev', `vx${vni}`)
      ip('-n', gateway, 'link', 'set', `vx${vni}`, 'mtu', '1500', 'up')
    }
  }

  /** Over both paths; a kernel forgets a route whose link was down. */
  layRoutes(): void {
    const hops = (end: number) => [0, 1].flatMap((i) => ['nexthop', 'via', `10.1.${i}.${end}`])
    ip('-n', this.edge, 'route', 'replace', VIP, ...hops(2))
    ip('-n', this.gateway, 'route', 'replace', OWN, ...hops(1))
  }

  async #keepBatch(): Promise<void> {
    const attachment = (vlan: number, vni: number) => ({ port: 'acme', vlan, vni, vip: address(VIP) })
    const batch = switchBatch.encode({
      ...{ switch: 'edge-1', epoch: 1, generation: 1, address: address(OWN), vips: [address(VIP)], balances: [] },
      attachments: [attachment(0, 1001), attachment(200, 1002)],
    })
    const kept = new KeptBatches(join(this.#directory, 'batches', `${switchFeed('edge-1')}.edge-1`))
    await kept.replace('1', 1, batch)
    await kept.close()
  }

  async start(): Promise<void> {
    const file = new URL('./test-process.ts', import.meta.url)
    const args = ['--disable-warning=ExperimentalWarning']
    this.process = fork(file, [this.edge, SITE, this.#directory], { execArgv: args })
    const [message] = await once(this.process, 'message')
    equal(message, 'ready')
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const ended = once(this.process!, 'exit')
    this.process!.kill(signal)
    await ended
  }

  /** Sends pings, one every `every_ms`, and returns how many were not answered within a second of the last. */
  async ping(from: string, to: string, { count = 10, every_ms = 10, bytes = 56 } = {}): Promise<number> {
    const socket = withNamespace(from, () => new IcmpSocket(4))
    const identifier = pings++ & 0xffff
    const missing = new Set<number>()
    const read = (): void => {
      for (let next = socket.receive(); next; next = socket.receive()) {
        const view = new DataView(next.bytes.buffer, next.bytes.byteOffset, next.bytes.length)
        if (icmpEcho.type.get(view, 0) !== ICMP_TYPE.echoReply) continue
        if (icmpEcho.identifier.get(view, 0) === identifier) missing.delete(icmpEcho.sequence.get(view, 0))
      }
    }
    for (let sequence = 0; sequence < count; sequence++) {
      missing.add(sequence)
      socket.send(build.icmpEcho({ identifier, sequence }, new Uint8Array(bytes)).bytes, address(to))
      await sleep(every_ms)
      read()
    }
    for (let waited_ms = 0; missing.size > 0 && waited_ms < 1000; waited_ms += 10) {
      await sleep(10)
      read()
    }
    socket.close()
    return missing.size
  }

  /** Neighbours need a moment, as after any start, on each path. */
  async untilReachable(): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_ms)
    const isKnown = (path: string) => ip('-n', this.edge, '-4', 'neigh', 'show', 'dev', path).includes('lladdr')
    while (
      !isKnown('path-a') ||
      !isKnown('path-b') ||
      (await this.ping(this.customer, '192.168.1.1', { count: 1 })) > 0
    )
      ok(!signal.aborted, 'never reachable')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process?.exitCode === null && this.process.signalCode === null) await this.end('SIGKILL')
    this.network[Symbol.dispose]()
    rmSync(this.#directory, { recursive: true })
  }
}

suite('a switch as a process', { skip: unprivileged, timeout: TIMEOUT_ms }, () => {
  let scene: Scene

  before(async () => {
    scene = await Scene.open()
    await scene.untilReachable()
  })

  after(() => scene[Symbol.asyncDispose]())

  test('carries a customer to its gateway and back through Linux’s VXLAN', async () => {
    equal(await scene.ping(scene.customer, '192.168.1.1'), 0)
    equal(await scene.ping(scene.customer, '192.168.1.1', { bytes: 1472 }), 0, 'of 1,500 bytes')
    equal(await scene.ping(scene.gateway, '192.168.1.2'), 0)
  })

  test('leaves the host its own traffic on the same ports', async () => {
    for (const own of [OWN, '10.1.0.1', '10.1.1.1'])
      equal(await scene.ping(scene.gateway, own), 0, `the switch’s own ${own}`)
    equal(await scene.ping(scene.edge, '10.1.0.2'), 0, 'from the switch itself')
  })

  test('takes a frame to the tenant of its tag, or of none', async () => {
    const socket = withNamespace(scene.customer, () => new PacketSocket('uplink'))
    const mac = '02:00:00:00:00:09'
    const question = build.arpRequest({ senderMac: mac, senderIp: '192.168.1.9', targetIp: '192.168.1.1' })
    // The kernel takes the tags of answers off before we see them: who answered tells the tenant.
    const answeredBy = async (vlan: number | undefined): Promise<string> => {
      for (;;) {
        const ends = { source: mac, destination: 'ff:ff:ff:ff:ff:ff' }
        socket.send(build.ethernet(vlan === undefined ? ends : { ...ends, vlan }, question))
        await sleep(20)
        for (let next = socket.receive(); next; next = socket.receive())
          if (next.bytes[21] === ARP_OPERATION.reply) return formatMac(next.bytes.slice(6, 12))
      }
    }
    equal(await answeredBy(undefined), gatewayMac(1001))
    equal(await answeredBy(200), gatewayMac(1002))
    socket.close()
  })

  test('loses what was in flight when a path is cut', async (t) => {
    for (const path of ['path-a', 'path-b']) {
      // So many flows that either path has some of them.
      const losing = Array.from({ length: 8 }, () => scene.ping(scene.customer, '192.168.1.1', { count: 60 }))
      await sleep(200)
      // Not in this thread, which is to go on sending.
      await promisify(execFile)('ip', ['-n', scene.gateway, 'link', 'set', path, 'down'])
      const lost = await Promise.all(losing)
      t.diagnostic(`lost by flow with ${path}: ${lost.join(' ')}`)
      // It is seen within 10 ms, one ping of a flow; two more on a busy machine.
      ok(Math.max(...lost) <= 3, `${lost.join(' ')} lost with ${path}`)
      ip('-n', scene.gateway, 'link', 'set', path, 'up')
      scene.layRoutes()
      await scene.untilReachable()
    }
  })

  test('sleeps while there is nothing to do', async () => {
    equal(await restless(scene.process!.pid!, 300), undefined)
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    test(`leaves nothing on the ports after ${signal}, and works again when it is started again`, async () => {
      const attached = () => ip('-n', scene.edge, '-j', 'link').match(/"xdp"/g)?.length ?? 0
      equal(attached(), 3)
      await scene.end(signal)
      equal(attached(), 0)
      if (signal === 'SIGTERM') deepEqual([scene.process!.exitCode, scene.process!.signalCode], [0, null])
      await scene.start()
      await scene.untilReachable()
    })
})
