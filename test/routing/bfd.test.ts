/**
 * BFD beside BGP with others' programs, on a peering LAN: BIRD and FRR, over IPv4 and IPv6, with keys, over port 4784, and
 * with the echo function where they have it, which is FRR. A wire that takes packets and loses them ends the BGP session
 * within the detection time; a peer that ends BFD on purpose does not.
 */

import { deepEqual, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import type { BgpFamily, BgpNeighbour } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { addPeeringLan, lanAddresses, OURS } from '../../lab/peers/peering-lan.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const ours = lanAddresses(1)
const NUMBERS = { bird: 11, keyed: 12, far: 13, frr: 21, echoing: 22, echoing4: 23 } as const
type Name = keyof typeof NUMBERS

/** Long before any hold timer, and far longer than three times 50 ms. */
const NOTICED_MS = 2000

const SITE = `
site: exchange
routing:
  as: 65001
  router_id: ${ours.ipv4}
  listen: [{ address: ${ours.ipv4} }, { address: '${ours.ipv6}' }]
  neighbours:
    - { name: bird, ${at('bird', 'ipv6')}, bfd: { interval_ms: 50 } }
    - { name: keyed, ${at('keyed')}, bfd: { interval_ms: 50, authentication: { type: meticulous-sha1, key_id: 7, key: secret } } }
    - { name: far, ${at('far')}, bfd: { interval_ms: 50, multihop: true, authentication: { type: password, key: secret } } }
    - { name: frr, ${at('frr')}, bfd: { interval_ms: 50 } }
    - { name: echoing, ${at('echoing', 'ipv6')}, bfd: { interval_ms: 50, echo: true } }
    - { name: echoing4, ${at('echoing4')}, bfd: { interval_ms: 50, echo: true } }
`

function at(name: Name, transport: BgpFamily = 'ipv4'): string {
  const address = lanAddresses(NUMBERS[name])[transport]
  return `address: '${address}', as: ${65000 + NUMBERS[name]}, families: [${transport}-unicast]`
}

function optionsOf(lab: Lab, name: Name, transport: BgpFamily, extra: readonly string[]) {
  const addresses = lanAddresses(NUMBERS[name])
  const neighbour: BgpNeighbour = {
    ...{ local: addresses[transport], remote: ours[transport], as: 65001, families: [transport] },
    extra,
  }
  const whose = { lab, namespace: name, name, as: 65000 + NUMBERS[name], routerId: addresses.ipv4 }
  return { ...whose, nextHops: addresses, neighbours: [neighbour] }
}

const birdBfd = 'bfd { interval 50 ms; multiplier 3; };'
const birdWide = (keys = ''): string[] => {
  const options = `{ interval 50 ms; multiplier 3; ${keys} }`
  return [`protocol bfd bfd1 { interface "*" ${options}; multihop ${options}; }`]
}
const birdKeys = (type: string, id: number): string => `authentication ${type}; password "secret" { id ${id}; };`

const PROFILE = [
  'bfd',
  ' profile fast',
  '  transmit-interval 50',
  '  receive-interval 50',
  ' profile echo',
  '  transmit-interval 50',
  '  receive-interval 50',
  '  echo-mode',
  '  echo transmit-interval 50',
  '  echo receive-interval 50',
]

interface FrrSession {
  readonly status: string
  readonly 'echo-transmit-interval'?: number
  readonly 'remote-echo-receive-interval'?: number
}

/** For daemons that tell nobody: asks until it is so. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const late = AbortSignal.timeout(15_000); !(await holds()); await sleep(50))
    ok(!late.aborted, `${what}: not within 15 s`)
}

// With its BFD disabled there is nothing to show, which is an error.
const isUpInBird = (bird: Bird) => async (): Promise<boolean> =>
  / Up /.test(await bird.command('show bfd sessions').catch(() => ''))

const sessionsOf = async (frr: Frr): Promise<FrrSession[]> => JSON.parse(await frr.bfdCommand('show bfd peers json'))
const isUpInFrr = (frr: Frr) => async (): Promise<boolean> => (await sessionsOf(frr))[0]?.status === 'up'

suite('BFD with others', { skip: needs('ip', 'bird', 'vtysh') }, () => {
  test('comes up with BIRD and FRR, and takes BGP down with it when a wire swallows packets', async () => {
    await using lab = await Lab.open()
    await addPeeringLan(lab, new Map(Object.entries(NUMBERS)))
    // Of its own: a bridge takes the address of one of its ports, which would go on to take packets for us.
    await lab.configure(new Map([[OURS, ['link set lan address 02:67:68:00:09:01']]]))
    // FRR's echoes over IPv4 go through its kernel, and ours come back by it.
    const forwards = { 'net/ipv4/ip_forward': 1, 'net/ipv4/conf/all/rp_filter': 0, 'net/ipv4/conf/lan/rp_filter': 0 }
    lab.set('echoing4', forwards)
    const routing = await RoutingModule.start(lab, OURS, SITE)
    const meticulous = birdWide(birdKeys('meticulous keyed sha1', 7))
    const simple = birdWide(birdKeys('simple', 1))
    const [bird, keyed, far, frr, echoing, echoing4] = await Promise.all([
      Bird.start({ ...optionsOf(lab, 'bird', 'ipv6', [birdBfd]), extra: birdWide() }),
      Bird.start({ ...optionsOf(lab, 'keyed', 'ipv4', [birdBfd]), extra: meticulous }),
      Bird.start({ ...optionsOf(lab, 'far', 'ipv4', ['multihop 2;', birdBfd]), extra: simple }),
      Frr.start({ ...optionsOf(lab, 'frr', 'ipv4', ['bfd profile fast']), bfd: PROFILE }),
      Frr.start({ ...optionsOf(lab, 'echoing', 'ipv6', ['bfd profile echo']), bfd: PROFILE }),
      Frr.start({ ...optionsOf(lab, 'echoing4', 'ipv4', ['bfd profile echo']), bfd: PROFILE }),
    ])
    const names = Object.keys(NUMBERS) as Name[]
    await routing.established(...names)
    for (const [name, one] of Object.entries({ bird, keyed, far })) await until(`BFD of ${name}`, isUpInBird(one))
    for (const [name, one] of Object.entries({ frr, echoing, echoing4 })) await until(`BFD of ${name}`, isUpInFrr(one))

    // Nobody's session ends because a peer takes its BFD down itself; nor by echoes that do not come back.
    const before = routing.sessions.length
    const profile = async (line: string): Promise<unknown> =>
      await frr.bfdCommand('configure terminal', 'bfd', 'profile fast', line)
    await profile('shutdown')
    await until('FRR has ended it', async () => !(await isUpInFrr(frr)()))
    await profile('no shutdown')
    await until('BFD of frr again', isUpInFrr(frr))
    deepEqual(routing.sessions.slice(before), [])

    for (const name of names) {
      const down = routing.next(name, 'down')
      const cut_ms = performance.now()
      // Its end of the wire is in no bridge any more: the carrier stays, and packets go nowhere.
      await lab.configure(new Map([[OURS, [`link set to-${name} nomaster`]]]))
      const { reason } = await down
      const noticed_ms = performance.now() - cut_ms
      match(reason ?? '', /BFD down/, name)
      ok(noticed_ms < NOTICED_MS, `${name}: noticed after ${noticed_ms.toFixed(0)} ms`)
    }
    await routing.stop()
  })
})
