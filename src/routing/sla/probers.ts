/** The sites' probes as their senders: which kind, to where, from where. */

import { parseAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Probe } from '../../config/probe.ts'
import { IcmpProber } from './icmp-prober.ts'
import type { Answered, Prober } from './prober.ts'
import { HttpProber, TcpProber } from './stream-probers.ts'
import { UdpProber } from './udp-prober.ts'

/** Throws what the system says, such as that there is no such address here. */
export function proberOf(probe: Probe, clock: Clock, random: Random, answered: Answered): Prober {
  const { icmp, udp, tcp, http, to, from, timeout_ms } = probe
  const address = parseAddress(to)!
  const own = from === undefined ? undefined : parseAddress(from)!
  if (icmp) return new IcmpProber({ to: address, from: own, bytes: icmp.bytes, clock, random, answered })
  if (udp) {
    const { port, bytes } = udp
    const any = new Uint8Array(address.length)
    return new UdpProber({ to: { address, port }, from: own ?? any, bytes, clock, answered })
  }
  const stream = { to, from, timeout_ms, clock, answered }
  return tcp ? new TcpProber({ ...stream, port: tcp.port }) : new HttpProber({ ...stream, ...http! })
}
