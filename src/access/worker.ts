/**
 * What a switch's worker threads load: the program over the switch's shared memory, warmed up before it is handed out.
 */

import type { Program, ProgramContext } from '../dataplane/program.ts'
import { corpus } from './corpus.ts'
import { type SwitchMemory, viewsOf } from './memory.ts'
import { SwitchProgram } from './program.ts'
import { SampleSwitch } from './sample-switch.ts'

/** The first round takes 40 ms, the hundredth 2: nothing is compiled any more. */
const WARM_UP_ROUNDS = 100

export function createProgram(context: ProgramContext, parameters: unknown): Program {
  warmUp(WARM_UP_ROUNDS)
  return new SwitchProgram(viewsOf(parameters as SwitchMemory, context.frames, context.pool, context.ledger))
}

/** Replays every branch of the program on a switch in memory: the first packet of a tenant finds compiled code. */
export function warmUp(rounds: number): void {
  const site = new SampleSwitch()
  const frames = corpus()
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < frames.length; at += 32) {
      for (const { port, frame } of frames.slice(at, at + 32)) site.inject(port, frame)
      site.run()
      site.sent()
    }
    // ICMP errors are limited in rate: time must pass for them to be given.
    site.advance(100)
  }
}
