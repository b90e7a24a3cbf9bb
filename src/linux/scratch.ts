/**
 * Throw-away networks for tests: namespaces and wires made with iproute2, named after this process, removed at the end
 * of a `using` block, and at the process's end if it gets that far. What a killed test left behind goes when the next
 * starts.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { parseAddress } from '../base/address.ts'
import { setOffloads } from './ethtool.ts'
import { withNamespace } from './namespace.ts'
import { PollSet } from './poll.ts'
import { IcmpSocket } from './socket.ts'

/** The reason to skip a test that needs the kernel, or false. */
export const unprivileged: string | false = process.getuid?.() === 0 ? false : 'needs root'

const PREFIX = 'scratch'
let made = 0

interface WireEnd {
  namespace: string
  name: string
  /** `10.0.0.1/24`, `2001:db8::1/64`. */
  addresses?: readonly string[]
}

export class ScratchNetwork {
  readonly #namespaces: string[] = []

  constructor() {
    removeLeftovers()
    process.once('exit', this.#remove)
  }

  namespace(): string {
    const name = `${PREFIX}-${process.pid}-${made++}`
    this.#namespaces.push(name)
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    return name
  }

  /**
   * A veth pair, both ends up. The kernel finishes checksums itself, for what reads frames from it expects them whole,
   * and an end without IPv6 addresses says nothing by itself: no neighbour discovery, no multicast reports among a
   * test's frames.
   */
  wire(a: WireEnd, b: WireEnd, { mtu = 1500, queues = 1 } = {}): void {
    const shape = ['mtu', `${mtu}`, 'numrxqueues', `${queues}`, 'numtxqueues', `${queues}`]
    const [here, there] = [
      ['name', a.name, 'netns', a.namespace],
      ['name', b.name, 'netns', b.namespace],
    ] // prettier-ignore
    ip('link', 'add', ...here, ...shape, 'type', 'veth', 'peer', ...there, ...shape)
    for (const { namespace, name, addresses = [] } of [a, b]) {
      for (const address of addresses) ip('-n', namespace, 'address', 'add', address, 'dev', name, 'nodad')
      withNamespace(namespace, () => {
        setOffloads(name, { 'tx-checksum': false })
        const silent = addresses.every((address) => !address.includes(':'))
        if (silent) writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1')
      })
      ip('-n', namespace, 'link', 'set', name, 'up')
    }
  }

  [Symbol.dispose](): void {
    process.removeListener('exit', this.#remove)
    this.#remove()
  }

  #remove = (): void => {
    for (const name of this.#namespaces.splice(0)) ip('netns', 'delete', name)
  }
}

/** Runs iproute2 and returns what it printed. */
export function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

const PING_TIMEOUT_MS = 2000

/** One echo request from a namespace, out of the kernel's own stack; whether its answer came. */
export function ping(namespace: string, to: string, payloadBytes: number): boolean {
  const address = parseAddress(to)!
  const version = address.length === 4 ? 4 : 6
  const socket = withNamespace(namespace, () => new IcmpSocket(version))
  const answers = new PollSet([socket.fd])
  const message = new Uint8Array(8 + payloadBytes).fill(0x5a, 8)
  message[0] = version === 4 ? 8 : 128 // echo request, RFC 792 and RFC 4443 section 4.1
  message[5] = 1
  if (version === 4) new DataView(message.buffer).setUint16(2, checksum(message))
  try {
    if (!socket.send(message, address)) return false
    while (answers.wait(PING_TIMEOUT_MS) > 0) {
      for (let answer = socket.receive(); answer; answer = socket.receive()) {
        const same = Buffer.from(answer.bytes.subarray(4)).equals(message.subarray(4))
        if (answer.bytes[0] === (version === 4 ? 0 : 129) && same) return true
      }
    }
    return false
  } finally {
    socket.close()
  }
}

/** RFC 1071, over an even number of bytes. */
function checksum(message: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < message.length; i += 2) sum += (message[i]! << 8) | message[i + 1]!
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function removeLeftovers(): void {
  if (!existsSync('/run/netns')) return
  for (const name of readdirSync('/run/netns')) {
    const [prefix, owner] = name.split('-')
    if (prefix === PREFIX && !existsSync(`/proc/${owner}`)) ip('netns', 'delete', name)
  }
}
