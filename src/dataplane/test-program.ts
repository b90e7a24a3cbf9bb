/**
 * The program of the worker tests: sends every VXLAN frame back out as it came, by the port it is told, and knows the
 * flow inside. On the agent's word it says how many chunks its worker has, or does what a program must not do.
 */

import { ipv4 } from '../wire/ipv4.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { Batch, FORWARD } from './batch.ts'
import { Drop } from './drop.ts'
import { flowHash4 } from './flow.ts'
import { FIRST_TENANT } from './ledger.ts'
import type { Program, ProgramContext } from './program.ts'

/** Ethernet, IPv4 and UDP, then VXLAN and the inner Ethernet header. */
const UDP_PORT_AT = 14 + 20 + 2
const INNER_AT = 14 + 20 + 8 + 8 + 14

export interface TestParameters {
  /** The port by which frames leave. */
  readonly out: number
}

export type TestMessage = 'chunks' | 'throw' | 'lose a frame' | 'lose a chunk' | 'stand still'

const STANDSTILL_ms = 1500

export interface ChunksReport {
  readonly chunks: number
}

export function createProgram(context: ProgramContext, parameters: unknown): Program {
  const { frames, ledger, pool, ports, worker } = context
  const { out } = parameters as TestParameters
  let losesFrame = false
  return {
    originated: new Batch(),
    classify(batch) {
      const { view } = frames
      for (let row = 0; row < batch.count; row++) {
        const at = batch.address[row]!
        const isVxlan =
          batch.length[row]! > INNER_AT + ipv4.BYTES && view.getUint16(at + UDP_PORT_AT) === UDP_PORT.vxlan
        if (isVxlan) batch.hash[row] = flowHash4(view, at + INNER_AT, at + batch.length[row]!)
        else batch.verdict[row] = Drop['not-a-tunnel']
      }
    },
    process(batch) {
      for (let row = 0; row < batch.count; row++) {
        batch.tenant[row] = FIRST_TENANT
        if (batch.verdict[row] === FORWARD) batch.out[row] = out
      }
      ledger.admitted(batch)
      if (losesFrame && batch.count > 0) batch.count--
    },
    housekeeping() {},
    message(message) {
      if (message === 'throw') throw new Error(`worker ${worker} of ${ports.join(' and ')} was told to throw`)
      if (message === 'lose a frame') losesFrame = true
      if (message === 'lose a chunk') pool.take()
      if (message === 'stand still') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL_ms)
      if (message === 'chunks') context.post({ chunks: ledger.chunks() } satisfies ChunksReport)
    },
  }
}
