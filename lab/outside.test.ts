import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { withNamespace } from '../src/linux/namespace.ts'
import { PacketSocket } from '../src/linux/socket.ts'
import { ethernet } from '../src/wire/build.ts'
import { Lab } from './namespaces.ts'
import { needs } from './needs.ts'
import { WireEnds } from './outside.ts'

test('what a wire cannot hand over is counted by the end that sent it', { skip: needs('ip') }, async () => {
  await using lab = await Lab.open()
  await lab.addNamespaces(['here', 'there'], { 'net/ipv6/conf/default/disable_ipv6': 1 })
  const [a, b] = ['here', 'there'].map((namespace) => ({ namespace, interface: 'wire' }))
  await lab.addLinks([{ a: a!, b: b!, mtu: 1500, queues: 1 }])
  const ends = new WireEnds(lab, ['here'])
  const socket = withNamespace(lab.fullName('here'), () => new PacketSocket('wire'))
  try {
    const header = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02', etherType: 0x88b5 }
    const frame = ethernet(header, new Uint8Array(1400))
    socket.send(frame)
    equal(ends.dropped(), 0)
    await lab.configure(new Map([['there', ['link set wire mtu 1000']]]))
    for (let i = 0; i < 3; i++) socket.send(frame)
    equal(ends.dropped(), 3)
  } finally {
    socket.close()
    ends.close()
  }
})
