/**
 * The peers of very many tenants in one process: of each tenant a router with the same address, a BGP session with the
 * tenant's gateway, all in VXLAN from one VIP to one routing node. The tunnels, and what gives each connection an address of
 * its own, are a relay of the same make as the routing node's, turned round: there the gateway is the neighbour.
 *
 *   parent --{ kind }--> child    `start` (to connect), `churn` (announce and withdraw all routes, over and over), `rest`
 *   parent <--{ ... }-- child     `state`, several times a second
 */

import { formatAddress, type IpAddress, parseAddress, parseMac } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { Random } from '../../src/base/random.ts'
import { TcpListener } from '../../src/linux/tcp-listener.ts'
import type { TcpSocket } from '../../src/linux/tcp-socket.ts'
import { setScheduling } from '../../src/linux/thread.ts'
import { BgpSession } from '../../src/routing/bgp/session/session.ts'
import { defaultSessionOptions } from '../../src/routing/bgp/session/session-options.ts'
import { TcpConnection } from '../../src/routing/bgp/tcp-connection.ts'
import { FIRST_NAMED } from '../../src/routing/relay/inner-address.ts'
import { RelayAgent } from '../../src/routing/relay/relay-agent.ts'
import { type Relayed, RelayedPeers } from '../../src/routing/relay/relayed-peers.ts'
import type { RelaySetup, Way } from '../../src/routing/relay/ways.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { MESSAGE } from '../../src/wire/bgp/message.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'

export interface CrowdSetup {
  /** Tenants: their VNIs are 1 and up. */
  readonly tenants: number
  /** The routing node's address, and the VIP that the tunnels end at here. */
  readonly node: string
  readonly vip: string
  readonly gateway: string
  readonly router: string
  /** Of the gateway, and of all routers. */
  readonly gatewayAs: number
  readonly as: number
  readonly holdTime_s: number
  /** Of each router. */
  readonly routes: number
  /** Of all of them: announced or withdrawn in a second. */
  readonly changes_per_s: number
  readonly seed: number
}

export type ToCrowd = { readonly kind: 'start' | 'churn' | 'rest' }
export interface CrowdState {
  readonly kind: 'state'
  /** Sessions that are up, and how often one went down. */
  readonly up: number
  readonly flaps: number
  /** Routes that were announced and withdrawn since the beginning. */
  readonly announced: number
  readonly withdrawn: number
  /** The last reason why one went down. */
  readonly last: string
}

const BGP_PORT = 179
const MAC = '02:00:00:00:00:22'
const STATE_ms = 250
/** How often the churn goes on, to as many sessions as make up what a second is to have. */
const TURN_ms = 10
const STARTED_AT_ONCE = 20
/** To what is not taken yet no more is added: the routing node sets the pace. */
const WAITING_MAX_BYTES = 16_384

function relaySetup({ tenants, node, vip, gateway, router }: CrowdSetup): RelaySetup {
  const [remote, local] = [parseAddress(gateway)!, parseAddress(router)!]
  const ways = Array.from(
    { length: tenants },
    (_, index): Way => ({
      ...{ index, neighbour: `router-${index + 1}`, tenant: `tenant-${index + 1}`, vrf: index + 1, vni: index + 1 },
      ...{ peers: { address: remote, length: 32 }, number: FIRST_NAMED + index, local, sibling: undefined },
      ...{ port: BGP_PORT, mtu: 1500, password: undefined, ttlMin: 0, ttl: 1 },
    }),
  )
  const segments = ways.map(({ vni }) => ({ vni, vip: parseAddress(node)!, gateways: [local] }))
  return {
    node: 'crowd',
    address: parseAddress(vip)!,
    mac: parseMac(MAC)!,
    ways,
    targets: [],
    segments,
    nodes: [],
    members: ['crowd'],
  }
}

/** All routes of a router in one UPDATE, and their withdrawal. */
function updatesOf({ routes, as, router }: CrowdSetup): { announce: Uint8Array[]; withdraw: Uint8Array } {
  const builder = new UpdateBuilder()
  const encode = (attributes: Uint8Array | undefined): Uint8Array => {
    const out = new Uint8Array(65_536)
    builder.target(out)
    builder.begin(0, FAMILY.ipv4Unicast, attributes)
    for (let i = 0; i < routes; i++) builder.addPrefix4((0x14000000 | (i << 8)) >>> 0, 24)
    return out.slice(0, builder.finish())
  }
  const attributes = (med: number): Uint8Array => {
    const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
    return Uint8Array.from([
      ...[0x40, 1, 1, 0],
      ...[0x40, 2, 6, 2, 1, ...word(as)],
      ...[0x40, 3, 4, ...parseAddress(router)!],
      ...[0x80, 4, 4, ...word(med)],
    ])
  }
  return { announce: [encode(attributes(1)), encode(attributes(2))], withdraw: encode(undefined) }
}

class Crowd {
  readonly #setup: CrowdSetup
  readonly #relay: RelayedPeers
  readonly #sessions: BgpSession[] = []
  readonly #byAddress = new Map<string, { session: BgpSession; link: Relayed }>()
  readonly #updates: ReturnType<typeof updatesOf>
  readonly #random: Random
  readonly #state = { up: 0, flaps: 0, announced: 0, withdrawn: 0, last: '' }
  #isChurning = false
  #began_us = 0
  #done = 0
  #next = 0
  #round = 0

  constructor(setup: CrowdSetup, relay: RelayedPeers) {
    this.#setup = setup
    this.#relay = relay
    this.#updates = updatesOf(setup)
    this.#random = new Random(setup.seed)
    for (let i = 0; i < setup.tenants; i++) this.#sessions.push(this.#sessionOf(i))
    for (const address of relay.addresses())
      new TcpListener({ address, port: BGP_PORT }, relay.socketOptions).watch((socket) => this.#accept(socket))
  }

  #accept(socket: TcpSocket): void {
    const known = this.#byAddress.get(formatAddress(socket.remote.address))
    if (known) known.session.accept(new TcpConnection(socket, socket.remote, true, after, known.link))
    else this.#relay.refuse(socket)
  }

  /** All within some seconds, as routers do that have lost a neighbour at the same time. */
  start(from = 0): void {
    const end = Math.min(from + STARTED_AT_ONCE, this.#sessions.length)
    for (let i = from; i < end; i++) this.#sessions[i]!.start()
    if (end < this.#sessions.length) after(TURN_ms, () => this.start(end))
  }

  get state(): Omit<CrowdState, 'kind'> {
    return this.#state
  }

  churn(isChurning: boolean): void {
    const begins = isChurning && !this.#isChurning
    this.#isChurning = isChurning
    if (!begins) return
    this.#began_us = systemClock.now_us()
    this.#done = 0
    this.#turn()
  }

  #sessionOf(index: number): BgpSession {
    const { as, gatewayAs, holdTime_s } = this.#setup
    const peer = this.#relay.named(`router-${index + 1}`)!
    const address: IpAddress = this.#relay.innerAddressOf(peer)
    const link = this.#relay.relayedOf(peer)
    const offer = {
      ...{
        localAs: as,
        localId: 1 + index,
        remoteAs: [{ from: gatewayAs, to: gatewayAs }],
        holdTime_s,
        holdTimeMin_s: 3,
      },
      ...{ families: [{ family: FAMILY.ipv4Unicast }], extendedMessages: true },
    }
    const session = new BgpSession({
      options: { ...defaultSessionOptions, offer, passive: false, once: false },
      ...{ clock: systemClock, random: this.#random },
      connector: {
        open: () => TcpConnection.connect({ address, port: BGP_PORT }, this.#relay.socketOptions, after, link),
      },
      events: {
        stateChanged: (from, to, reason) => {
          if (to === 'established') this.#state.up++
          if (from !== 'established') return
          this.#state.up--
          this.#state.flaps++
          this.#state.last = reason?.sentence ?? ''
        },
        established() {},
        update() {},
        refresh() {},
        down() {},
      },
    })
    this.#byAddress.set(formatAddress(address), { session, link })
    return session
  }

  // Each session announces, withdraws, announces otherwise, and withdraws, in turn with all others.
  #turn(): void {
    if (!this.#isChurning) return
    const { routes, tenants, changes_per_s } = this.#setup
    const due = ((systemClock.now_us() - this.#began_us) / 1e6) * (changes_per_s / routes)
    for (; this.#done < due; this.#done++) {
      this.#change(this.#sessions[this.#next]!)
      this.#next = (this.#next + 1) % tenants
      if (this.#next === 0) this.#round++
    }
    after(TURN_ms, () => this.#turn())
  }

  #change(session: BgpSession): void {
    const connection = session.connection as TcpConnection | undefined
    if (!connection || connection.waiting_bytes >= WAITING_MAX_BYTES) return
    const { routes } = this.#setup
    const announces = this.#round % 2 === 0
    connection.write(announces ? this.#updates.announce[(this.#round >> 1) % 2]! : this.#updates.withdraw)
    session.sent(MESSAGE.update, 1)
    if (announces) this.#state.announced += routes
    else this.#state.withdrawn += routes
  }
}

const after = (delay_ms: number, run: () => void): void => void systemClock.after(delay_ms, run)

async function main(): Promise<void> {
  const setup = JSON.parse(process.argv[2]!) as CrowdSetup
  const fail = (error: Error): never => {
    throw error
  }
  const relay = await RelayAgent.start(relaySetup(setup), fail)
  // In the field each of these routers has cores of its own.
  setScheduling('round-robin')
  const crowd = new Crowd(setup, new RelayedPeers(await relay.end()))
  process.on('message', ({ kind }: ToCrowd) => {
    if (kind === 'start') crowd.start()
    else crowd.churn(kind === 'churn')
  })
  const end = (): void => void relay.close().then(() => process.exit(0))
  process.on('disconnect', end)
  process.on('SIGTERM', end)
  setInterval(() => process.send!({ kind: 'state', ...crowd.state } satisfies CrowdState), STATE_ms)
}

if (import.meta.main) await main()
