import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from './load.ts'
import { controlNodesOf, directoriesOf } from './site.ts'

const siteOf = (bus: string) => parseSite(`site: s\ngateway: { mac: 02:67:68:00:00:01 }\nbus: ${bus}`).site!

test('what has to last is not below /run, unless somebody says where the site runs and no more', () => {
  const plain = siteOf('{}')
  deepEqual(directoriesOf(plain, {}), { run: '/run/gatehouse/s', state: '/var/lib/gatehouse/s' })
  deepEqual(directoriesOf(plain, { run: '/a' }), { run: '/a', state: '/a' })
  deepEqual(directoriesOf(plain, { run: '/a', state: '/b' }), { run: '/a', state: '/b' })
  deepEqual(directoriesOf(siteOf('{ directory: /c }'), {}), { run: '/c', state: '/c' })
  const both = siteOf('{ directory: /c, state: /d }')
  deepEqual(directoriesOf(both, {}), { run: '/c', state: '/d' })
  deepEqual(directoriesOf(both, { run: '/a' }), { run: '/a', state: '/a' })
})

test('a site has one control module unless it names several', () => {
  deepEqual(controlNodesOf(siteOf('{}')), ['control'])
  deepEqual(controlNodesOf(siteOf('{}\ncontrol: { nodes: [{ name: control }, { name: spare }] }')), [
    'control',
    'spare',
  ])
})

test('a bus over NATS is kept on one server unless the site says three', () => {
  const tls = { ca_file: '/ca', cert_file: '/cert', key_file: '/key' }
  const servers = ['nats-1.example:4222', '10.0.0.1:4222', '[2001:db8::1]:4222']
  const said = { servers, user: 'gatehouse', password_file: '/password', tls }
  deepEqual(siteOf(JSON.stringify({ nats: said })).bus.nats, { ...said, replicas: 1 })
  deepEqual(siteOf(JSON.stringify({ nats: { servers, replicas: 3 } })).bus.nats, { servers, replicas: 3 })
  deepEqual(siteOf('{}').bus.nats, undefined)
})
