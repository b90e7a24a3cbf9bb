/**
 * FRR with VRFs that import VPN routes by `rt vpn import`. It knows a VRF by zebra alone, and here each is a network namespace,
 * which any kernel has. They are where nobody else sees them and end with the two processes.
 *
 *   sender (iBGP, VPN routes) --> bgpd: VPN table --> vrf0 ... --(the last route alone, to tell when it is done)--> receiver
 *
 * What is in its VRFs is not in use: the routes lead through MPLS, of which zebra knows nothing here. That is work which FRR
 * does not have.
 */

import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../../lab/namespaces.ts'
import {
  ADDRESS,
  AS,
  folderOf,
  giveToFrr,
  launch,
  NAMESPACE,
  type RunningDaemon,
  running,
  startFrr,
} from './daemons.ts'
import { targetOf, VPN_AS, type VpnLoad, vpnPrefix } from './vpn-routes.ts'

const ZEBRA = '/usr/lib/frr/zebra'
const LOOK_ms = 50
const PATIENCE_ms = 60_000

export interface VpnFrr extends RunningDaemon {
  /** How many routes there are in that VRF. */
  routesIn(vrf: number): Promise<number>
}

/** With so many VRFs, from 0. Resolves when it has all of them. */
export async function startVpnFrr(lab: Lab, load: VpnLoad, vrfs: number): Promise<VpnFrr> {
  const folder = folderOf(lab, 'frr-vpn')
  const zebra = startZebra(lab, folder, vrfs)
  await until('zebra does not start', () => existsSync(`${folder}/zserv`))
  const bgpd = startFrr(lab, folder, config(load, vrfs), zebra.pid)
  await until('FRR does not know its VRFs', async () => {
    const known = await ask<{ vrfs: Record<string, { vrfId: number }> }>(lab, folder, 'show bgp vrfs json').catch(
      () => {},
    )
    const ids = Object.values(known?.vrfs ?? {}).map(({ vrfId }) => vrfId)
    return ids.length > vrfs && ids.every((id) => id >= 0)
  })
  return {
    pid: bgpd.pid,
    async stop() {
      await bgpd.stop()
      await zebra.stop()
    },
    async routesIn(vrf) {
      const command = `show bgp vrf ${nameOf(vrf)} ipv4 unicast json`
      return Object.keys((await ask<{ routes?: object }>(lab, folder, command)).routes ?? {}).length
    },
  }
}

function startZebra(lab: Lab, folder: string, vrfs: number): RunningDaemon {
  writeFileSync(`${folder}/namespaces`, Array.from({ length: vrfs }, (_, vrf) => `netns add ${nameOf(vrf)}\n`).join(''))
  writeFileSync(`${folder}/zebra.conf`, '')
  giveToFrr(folder)
  const files = `-f ${folder}/zebra.conf -i ${folder}/zebra.pid -z ${folder}/zserv --vty_socket ${folder}`
  const script = `mount -t tmpfs none /run/netns && ip -batch ${folder}/namespaces && exec ${ZEBRA} -n -P 0 ${files}`
  return running(launch(lab, folder, 'unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]))
}

async function ask<T>(lab: Lab, folder: string, command: string): Promise<T> {
  return JSON.parse(await lab.run(NAMESPACE, 'vtysh', '--vty_socket', folder, '-d', 'bgpd', '-c', command)) as T
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const late_ms = performance.now() + PATIENCE_ms
  while (!(await holds())) {
    if (performance.now() > late_ms) throw new Error(what)
    await sleep(LOOK_ms)
  }
}

function nameOf(vrf: number): string {
  return `vrf${vrf}`
}

function config(load: VpnLoad, vrfs: number): string[] {
  const { sender, receiver } = ADDRESS
  return [
    `ip prefix-list last permit ${vpnPrefix(load.routes - 1)}`,
    `router bgp ${VPN_AS}`,
    ` bgp router-id ${ADDRESS.daemon}`,
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ` neighbor ${sender} remote-as ${VPN_AS}`,
    ` neighbor ${sender} passive`,
    ` neighbor ${receiver} remote-as ${AS.receiver}`,
    ` neighbor ${receiver} passive`,
    ` neighbor ${receiver} ebgp-multihop 10`,
    ` neighbor ${receiver} advertisement-interval 0`,
    ' address-family ipv4 vpn',
    `  neighbor ${sender} activate`,
    `  neighbor ${receiver} activate`,
    `  neighbor ${receiver} prefix-list last out`,
    ' exit-address-family',
    'exit',
    ...Array.from({ length: vrfs }, (_, vrf) => [
      `router bgp ${VPN_AS} vrf ${nameOf(vrf)}`,
      ' address-family ipv4 unicast',
      `  rt vpn import ${VPN_AS}:${targetOf(vrf, load.targets)}`,
      '  import vpn',
      ' exit-address-family',
      'exit',
    ]).flat(),
    '',
  ]
}
