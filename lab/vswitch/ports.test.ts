import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Batch } from '../../src/dataplane/batch.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { PollSet } from '../../src/linux/poll.ts'
import { PacketSocket } from '../../src/linux/socket.ts'
import { SteeringTables } from '../../src/linux/steering.ts'
import { ethernet } from '../../src/wire/build.ts'
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
