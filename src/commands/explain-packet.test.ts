import { rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { explainPacket } from './explain-packet.ts'

const packet = { tenant: 'acme', from: '172.16.0.5', to: '10.1.0.1', protocol: 'tcp' }

test('what cannot be a packet is refused before any node is asked', async () => {
  await rejects(explainPacket({ ...packet, protocol: 'sctp' }), /the protocol is tcp, udp or icmp, and not sctp/)
  await rejects(explainPacket({ ...packet, port: '65536' }), /65536 is no number from 0 to 65535/)
  await rejects(explainPacket({ ...packet, dscp: 'ef' }), /ef is no number from 0 to 63/)
})
