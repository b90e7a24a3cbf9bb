import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { type Feeds, Placement } from './placement.ts'

/** Tenant `acme` at `vip`; VIPs at clusters as given. */
function siteOf(vip: string, blue: string, green: string): Site {
  const loaded = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    control: { drain_ms: 1000 }
    vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }]
    clusters:
      - { name: blue, vips: [${blue}], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }, { name: b2, address: 10.0.1.2, ports: [b] }] }
      - { name: green, vips: [${green}], nodes: [{ name: g1, address: 10.0.1.3, ports: [c] }] }
    tenants: [{ name: acme, vni: 1, vip: ${vip} }]`)
  if (loaded.errors) throw new Error(JSON.stringify(loaded.errors))
  return loaded.site
}

/** Feeds whose readers answer when they are told to. */
class FakeFeeds implements Feeds {
  readonly switches = ['edge']
  #published = 0
  readonly #all = new Map<string, number>()
  readonly #one = new Map<string, number>()

  publish(): void {
    this.#published++
  }

  answer(name: string): void {
    this.#all.set(name, this.#published)
    this.#one.set(name, this.#published)
  }

  answerInPart(name: string): void {
    this.#one.set(name, this.#published)
  }

  cluster(name: string) {
    return { published: this.#published, ackedByAll: this.#all.get(name) ?? 0, ackedByOne: this.#one.get(name) ?? 0 }
  }

  switch(name: string) {
    return this.cluster(name)
  }
}

class Scene {
  readonly feeds = new FakeFeeds()
  readonly placement = new Placement()
  now_us = 0

  constructor(site: Site) {
    this.reload(site)
    for (const cluster of ['blue', 'green']) this.feeds.answer(cluster)
    this.step()
  }

  reload(site: Site): void {
    this.placement.setSite(site)
    this.#publish()
  }

  step(by_ms = 0): this {
    this.now_us += by_ms * 1000
    if (this.placement.advance(this.now_us, this.feeds)) this.#publish()
    return this
  }

  #publish(): void {
    this.feeds.publish()
    this.placement.published(this.now_us, this.feeds)
  }

  get holders() {
    return Object.fromEntries(this.placement.holdersOf('acme'))
  }
}

test('a tenant is attached once all nodes of its cluster hold it', () => {
  const scene = new Scene(siteOf('v1', 'v1', 'v2'))
  const fresh = new Placement()
  fresh.setSite(siteOf('v1', 'v1', 'v2'))
  equal(fresh.vipOf('acme'), undefined)
  deepEqual(Object.fromEntries(fresh.holdersOf('acme')), { blue: 'v1' })
  equal(scene.placement.vipOf('acme'), 'v1')
  equal(scene.placement.isMoving, false)
})

test('a tenant that changes its VIP is made, switched, drained and broken, in this order', () => {
  const scene = new Scene(siteOf('v1', 'v1', 'v2'))
  scene.reload(siteOf('v2', 'v1', 'v2'))
  deepEqual(scene.holders, { blue: 'v1', green: 'v2' })
  equal(scene.step(100).placement.vipOf('acme'), 'v1')
  scene.feeds.answer('green')
  equal(scene.step().placement.vipOf('acme'), 'v2')
  deepEqual(scene.placement.vipsOf('acme'), ['v2', 'v1'])
  deepEqual(scene.step(2000).holders, { green: 'v2', blue: 'v1' })
  scene.feeds.answer('edge')
  deepEqual(scene.step().holders, { green: 'v2', blue: 'v1' })
  deepEqual(scene.step(999).holders, { green: 'v2', blue: 'v1' })
  deepEqual(scene.step(1).holders, { green: 'v2' })
  equal(scene.placement.isMoving, false)
})

test('a VIP that moves to another cluster is spread over it only when the cluster holds its tenants', () => {
  const scene = new Scene(siteOf('v1', 'v1', 'v2'))
  scene.reload(siteOf('v1', 'v2', 'v1, v2'))
  deepEqual([...scene.placement.clustersOf('v1')], ['blue'])
  deepEqual(scene.holders, { blue: 'v1', green: 'v1' })
  scene.feeds.answer('green')
  deepEqual([...scene.step().placement.clustersOf('v1')], ['green'])
  scene.feeds.answer('edge')
  scene.step()
  deepEqual(scene.holders, { green: 'v1', blue: 'v1' })
  deepEqual(scene.step(1000).holders, { green: 'v1' })
})

test('a node that is silent holds a move up for a while only, if another answers', () => {
  const scene = new Scene(siteOf('v2', 'v1', 'v2'))
  scene.reload(siteOf('v1', 'v1', 'v2'))
  equal(scene.step(4999).placement.vipOf('acme'), 'v2')
  equal(scene.step(10_000).placement.vipOf('acme'), 'v2')
  scene.feeds.answerInPart('blue')
  equal(scene.step().placement.vipOf('acme'), 'v1')
})

test('a move that is taken back drains the place that was being made', () => {
  const scene = new Scene(siteOf('v1', 'v1', 'v2'))
  scene.reload(siteOf('v2', 'v1', 'v2'))
  scene.reload(siteOf('v1', 'v1', 'v2'))
  equal(scene.placement.vipOf('acme'), 'v1')
  deepEqual(scene.holders, { blue: 'v1', green: 'v2' })
  scene.feeds.answer('edge')
  scene.step()
  deepEqual(scene.step(1000).holders, { blue: 'v1' })
})

test('a control module that takes over in the middle of a move goes on with it', () => {
  const placement = new Placement()
  placement.setSite(siteOf('v2', 'v1', 'v2'))
  placement.recoverVip('v1', ['blue'])
  placement.recoverVip('v2', ['green'])
  placement.recoverTenant('acme', 'v1')
  placement.recoverHolder('acme', 'blue', 'v1')
  equal(placement.vipOf('acme'), 'v1')
  deepEqual(Object.fromEntries(placement.holdersOf('acme')), { blue: 'v1', green: 'v2' })
  equal(placement.isMoving, true)

  const drained = new Placement()
  drained.setSite(siteOf('v2', 'v1', 'v2'))
  drained.recoverTenant('acme', 'v2')
  drained.recoverHolder('acme', 'blue', 'v1')
  deepEqual(Object.fromEntries(drained.holdersOf('acme')), { green: 'v2', blue: 'v1' })
})
