/** Which tenants take part in VPNs, and how: the site file's words as BGP has them. */

import type { Site } from '../config/site.ts'
import { parseExtendedCommunity } from '../wire/bgp/community.ts'
import { parseDistinguisher, type Words } from '../wire/bgp/distinguisher.ts'
import type { VrfTargets } from './bgp/rib/route-targets.ts'

const target = (text: string): Words => parseExtendedCommunity(`rt:${text}`)!

export function vpnTargetsOf({ tenants }: Site): VrfTargets[] {
  return tenants.flatMap(({ vni, vpn }) => {
    if (!vpn) return []
    const { route_distinguisher: distinguisher, import: imports, export: exports, label } = vpn
    return [
      {
        vrf: vni,
        distinguisher: parseDistinguisher(distinguisher)!,
        imports: imports.map(target),
        exports: exports.map(target),
        label,
      },
    ]
  })
}
