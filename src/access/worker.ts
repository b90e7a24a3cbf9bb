/**
 * What a switch's worker threads load: the program over the switch's shared memory, warmed up before it is handed out.
 */

import { Random } from '../base/random.ts'
import type { Program, ProgramContext } from '../dataplane/program.ts'
import { spoilt } from '../wire/mutate.ts'
import { type CorpusFrame, corpus } from './corpus.ts'
import { type SwitchMemory, viewsOf } from './memory.ts'
import { SwitchProgram } from './program.ts'
import { SampleSwitch } from './sample-switch.ts'

/** The first round takes 40 ms, the hundredth 2: nothing is compiled any more. */
const WARM_UP_ROUNDS = 100
const BATCH = 32

export function createProgram(context: ProgramContext, parameters: unknown): Program {
  warmUp(WARM_UP_ROUNDS)
  return new SwitchProgram(viewsOf(parameters as SwitchMemory, context.frames, context.pool, context.ledger))
}

/**
 * Replays every branch of the program on a switch in memory: the first packet of a tenant finds compiled code. Spoilt
 * frames, others every time, meet the many checks of the headers.
 */
export function warmUp(rounds: number): void {
  const site = new SampleSwitch()
  const frames = corpus()
  const random = new Random(1)
  const send = (batch: readonly CorpusFrame[]): void => {
    for (const { port, frame } of batch) site.inject(port, frame)
    site.run()
    site.sent()
  }
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < frames.length; at += BATCH) send(frames.slice(at, at + BATCH))
    const some = Array.from({ length: BATCH }, () => random.pick(frames))
    send(some.map(({ port, frame }) => ({ port, frame: spoilt(random, frame) })))
    // ICMP errors are limited in rate: time must pass for them to be given, and none for them to be refused.
    if (round % 16 === 0) site.advance(1000)
  }
}
