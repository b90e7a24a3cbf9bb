/**
 * A thread that takes the carrier from a wire and gives it back. Closing a device takes the kernel milliseconds, in which the
 * thread that asks for it does nothing else.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { interfaceIndex } from '../../src/linux/libc.ts'
import { setLink } from '../../src/linux/link.ts'
import { enterNamespace } from '../../src/linux/namespace.ts'
import { Netlink } from '../../src/linux/netlink.ts'

export interface WireSetup {
  readonly namespace: string
  readonly interface: string
}

const { namespace, interface: name } = workerData as WireSetup
enterNamespace(namespace)
const netlink = new Netlink()
const index = interfaceIndex(name)
parentPort!.on('message', (up: boolean) => setLink(netlink, index, { up }))
