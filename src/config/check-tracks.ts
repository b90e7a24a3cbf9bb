/** Checks of what routing nodes watch, and of the static routes that are tied to it: one name means one thing. */

import { parseAddress } from '../base/address.ts'
import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Site } from './site.ts'
import { suggest } from './suggestion.ts'

export function checkTracks(site: Loose<Site>, complain: Complain): void {
  const things = new Unique(complain)
  each(site.routing?.neighbours, ({ name, bfd }, i) => {
    if (bfd) things.add(name, ['routing', 'neighbours', i, 'name'], undefined)
  })
  const nodes = new Set(site.routing?.nodes?.flatMap((node) => node?.name ?? []))
  const onNode = (name: string | undefined, path: readonly (string | number)[]): void => {
    if (name === undefined || nodes.has(name)) return
    complain([...path, 'node'], `there is no routing node ${JSON.stringify(name)}${suggest(name, nodes)}`)
  }
  each(site.routing?.probes, ({ name, to, from, node }, i) => {
    const path = ['routing', 'probes', i]
    things.add(name, [...path, 'name'], undefined)
    onNode(node, path)
    if (to !== undefined && from !== undefined && parseAddress(to)!.length !== parseAddress(from)!.length)
      complain([...path, 'from'], `${from} is of another IP version than ${to}`)
  })
  const listening = new Unique(complain)
  each(site.routing?.responders, ({ address, port, node }, i) => {
    const path = ['routing', 'responders', i]
    onNode(node, path)
    if (address !== undefined) listening.add(`${node ?? ''} ${address} port ${port}`.trim(), path, undefined)
  })
  each(site.tenants, (tenant, i) =>
    each(tenant.routes, ({ track }, j) => {
      if (track === undefined || things.pathOf(track)) return
      const message = `there is no probe and no neighbour with bfd ${JSON.stringify(track)}${suggest(track, things.keys())}`
      complain(['tenants', i, 'routes', j, 'track'], message)
    }),
  )
}
