/**
 * The daemons that are measured, each as it is found: Gatehouse's routing module, FRR's bgpd alone and BIRD, with two
 * external neighbours, one to send and one to receive. All take and pass on everything. They run in a namespace, since FRR
 * takes no next hop of 127/8.
 */

import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Lab } from '../../lab/namespaces.ts'
import { ensurePackage } from '../../lab/packages.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

export const NAMESPACE = 'bgp'
export const ADDRESS = { daemon: '10.99.0.1', sender: '10.99.0.2', receiver: '10.99.0.3' } as const
/** In a subnet that leads there, for whoever asks. */
export const NEXT_HOP = '10.99.0.254'
export const SUBNET = '10.99.0.0/24'
export const AS = { daemon: 65_001, sender: 65_002, receiver: 65_003 } as const

export interface BgpDaemon {
  readonly name: string
  /** Listens on port 179 once it resolves. */
  start(lab: Lab): Promise<RunningDaemon>
}

export interface RunningDaemon {
  readonly pid: number
  stop(): Promise<void>
}

const FRR_BGPD = '/usr/lib/frr/bgpd'

/** What of the peers is there, installed when it may be, and why not. */
export function peersOrWhy(say: (text: string) => void): BgpDaemon[] {
  const found: BgpDaemon[] = []
  for (const [debian, command, daemon] of [
    ['frr', 'vtysh', frr],
    ['bird2', 'bird', bird],
  ] as const) {
    const state = ensurePackage(debian, command)
    if (typeof state === 'string') found.push(daemon)
    else say(`without ${daemon.name}: ${state.missing}`)
  }
  return found
}

/** The site file of ours. */
export function gatehouseSite(): string {
  const neighbour = (name: 'sender' | 'receiver'): string =>
    `    - { name: ${name}, address: ${ADDRESS[name]}, as: ${AS[name]}, passive: true }`
  return [
    'site: bench',
    'routing:',
    `  as: ${AS.daemon}`,
    `  router_id: ${ADDRESS.daemon}`,
    `  listen: [{ address: ${ADDRESS.daemon} }]`,
    '  neighbours:',
    neighbour('sender'),
    neighbour('receiver'),
    '',
  ].join('\n')
}

export const gatehouse: BgpDaemon = {
  name: 'Gatehouse',
  start: (lab) => RoutingModule.start(lab, NAMESPACE, gatehouseSite()),
}

export const forgetful: BgpDaemon = {
  name: 'Gatehouse without its history',
  start: (lab) => RoutingModule.start(lab, NAMESPACE, `${gatehouseSite()}  history: { size_mb: 0 }\n`),
}

const bird: BgpDaemon = {
  name: 'BIRD',
  async start(lab) {
    const folder = folderOf(lab, 'bird')
    const neighbour = (name: 'sender' | 'receiver'): string[] => [
      `protocol bgp ${name} {`,
      `  local ${ADDRESS.daemon} as ${AS.daemon}; neighbor ${ADDRESS[name]} as ${AS[name]};`,
      '  multihop; passive on;',
      '  ipv4 { import all; export all; };',
      '}',
    ]
    const config = [
      `router id ${ADDRESS.daemon};`,
      'protocol device {}',
      // Without it next hops lead nowhere, and their routes are passed on to nobody.
      `protocol static { ipv4; route ${SUBNET} via "lo"; }`,
      ...neighbour('sender'),
      ...neighbour('receiver'),
      '',
    ]
    writeFileSync(`${folder}/bird.conf`, config.join('\n'))
    const args = ['-f', '-c', `${folder}/bird.conf`, '-s', `${folder}/bird.ctl`]
    return running(launch(lab, folder, 'bird', args))
  },
}

const frr: BgpDaemon = {
  name: 'FRR',
  async start(lab) {
    const folder = folderOf(lab, 'frr')
    const config = [
      `router bgp ${AS.daemon}`,
      ` bgp router-id ${ADDRESS.daemon}`,
      ' no bgp ebgp-requires-policy',
      ' no bgp network import-check',
      ...(['sender', 'receiver'] as const).flatMap((name) => [
        ` neighbor ${ADDRESS[name]} remote-as ${AS[name]}`,
        ` neighbor ${ADDRESS[name]} passive`,
        ` neighbor ${ADDRESS[name]} ebgp-multihop 10`,
        ` neighbor ${ADDRESS[name]} timers connect 1`,
        // What it would wait before it passes anything on.
        ` neighbor ${ADDRESS[name]} advertisement-interval 0`,
      ]),
      '',
    ]
    return startFrr(lab, folder, config)
  },
}

/** bgpd as its user, without the kernel's routes: alone, or beside a zebra that it has its VRFs from. */
export function startFrr(lab: Lab, folder: string, config: readonly string[], zebra?: number): RunningDaemon {
  writeFileSync(`${folder}/bgpd.conf`, config.join('\n'))
  giveToFrr(folder)
  const files = ['-f', `${folder}/bgpd.conf`, '-i', `${folder}/bgpd.pid`, '-z', `${folder}/zserv`]
  const args = [...files, '--vty_socket', folder, zebra === undefined ? '-Z' : '-n', '-A', '127.0.0.1', '-P', '0']
  if (zebra === undefined) return running(launch(lab, folder, FRR_BGPD, args))
  return running(launch(lab, folder, 'nsenter', ['--mount', '--target', `${zebra}`, '--', FRR_BGPD, ...args]))
}

/** A folder of what it reads and writes. */
export function giveToFrr(folder: string): void {
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'frr'], { encoding: 'utf8' })))
  for (const path of [folder, ...readdirSync(folder).map((name) => `${folder}/${name}`)]) chownSync(path, uid!, gid!)
}

export function folderOf(lab: Lab, name: string): string {
  const folder = `${lab.folder}/${name}`
  mkdirSync(folder, { recursive: true })
  return folder
}

export function launch(lab: Lab, folder: string, command: string, args: readonly string[]): ChildProcess {
  const log = openSync(`${folder}/log`, 'a')
  const child = lab.spawn(NAMESPACE, command, args, { stdio: ['ignore', log, log] })
  closeSync(log)
  return child
}

export function running(child: ChildProcess): RunningDaemon {
  return {
    pid: child.pid!,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
  return Number(kilobytes) * 1024
}
