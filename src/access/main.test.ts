/**
 * A switch as a process between kernels: a customer's, and one that plays the tenants' gateway with Linux's own VXLAN. It
 * knows its batch from disk; there is no bus and no control module.
 *
 *   customer --acme-- edge ==path-a, path-b== gateway (VIP 10.255.0.1, VNI 1001 and 1002)
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { KeptBatches } from '../agent/kept-batches.ts'
import { switchFeed } from '../agent/names.ts'
import { parseAddress } from '../base/address.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { PacketSocket } from '../linux/socket.ts'
import { arpRequest, ethernet } from '../wire/build.ts'
import { switchBatch } from '../wire/control/switch.ts'
import { ETHERTYPE, vlanId } from '../wire/ethernet.ts'

const run = promisify(execFile)
const address = (text: string) => parseAddress(text)!
const OWN = '10.0.0.1'
const VIP = '10.255.0.1'
const TIMEOUT_ms = 30_000

const SITE = JSON.stringify({
  site: 'test',
  gateway: { mac: '02:67:68:00:00:01' },
  switches: [{ name: 'edge-1', address: OWN, uplinks: ['path-a', 'path-b'], ports: ['acme'] }],
})

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
    const hops = (end: number) => [0, 1].flatMap((i) => ['nexthop', 'via', `10.1.${i}.${end}`])
    ip('-n', edge, 'address', 'add', `${OWN}/32`, 'dev', 'lo')
    ip('-n', edge, 'route', 'add', VIP, ...hops(2))
    ip('-n', gateway, 'address', 'add', `${VIP}/32`, 'dev', 'lo')
    ip('-n', gateway, 'route', 'add', OWN, ...hops(1))
    for (const vni of [1001, 1002]) {
      const ends = ['local', VIP, 'remote', OWN, 'dstport', '4789', 'noudpcsum']
      ip('-n', gateway, 'link', 'add', `vx${vni}`, 'type', 'vxlan', 'id', `${vni}`, ...ends)
      ip('-n', gateway, 'address', 'add', '192.168.1.1/24', 'dev', `vx${vni}`)
      ip('-n', gateway, 'link', 'set', `vx${vni}`, 'mtu', '1500', 'up')
    }
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

  /** Pings and returns how many were lost. */
  async ping(from: string, to: string, { count = 10, interval_s = 0.02, bytes = 56 } = {}): Promise<number> {
    const options = ['-n', '-q', '-c', `${count}`, '-i', `${interval_s}`, '-W', '2', '-s', `${bytes}`, '-M', 'do']
    const command = ['netns', 'exec', from, 'ping', ...options, to]
    const { stdout } = await run('ip', command).catch((error: { stdout: string }) => error)
    const [, received] = /(\d+) received/.exec(stdout) ?? []
    ok(received !== undefined, stdout)
    return count - Number(received)
  }

  /** Neighbours and paths need a moment, as after any start. */
  async untilReachable(): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_ms)
    while ((await this.ping(this.customer, '192.168.1.1', { count: 1 })) > 0) ok(!signal.aborted, 'never reachable')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process?.exitCode === null && this.process.signalCode === null) await this.end('SIGKILL')
    this.network[Symbol.dispose]()
    rmSync(this.#directory, { recursive: true })
  }
}

test('a customer reaches its gateway through the switch and Linux’s VXLAN, and the host itself stays reachable', {
  skip: unprivileged,
  timeout: TIMEOUT_ms,
}, async () => {
  await using scene = await Scene.open()
  await scene.untilReachable()
  equal(await scene.ping(scene.customer, '192.168.1.1'), 0)
  equal(await scene.ping(scene.customer, '192.168.1.1', { bytes: 1472 }), 0, 'of 1,500 bytes')
  equal(await scene.ping(scene.gateway, '192.168.1.2'), 0)
  for (const own of [OWN, '10.1.0.1', '10.1.1.1'])
    equal(await scene.ping(scene.gateway, own), 0, `the switch’s own ${own}`)
  equal(await scene.ping(scene.edge, '10.1.0.2'), 0, 'from the switch itself')
})

test('a tagged frame reaches the tenant of its tag, and the answer has the tag', {
  skip: unprivileged,
  timeout: TIMEOUT_ms,
}, async () => {
  await using scene = await Scene.open()
  const socket = withNamespace(scene.customer, () => new PacketSocket('uplink'))
  const mac = '02:00:00:00:00:09'
  const question = arpRequest({ senderMac: mac, senderIp: '192.168.1.9', targetIp: '192.168.1.1' })
  const signal = AbortSignal.timeout(TIMEOUT_ms)
  for (let answered = false; !answered; await sleep(20)) {
    ok(!signal.aborted, 'never answered')
    socket.send(ethernet({ source: mac, destination: 'ff:ff:ff:ff:ff:ff', vlan: 200 }, question))
    for (let next = socket.receive(); next; next = socket.receive()) {
      const view = new DataView(next.bytes.buffer, next.bytes.byteOffset, next.bytes.length)
      if (vlanId(view, 0) === 200 && view.getUint16(16) === ETHERTYPE.arp && view.getUint16(24) === 2) answered = true
    }
  }
  socket.close()
})

test('a path that is cut costs what was in flight', { skip: unprivileged, timeout: TIMEOUT_ms }, async () => {
  await using scene = await Scene.open()
  await scene.untilReachable()
  for (const path of ['path-a', 'path-b']) {
    const lost = scene.ping(scene.customer, '192.168.1.1', { count: 100, interval_s: 0.01 })
    await sleep(300)
    ip('-n', scene.gateway, 'link', 'set', path, 'down')
    // 10 ms to see it, and a busy machine: a tenth of a second at most.
    ok((await lost) <= 10, `${await lost} lost with ${path}`)
    ip('-n', scene.gateway, 'link', 'set', path, 'up')
    ip('-n', scene.gateway, 'route', 'replace', OWN, 'nexthop', 'via', '10.1.0.1', 'nexthop', 'via', '10.1.1.1')
    ip('-n', scene.edge, 'route', 'replace', VIP, 'nexthop', 'via', '10.1.0.2', 'nexthop', 'via', '10.1.1.2')
    await scene.untilReachable()
  }
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const)
  test(`after ${signal} nothing is left on the ports, and a new process takes over`, {
    skip: unprivileged,
    timeout: TIMEOUT_ms,
  }, async () => {
    await using scene = await Scene.open()
    const attached = () => ip('-n', scene.edge, '-j', 'link').match(/"xdp"/g)?.length ?? 0
    equal(attached(), 3)
    await scene.end(signal)
    equal(attached(), 0)
    if (signal === 'SIGTERM') deepEqual([scene.process!.exitCode, scene.process!.signalCode], [0, null])
    match(ip('-n', scene.edge, 'address', 'show', 'lo'), new RegExp(OWN))
    await scene.start()
    await scene.untilReachable()
  })
