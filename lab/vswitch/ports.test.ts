import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../../src/base/address.ts'
import { Batch } from '../../src/dataplane/batch.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { PollSet } from '../../src/linux/poll.ts'
import { PacketSocket } from '../../src/linux/socket.ts'
import { SteeringTables } from '../../src/linux/steering.ts'
import { ethernet, ipv4 } from '../../src/wire/build.ts'
import { PROTOCOL } from '../../src/wire/ipv4.ts'
import { Lab } from '../namespaces.ts'
import { needs } from '../needs.ts'
import { openPorts } from './ports.ts'

const HEADER = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02', etherType: 0x88b5 }
const WAIT_MS = 2000

test('on a kernel without multi-buffer a port carries frames just so', { skip: needs('ip') }, async () => {
  await using lab = await Lab.open()
  await lab.addNamespaces(['host', 'machine'], { 'net/ipv6/conf/default/disable_ipv6': 1 })
  const inside = { namespace: 'machine', interface: 'eth0' }
  const wire = (name: string) => ({ a: { namespace: 'host', interface: name }, mtu: 1500, queues: 1 })
  await lab.addLinks([
    { ...wire('vm0'), b: inside },
    { ...wire('vm1'), b: { ...inside, interface: 'eth1' } },
  ])
  const tables = new SteeringTables([])
  const wanted = ['vm0', 'vm1'].map((name) => ({ interface: name, kind: 'customer' as const }))
  const { frames, ports } = withNamespace(lab.fullName('host'), () => openPorts(wanted, tables, false))
  const [from, to] = ['eth0', 'eth1'].map((name) =>
    withNamespace(lab.fullName('machine'), () => new PacketSocket(name)),
  )
  try {
    const frame = ethernet(HEADER, new Uint8Array(1400).fill(7))
    from!.send(frame)
    equal(new PollSet(ports[0]!.fds).wait(WAIT_MS), 1)
    const batch = new Batch()
    ports[0]!.receive(batch, 0, batch.room)
    equal(batch.count, 1)
    deepEqual(frames.bytes.slice(batch.address[0]!, batch.address[0]! + batch.length[0]!), new Uint8Array(frame))
    equal(ports[1]!.send(batch.address[0]!, batch.length[0]!, batch.total[0]!), true)
    ports[1]!.flush()
    equal(new PollSet([to!.fd]).wait(WAIT_MS), 1)
    deepEqual(new Uint8Array(to!.receive()!.bytes), new Uint8Array(frame))
  } finally {
    for (const each of [...ports, from!, to!]) each.close()
    tables.close()
  }
})

test('what comes for many machines at once finds room at the uplink', { skip: needs('ip') }, async () => {
  const MACHINES = 17
  const BURST = 1000
  await using lab = await Lab.open()
  await lab.addNamespaces(['host', 'others'], { 'net/ipv6/conf/default/disable_ipv6': 1 })
  const names = ['uplink', ...Array.from({ length: MACHINES }, (_, i) => `vm${i}`)]
  await lab.addLinks(
    names.map((name) => {
      const end = (namespace: string) => ({ namespace, interface: name })
      return { a: end('host'), b: end('others'), mtu: 1500, queues: 1 }
    }),
  )
  const tables = new SteeringTables([{ protocol: PROTOCOL.gre }])
  tables.setAddress(parseAddress('10.0.2.1')!, 'tunnel')
  const wanted = names.map((name, i) => ({
    interface: name,
    kind: i === 0 ? ('node' as const) : ('customer' as const),
  }))
  const { ports, pool } = withNamespace(lab.fullName('host'), () => openPorts(wanted, tables))
  const outside = withNamespace(lab.fullName('others'), () => new PacketSocket('uplink'))
  try {
    const packet = ipv4({ source: '10.255.0.1', destination: '10.0.2.1', protocol: PROTOCOL.gre }, new Uint8Array(1400))
    const frame = ethernet({ source: HEADER.source, destination: HEADER.destination }, packet)
    for (let i = 0; i < BURST; i++) outside.send(frame)
    const batch = new Batch()
    let received = 0
    for (let more = true; more; ) {
      batch.count = 0
      ports[0]!.receive(batch, 0, batch.room)
      for (let row = 0; row < batch.count; row++) pool.give(batch.address[row]!)
      received += batch.count
      more = batch.count > 0
    }
    equal(received, BURST)
    deepEqual(ports[0]!.kernelDrops(), { received: 0, invalid: 0 })
  } finally {
    for (const each of [...ports, outside]) each.close()
    tables.close()
  }
})
