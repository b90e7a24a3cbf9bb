/**
 * What a test needs from the machine, as the reason for which node:test skips it: `test('...', { skip: needs('ip') },
 * ...)`. A skipped test is listed with its reason at the end of `npm test`.
 */

import { release } from 'node:os'
import { findCommand, isRoot, type Peer } from './packages.ts'

/** Every program of others that a test may ask for. `npm test` installs them when it may. */
export const PEERS: readonly Peer[] = [
  { debian: 'iproute2', command: 'ip' },
  { debian: 'ethtool', command: 'ethtool' },
  { debian: 'iperf3', command: 'iperf3' },
  { debian: 'openvswitch-switch', command: 'ovs-vswitchd' },
  { debian: 'bird2', command: 'bird' },
  { debian: 'frr', command: 'vtysh' },
  { debian: 'gobgpd', command: 'gobgpd' },
  { debian: 'openbgpd', command: 'bgpctl' },
  { debian: 'exabgp', command: 'exabgp' },
  { debian: 'bgpdump', command: 'bgpdump' },
  { debian: 'nats-server', command: 'nats-server' },
  { debian: 'openssl', command: 'openssl' },
  { debian: 'curl', command: 'curl' },
]

/** False when this kernel is of that version or later, otherwise why that is not enough. */
export function needsLinux(major: number, minor: number, running = release()): string | false {
  const [is, has] = running.split('.').map((part) => Number.parseInt(part, 10))
  if (is! > major || (is === major && has! >= minor)) return false
  return `needs Linux ${major}.${minor} or later; this is ${running}`
}

/** False when all is there, otherwise why the test cannot run. Namespaces and packet sockets always need root. */
export function needs(...commands: string[]): string | false {
  return isRoot() ? lacks(...commands) : 'needs root'
}

/** The same for what any user may do. */
export function lacks(...commands: string[]): string | false {
  const absent = commands.find((command) => !findCommand(command))
  if (!absent) return false
  const debian = PEERS.find((peer) => peer.command === absent)?.debian ?? absent
  return `needs ${absent} (Debian package ${debian})`
}
