import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ipv4Number, type Prefix, parseAddress, parsePrefix } from '../../base/address.ts'
import { Random } from '../../base/random.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from '../qsbr.ts'
import { SMALL_MAX, WIDE_FROM, type WideFrom } from './build.ts'
import { createFibMemory, FibFullError, FibReader, FibWriter, LOOKUPS_MAX } from './fib.ts'
import { drawAddress, drawNear, drawPrefix, Model, type Shape } from './model.ts'

interface Site {
  readonly writer: FibWriter
  readonly reader: FibReader
  readonly worker: QsbrReader
  readonly qsbr: QsbrWriter
  lookup(vrf: number, address: Uint8Array): number
}

/** A FIB whose single worker is offline, so that memory comes back at the next reclaim. */
function site({ words = 1 << 22, vrfs = 16, poison = 0x00badbad, wideFrom = WIDE_FROM } = {}): Site {
  const memory = createFibMemory({ words, vrfs })
  const qsbrMemory = createQsbrMemory(1)
  const qsbr = new QsbrWriter(qsbrMemory)
  const reader = new FibReader(memory)
  const slots = new Uint32Array(1)
  return {
    writer: new FibWriter(memory, qsbr, { poison, wideFrom }),
    reader,
    worker: new QsbrReader(qsbrMemory, 0),
    qsbr,
    lookup(vrf, address) {
      if (address.length === 16) {
        const frame = new DataView(new ArrayBuffer(24))
        for (let i = 0; i < 16; i++) frame.setUint8(3 + i, address[i]!)
        reader.lookup6Batch(Uint32Array.of(vrf), frame, Uint32Array.of(3), slots, 1)
        equal(slots[0], reader.lookup6(vrf, frame, 3), 'a batch finds what a single lookup finds')
        return slots[0]!
      }
      reader.vrfs[0] = vrf
      reader.addresses[0] = ipv4Number(address)
      reader.lookup4Batch(1)
      equal(reader.slots[0], reader.lookup4(vrf, ipv4Number(address)), 'a batch finds what a single lookup finds')
      return reader.slots[0]!
    },
  }
}

/** Room for one wide root of 24 bits, and few routes that make one. */
const DIRECT: { words: number; wideFrom: WideFrom } = { words: 1 << 25, wideFrom: { 16: 1024, 24: 3072 } }

const prefix = (text: string): Prefix => parsePrefix(text)!
const address = (text: string): Uint8Array => parseAddress(text)!

function insertAll(writer: FibWriter, vrf: number, routes: Record<string, number>): void {
  for (const [text, slot] of Object.entries(routes)) writer.insert(vrf, prefix(text), slot)
}

/** Looks up around every route and at random, and reads all routes back. */
function agrees(
  { writer, lookup }: Site,
  vrf: number,
  model: Model,
  shape: Shape,
  random: Random,
  lookups = 400,
  andRoutes = true,
): void {
  const routes = model.routes
  for (let i = 0; i < lookups; i++) {
    const at =
      routes.length > 0 && i % 3 > 0 ? drawNear(random, random.pick(routes).prefix) : drawAddress(random, shape)
    const found = lookup(vrf, at)
    const wanted = model.lookup(at)
    if (found !== wanted) equal(found, wanted, `${at.join('.')} among ${routes.length} routes`)
  }
  if (andRoutes) deepEqual([...writer.routes(vrf)], model.sorted())
}

const SHAPES: Record<string, Shape> = {
  'scattered IPv4': { family: 4, within: [], shortest: 8, longest: 32 },
  'nested IPv4': { family: 4, within: [10, 1], shortest: 0, longest: 32 },
  'IPv4 host routes of one /20': { family: 4, within: [10, 1], shortest: 30, longest: 32 },
  'scattered IPv6': { family: 6, within: [0x20], shortest: 8, longest: 64 },
  'nested IPv6': { family: 6, within: [0x20, 1, 0xd, 0xb8, 0], shortest: 0, longest: 128 },
  'IPv6 hosts of one /64': {
    family: 6,
    within: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0],
    shortest: 126,
    longest: 128,
  },
}

/** Enough for each form that a VRF's table takes. */
const SIZES = { small: SMALL_MAX >> 1, 'on the edge of large': SMALL_MAX + 20, large: 3000 } as const

for (const [title, shape] of Object.entries(SHAPES))
  suite(`${title} routes`, () => {
    for (const [size, routes] of Object.entries(SIZES))
      test(`${size}: random insertions, replacements and removals agree with the model`, () => {
        const random = new Random(routes * 7 + title.length)
        const here = site()
        const model = new Model()
        for (let i = 0; i < routes * 3; i++) {
          const known = model.size > 0 && i % 3 === 2 ? random.pick(model.routes).prefix : undefined
          const at = known ?? drawPrefix(random, shape)
          const slot = 1 + random.below(0xffffff)
          if (random.chance(model.size / (2 * routes))) {
            equal(here.writer.remove(1, at), model.remove(at))
          } else {
            here.writer.insert(1, at, slot)
            model.insert(at, slot)
          }
          if (i % Math.ceil(routes / 4) === 0) agrees(here, 1, model, shape, random, 60)
        }
        agrees(here, 1, model, shape, random, 1000)
        equal(here.writer.stats()[shape.family === 4 ? 'routes4' : 'routes6'], model.size)
      })

    test('grow from nothing to large and shrink to nothing, and the arena has everything back', () => {
      const random = new Random(5)
      const here = site()
      const model = new Model()
      while (model.size < 1500) {
        const at = drawPrefix(random, shape)
        const slot = 1 + model.size
        here.writer.insert(2, at, slot)
        model.insert(at, slot)
      }
      agrees(here, 2, model, shape, random)
      equal(here.writer.stats().large, 1)
      for (const route of [...model.routes]) {
        ok(here.writer.remove(2, route.prefix))
        model.remove(route.prefix)
        if (model.size % 97 === 0) agrees(here, 2, model, shape, random, 30)
        if (model.size === 20) equal(here.writer.stats().small, 1, 'small again')
      }
      isEmpty(here)
    })

    test('a whole load gives what single insertions give, replaces what was there, and goes without a rest', () => {
      const random = new Random(6)
      const here = site()
      for (const count of [1, 50, 700, 6000, 30, 0]) {
        const model = new Model()
        for (let i = 0; i < count; i++) model.insert(drawPrefix(random, shape), 1 + random.below(1000))
        here.writer.load(3, shape.family, model.columns(random, shape.family))
        agrees(here, 3, model, shape, random)
      }
      isEmpty(here)
    })
  })

function isEmpty({ writer, qsbr }: Site): void {
  qsbr.reclaim()
  const { words, ...counts } = writer.stats()
  deepEqual(counts, { routes4: 0, routes6: 0, small: 0, large: 0, wide: 0, direct: 0, tables: 0, nodes: 0, retired: 0 })
  equal(words.used, 0)
  equal(words.taken, 0)
}

suite('a VRF', () => {
  test('answers 0 where it has no route, and the default route where nothing else matches', () => {
    const { writer, lookup } = site()
    equal(lookup(1, address('10.0.0.1')), 0)
    insertAll(writer, 1, { '0.0.0.0/0': 7, '10.0.0.0/8': 8, '::/0': 9, '2001:db8::/32': 10 })
    equal(lookup(1, address('10.255.255.255')), 8)
    equal(lookup(1, address('11.0.0.0')), 7)
    equal(lookup(1, address('255.255.255.255')), 7)
    equal(lookup(1, address('2001:db8::1')), 10)
    equal(lookup(1, address('ffff::')), 9)
    writer.remove(1, prefix('0.0.0.0/0'))
    equal(lookup(1, address('11.0.0.0')), 0)
  })

  test('knows nothing of its neighbours, although they use the same addresses', () => {
    const { writer, lookup } = site()
    insertAll(writer, 0, { '10.0.0.0/8': 1 })
    insertAll(writer, 15, { '10.0.0.0/16': 2 })
    equal(lookup(0, address('10.0.0.1')), 1)
    equal(lookup(15, address('10.0.0.1')), 2)
    equal(lookup(14, address('10.0.0.1')), 0)
    writer.clear(0)
    equal(lookup(0, address('10.0.0.1')), 0)
    equal(lookup(15, address('10.0.0.1')), 2)
  })

  test('exposes the next shorter route when one is removed, however the routes lie in nodes and tables', () => {
    for (const [others, limits] of [
      [0, {}],
      [500, {}],
      [WIDE_FROM[16], {}],
      [DIRECT.wideFrom[24], DIRECT],
    ] as const) {
      const { writer, lookup } = site(limits)
      for (let i = 0; i < others; i++) writer.insert4(1, ((200 << 24) | (i << 8)) >>> 0, 24, 99)
      const nested = Array.from({ length: 33 }, (_, length) => prefix(`0.0.0.0/${length}`))
      for (const at of nested) writer.insert(1, at, at.length + 1)
      for (const at of nested.toReversed()) {
        equal(lookup(1, address('0.0.0.0')), at.length + 1)
        if (at.length > 0) equal(lookup(1, nested[at.length]!.address), at.length + 1)
        writer.remove(1, at)
      }
      equal(lookup(1, address('0.0.0.0')), 0)
    }
  })

  test('goes through every form to a wide root of 24 bits and back, right at each step', () => {
    const here = site({ words: 1 << 25, wideFrom: { 16: 2048, 24: 8192 } })
    const count = 12_000
    const at = (i: number): number => Math.imul(i, 2654435761) & 0xffffff00
    for (let i = 1; i <= count; i++) here.writer.insert4(1, at(i) >>> 0, 24, i)
    insertAll(here.writer, 1, {
      '0.0.0.0/0': 900_001,
      '128.0.0.0/1': 900_002,
      '64.0.0.0/5': 900_003,
      '77.0.0.0/9': 900_004,
    })
    for (let left = count; left >= 0; left--) {
      if (left % 500 === 0) {
        const { wide, direct } = here.writer.stats()
        deepEqual({ wide, direct }, { wide: left > 1024 && left <= 4096 ? 1 : 0, direct: left > 4096 ? 1 : 0 })
        for (let i = 1; i <= count; i += 37) {
          const found = here.reader.lookup4(1, at(i) >>> 0)
          if (i <= left) equal(found, i)
          else ok(found >= 900_001)
        }
      }
      if (left > 0) ok(here.writer.remove4(1, at(left) >>> 0, 24))
    }
    here.writer.clear(1)
    isEmpty(here)
  })

  test('of routes that share nearly all bits is a table as long as tables get, and parents are found from its end too', () => {
    for (const [base, bits] of [
      ['2001:db8::', 128],
      ['10.0.0.', 32],
    ] as const) {
      const { writer, lookup } = site()
      const at = (host: number): string => `${base}${bits === 32 ? host : host.toString(16)}`
      for (let host = 0; host < 256; host += 2) {
        writer.insert(1, prefix(`${at(host)}/${bits - 1}`), 1000 + host)
        writer.insert(1, prefix(`${at(host)}/${bits}`), 2000 + host)
        for (let below = 0; below <= host; below += 2) {
          equal(lookup(1, address(at(below))), 2000 + below)
          equal(lookup(1, address(at(below + 1))), 1000 + below)
        }
      }
    }
  })

  test('is loaded wide with prefixes of every length, and changed by single routes then', () => {
    for (const [shape, limits, kind] of [
      [SHAPES['scattered IPv4']!, {}, 'wide'],
      [SHAPES['scattered IPv4']!, DIRECT, 'direct'],
      [{ ...SHAPES['scattered IPv6']!, within: [] }, DIRECT, 'wide'],
    ] as const) {
      const random = new Random(13)
      const here = site({ words: 1 << 23, ...limits })
      const model = new Model()
      for (let i = 1; model.size < WIDE_FROM[16] + 2000; i++)
        model.insert(drawPrefix(random, { ...shape, shortest: 0 }), i)
      for (let i = 0; i < 300; i++) model.insert(drawPrefix(random, { ...shape, shortest: 2, longest: 10 }), i + 50_000)
      here.writer.load(1, shape.family, model.columns(random, shape.family))
      equal(here.writer.stats()[kind], 1)
      agrees(here, 1, model, shape, random, 1000)
      for (const { prefix } of [...model.routes].filter(({ prefix }) => prefix.length < 12)) {
        ok(here.writer.remove(1, prefix))
        model.remove(prefix)
        agrees(here, 1, model, shape, random, 3, false)
      }
      agrees(here, 1, model, shape, random)
    }
  })

  test('in a wide root of 24 bits is looked up in batches of its own and in mixed ones', () => {
    const { writer, reader } = site(DIRECT)
    for (let i = 0; i <= 3072; i++) writer.insert4(1, ((10 << 24) | (i << 8)) >>> 0, 24, 1 + i)
    insertAll(writer, 1, { '10.0.5.64/26': 5000, '10.0.5.80/28': 5001 })
    insertAll(writer, 2, { '10.0.0.0/8': 9000 })
    equal(writer.stats().direct, 1)
    const { vrfs, addresses, slots } = reader
    const count = LOOKUPS_MAX
    for (let i = 0; i < count; i++) addresses[i] = ((10 << 24) | (i << 8) | 85) >>> 0
    for (const others of [0, 1, 150]) {
      for (let i = 0; i < count; i++) vrfs[i] = i < count - others ? 1 : 2
      reader.lookup4Batch(count)
      deepEqual(
        slots,
        Uint32Array.from(addresses, (_, i) => (i >= count - others ? 9000 : i === 5 ? 5001 : 1 + i)),
      )
    }
  })

  test('refuses what is our own mistake', () => {
    const { writer } = site()
    throws(() => writer.insert(1, prefix('10.0.0.0/8'), 0), /slot/)
    throws(() => writer.insert(1, prefix('10.0.0.0/8'), 1 << 24), /slot/)
    throws(() => writer.insert(16, prefix('10.0.0.0/8'), 1), /VRF/)
    throws(() => writer.insert4(1, 0x0a000001, 8, 1), /host bits/)
    throws(() => writer.insert4(1, 0, 33, 1), /host bits/)
  })
})

function insertIfFits(writer: FibWriter, vrf: number, prefix: Prefix, slot: number): boolean {
  try {
    writer.insert(vrf, prefix, slot)
    return true
  } catch (error) {
    ok(error instanceof FibFullError)
    return false
  }
}

suite('a full arena', () => {
  const shape: Shape = { family: 4, within: [], shortest: 8, longest: 32 }

  test('refuses with a typed error and stays as it was, lookups and removals go on, and room comes back', () => {
    const random = new Random(8)
    const here = site({ words: 1 << 16 })
    const model = new Model()
    let refused = 0
    for (let i = 0; i < 30_000; i++) {
      const at = drawPrefix(random, shape)
      if (insertIfFits(here.writer, 1, at, 1 + (i & 0xffff))) model.insert(at, 1 + (i & 0xffff))
      else if (refused++ % 2000 === 0) agrees(here, 1, model, shape, random, 50)
    }
    ok(refused > 1000)
    agrees(here, 1, model, shape, random, 1000)
    equal(here.writer.stats().routes4, model.size)
    for (const route of [...model.routes]) ok(here.writer.remove(1, route.prefix))
    isEmpty(here)
  })

  test('refuses a load and leaves the old table', () => {
    const random = new Random(9)
    const here = site({ words: 1 << 17 })
    const model = new Model()
    for (let i = 0; i < 300; i++) model.insert(drawPrefix(random, shape), 5)
    here.writer.load(1, 4, model.columns(random, 4))
    const before = here.writer.stats()
    const huge = new Model()
    for (let i = 0; i < 20_000; i++) huge.insert(drawPrefix(random, shape), 6)
    throws(() => here.writer.load(1, 4, huge.columns(random, 4)), FibFullError)
    deepEqual(here.writer.stats(), before)
    agrees(here, 1, model, shape, random)
  })

  test('removes routes in place, and takes them back, while a worker holds on to all that was retired', () => {
    const random = new Random(10)
    for (const family of [4, 6] as const) {
      const shape: Shape = { family, within: [], shortest: 1, longest: 32 }
      const vrfs = 20
      const here = site({ words: 1 << 18, vrfs })
      const models = Array.from({ length: vrfs }, () => new Model())
      for (const [vrf, model] of models.entries()) {
        while (model.size < 100) model.insert(drawPrefix(random, shape), 1 + model.size)
        here.writer.load(vrf, family, model.columns(random, family))
      }
      here.worker.online()
      for (let refused = 0; refused < 300; ) {
        const prefix = drawPrefix(random, shape)
        if (insertIfFits(here.writer, 0, prefix, 9)) models[0]!.insert(prefix, 9)
        else refused++
      }
      const { taken } = here.writer.stats().words
      for (const [vrf, model] of models.entries()) {
        for (const { prefix } of [...model.routes].filter(() => random.chance(0.7))) {
          ok(here.writer.remove(vrf, prefix))
          model.remove(prefix)
          equal(here.writer.remove(vrf, prefix), false, 'it is gone')
          if (random.chance(0.2) && insertIfFits(here.writer, vrf, prefix, 7)) model.insert(prefix, 7)
        }
        agrees(here, vrf, model, shape, random)
      }
      equal(here.writer.stats().words.taken, taken, 'there was no memory to do it with')
      here.worker.offline()
      for (const [vrf, model] of models.entries())
        for (const { prefix } of model.routes) ok(here.writer.remove(vrf, prefix))
      isEmpty(here)
    }
  })
})

suite('memory', () => {
  test('is not reused before the worker has passed a quiescent point', () => {
    const here = site()
    here.worker.online()
    insertAll(here.writer, 1, { '10.0.0.0/8': 1 })
    here.writer.commit()
    for (let i = 0; i < 1000; i++) here.writer.insert4(1, i << 8, 24, 2)
    const held = here.writer.stats()
    ok(held.retired > 0)
    here.writer.commit()
    equal(here.writer.stats().retired, held.retired, 'nothing was freed')
    here.worker.quiescent()
    here.writer.commit()
    equal(here.writer.stats().retired, 0)
    ok(here.writer.stats().words.used < held.words.used)
  })

  test('of 10,000 tenants with 100 scattered routes is 20 MB at most', () => {
    const { writer } = site({ words: 1 << 23, vrfs: 10_000 })
    const random = new Random(11)
    for (let vrf = 0; vrf < 10_000; vrf++) {
      const addresses = Uint32Array.from({ length: 100 }, () => (random.u32() & 0xffffff00) >>> 0)
      writer.load(vrf, 4, {
        count: 100,
        addresses,
        lengths: new Uint8Array(100).fill(24),
        slots: addresses.map(() => 1),
      })
    }
    ok(writer.stats().words.taken * 4 < 20e6)
  })

  test('is not spent on long chains of nodes for few routes that lie close together', () => {
    const { writer } = site()
    for (let host = 1; host <= 45; host++)
      for (let subnet = 0; subnet < 4; subnet++)
        writer.insert(1, prefix(`2001:db8:0:${subnet}::${host.toString(16)}/128`), host)
    writer.commit()
    const { nodes, tables } = writer.stats()
    ok(nodes <= 8 && tables <= 4, `${nodes} nodes and ${tables} tables for 4 subnets`)
  })

  test('is not moved about by each removal where routes that lay close together are joined by others', () => {
    const { writer, qsbr, worker } = site()
    const hosts = Array.from({ length: 130 }, (_, host) => prefix(`2001:db8::${host.toString(16)}/128`))
    const others = Array.from({ length: 20 }, (_, i) => prefix(`${(0x2002 + i).toString(16)}::/32`))
    for (let i = 0; i < 200; i++) writer.insert(1, prefix(`${(0x3000 + i).toString(16)}::/32`), 3)
    for (const host of hosts) writer.insert(1, host, 1)
    for (const other of others) writer.insert(1, other, 2)
    for (const host of hosts.slice(0, 90)) writer.remove(1, host)
    worker.online()
    qsbr.reclaim()
    const before = writer.stats().retired
    for (const host of hosts.slice(90, 120)) writer.remove(1, host)
    ok(writer.stats().retired - before <= 32, `${writer.stats().retired - before} blocks were retired by 30 removals`)
  })

  test('of a tenant that has grown and shrunk serves the next one', () => {
    const { writer, qsbr } = site({ words: 1 << 20, vrfs: 64 })
    const random = new Random(12)
    for (let vrf = 0; vrf < 64; vrf++) {
      const routes = Array.from({ length: 3000 }, () => (random.u32() & 0xfffff000) >>> 0)
      for (const at of routes) writer.insert4(vrf, at, 20, 1)
      for (const at of new Set(routes)) ok(writer.remove4(vrf, at, 20))
    }
    qsbr.reclaim()
    equal(writer.stats().words.used, 0)
  })
})
