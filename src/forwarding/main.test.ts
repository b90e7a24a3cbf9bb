/**
 * A node as a process, watched by BFD as a switch does, told what to hold by the test in the control module's place.
 *
 *   rack (BFD) ==rack 10.1.0.1/30 == 10.1.0.2 uplink== node fn-1 (10.0.1.1)
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { FEED_LIMITS } from '../agent/follower.ts'
import { BUCKET, fibFeed } from '../agent/names.ts'
import { parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import { BfdService } from '../bfd/service.ts'
import { defaultBfdTimers } from '../bfd/session.ts'
import { type Bus, PAYLOAD_BYTES_MAX } from '../bus/bus.ts'
import { connectBus } from '../bus/embedded/client.ts'
import { busSocket, runBus } from '../bus/embedded/main.ts'
import { restless } from '../linux/idle.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type FibBatch, fibBatch } from '../wire/control/fib.ts'
import { cut } from '../wire/control/pieces.ts'
import { ack, feedStart } from '../wire/control/report.ts'
import { ACME, sampleBatch, VIP } from './sample-site.ts'

const TIMEOUT_ms = 60_000
const NODE = '10.0.1.1'
const CLUSTER = 'blue'
const ROUTES = 500_000
/** A next hop of ACME's in the sample site. */
const PEER = 101

const SITE = JSON.stringify({
  site: 'test',
  gateway: { mac: '02:67:68:00:00:01' },
  vips: [{ name: 'public', address: VIP }],
  clusters: [{ name: CLUSTER, vips: ['public'], nodes: [{ name: 'fn-1', address: NODE, ports: ['uplink'] }] }],
})

class Scene {
  readonly net = new ScratchNetwork()
  readonly rack = this.net.namespace()
  readonly node = this.net.namespace()
  readonly bfd: BfdService
  /** What BFD told of the node. */
  readonly told: string[] = []
  readonly #directory = mkdtempSync(join(tmpdir(), 'gatehouse-'))
  #server: { close(): Promise<void> } | undefined
  #bus: Bus | undefined
  #wake = (): void => {}
  process: ChildProcess | undefined

  constructor() {
    const { net, rack, node } = this
    net.wire(
      { namespace: rack, name: 'rack', addresses: ['10.1.0.1/30'] },
      { namespace: node, name: 'uplink', addresses: ['10.1.0.2/30'] },
    )
    for (const own of [NODE, VIP]) ip('-n', node, 'address', 'add', `${own}/32`, 'dev', 'lo')
    ip('-n', rack, 'route', 'add', `${NODE}/32`, 'via', '10.1.0.2')
    this.bfd = withNamespace(
      rack,
      () =>
        new BfdService({
          enabled: true,
          news: ({ state, diagnostic }) => {
            this.told.push(`${state} ${diagnostic}`)
            this.#wake()
          },
          onDeath: (error) => this.told.push(error.message),
        }),
    )
  }

  async start(): Promise<void> {
    this.#server = await runBus({ directory: this.#directory, stateDirectory: this.#directory, log: silent })
    const options = { socketPath: busSocket(this.#directory), clock: systemClock, random: new Random(1) }
    this.#bus = connectBus({ ...options, name: 'test' })
    await this.#bus.whenConnected(5000)
    await this.append({ ...sampleBatch(), cluster: CLUSTER })
    const file = new URL('./test-process.ts', import.meta.url)
    const execArgv = ['--disable-warning=ExperimentalWarning']
    this.process = fork(file, [this.node, SITE, this.#directory], { execArgv })
    const [message] = await once(this.process, 'message')
    equal(message, 'ready')
    const peer = { local: parseAddress('10.1.0.1')!, remote: parseAddress(NODE)! }
    this.bfd.open(peer, { ...defaultBfdTimers, role: 'active' })
    await this.hears('up none')
  }

  async hears(wanted: string): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_ms / 2)
    while (this.told.at(-1) !== wanted) {
      await new Promise<void>((wake) => {
        this.#wake = wake
        signal.addEventListener('abort', () => wake())
      })
      ok(!signal.aborted, this.told.join(', '))
    }
  }

  async append(batch: FibBatch): Promise<void> {
    const bus = this.#bus!
    const stream = bus.stream(fibFeed(CLUSTER), FEED_LIMITS)
    const { last } = await stream.bounds()
    for (const piece of cut(fibBatch.encode(batch), PAYLOAD_BYTES_MAX)) await stream.append(piece)
    const start = feedStart.encode({ incarnation: 'first', sequence: last + 1 })
    if (batch.snapshot) await bus.bucket(BUCKET.feeds).put(fibFeed(CLUSTER), start)
  }

  /** Resolves once the node has taken it over. */
  async acknowledged(generation: number): Promise<void> {
    const taken = Promise.withResolvers<void>()
    const watch = this.#bus!.bucket(BUCKET.acks).watch(`${fibFeed(CLUSTER)}.fn-1`, ({ value }) => {
      const decoded = value && ack.decode(value)
      if (decoded?.ok && decoded.value.generation === generation) taken.resolve()
    })
    await taken.promise
    watch.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bfd.stop()
    if (this.process?.exitCode === null) {
      const ended = once(this.process, 'exit')
      this.process.kill('SIGKILL')
      await ended
    }
    await this.#bus?.close()
    await this.#server?.close()
    this.net[Symbol.dispose]()
    rmSync(this.#directory, { recursive: true })
  }
}

function moreRoutes(): FibBatch {
  const routes4 = new RouteColumnsBuilder(1)
  for (let i = 0; i < ROUTES; i++) routes4.add4(ACME.id, (11 << 24) + i, 32, PEER)
  const nothing = { tenants: [], nextHops: [], routes6: new RouteColumnsBuilder(4).build() }
  const difference = { cluster: CLUSTER, generation: 2, base: 1, snapshot: false }
  return { ...sampleBatch(), ...nothing, ...difference, routes4: routes4.build() }
}

suite('a node as a process', { skip: unprivileged, timeout: TIMEOUT_ms }, () => {
  const scene = unprivileged ? undefined : new Scene()

  before(() => scene!.start())
  after(() => scene?.[Symbol.asyncDispose]())

  test('sleeps while there is nothing to do but BFD', async () => {
    equal(await restless(scene!.process!.pid!, 150), undefined)
  })

  test('stays up for its switches while half a million routes come, and a snapshot after them', async () => {
    scene!.told.length = 0
    const more = moreRoutes()
    await scene!.append(more)
    await scene!.acknowledged(2)
    await scene!.append({ ...sampleBatch(), cluster: CLUSTER, generation: 3, routes4: more.routes4 })
    await scene!.acknowledged(3)
    await scene!.append({ ...sampleBatch(), cluster: CLUSTER, generation: 4 })
    await scene!.acknowledged(4)
    deepEqual(scene!.told, [])
  })

  test('is down for them when its agent hangs for good, and up again if it goes on', async () => {
    scene!.process!.send(8000)
    await scene!.hears('down neighbourSignalledDown')
    await scene!.hears('up none')
  })

  test('takes leave of them when it ends', async () => {
    const ended = once(scene!.process!, 'exit')
    scene!.process!.kill('SIGTERM')
    await scene!.hears('down neighbourSignalledDown')
    deepEqual(await ended, [0, null])
  })
})
