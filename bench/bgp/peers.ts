/** The two ends of a table's way through a daemon, each a process of its own (peer.ts), and the time that it takes. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Lab } from '../../lab/namespaces.ts'
import { ADDRESS, AS, NAMESPACE, NEXT_HOP } from './daemons.ts'
import { nextOf } from './messages-of.ts'
import type { FromPeer, PeerSetup, ToPeer } from './peer.ts'
import { VPN_AS } from './vpn-routes.ts'

const SEED = 1
const PATIENCE_MS = 300_000

/** Seconds from the first update sent to the last one received. */
export async function passOn(
  sender: Peer,
  receiver: Peer,
  kind: 'announce' | 'withdraw',
  routes: number,
): Promise<number> {
  const isAnnounce = kind === 'announce'
  receiver.tell({ kind: 'expect', announced: isAnnounce ? routes : 0, withdrawn: isAnnounce ? 0 : routes })
  const started = sender.next('started')
  const complete = receiver.next('complete')
  sender.tell({ kind })
  const [from, to] = await Promise.all([started, complete])
  return (to.at_ms - from.at_ms) / 1000
}

export class Peer {
  downs = 0
  readonly #child: ChildProcess

  constructor(lab: Lab, { role, routes, vpn }: Pick<PeerSetup, 'role' | 'routes' | 'vpn'>) {
    const setup: PeerSetup = {
      ...{ role, routes, seed: SEED, ...(vpn && { vpn }) },
      local: ADDRESS[role],
      remote: ADDRESS.daemon,
      port: 179,
      as: vpn && role === 'sender' ? VPN_AS : AS[role],
      nextHop: NEXT_HOP,
    }
    const file = join(import.meta.dirname, 'peer.ts')
    const args = ['--disable-warning=ExperimentalWarning', file, JSON.stringify(setup)]
    this.#child = lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    let isUp = false
    this.#child.on('message', ({ kind }: FromPeer) => {
      if (kind === 'up') isUp = true
      else if (kind === 'down' && isUp) this.downs++
    })
  }

  tell(message: ToPeer): void {
    this.#child.send(message)
  }

  next<K extends FromPeer['kind']>(kind: K): Promise<Extract<FromPeer, { readonly kind: K }>> {
    return nextOf<FromPeer, K>(this.#child, kind, PATIENCE_MS)
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}
