/**
 * Open vSwitch in a host's place: its user-space data path, which needs no kernel module, with GRE or VXLAN towards the
 * tenants' VIPs, as private clouds run it. One instance a host, with its own database, all in the lab's folder.
 *
 *   machines -- br-int (flows) -- tunnel port -- br-phy (the host's address) -- the host's wire
 *
 * The wire's address moves to br-phy: the user-space data path finds the far end's MAC address over that bridge (Open
 * vSwitch, Documentation/howto/userspace-tunneling). Machines have their gateway's MAC address from us, for nobody here
 * answers ARP.
 */

import { existsSync, mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Site } from '../../src/config/site.ts'
import type { Lab } from '../namespaces.ts'
import { type Host, MACHINE_GATEWAY, type Machine } from '../topology.ts'
import { vipsByKey } from '../vips.ts'

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
const START_MS = 10_000
const POLL_MS = 20

export class OpenVSwitch {
  readonly #lab: Lab
  readonly #host: Host
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv

  /** The host must be one of the surroundings' `bareHosts`. Needs Debian's openvswitch-switch. Stopped with the lab. */
  static async start(lab: Lab, site: Site, host: Host): Promise<OpenVSwitch> {
    const ovs = new OpenVSwitch(lab, host)
    await ovs.#startDaemons()
    await ovs.#bridges()
    await ovs.#moveAddress()
    await ovs.#tunnel()
    for (const machine of host.machines) await ovs.#attach(machine, site)
    return ovs
  }

  private constructor(lab: Lab, host: Host) {
    this.#lab = lab
    this.#host = host
    this.#folder = `${lab.folder}/ovs-${host.name}`
    this.#env = { ...process.env, OVS_RUNDIR: this.#folder, OVS_LOGDIR: this.#folder, OVS_DBDIR: this.#folder }
  }

  /** From now on the VPC's packets go there. */
  async setVip(key: number, vip: string): Promise<void> {
    for (const machine of this.#host.machines) if (machine.key === key) await this.#flowToTunnel(machine, vip)
  }

  /** The flows of br-int with their counters, for people. */
  async flows(): Promise<string> {
    return await this.#run('ovs-ofctl', '-O', 'OpenFlow13', 'dump-flows', this.#bridgeSocket)
  }

  get #socket(): string {
    return `${this.#folder}/db.sock`
  }

  get #bridgeSocket(): string {
    return `unix:${this.#folder}/br-int.mgmt`
  }

  async #startDaemons(): Promise<void> {
    mkdirSync(this.#folder)
    const database = `${this.#folder}/conf.db`
    await this.#run('ovsdb-tool', 'create', database, SCHEMA)
    this.#daemon('ovsdb-server', database, `--remote=punix:${this.#socket}`)
    await this.#until(this.#socket)
    await this.#vsctl('--no-wait', 'init')
    this.#daemon('ovs-vswitchd', `unix:${this.#socket}`)
  }

  #daemon(name: string, ...args: string[]): void {
    const options = [`--unixctl=${this.#folder}/${name}.ctl`, `--log-file=${this.#folder}/${name}.log`, '-vconsole:off']
    this.#lab.spawn(this.#host.namespace, name, [...args, ...options], { env: this.#env, stdio: 'ignore' })
  }

  async #bridges(): Promise<void> {
    const [uplink] = this.#host.uplinks
    if (!uplink || this.#host.uplinks.length > 1) throw new Error(`lab: ${this.#host.name} has not exactly one wire`)
    const bridge = (name: string): string[] => [
      '--',
      'add-br',
      name,
      '--',
      'set',
      'bridge',
      name,
      'datapath_type=netdev',
    ]
    await this.#vsctl(
      ...bridge('br-int'),
      ...['protocols=OpenFlow13', 'fail_mode=secure'],
      ...bridge('br-phy'),
      `other_config:hwaddr="${uplink.mac}"`,
      ...['--', 'add-port', 'br-phy', uplink.interface],
    )
    await this.#until(`${this.#folder}/br-int.mgmt`)
  }

  async #moveAddress(): Promise<void> {
    const { namespace, entry, uplinks } = this.#host
    const wire = uplinks[0]!.interface
    // Otherwise the kernel answers ARP for the address with the wire's own MAC address, and frames pass by br-phy.
    this.#lab.set(namespace, { 'net/ipv4/conf/all/arp_ignore': 1 })
    const nextHopMac = uplinks[0]!.nextHopMac
    const routes = (await this.#lab.run(namespace, 'ip', 'route', 'show', 'dev', wire)).split('\n')
    const address = await this.#lab.run(namespace, 'ip', '-j', 'address', 'show', 'dev', wire)
    const [{ addr_info: own }] = JSON.parse(address) as [{ addr_info: { local: string; prefixlen: number }[] }]
    await this.#lab.configure(
      new Map([
        [
          namespace,
          [
            `addr flush dev ${wire}`,
            `addr del ${entry.address}/32 dev lo`,
            ...own.map(({ local, prefixlen }) => `addr add ${local}/${prefixlen} dev br-phy`),
            `addr add ${entry.address}/32 dev br-phy`,
            'link set br-phy up',
            ...routes.filter((route) => route.includes(' via ')).map((route) => `route add ${route} dev br-phy`),
          ],
        ],
      ]),
    )
    // It drops the packets for which it has to ask, and the first ones are counted as lost.
    const nextHops = new Set(routes.flatMap((route) => / via (\S+)/.exec(route)?.[1] ?? []))
    for (const nextHop of nextHops)
      await this.#run(
        'ovs-appctl',
        '-t',
        `${this.#folder}/ovs-vswitchd.ctl`,
        'tnl/neigh/set',
        'br-phy',
        nextHop,
        nextHopMac,
      )
  }

  async #tunnel(): Promise<void> {
    const { tunnel, payload, address } = this.#host.entry
    const bare = tunnel === 'gre' && payload !== 'ethernet' ? ['options:packet_type=legacy_l3'] : []
    await this.#vsctl(
      ...['add-port', 'br-int', 'tunnel', '--', 'set', 'interface', 'tunnel', `type=${tunnel}`],
      ...['options:remote_ip=flow', 'options:key=flow', `options:local_ip=${address}`, 'ofport_request=1', ...bare],
    )
  }

  async #attach(machine: Machine, site: Site): Promise<void> {
    await this.#vsctl('add-port', 'br-int', machine.interface)
    await this.#lab.configure(
      new Map([
        [
          machine.namespace,
          [MACHINE_GATEWAY.ipv4, ...(machine.addresses.some(isIpv6) ? [MACHINE_GATEWAY.ipv6] : [])].map(
            (gateway) => `neigh replace ${gateway} lladdr ${site.gateway.mac} dev eth0 nud permanent`,
          ),
        ],
      ]),
    )
    await this.#flowToTunnel(machine, vipsByKey(site).get(machine.key)!)
    for (const address of machine.addresses) {
      const match = isIpv6(address) ? `ipv6,ipv6_dst=${address}` : `ip,nw_dst=${address}`
      if (!isIpv6(address)) await this.#arpTo(machine, address)
      const actions = `mod_dl_src:${site.gateway.mac},mod_dl_dst:${machine.mac},output:${await this.#portNumber(machine)}`
      await this.#flow(`in_port=1,tun_id=${machine.key},${match},actions=${actions}`)
    }
  }

  /** Where frames travel whole, a gateway may ask for the machine's MAC address through the tunnel. */
  async #arpTo(machine: Machine, address: string): Promise<void> {
    await this.#flow(
      `in_port=1,tun_id=${machine.key},arp,arp_tpa=${address},actions=output:${await this.#portNumber(machine)}`,
    )
  }

  async #flowToTunnel(machine: Machine, vip: string): Promise<void> {
    const actions = `set_field:${machine.key}->tun_id,set_field:${vip}->tun_dst,output:1`
    await this.#flow(`in_port=${await this.#portNumber(machine)},actions=${actions}`)
  }

  async #portNumber(machine: Machine): Promise<string> {
    return (await this.#vsctl('get', 'interface', machine.interface, 'ofport')).trim()
  }

  async #flow(flow: string): Promise<void> {
    await this.#run('ovs-ofctl', '-O', 'OpenFlow13', 'add-flow', this.#bridgeSocket, flow)
  }

  async #vsctl(...args: string[]): Promise<string> {
    return await this.#run('ovs-vsctl', `--db=unix:${this.#socket}`, `--timeout=${START_MS / 1000}`, ...args)
  }

  async #run(program: string, ...args: string[]): Promise<string> {
    return await this.#lab.run(this.#host.namespace, 'env', `OVS_RUNDIR=${this.#folder}`, program, ...args)
  }

  async #until(path: string): Promise<void> {
    for (let waited_ms = 0; !existsSync(path); waited_ms += POLL_MS) {
      if (waited_ms > START_MS)
        throw new Error(`lab: Open vSwitch of ${this.#host.name} did not start, see ${this.#folder}`)
      await sleep(POLL_MS)
    }
  }
}

function isIpv6(address: string): boolean {
  return address.includes(':')
}
