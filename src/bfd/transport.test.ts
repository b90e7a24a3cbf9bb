import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { formatAddress, parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { interfaceIndex } from '../linux/libc.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { UdpSocket } from '../linux/socket.ts'
import { Tun } from '../linux/tun.ts'
import * as build from '../wire/build.ts'
import { defaultBfdTimers } from './session.ts'
import { type BfdNews, BfdSpeaker } from './speaker.ts'
import { UdpBfdTransport } from './transport.ts'

const address = (text: string) => parseAddress(text)!

/** Two speakers of this process in two namespaces with a wire between them, IPv4 and IPv6. */
function twoHosts() {
  const network = new ScratchNetwork()
  const [left, right] = [network.namespace(), network.namespace()]
  network.wire(
    { namespace: left, name: 'wire', addresses: ['10.9.0.1/24', 'fd00:9::1/64'] },
    { namespace: right, name: 'wire', addresses: ['10.9.0.2/24', 'fd00:9::2/64'] },
  )
  const clock = systemClock
  const waiting: { wanted: string; heard: () => void }[] = []
  const said: string[] = []
  const news = ({ peer, state }: BfdNews) => {
    said.push(`${peer.remote.length === 4 ? 'IPv4' : 'IPv6'} ${state}`)
    for (const one of waiting) if (said.includes(one.wanted)) one.heard()
  }
  const rackTransport = withNamespace(left, () => new UdpBfdTransport())
  const nodeTransport = withNamespace(right, () => new UdpBfdTransport())
  const rack = new BfdSpeaker({ transport: rackTransport, clock, random: new Random(1), enabled: true, news })
  const node = new BfdSpeaker({
    transport: nodeTransport,
    clock,
    random: new Random(2),
    enabled: true,
    news: () => {},
    accept: { ...defaultBfdTimers, role: 'passive' },
  })
  // A socket opens in the thread's namespace; a program lives in one, this test in two.
  for (const [transport, namespace] of [
    [rackTransport, left],
    [nodeTransport, right],
  ] as const) {
    const sender = transport.sender.bind(transport)
    transport.sender = (from, to) => {
      const inner = sender(from, to)
      return { send: (packet) => withNamespace(namespace, () => inner.send(packet)), close: () => inner.close() }
    }
  }
  return {
    left,
    right,
    rack,
    nodeTransport,
    said,
    heard: (wanted: string) =>
      said.includes(wanted) ? Promise.resolve() : new Promise<void>((heard) => waiting.push({ wanted, heard })),
    [Symbol.dispose]() {
      rack.stop()
      node.stop()
      network[Symbol.dispose]()
    },
  }
}

test('over a real wire sessions come up, and a cut is noticed within the detection time', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  using hosts = twoHosts()
  const options = { ...defaultBfdTimers, role: 'active' } as const
  hosts.rack.open({ local: address('10.9.0.1'), remote: address('10.9.0.2') }, options)
  hosts.rack.open({ local: address('fd00:9::1'), remote: address('fd00:9::2') }, options)
  await Promise.all([hosts.heard('IPv4 up'), hosts.heard('IPv6 up')])
  // The peer's new pace arrives a moment after its state.
  while (hosts.rack.sessions().some(({ session }) => session.detectionTime_us !== 150_000)) await setTimeout(5)
  hosts.said.length = 0
  const cut_us = systemClock.now_us()
  ip('-n', hosts.right, 'address', 'flush', 'dev', 'wire')
  await Promise.all([hosts.heard('IPv4 down'), hosts.heard('IPv6 down')])
  const noticed_ms = (systemClock.now_us() - cut_us) / 1000
  ok(noticed_ms < 1000, `noticed after ${noticed_ms} ms`)
  deepEqual(hosts.said.sort(), ['IPv4 down', 'IPv6 down'])
})

test('a packet that may have come through a router is not believed', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  using hosts = twoHosts()
  const forger = withNamespace(
    hosts.left,
    () => new UdpSocket({ address: address('10.9.0.1'), port: 49999 }, { ttl: 254 }),
  )
  forger.send(build.bfd({ state: 1, yourDiscriminator: 0 }), { address: address('10.9.0.2'), port: 3784 })
  while (hosts.nodeTransport.distant === 0) await setTimeout(5)
  forger.close()
  equal(hosts.nodeTransport.distant, 1)
})

test('a packet to all of a link is nobody’s in particular', { skip: unprivileged, timeout: 20_000 }, async () => {
  using hosts = twoHosts()
  const heard: string[] = []
  hosts.nodeTransport.onPacket = (_, from, to) => void heard.push(`${formatAddress(from)} ${formatAddress(to)}`)
  const sender = withNamespace(
    hosts.left,
    () => new UdpSocket({ address: address('fd00:9::1'), port: 49999 }, { ttl: 255 }),
  )
  const index = withNamespace(hosts.left, () => interfaceIndex('wire'))
  // Groups that every host is in: all hosts (RFC 4291 section 2.7.1), and its own solicited-node group.
  for (const to of ['ff02::1', 'fd00:9::2'])
    sender.send(build.bfd({ state: 1 }), { address: address(to), port: 3784, interfaceIndex: index })
  while (heard.length === 0) await setTimeout(5)
  sender.close()
  deepEqual(heard, ['fd00:9::1 fd00:9::2'])
})

test('on a host without IPv6 it listens on IPv4 alone', { skip: unprivileged }, () => {
  using network = new ScratchNetwork()
  const namespace = network.namespace()
  const listens = (): string[] =>
    ['udp', 'udp6'].filter((table) => readFileSync(`/proc/thread-self/net/${table}`, 'latin1').includes(':0EC8 '))
  withNamespace(namespace, () => {
    for (const [versions, wanted] of [
      [[4], ['udp']] as const,
      [
        [4, 6],
        ['udp', 'udp6'],
      ] as const,
    ]) {
      const transport = new UdpBfdTransport({ versions })
      deepEqual(listens(), wanted)
      transport.close()
    }
  })
})

test('a port that somebody else has is left to him, and a neighbour without a way to it waits', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  const network = new ScratchNetwork()
  const namespace = network.namespace()
  network.wire(
    { namespace, name: 'wire', addresses: ['10.9.0.1/24'] },
    { namespace: network.namespace(), name: 'wire', addresses: ['10.9.0.2/24'] },
  )
  const bind = "require('node:dgram').createSocket('udp4').bind(49152, () => console.log('bound'))"
  const other = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', bind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(other.stdout, 'data')
  withNamespace(namespace, () => {
    const transport = new UdpBfdTransport({ neighbours: true })
    const senders = ['10.9.0.2', 'fe80::2'].map((to) =>
      transport.sender(address(to.includes(':') ? 'fe80::1' : '10.9.0.1'), address(to)),
    )
    ip('-n', namespace, 'route', 'add', 'prohibit', '10.9.0.2/32')
    for (const sender of senders) sender.send(new Uint8Array(24))
    ip('-n', namespace, 'route', 'delete', '10.9.0.2/32')
    for (const sender of senders) sender.send(new Uint8Array(24))
    const ports = readFileSync('/proc/thread-self/net/udp', 'utf8')
    ok(ports.includes(`:${(49_153).toString(16).toUpperCase()} `), ports)
    transport.close()
  })
  other.kill()
  await once(other, 'exit')
  network[Symbol.dispose]()
})

test('over several hops packets come from however far, and echoes come back from a peer that returns them', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  using network = new ScratchNetwork()
  const [left, right] = [network.namespace(), network.namespace()]
  network.wire(
    { namespace: left, name: 'wire', addresses: ['fd00:9::1/64'] },
    { namespace: right, name: 'wire', addresses: ['fd00:9::2/64'] },
  )
  const open = (namespace: string) => withNamespace(namespace, () => new UdpBfdTransport({ neighbours: true }))
  const [near, far] = [open(left), open(right)]
  const [here, there] = [address('fd00:9::1'), address('fd00:9::2')]
  const heard = Promise.withResolvers<boolean | undefined>()
  far.onPacket = (_, __, ___, isMultihop) => heard.resolve(isMultihop)
  // What is fresh is returned, once.
  const back = withNamespace(right, () => far.sender(there, here))
  withNamespace(right, () => far.sender(there, here, true))
  far.onEcho = (packet, _, __, isFresh) => withNamespace(right, () => isFresh && back.returnEcho!(packet))
  const echoed = Promise.withResolvers<[string, boolean]>()
  near.onEcho = (packet, _, __, isFresh) => echoed.resolve([Buffer.from(packet).toString(), isFresh])
  const router = withNamespace(left, () => new UdpSocket({ address: here, port: 49999 }, { ttl: 9 }))
  router.send(build.bfd({ state: 1, yourDiscriminator: 0 }), { address: there, port: 4784 })
  equal(await heard.promise, true)
  const sender = withNamespace(left, () => near.sender(here, there))
  withNamespace(left, () => sender.sendEcho!(Buffer.from('hello')))
  deepEqual(await echoed.promise, ['hello', false])
  router.close()
  for (const transport of [near, far]) transport.close()
})

test('BFD with neighbours leaves other addresses of the host to others', {
  skip: unprivileged,
  timeout: 20_000,
}, async () => {
  using network = new ScratchNetwork()
  const [left, right] = [network.namespace(), network.namespace()]
  network.wire(
    { namespace: left, name: 'wire', addresses: ['10.9.0.1/24'] },
    { namespace: right, name: 'wire', addresses: ['10.9.0.2/24', '10.9.0.3/24'] },
  )
  const heard: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const hear = (who: string) => (_: Uint8Array, __: unknown, to: Uint8Array) => {
    heard.push(`${who} ${formatAddress(to)}`)
    if (heard.length === 2) resolve()
  }
  const node = withNamespace(right, () => new UdpBfdTransport())
  const routing = withNamespace(right, () => new UdpBfdTransport({ neighbours: true }))
  node.onPacket = hear('node')
  routing.onPacket = hear('routing')
  withNamespace(right, () => routing.sender(address('10.9.0.3'), address('10.9.0.1')))
  const peer = withNamespace(left, () => new UdpSocket({ address: address('10.9.0.1'), port: 49999 }, { ttl: 255 }))
  for (const to of ['10.9.0.2', '10.9.0.3']) peer.send(build.bfd({ state: 1 }), { address: address(to), port: 3784 })
  await promise
  peer.close()
  for (const transport of [node, routing]) transport.close()
  deepEqual(heard.sort(), ['node 10.9.0.2', 'routing 10.9.0.3'])
})

test('into a tunnel, whose address may come later, echo packets go to the peer as over IPv6', {
  skip: unprivileged,
}, () => {
  using network = new ScratchNetwork()
  const namespace = network.namespace()
  const [local, remote] = [address('240.0.0.1'), address('240.0.0.2')]
  const packet = new Uint8Array(2048)
  withNamespace(namespace, () => {
    const transport = new UdpBfdTransport({ neighbours: true })
    const sender = transport.sender(local, remote)
    sender.sendEcho!(Buffer.from('too early'))
    const tun = new Tun('tun')
    ip('-n', namespace, 'addr', 'add', '240.0.0.1/8', 'dev', 'tun')
    ip('-n', namespace, 'link', 'set', 'tun', 'up')
    sender.sendEcho!(Buffer.from('hello'))
    let length = 0
    do length = tun.read(packet)
    while (length > 0 && packet[0] !== 0x45)
    const view = new DataView(packet.buffer)
    deepEqual(packet.subarray(16, 20), Uint8Array.from(remote))
    deepEqual([view.getUint8(8), view.getUint16(20), view.getUint16(22)], [255, 3785, 3785])
    equal(Buffer.from(packet.subarray(28, length)).toString(), 'hello')
    transport.close()
    tun.close()
  })
})
