/**
 * A site that goes through changes of all kinds while its control module dies at one point of them, and another takes over.
 * After each change all must hold what a control module makes of it that nothing ever happened to.
 */

import { equal, ok } from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Bus } from '../../src/bus/bus.ts'
import { freshState, give, inParts, publish, routesOf, Scene, siteOf, siteText, whole } from './scene.ts'
import { keptBy, type Readers, type State } from './state.ts'

export const FIRST = siteText()
const MOVED = siteText({ acme: 'v2', second: true })

interface Step {
  readonly site: string
  readonly batches: readonly Uint8Array[]
}

/** Each is what is new in it: a site, or batches of routes. */
const STEPS: readonly Step[] = [
  { site: FIRST, batches: [] },
  { site: FIRST, batches: whole(routesOf('bgp-1', '192.168.1.2', [0, 40])) },
  {
    site: FIRST,
    batches: [...whole(routesOf('bgp-2', '192.168.1.3', [5, 50])), ...whole(routesOf('bgp-1', undefined, [0, 10]))],
  },
  { site: MOVED, batches: [] },
  { site: MOVED, batches: inParts(routesOf('bgp-1', '192.168.1.4', [10, 200], { replaces: true })) },
  { site: FIRST, batches: whole(routesOf('bgp-2', '192.168.1.2', [20, 30])) },
]

let expected: Promise<State[]> | undefined

/** After each step. */
function expectedStates(): Promise<State[]> {
  expected ??= (async () => {
    const states: State[] = []
    for (const [i, { site }] of STEPS.entries()) {
      const batches = STEPS.slice(0, i + 1).flatMap((step) => step.batches)
      states.push(await freshState(site, batches))
    }
    return states
  })()
  return expected
}

/** What comes when another one leads again. */
export const LATER = whole(routesOf('bgp-3', '192.168.1.3', [300, 310]))
const more = new Map<readonly Uint8Array[], Promise<State>>()

/** After all steps and these batches. */
export function expectedWith(batches: readonly Uint8Array[]): Promise<State> {
  const known = more.get(batches) ?? freshState(FIRST, [...STEPS.flatMap((step) => step.batches), ...batches])
  more.set(batches, known)
  return known
}

/** The control module is killed at the point, and one of the same name goes on. */
export async function endAt(t: TestContext, point: string): Promise<void> {
  const scene = await Scene.of(t)
  const first = scene.control('control', FIRST, { at: point })
  let isReached = false
  const taken = first.ended.then((signal) => {
    if (scene.isOver) return
    equal(signal, 'SIGKILL', 'it ended otherwise')
    isReached = true
    scene.controlHere('control', FIRST)
  })
  taken.catch(() => {})
  await goThrough(scene)
  ok(isReached, `the control module never came to: ${point}`)
}

/**
 * The control module stands still at the point until another one has led through all the rest, and then goes on in the
 * belief that it leads.
 */
export async function stopAt(t: TestContext, point: string): Promise<void> {
  const scene = await Scene.of(t)
  const first = scene.control('control', FIRST, { at: point, signal: 'SIGSTOP' })
  await first.said('done acquire control')
  const spare = scene.controlHere('spare', FIRST)
  const { readers, bus, last } = await goThrough(scene)
  ok(first.lines.includes(point), `the control module never came to: ${point}`)
  const from = first.lines.length
  first.child.kill('SIGCONT')
  // It waits for its turn again once it knows.
  await first.said('before acquire control', { from })
  // What it wrote has arrived by now, and a reader that is new meets it.
  await scene.readers(bus, siteOf(FIRST), 'others').equal(last)
  await readers.equal(last)
  // It leads again: what it finds is not what it remembered.
  await spare.close()
  await first.said('done acquire control', { from })
  await publish(bus, LATER)
  await readers.equal(await expectedWith(LATER))
  equal(readers.flushed.join('\n'), '', 'a node was without a route that it ought to have had all the time')
}

/** The nodes are killed at the point, and start again with what is on their disk. */
export async function endNodesAt(t: TestContext, point: string): Promise<void> {
  const scene = await Scene.of(t, { busHere: true })
  const nodes = scene.nodes(FIRST, point)
  scene.controlHere('control', FIRST)
  await Promise.race([nodes.said('done put acks/switch-edge.edge'), nodes.ended])
  // All steps are said one after the other, whatever has come of the one before.
  const source = scene.join('source')
  for (const { site, batches } of STEPS) {
    await give(source, site)
    await publish(source, batches)
  }
  await nodes.ended
  const bus = scene.join('readers')
  await scene.readers(bus, siteOf(FIRST)).equal((await expectedStates()).at(-1)!)
}

/** Through all steps, with something else that happens while each is said, until all hold what they ought to. */
export async function goThrough(
  scene: Scene,
  bus = scene.join('readers'),
  meanwhile: (step: number) => Promise<unknown> = () => Promise.resolve(),
): Promise<{ readers: Readers; bus: Bus; last: State }> {
  const states = await expectedStates()
  const source = scene.join('source')
  const readers = scene.readers(bus, siteOf(FIRST))
  for (const [i, { site, batches }] of STEPS.entries()) {
    const isNew = i > 0 && site !== STEPS[i - 1]!.site
    const said = (isNew ? give(source, site) : Promise.resolve()).then(() => publish(source, batches))
    await Promise.all([said, meanwhile(i)])
    await readers.equal(states[i]!)
    readers.keep = keptBy(states.slice(i, i + 2))
  }
  equal(readers.flushed.join('\n'), '', 'a node was without a route that it ought to have had all the time')
  return { readers, bus, last: states.at(-1)! }
}
