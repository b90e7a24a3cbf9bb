/** What nodes say would become of a packet: the same as what becomes of it, and nothing of it stays. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { packetQuestion } from './explainer.ts'
import { MemoryNode } from './memory-node.ts'
import { crossingBatch, EDGE, HOST } from './sample-site.ts'

function node(): MemoryNode {
  const made = new MemoryNode()
  equal(made.apply(crossingBatch()), undefined)
  made.send()
  return made
}

function explained(of: MemoryNode, to: string, more: object = {}, tenant = 'acme'): string {
  const question = { tenant, from: '172.16.0.5', to, protocol: 'tcp', port: 80, ...more }
  const { from, policy, verdict } = of.explain(packetQuestion.parse(question))!
  equal(from, 'vpc prod')
  return policy === '' ? verdict : `${verdict}, by ${policy}`
}

test('it tells where a packet goes, by which policy, and through which VRF', () => {
  const of = node()
  const before = JSON.stringify([of.node(), of.policies('acme')])
  const acme = `to ${EDGE} for connection acme-dc of acme`
  const globex = `to ${EDGE} for connection globex-dc of globex`
  equal(explained(of, '10.1.0.1'), acme)
  equal(explained(of, '172.16.0.6'), `to ${HOST.ethernet} for vpc prod of acme`)
  equal(explained(of, '10.7.0.1'), acme)
  equal(explained(of, '10.7.0.1', { dscp: 46 }), `${acme}, by voice of acme`)
  equal(explained(of, '10.6.1.1'), globex)
  equal(explained(of, '10.6.2.1', { dscp: 46 }), `${globex}, by voice of globex`)
  equal(explained(of, '10.6.3.1'), `to ${HOST.ip} for vpc prod of acme`)
  equal(explained(of, '2001:db8:a::1', { from: '2001:db8:16::5' }), acme)
  equal(explained(of, '192.168.1.1', { protocol: 'icmp' }), `to ${HOST.ip} for vpc prod of acme`, 'the answer')
  equal(JSON.stringify([of.node(), of.policies('acme')]), before, 'nothing is counted, and nothing has left')
  deepEqual(of.send(), [])
})

test('it tells why a packet is dropped', () => {
  const of = node()
  const reason = (told: string): string => /dropped: ([a-z-]+)/.exec(told)![1]!
  const telnet = { from: '10.1.2.3', port: 23 }
  equal(reason(explained(of, '10.99.0.1')), 'no-route')
  equal(reason(explained(of, '10.66.0.1')), 'discard-route')
  equal(reason(explained(of, '10.7.0.1', telnet)), 'policy-discard')
  equal(explained(of, '10.7.0.1', telnet).endsWith('by no-telnet of acme'), true)
  equal(reason(explained(of, '10.7.0.1', { port: 5060 })), 'policy-no-way')
  equal(reason(explained(of, '10.6.99.1')), 'vrf-loop')
})

test('it knows nothing of tenants that are not held, and of packets that cannot be', () => {
  const of = node()
  const ask = (more: object) => of.explain(packetQuestion.parse({ tenant: 'acme', protocol: 'udp', ...more } as never))
  equal(ask({ tenant: 'nobody', from: '172.16.0.5', to: '10.1.0.1' }), undefined)
  equal(ask({ from: '172.16.0.5', to: '2001:db8::1' }), undefined)
  equal(ask({ from: 'here', to: 'there' }), undefined)
})
