/** The process of own-speaker.ts: `node own-speaker-main.ts CONFIG.json`, until SIGTERM. SIGHUP reads the file again. */

import { readFileSync } from 'node:fs'
import { parsePrefix } from '../../src/base/address.ts'
import { routing } from '../../src/config/routing.ts'
import { Speaker } from '../../src/routing/bgp/speaker.ts'
import { RouteColumnsBuilder } from '../../src/wire/control/columns.ts'
import type { RouteBatch } from '../../src/wire/control/route.ts'
import type { OwnSpeakerConfig } from './own-speaker.ts'

/** The table of neighbours without a tenant has this name here, so that something can be put into it. */
const HERE = 'here'
const OURS = 1

const file = process.argv[2]!
const read = (): OwnSpeakerConfig => JSON.parse(readFileSync(file, 'utf8'))
const { as, routerId, neighbours } = read()
const locals = [...new Set(neighbours.map(({ local }) => local))]
const speaker = await Speaker.start({
  routing: routing.parse({
    as,
    router_id: routerId,
    listen: locals.map((address) => ({ address })),
    neighbours: neighbours.map(({ local, remote, as: theirs, families, password, ttlSecurity, holdTime_s }, i) => ({
      ...{ name: `peer${i}`, address: remote, local_address: local, as: theirs },
      families: families.map((family) => `${family}-unicast`),
      ...(holdTime_s !== undefined && { hold_time_s: holdTime_s }),
      ...(password !== undefined && { password }),
      ...(ttlSecurity && { ttl_security_hops: 1 }),
    })),
  }),
  tenants: [[0, HERE]],
  event: ({ peer, from, to }) => console.log(`${peer}: ${from} -> ${to}`),
  onDeath(error) {
    console.log(error.stack)
    process.exit(1)
  },
})

function announced({ announces }: OwnSpeakerConfig): RouteBatch {
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  for (const { address, length } of announces.map((text) => parsePrefix(text)!)) {
    const view = new DataView(address.buffer, address.byteOffset)
    if (address.length === 4) routes4.add4(0, view.getUint32(0), length, OURS)
    else
      routes6.add6(
        0,
        [0, 4, 8, 12].map((at) => view.getUint32(at)),
        length,
        OURS,
      )
  }
  const columns = { routes4: routes4.build(), routes6: routes6.build() }
  return { origin: HERE, preference: 0, replaces: true, tenants: [HERE], gateways: [[]], ...columns }
}

process.on('SIGHUP', () => void speaker.originate(announced(read())))
process.on('SIGTERM', () => void speaker.close().then(() => process.exit(0)))
await speaker.originate(announced(read()))
console.log('ready')
