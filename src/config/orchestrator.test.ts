import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { directoryOf, parseOrchestrator } from './orchestrator.ts'
import { formatError } from './position.ts'

const errorsOf = (text: string): string[] =>
  (parseOrchestrator(text).errors ?? []).map((error) => formatError('o.yaml', error))

test('an orchestrator listens on loopback, and finds embedded buses where `up` puts them', () => {
  const { value } = parseOrchestrator(`
orchestrator: main
sites:
  - name: east
  - { name: west, directory: /run/west }
  - { name: north, nats: { servers: [nats-1:4222] } }
`)
  deepEqual(value?.listen, { address: '127.0.0.1', port: 8470 })
  deepEqual(value?.sites.map(directoryOf), ['/run/gatehouse/east', '/run/west', '/run/gatehouse/north'])
})

test('what is wrong is told with its place', () => {
  deepEqual(
    errorsOf(`orchestrator: main
listen: { address: 192.0.2.1, prot: 1 }
sites:
  - { name: east, directory: /run/east, nats: { servers: [a] } }
  - { name: east, directory: /run/east }
`),
    [
      'o.yaml:2:20 listen.address: 192.0.2.1 can be reached from other hosts, which needs a tokens_file',
      'o.yaml:2:20 listen.address: 192.0.2.1 can be reached from other hosts, which needs tls',
      'o.yaml:2:31 listen.prot: unknown key "prot"',
      'o.yaml:4:30 sites[0].directory: a site whose bus is NATS is not found by a directory',
      'o.yaml:4:59 sites[0].nats.servers[0]: "a" is no server: HOST:PORT, such as nats-1.example:4222',
      'o.yaml:5:13 sites[1].name: "east" is already at sites[0].name',
      'o.yaml:5:30 sites[1].directory: "/run/east" is already at sites[0].directory',
    ],
  )
})

test('others reach it only with tokens and TLS', () => {
  const listen = (address: string): string => `listen: { address: "${address}", tls: { cert_file: /c, key_file: /k } }`
  const rest = 'orchestrator: main\ntokens_file: /t\nsites: [{ name: east }]\n'
  equal(errorsOf(rest + listen('0.0.0.0')).length, 0)
  equal(errorsOf(rest.replace('tokens_file: /t\n', '') + listen('::')).length, 1)
  equal(errorsOf(rest.replace('tokens_file: /t\n', '') + listen('::1')).length, 0)
})
