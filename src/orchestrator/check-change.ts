/**
 * Would a site be right with this tenant in it? By the same checks as a site file's, on all of the site as it is, with the
 * tenant as its last one: what does not go together is then said of this one. Paths come out as those of the document.
 */

import type { SiteContents } from '../agent/site-store.ts'
import { checkSite } from '../config/check.ts'
import { formatPath, type Path } from '../config/position.ts'
import { type TenantDocument, type TenantPart, tenantAt } from '../config/tenant-document.ts'
import { type Wrong, wrongAt } from './refused.ts'

/** Of other tenants, whoever asks may know the names of some. */
export type Sees = (tenant: string) => boolean

export function wrongAtSite(document: TenantDocument, { site }: SiteContents, sees: Sees): Wrong[] {
  const part = tenantAt(document, site.site)
  if (!part) return []
  const others = site.tenants.filter(({ name }) => name !== document.name)
  const place = others.length
  const findings = checkSite({ ...site, tenants: [...others, part.tenant] })
  const tell = (text: string): string =>
    text.replace(/tenants\[(\d+)\]((?:\.[\w-]+|\[\d+\])*)/g, (_, index: string, rest: string) => {
      if (Number(index) === place) return formatPath(part.pathOf(stepsOf(rest)))
      const name = others[Number(index)]?.name ?? ''
      return sees(name) ? `${rest.slice(1)} of tenant ${name}` : 'another tenant'
    })
  return findings.map(({ path, message }) => wrongAt(placed(path, message, { place, part, tell }), site.site))
}

interface Placing {
  readonly place: number
  readonly part: TenantPart
  tell(text: string): string
}

function placed(path: Path, message: string, { place, part, tell }: Placing): { path: Path; message: string } {
  if (path[0] === 'tenants' && path[1] === place) return { path: part.pathOf(path.slice(2)), message: tell(message) }
  return { path: [], message: `${tell(formatPath(path))}: ${tell(message)}` }
}

/** Of the end of a formatted path: `.connections[0].vni`. */
function stepsOf(text: string): (string | number)[] {
  return Array.from(text.matchAll(/\.([\w-]+)|\[(\d+)\]/g), ([, key, index]) => key ?? Number(index))
}
