/**
 * What is measured, one after the other between the same wires: the node, and its peers.
 *
 *   node       Gatehouse's forwarding node, one worker, AF_XDP
 *   linux      Linux's own VXLAN: decapsulation, route, encapsulation, all in softirqs
 *   testpmd    DPDK's testpmd in its mode `io`, which moves frames from port to port and looks at none, AF_XDP
 *   wire       nothing: sender and receiver wired to each other
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Lab } from '../../lab/namespaces.ts'
import { ensurePackage, findCommand } from '../../lab/packages.ts'
import { formatAddress, ipv4Bytes } from '../../src/base/address.ts'
import { allowedCores } from '../../src/linux/thread.ts'
import { UDP_PORT } from '../../src/wire/udp.ts'
import { Child } from './child.ts'
import type { Work } from './frames.ts'
import type { NodeCounters, NodeOrder } from './node.ts'
import { GATEWAY_MAC, keyOf, MACHINE_MAC, prefixesOf, type Size, SMALL, type Tunnel, vniOf } from './site.ts'
import { ADDRESS, DEVICE, DIRECT, type Path, THROUGH } from './wires.ts'

export interface Device {
  readonly name: string
  /** Somebody else's, which need not work on this machine. */
  readonly isPeer: boolean
  readonly path: Path
  /** What its tables hold, and so where traffic can go to. */
  readonly size: Size
  work(tunnel: Tunnel): Work
  start(): Promise<void>
  stop(): Promise<void>
}

export class Wire implements Device {
  readonly name = 'a wire'
  readonly isPeer = false
  readonly path = DIRECT
  readonly size = SMALL

  work(): Work {
    return { kind: 'pass' }
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}
}

export class GatehouseNode implements Device {
  readonly name = 'Gatehouse'
  readonly isPeer = false
  readonly path = THROUGH
  readonly size: Size
  readonly #lab: Lab
  #child: Child<NodeOrder> | undefined

  constructor(lab: Lab, size: Size) {
    this.#lab = lab
    this.size = size
  }

  work(tunnel: Tunnel): Work {
    return { kind: 'route', tunnel }
  }

  async start(): Promise<void> {
    this.#child = new Child(this.#lab, DEVICE, `${import.meta.dirname}/node.ts`)
    await this.#child.ask({ kind: 'start', size: this.size })
  }

  async counters(): Promise<NodeCounters> {
    return await this.ask({ kind: 'counters' })
  }

  async ask<T>(order: NodeOrder): Promise<T> {
    return await this.#child!.ask<T>(order)
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }
}

/** A machine behind the VXLAN device that leads out: what routes lead over. */
const NEXT_HOP = '172.16.0.2'

/**
 * `core`: another core than the sender's, to which received packets are passed at once (RPS), as an interrupt of a card
 * would go. Without it a veth's packets are forwarded within the sender's own system call.
 */
export class LinuxVxlan implements Device {
  readonly name: string
  readonly isPeer = true
  readonly path = THROUGH
  readonly size = SMALL
  readonly #lab: Lab
  readonly #core: number | undefined

  constructor(lab: Lab, core?: number) {
    this.name = core === undefined ? "Linux, on the sender's core" : 'Linux, on a core of its own'
    this.#lab = lab
    this.#core = core
  }

  /** There is no GRE device that takes bare IP with a key on every kernel: VXLAN both ways. */
  work(): Work {
    return { kind: 'route', tunnel: 'vxlan' }
  }

  async start(): Promise<void> {
    const vxlan = (name: string, id: number, remote: string): string =>
      `link add ${name} mtu 1500 type vxlan id ${id} local ${ADDRESS.vip} remote ${remote} dstport ${UDP_PORT.vxlan} nolearning`
    const lines = [
      vxlan('tenant', vniOf(1), ADDRESS.sender),
      `link set tenant address ${GATEWAY_MAC} up`,
      vxlan('vpc', keyOf(1), ADDRESS.receiver),
      'link set vpc up',
      'addr add 172.16.0.1/24 dev vpc',
      `neigh add ${NEXT_HOP} lladdr ${MACHINE_MAC} dev vpc nud permanent`,
      ...Array.from(
        prefixesOf(SMALL),
        (prefix) => `route add ${formatAddress(ipv4Bytes(prefix))}/24 via ${NEXT_HOP} dev vpc`,
      ),
    ]
    await this.#lab.configure(new Map([[DEVICE, lines]]))
    await this.#steer(this.#core === undefined ? 0 : 1 << this.#core)
  }

  async stop(): Promise<void> {
    await this.#lab.configure(new Map([[DEVICE, ['link delete tenant', 'link delete vpc']]]))
    await this.#steer(0)
  }

  // /sys shows a namespace's devices to whoever mounted it there, which `ip netns exec` does.
  async #steer(cores: number): Promise<void> {
    const write = `echo ${cores.toString(16)} > /sys/class/net/in/queues/rx-0/rps_cpus`
    await this.#lab.run(DEVICE, 'ip', 'netns', 'exec', this.#lab.fullName(DEVICE), 'sh', '-c', write)
  }
}

const COMMAND = 'dpdk-testpmd'

export class Testpmd implements Device {
  readonly name = 'DPDK testpmd io'
  readonly isPeer = true
  readonly path = THROUGH
  readonly size = SMALL
  readonly #lab: Lab
  #process: ChildProcess | undefined

  static isThere(): boolean {
    return findCommand(COMMAND) !== undefined
  }

  /** Installs it where it is not there. Why it cannot be had; undefined when it can. */
  static missing(): string | undefined {
    const state = ensurePackage('dpdk-dev', COMMAND)
    return typeof state === 'string' ? undefined : state.missing
  }

  constructor(lab: Lab) {
    this.#lab = lab
  }

  work(): Work {
    return { kind: 'pass' }
  }

  /** Its first core is the one that it does not forward on. It forwards some seconds later. */
  async start(): Promise<void> {
    const [first = 0, second = first] = allowedCores()
    const port = (number: number, name: string): string => `--vdev=net_af_xdp${number},iface=${name}`
    const eal = [
      '--lcores',
      `0@${first},1@${second}`,
      '--main-lcore',
      '0',
      '--no-huge',
      '-m',
      '256',
      '--no-pci',
      '--no-telemetry',
    ]
    const io = ['--forward-mode=io', '--auto-start', '--nb-cores=1', '--total-num-mbufs=16384', '--no-lsc-interrupt']
    const args = [...eal, '--file-prefix', this.#lab.id, port(0, 'in'), port(1, 'out'), '--', ...io]
    this.#process = this.#lab.spawn(DEVICE, COMMAND, args, { stdio: ['pipe', 'ignore', 'ignore'] })
  }

  // It ends when it reads a line, and takes its XDP programs along.
  async stop(): Promise<void> {
    const running = this.#process
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const exit = once(running, 'exit')
    running.stdin!.end('\n')
    await exit
  }
}
