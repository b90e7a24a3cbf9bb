/**
 * FRR (Debian's frr): bgpd, zebra, from which it knows its interfaces, and bfdd where it is given lines for it. Its routes
 * are `network` lines, each with a route map of its own that sets the attributes.
 */

import { chownSync, existsSync, writeFileSync } from 'node:fs'
import {
  type BgpFamily,
  type BgpNeighbour,
  type BgpOrigination,
  type BgpRoute,
  type BgpRouter,
  type BgpRouterOptions,
  Daemon,
  DaemonRouter,
  familyOfPrefix,
  userNamed,
} from './bgp-router.ts'

const PROGRAMS = '/usr/lib/frr'
const FAMILIES: readonly BgpFamily[] = ['ipv4', 'ipv6']

interface ShownPath {
  readonly valid?: boolean
  readonly aspath: { readonly string: string }
  readonly origin: string
  readonly metric?: number
  readonly med?: number
  readonly community?: { readonly string: string }
  readonly largeCommunity?: { readonly string: string }
  readonly nexthops: readonly { readonly ip: string; readonly scope?: string }[]
  readonly peer?: { readonly peerId: string }
}

/** `bfd`: bfdd's configuration. */
export type FrrOptions = BgpRouterOptions & { readonly bfd?: readonly string[] }

export class Frr extends DaemonRouter implements BgpRouter {
  readonly setsAnyPath = true
  readonly #zebra: Daemon
  readonly #bfd: Daemon
  readonly #bfdLines: readonly string[] | undefined
  #routeMaps = 0

  static async start(options: FrrOptions): Promise<Frr> {
    const frr = new Frr(options)
    await frr.#start()
    return frr
  }

  private constructor(options: FrrOptions) {
    super(options)
    this.#zebra = new Daemon(options)
    this.#bfd = new Daemon(options)
    this.#bfdLines = options.bfd
  }

  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    const named = routes.map((route) => ({ route, map: `route-${++this.#routeMaps}` }))
    const networks = FAMILIES.map((family) => [
      `address-family ${family} unicast`,
      ...named
        .filter(({ route }) => familyOfPrefix(route.prefix) === family)
        .map(({ route, map }) => `network ${route.prefix} route-map ${map}`),
      'exit-address-family',
    ])
    await this.#configure([
      ...named.flatMap(({ route, map }) => routeMap(map, route, this.options.nextHops)),
      `router bgp ${this.as}`,
      ...networks.flat(),
    ])
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    const lines = FAMILIES.map((family) => [
      `address-family ${family} unicast`,
      ...prefixes.filter((prefix) => familyOfPrefix(prefix) === family).map((prefix) => `no network ${prefix}`),
      'exit-address-family',
    ])
    await this.#configure([`router bgp ${this.as}`, ...lines.flat()])
  }

  async table(family: BgpFamily): Promise<BgpRoute[]> {
    const shown = JSON.parse(await this.command(`show bgp ${family} unicast json detail`)) as {
      readonly routes?: Readonly<Record<string, readonly ShownPath[] | { readonly paths: readonly ShownPath[] }>>
    }
    return Object.entries(shown.routes ?? {}).flatMap(([prefix, entry]) =>
      ('paths' in entry ? entry.paths : entry)
        .filter(({ peer }) => peer !== undefined && peer.peerId !== '0.0.0.0' && peer.peerId !== '::')
        .map((path) => routeOf(prefix, path)),
    )
  }

  /** Lines of vtysh, for what is FRR's alone. */
  async command(...lines: string[]): Promise<string> {
    return await this.#vtysh('bgpd', lines)
  }

  /** The same, of bfdd. */
  async bfdCommand(...lines: string[]): Promise<string> {
    return await this.#vtysh('bfdd', lines)
  }

  async #vtysh(daemon: string, lines: readonly string[]): Promise<string> {
    const { folder } = this.daemon
    const where = ['--vty_socket', folder, '--config_dir', folder, '-d', daemon]
    return await this.daemon.run('vtysh', ...where, ...lines.flatMap((line) => ['-c', line]))
  }

  async stop(): Promise<void> {
    await this.daemon.stop()
    await this.#bfd.stop()
    await this.#zebra.stop()
  }

  async #configure(lines: readonly string[]): Promise<void> {
    await this.command('configure terminal', ...lines)
  }

  async #start(): Promise<void> {
    const { folder } = this.daemon
    const { listenPort } = this.options
    writeFileSync(`${folder}/bgpd.conf`, this.#config())
    for (const file of ['zebra.conf', 'vtysh.conf']) writeFileSync(`${folder}/${file}`, '')
    // Its programs become this user, who has to be in a group of FRR's too. -P 0: no terminal over TCP.
    const { uid, gid } = userNamed('frr')
    chownSync(folder, uid, gid)
    const common = ['-P', '0', '--log', 'stdout', '--vty_socket', folder, '-z', `${folder}/zserv`]
    const filesOf = (name: string): string[] => ['-f', `${folder}/${name}.conf`, '-i', `${folder}/${name}.pid`]
    this.#zebra.start(`${PROGRAMS}/zebra`, [...filesOf('zebra'), ...common])
    await this.#zebra.until('zebra does not start', () => existsSync(`${folder}/zserv`))
    if (this.#bfdLines) {
      writeFileSync(`${folder}/bfdd.conf`, `${this.#bfdLines.join('\n')}\n`)
      this.#bfd.start(`${PROGRAMS}/bfdd`, [...filesOf('bfdd'), ...common, '--bfdctl', `${folder}/bfdd.sock`])
      await this.#bfd.until('bfdd does not start', () => existsSync(`${folder}/bfdd.vty`))
    }
    this.daemon.start(`${PROGRAMS}/bgpd`, [...filesOf('bgpd'), ...common, '-p', `${listenPort ?? 179}`])
    await this.daemon.until('FRR does not start', () =>
      this.command('show bgp summary').then(
        () => true,
        () => false,
      ),
    )
  }

  #config(): string {
    const { as, routerId, neighbours } = this.options
    return [
      `router bgp ${as}`,
      `bgp router-id ${routerId}`,
      'no bgp ebgp-requires-policy',
      'no bgp network import-check',
      'no bgp default ipv4-unicast',
      'timers bgp 30 90',
      ...neighbours.flatMap(sessionLines),
      ...FAMILIES.flatMap((family) => [
        `address-family ${family} unicast`,
        ...neighbours
          .filter(({ families }) => families.includes(family))
          .flatMap(({ remote }) => [`neighbor ${remote} activate`, `neighbor ${remote} soft-reconfiguration inbound`]),
        'exit-address-family',
      ]),
      '',
    ].join('\n')
  }
}

function sessionLines(neighbour: BgpNeighbour): string[] {
  const { remote, local, port, as, password, ttlSecurity, passive, holdTime_s, extra } = neighbour
  return [
    `remote-as ${as}`,
    `update-source ${local}`,
    'advertisement-interval 0',
    'timers connect 1',
    ...(port === undefined ? [] : [`port ${port}`]),
    ...(password === undefined ? [] : [`password ${password}`]),
    ...(ttlSecurity ? ['ttl-security hops 1'] : []),
    ...(passive ? ['passive'] : []),
    ...(holdTime_s === undefined ? [] : [`timers ${Math.floor(holdTime_s / 3)} ${holdTime_s}`]),
    ...(extra ?? []),
  ].map((line) => `neighbor ${remote} ${line}`)
}

function routeMap(name: string, route: BgpOrigination, nextHops: BgpRouterOptions['nextHops']): string[] {
  const { prefix, asPath, origin, med, communities, largeCommunities } = route
  const family = familyOfPrefix(prefix)
  const setNextHop = family === 'ipv4' ? 'set ip next-hop' : 'set ipv6 next-hop global'
  return [
    `route-map ${name} permit 10`,
    `set origin ${origin}`,
    ...(nextHops ? [`${setNextHop} ${nextHops[family]}`] : []),
    ...(asPath.length > 0 ? [`set as-path prepend ${asPath.join(' ')}`] : []),
    ...(med === undefined ? [] : [`set metric ${med}`]),
    ...(communities.length > 0 ? [`set community ${communities.join(' ')}`] : []),
    ...(largeCommunities.length > 0 ? [`set large-community ${largeCommunities.join(' ')}`] : []),
    'exit',
  ]
}

function routeOf(prefix: string, path: ShownPath): BgpRoute {
  const global = path.nexthops.find(({ scope }) => scope === 'global') ?? path.nexthops[0]!
  return {
    prefix,
    nextHop: global.ip,
    asPath: path.aspath.string
      .split(' ')
      .filter((word) => /^\d+$/.test(word))
      .map(Number),
    origin: path.origin.toLowerCase() as BgpRoute['origin'],
    med: path.metric ?? path.med,
    communities: path.community?.string.split(' ').map(numericCommunity) ?? [],
    largeCommunities: path.largeCommunity?.string.split(' ') ?? [],
  }
}

/** FRR shows the well-known ones by name. */
function numericCommunity(text: string): string {
  return text === 'graceful-shutdown' || text === 'gracefulShutdown' ? '65535:0' : text
}
