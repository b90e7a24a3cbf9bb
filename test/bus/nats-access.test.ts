/** Who may use the bus over NATS: users, keys, rights and certificates, asked of a real server. */

import { equal, match, rejects } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { lacks } from '../../lab/needs.ts'
import { type Bus, BusError, type BusErrorCode } from '../../src/bus/bus.ts'
import type { NatsOptions } from '../../src/bus/nats/client.ts'
import { Authority } from './certificates.ts'
import { natsHere } from './nats-clients.ts'
import { Operator } from './operator.ts'

const skip = lacks('nats-server', 'openssl')
const limits = { entriesMax: 10, bytesMax: 100_000 }

async function works(bus: Bus): Promise<void> {
  equal(await bus.stream('s', limits).append(Buffer.from('x'), { expectLast: 0 }), 1)
}

/** Why it does not connect. */
async function refused(bus: Bus, code: BusErrorCode, reason: RegExp): Promise<void> {
  await rejects(bus.whenConnected(1000), (error) => {
    if (!(error instanceof BusError)) return false
    match(error.detail, reason)
    equal(error.code, code)
    return true
  })
}

test('a user with the right password is let in, others are told that they are not', { skip }, async (t) => {
  const { client, join } = await natsHere(t, () => 'authorization { user: "gatehouse", password: "right" }')
  await works(await join('right', { credentials: { user: 'gatehouse', password: 'right' } }))
  await refused(
    client('wrong', { credentials: { user: 'gatehouse', password: 'wrong' } }),
    'unauthorized',
    /Authorization/,
  )
  await refused(client('nobody'), 'unauthorized', /Authorization/)
})

test('a token', { skip }, async (t) => {
  const { client, join } = await natsHere(t, () => 'authorization { token: "right" }')
  await works(await join('right', { credentials: { token: 'right' } }))
  await refused(client('wrong', { credentials: { token: 'wrong' } }), 'unauthorized', /Authorization/)
})

test('the key of a user', { skip }, async (t) => {
  const user = nkeys.createUser()
  const { client, join } = await natsHere(t, () => `authorization { users: [{ nkey: "${user.getPublicKey()}" }] }`)
  const seedOf = (key: typeof user): string => Buffer.from(key.getSeed()).toString()
  await works(await join('right', { credentials: { nkeySeed: seedOf(user) } }))
  const other = { credentials: { nkeySeed: seedOf(nkeys.createUser()) } }
  await refused(client('wrong', other), 'unauthorized', /Authorization/)
})

test('the credentials file of a user of an account', { skip }, async (t) => {
  const operator = new Operator()
  const { client, join } = await natsHere(t, () => operator.settings())
  await works(await join('right', { credentials: { creds: operator.credsOfUser() } }))
  const others = { credentials: { creds: new Operator().credsOfUser() } }
  await refused(client('wrong', others), 'unauthorized', /Authorization/)
  await refused(client('nobody'), 'unauthorized', /Authorization/)
})

test('whoever is let in on changed credentials goes on', { skip }, async (t) => {
  let password = 'old'
  const here = await natsHere(t, () => `authorization { user: "gatehouse", password: "${password}" }`)
  const bus = here.client('early', { credentials: { user: 'gatehouse', password: 'new' } })
  await refused(bus, 'unauthorized', /Authorization/)
  const subscription = bus.subscribe('x', () => {})
  await here.server.kill()
  password = 'new'
  await here.server.start()
  await subscription.ready
})

test('what a user has no right to is refused by name, and the rest goes on', { skip }, async (t) => {
  const rights = '{ publish: ">", subscribe: { deny: "gatehouse.test.plain.secret.>" } }'
  const users = `[{ user: "gatehouse", password: "x", permissions: ${rights} }]`
  const { join } = await natsHere(t, () => `authorization { users: ${users} }`)
  const bus = await join('limited', { credentials: { user: 'gatehouse', password: 'x' } })
  const subscription = bus.subscribe('secret.x', () => {})
  await rejects(subscription.ready, (error) => error instanceof BusError && error.code === 'unauthorized')
  await bus.subscribe('open.x', () => {}).ready
  await works(bus)
})

interface TlsCase {
  readonly authority: Authority
  settings(host: string, more?: string): () => string
}

function tlsCase(t: TestContext): TlsCase {
  const authority = new Authority(t)
  return {
    authority,
    settings: (host, more = '') => {
      const { certFile, keyFile } = authority.issue(host)
      return () => `tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${authority.caFile}" ${more} }`
    },
  }
}

test('TLS: the server is believed if our authority says so, and only then', { skip }, async (t) => {
  const { authority, settings } = tlsCase(t)
  const { client, join } = await natsHere(t, settings('localhost'))
  await works(await join('believes', { tls: { ca: authority.ca } }))
  await refused(client('plain'), 'unauthorized', /certificate/)
  await refused(client('other', { tls: { ca: new Authority(t).ca } }), 'unauthorized', /certificate|signature/)
})

test('TLS: a certificate of another host is not believed', { skip }, async (t) => {
  const { authority, settings } = tlsCase(t)
  const { client } = await natsHere(t, settings('other.example'))
  await refused(client('deceived', { tls: { ca: authority.ca } }), 'unauthorized', /localhost/)
})

test('TLS: where the server asks for our certificate, one is needed', { skip }, async (t) => {
  const { authority, settings } = tlsCase(t)
  const { client, join } = await natsHere(t, settings('localhost', ', verify: true'))
  const { cert, key } = authority.issue('node-1')
  const tls: NatsOptions['tls'] = { ca: authority.ca, cert, key }
  await works(await join('known', { tls }))
  await refused(client('unknown', { tls: { ca: authority.ca } }), 'unauthorized', /certificate/)
})

test('TLS: a server without it is not what was asked for', { skip }, async (t) => {
  const { client } = await natsHere(t)
  await refused(client('careful', { tls: { ca: new Authority(t).ca } }), 'incompatible', /tls/i)
})
