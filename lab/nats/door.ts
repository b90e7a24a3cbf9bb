/**
 * A thread that lets this process in to servers of another namespace: what comes to a loopback port of ours is carried to a
 * server there. A socket belongs to the namespace that its thread was in when it was opened, so the thread listens first
 * and then moves.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { enterNamespace } from '../../src/linux/namespace.ts'

interface Server {
  readonly host: string
  readonly port: number
}

interface Setup {
  /** In full, as `ip netns` knows it. */
  readonly namespace: string
  readonly servers: readonly Server[]
}

export interface Door {
  /** `host:port` of each server, as seen from here. */
  readonly addresses: readonly string[]
  close(): Promise<void>
}

export async function openDoor(setup: Setup): Promise<Door> {
  const worker = new Worker(new URL(import.meta.url), { workerData: setup })
  const [addresses] = (await once(worker, 'message')) as [string[]]
  return {
    addresses,
    async close() {
      await worker.terminate()
    },
  }
}

function carry(from: Socket, { host, port }: Server): void {
  const to = connect({ host, port, noDelay: true })
  from.setNoDelay(true)
  // Either end that breaks ends both.
  pipeline(from, to, () => {})
  pipeline(to, from, () => {})
}

async function listen({ namespace, servers }: Setup): Promise<void> {
  const ports = servers.map(async (server) => {
    const listening = createServer((from) => carry(from, server))
    await once(listening.listen(0, '127.0.0.1'), 'listening')
    return (listening.address() as AddressInfo).port
  })
  const addresses = (await Promise.all(ports)).map((port) => `127.0.0.1:${port}`)
  enterNamespace(namespace)
  parentPort!.postMessage(addresses)
}

if (!isMainThread && parentPort) await listen(workerData as Setup)
