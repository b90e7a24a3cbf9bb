/** The relay against the kernel: its TCP on our side, its TCP, its TCP-MD5 and its VXLAN on the peers'. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { type IpAddress, parseAddress } from '../../base/address.ts'
import { parseSite } from '../../config/load.ts'
import { withNamespace } from '../../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../../linux/scratch.ts'
import { TcpFailure } from '../../linux/tcp-failure.ts'
import { TcpListener } from '../../linux/tcp-listener.ts'
import { type ConnectOptions, ENDED, FAILED, TcpSocket } from '../../linux/tcp-socket.ts'
import { PeerMemory } from './peer-memory.ts'
import { RelayAgent } from './relay-agent.ts'
import { type RelaySetup, relaySetupOf } from './ways.ts'

const NODE = '10.0.3.1'
const VIP = '10.0.3.254'
const GATEWAYS = { 4: '192.168.1.1', 6: 'fd00::1' } as const
const PEERS = { 4: '192.168.1.2', 6: 'fd00::2' } as const
const BYTES = 3 << 20
const PATIENCE_ms = 10_000

function setup(): RelaySetup {
  const connection = `gateway: [${GATEWAYS[4]}/24, '${GATEWAYS[6]}/64']`
  const { site } = parseSite(`site: s
vips: [{ name: v1, address: ${VIP} }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.3.253, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.3.252, uplinks: [up], ports: [a, b] }]
tenants:
  - { name: acme, vni: 7, vip: v1, connections: [{ name: dc, switch: edge, port: a, ${connection} }] }
  - { name: globex, vni: 8, vip: v1, connections: [{ name: dc, switch: edge, port: b, ${connection} }] }
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: rt-1, address: ${NODE} }]
  neighbours:
    - { name: plain, as: 65002, tenant: acme, address: ${PEERS[4]} }
    - { name: signed, as: 65002, tenant: globex, address: ${PEERS[4]}, password: secret, ttl_security_hops: 1 }
    - { name: signed-6, as: 65002, tenant: globex, address: '${PEERS[6]}', password: secret }
`)
  return relaySetupOf(site!, 'rt-1')!
}

/** Resolves once `done` says so, which is asked whenever something happens on the socket. */
async function when(
  socket: TcpSocket,
  what: { readable?: boolean; writable?: boolean },
  done: () => boolean,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = setTimeout(() => reject(new Error('nothing came of it')), PATIENCE_ms)
  const watch = socket.watch(() => {
    if (socket.failure) reject(new Error(socket.failure.sentence))
    else if (done()) resolve()
  }, what)
  await promise.finally(() => {
    clearTimeout(late)
    watch.stop()
  })
}

async function transfer(from: TcpSocket, to: TcpSocket): Promise<void> {
  const data = Uint8Array.from({ length: BYTES }, (_, i) => (i * 7) ^ (i >> 8))
  let sent = 0
  const got = new Uint8Array(BYTES)
  let received = 0
  const sending = when(from, { readable: false, writable: true }, () => {
    let took = 1
    while (sent < BYTES && took > 0) sent += took = from.send(data, sent, BYTES)
    return sent === BYTES
  })
  const receiving = when(to, { readable: true }, () => {
    let took = 1
    while (received < BYTES && took > 0) received += took = to.receive(got, received, BYTES)
    return received === BYTES
  })
  await Promise.all([sending, receiving])
  ok(Buffer.from(got).equals(Buffer.from(data)))
}

suite('the relay against the kernel', { skip: unprivileged }, () => {
  let net: ScratchNetwork
  let node: string
  const tenants = new Map<number, string>()
  let relay: RelayAgent
  let memory: PeerMemory
  let device: string

  before(async () => {
    net = new ScratchNetwork()
    node = net.namespace()
    const fabric = net.namespace()
    net.wire(
      { namespace: node, name: 'rack', addresses: [`${NODE}/24`] },
      { namespace: fabric, name: 'nodes', addresses: [`${VIP}/24`] },
    )
    for (const vni of [7, 8]) {
      const tenant = net.namespace()
      tenants.set(vni, tenant)
      const ends = ['local', VIP, 'remote', NODE, 'dstport', '4789', 'nolearning']
      ip('-n', fabric, 'link', 'add', `vx${vni}`, 'type', 'vxlan', 'id', `${vni}`, ...ends)
      ip('-n', fabric, 'link', 'set', `vx${vni}`, 'netns', tenant)
      ip('-n', tenant, 'address', 'add', `${PEERS[4]}/24`, 'dev', `vx${vni}`)
      ip('-n', tenant, 'address', 'add', `${PEERS[6]}/64`, 'dev', `vx${vni}`, 'nodad')
      ip('-n', tenant, 'link', 'set', `vx${vni}`, 'up')
    }
    const onDeath = (error: Error): never => {
      throw error
    }
    const site = setup()
    const starting = withNamespace(node, () => RelayAgent.start(site, onDeath))
    relay = await starting
    const end = await relay.end()
    device = end.device
    memory = new PeerMemory(end.memory)
  })
  after(async () => {
    await relay.close()
    net[Symbol.dispose]()
  })

  /** A connection that the tenant's side opens; both ends of it. */
  async function connected(vni: number, version: 4 | 6, options: ConnectOptions = {}): Promise<[TcpSocket, TcpSocket]> {
    const address = parseAddress(version === 4 ? '240.0.0.1' : 'fd67:6174::1')!
    const listener = withNamespace(node, () => new TcpListener({ address, port: 179 }, { device }))
    try {
      const { promise, resolve } = Promise.withResolvers<TcpSocket>()
      listener.watch(resolve)
      const theirs = open(vni, GATEWAYS[version], options)
      await when(theirs, { writable: true }, () => theirs.connected())
      return [await promise, theirs]
    } finally {
      listener.close()
    }
  }

  function open(vni: number, to: string, options: ConnectOptions): TcpSocket {
    const remote = { address: parseAddress(to)!, port: 179 }
    const socket = withNamespace(tenants.get(vni)!, () => TcpSocket.connect(remote, options))
    if (socket instanceof TcpFailure) throw new Error(socket.sentence)
    return socket
  }

  const key = (address: IpAddress): ConnectOptions => ({
    md5Keys: [{ peers: { address, length: address.length * 8 }, key: Buffer.from('secret') }],
  })

  function close(...sockets: TcpSocket[]): void {
    for (const socket of sockets) socket.reset()
  }

  test('megabytes both ways', async () => {
    const [ours, theirs] = await connected(7, 4)
    deepEqual(ours.remote.address, parseAddress('240.0.0.2'))
    await transfer(theirs, ours)
    await transfer(ours, theirs)
    const { taken, sent } = await relay.counts()
    ok(sent > taken, 'the kernel handed over trains')
    close(ours, theirs)
  })

  test('a connection goes on when the underlay becomes too narrow for its segments', async () => {
    const [ours, theirs] = await connected(7, 4)
    ip('-n', node, 'link', 'set', 'rack', 'mtu', '1300')
    await transfer(ours, theirs)
    ip('-n', node, 'link', 'set', 'rack', 'mtu', '1500')
    close(ours, theirs)
  })

  for (const version of [4, 6] as const)
    test(`signed by the kernel, and for it, over IPv${version}; with GTSM over IPv4`, async () => {
      const address = parseAddress(GATEWAYS[version])!
      const [ours, theirs] = await connected(8, version, {
        ...key(address),
        ttl: 255,
        minimumTtl: version === 4 ? 255 : 1,
      })
      deepEqual(ours.remote.address, parseAddress(version === 4 ? '240.0.0.3' : 'fd67:6174::4'))
      await transfer(theirs, ours)
      await transfer(ours, theirs)
      close(ours, theirs)
    })

  test('a wrong key, none, and a short TTL are each counted for what they are', async () => {
    const address = parseAddress(GATEWAYS[4])!
    const wrong = { md5Keys: [{ peers: { address, length: 32 }, key: Buffer.from('guess') }] }
    const tries: [string, ConnectOptions][] = [
      ['wrong-signature', { ...wrong, ttl: 255 }],
      ['unsigned', { ttl: 255 }],
      ['too-far', { ...key(address), ttl: 64 }],
    ]
    for (const [reason, options] of tries) {
      const before = (await relay.counts()).refused[reason] ?? 0
      const socket = open(8, GATEWAYS[4], options)
      const late = performance.now() + PATIENCE_ms
      while (((await relay.counts()).refused[reason] ?? 0) === before) ok(performance.now() < late, reason)
      close(socket)
    }
  })

  test('we connect as well, and the end is told when it is meant, and not otherwise', async () => {
    const tenant = tenants.get(7)!
    const listener = withNamespace(tenant, () => new TcpListener({ address: parseAddress(PEERS[4])!, port: 179 }))
    const { promise, resolve } = Promise.withResolvers<TcpSocket>()
    listener.watch(resolve)
    const remote = { address: parseAddress('240.0.0.2')!, port: 179 }
    const ours = withNamespace(node, () => TcpSocket.connect(remote, { device })) as TcpSocket
    await when(ours, { writable: true }, () => ours.connected())
    const theirs = await promise
    deepEqual(theirs.remote.address, parseAddress(GATEWAYS[4]))
    const before = (await relay.counts()).refused['end-not-meant'] ?? 0
    ours.end()
    while (((await relay.counts()).refused['end-not-meant'] ?? 0) === before);
    equal(theirs.receive(new Uint8Array(1)), 0, 'the peer has heard nothing')
    memory.mean(2, ours.local.port, 179)
    // The FIN goes out again, as one that was lost.
    await when(theirs, { readable: true }, () => [ENDED, FAILED].includes(theirs.receive(new Uint8Array(1))))
    close(ours, theirs)
    listener.close()
  })
})
