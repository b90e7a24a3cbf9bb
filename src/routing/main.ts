/**
 * The routing module as a process (DSR section 3.2.2): the BGP speaker, alone on the kernel's TCP where the site has no
 * other module, else one of its routing nodes. Tenants' routes go to the bus, and their virtual networks to their peers.
 */

import { isDeepStrictEqual } from 'node:util'
import { busPlaceOf } from '../agent/bus-place.ts'
import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { BusError } from '../bus/bus.ts'
import { openBus } from '../bus/place.ts'
import type { Site } from '../config/site.ts'
import { Speaker } from './bgp/speaker.ts'
import { RemoteRoutes } from './bus/remote-routes.ts'
import { RoutePublisher } from './bus/route-publisher.ts'
import { SiteBus } from './bus/site-bus.ts'
import { vpcRoutes } from './bus/vpc-routes.ts'
import { historyOf } from './history/place.ts'
import { inTurn } from './in-turn.ts'
import { Liveness } from './liveness/liveness.ts'
import { PeerNumbers } from './relay/peer-numbers.ts'
import { relaySetupOf } from './relay/ways.ts'
import { startDifference } from './start-part.ts'
import { vpnTargetsOf } from './vpn-targets.ts'

export interface RunOptions {
  readonly site: Site
  readonly name: string
  /** The site's run directory; absent, it is alone. */
  readonly directory?: string
  /** What has to last; absent, there is no history. */
  readonly stateDirectory?: string
  readonly log: Logger
}

export interface RoutingModule {
  close(): Promise<void>
  /** Another site file. What is in it as it was goes on: neighbours that are new, gone or others cost nobody else a session. */
  reload(site: Site): Promise<void>
}

export async function runRouting(options: RunOptions): Promise<RoutingModule> {
  const { site, name, log } = options
  if (!site.routing) throw new Error(`site ${site.site} has no routing`)
  const onBus =
    options.directory === undefined || isAlone(site) ? undefined : await joinBus(site, name, options.directory, log)
  const onDeath = (error: Error): void => {
    log.error({ error: error.stack }, 'the watch over paths failed')
    process.exit(1)
  }
  const failed = (error: unknown): void => {
    if (error instanceof BusError) log.warn({ error: error.message }, 'what other sites offer is not read')
    else throw error
  }
  const numbers = new PeerNumbers()
  const liveness = new Liveness({ site, name, bus: onBus?.bus, numbers, clock: systemClock, log, onDeath })
  const speaker = await startSpeaker(options, onBus?.publisher, liveness, numbers)
  liveness.start()
  const held = new HeldSite(speaker, options, numbers)
  await held.originate()
  const remotes =
    onBus &&
    new RemoteRoutes({ bus: onBus.bus, name, clock: systemClock, log, originate: (batch) => speaker.originate(batch) })
  // Sessions need not wait for a bus.
  void remotes?.take(site).catch((error) => failed(error))
  // The site comes from the bus and from a signal.
  const take = inTurn(async (changed: Site) => {
    await held.take(changed)
    void remotes?.take(changed).catch((error) => failed(error))
    await liveness.take(changed)
  })
  const shared =
    onBus &&
    new SiteBus({
      ...{ ...onBus, name, site, clock: systemClock, log, speaker },
      live: (names) => void speaker.setMembers(names),
      changed: take,
    })
  log.info({ as: site.routing.as, neighbours: site.routing.neighbours.length }, 'ready')
  return {
    async close() {
      await shared?.close()
      await remotes?.close()
      await take.idle()
      onBus?.publisher.close()
      await liveness.close()
      await speaker.close()
      await onBus?.bus.close()
    },
    reload: take,
  }
}

/** A route server or a reflector, which nobody forwards packets for. */
function isAlone({ clusters, switches, routing }: Site): boolean {
  return clusters.length + switches.length + (routing?.nodes.length ?? 0) === 0
}

async function joinBus(site: Site, name: string, directory: string, log: Logger) {
  const client = { name: `routing.${name}`, clock: systemClock, random: new Random(freshSeed()) }
  const bus = await openBus(busPlaceOf(site, directory), client)
  return { bus, publisher: new RoutePublisher({ bus, clock: systemClock, log }) }
}

function startSpeaker(
  { site, name, stateDirectory, log }: RunOptions,
  publisher: RoutePublisher | undefined,
  { watched }: Liveness,
  numbers: PeerNumbers,
) {
  return Speaker.start({
    routing: site.routing!,
    tenants: tenantsOf(site),
    targets: vpnTargetsOf(site),
    relay: relaySetupOf(site, name, numbers),
    ...(publisher && { publisher: { origin: name, publish: (batch) => publisher.publish(batch) } }),
    event({ peer, remote, from, to, reason }) {
      if (to === 'established' || from === 'established')
        log.info({ peer, remote, from, to, reason: reason?.sentence }, 'session')
    },
    watched,
    strangers: (news) => log.warn(news, 'connections of strangers'),
    nearMaximum: (warning) => log.warn(warning, 'a peer sends nearly as many routes as it may'),
    history: stateDirectory === undefined ? undefined : historyOf(site, stateDirectory, name),
    historyFailed(error, isOver) {
      log.error(
        { error: error.message },
        isOver ? 'there is no history any more' : 'the history is not written for a while',
      )
    },
    onDeath(error) {
      log.error({ error: error.stack }, 'the BGP speaker failed')
      process.exit(1)
    },
  })
}

/** What the speaker has of the site. Of another site it is told what differs. */
class HeldSite {
  readonly #speaker: Speaker
  readonly #name: string
  readonly #numbers: PeerNumbers
  readonly #log: Logger
  #site: Site
  #vpcs: ReturnType<typeof vpcRoutes> | undefined

  /** `site`: what the speaker was started with. */
  constructor(speaker: Speaker, { site, name, log }: RunOptions, numbers: PeerNumbers) {
    this.#speaker = speaker
    this.#name = name
    this.#numbers = numbers
    this.#log = log
    this.#site = site
  }

  /** Its tenants' virtual networks, which their neighbours are told of. */
  async originate(): Promise<void> {
    const vpcs = vpcRoutes(this.#site)
    if (vpcs.tenants.length + (this.#vpcs?.tenants.length ?? 0) === 0 || isDeepStrictEqual(vpcs, this.#vpcs)) return
    this.#vpcs = vpcs
    await this.#speaker.originate(vpcs)
  }

  async take(site: Site): Promise<void> {
    const before = this.#site
    this.#site = site
    if (site.routing && !isDeepStrictEqual(partOf(site), partOf(before))) await this.#reload(site, before)
    await this.originate()
  }

  async #reload(site: Site, before: Site): Promise<void> {
    const settings = startDifference(before, site, this.#name)
    if (settings.length > 0) this.#log.warn({ settings }, 'changes that take a new start of the process')
    const relay = relaySetupOf(site, this.#name, this.#numbers)
    const reload = await this.#speaker.reload({ routing: site.routing!, tenants: tenantsOf(site), relay })
    const { imports, exports, tables, sessionsReset } = reload
    this.#log.info({ imports, exports, tables, 'sessions reset': sessionsReset }, 'policies and neighbours reloaded')
  }
}

/** All that a speaker could have to do with. */
function partOf({ routing, tenants, vips, clusters, gateway }: Site): object {
  return { routing, tenants, vips, clusters, gateway }
}

function tenantsOf({ tenants }: Site): (readonly [vrf: number, name: string])[] {
  return tenants.map(({ vni, name }) => [vni, name] as const)
}
