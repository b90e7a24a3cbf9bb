/** `gatehouse explain packet`: what each forwarding node would do with a packet, by the code that forwards (explainer.ts). */

import { modulesOf } from '../agent/presence.ts'
import { askToShow } from '../agent/show.ts'
import { BusError } from '../bus/bus.ts'
import { onlyRunDirectory, withBus } from './bus-of.ts'
import { EXIT, Failure } from './failure.ts'
import { table } from './table.ts'

export interface ExplainPacketOptions {
  readonly tenant: string
  readonly from: string
  readonly to: string
  readonly protocol: string
  readonly port?: string
  readonly sourcePort?: string
  readonly dscp?: string
  readonly run?: string
  readonly json?: boolean
}

export async function explainPacket(options: ExplainPacketOptions): Promise<void> {
  const { tenant, from, to, protocol, run } = options
  if (!['tcp', 'udp', 'icmp'].includes(protocol)) wrong(`the protocol is tcp, udp or icmp, and not ${protocol}`)
  const question = JSON.stringify({
    ...{ tenant, from, to, protocol },
    ...numberOf('port', options.port, 65_535),
    ...numberOf('sourcePort', options.sourcePort, 65_535),
    ...numberOf('dscp', options.dscp, 63),
  })
  const rows = await withBus(run ?? onlyRunDirectory(), async (bus) => {
    const nodes = Array.from(await modulesOf(bus)).filter(([, { role }]) => role === 'forwarding')
    const answers = nodes.map(async ([node]) => {
      try {
        const told = (await askToShow(bus, node, 'packet', question)) as Record<string, unknown>[]
        return told.map((row) => ({ node, ...row }))
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        console.error(`gatehouse: ${node} does not answer: ${error.message}`)
        return []
      }
    })
    return (await Promise.all(answers)).flat()
  })
  if (rows.length === 0)
    throw new Failure(
      `no node can tell: is there a tenant ${tenant}, and are ${from} and ${to} addresses of one IP version?`,
    )
  console.log(options.json ? JSON.stringify(rows) : table(rows))
}

function numberOf(name: string, text: string | undefined, max: number): Record<string, number> {
  if (text === undefined) return {}
  const number = Number(text)
  return /^\d+$/.test(text) && number <= max ? { [name]: number } : wrong(`${text} is no number from 0 to ${max}`)
}

function wrong(message: string): never {
  throw new Failure(message, EXIT.usage)
}
