/** Tenants as a whole: all of them, and one as the document that it is. */

import { name } from '../config/scalar.ts'
import { describe, findingsOf } from '../config/schema-error.ts'
import { sitesOf, type TenantDocument, tenantDocument } from '../config/tenant-document.ts'
import { Refused, wrongAt } from '../orchestrator/refused.ts'
import type { Changed, Edited, Known, Tenants, TenantVersion } from '../orchestrator/tenants.ts'
import { type Access, refuseBeyond, refuseUnseen, sees } from './access.ts'
import { type Answer, type Operation, operation } from './operation.ts'
import { changeAnswer, listOfItems, nothing, page, tenantAnswer, tenantParams, tenantSummary } from './schemas.ts'

export type Ours = TenantVersion & { document: TenantDocument }

/** Of this very change, so that what was deleted and made again has another one. */
export const etagOf = ({ version, id }: TenantVersion): string => `"${version}-${id}"`

export function tenantOperations(tenants: Tenants): Operation[] {
  return [
    operation({
      ...{ id: 'listTenants', method: 'GET', path: '/v1/tenants', summary: 'All tenants, by name', role: 'viewer' },
      ...{ params: nothing, query: page, answers: { 200: listOfItems(tenantSummary) } },
      handle({ access, query: { limit, after = '' } }) {
        const names = tenants.names.filter((name) => name > after && sees(access, name))
        const items = names.slice(0, limit).map((name) => summaryOf(name, tenants.get(name)!))
        return { status: 200, body: { items, ...(names.length > limit && { next: names[limit - 1] }) } }
      },
    }),
    operation({
      ...{ id: 'getTenant', method: 'GET', path: '/v1/tenants/{tenant}', summary: 'One tenant', role: 'viewer' },
      ...{ params: tenantParams, query: nothing, answers: { 200: tenantAnswer } },
      handle({ access, params: { tenant } }) {
        refuseUnseen(access, tenant)
        const known = tenants.get(tenant)
        if (!known) throw new Refused('not-found', `there is no tenant ${tenant}`)
        const summary = summaryOf(tenant, known)
        if (known.owner === 'file') return { status: 200, body: summary }
        const { record } = known
        return { status: 200, headers: { etag: etagOf(record) }, body: { ...summary, document: record.document } }
      },
    }),
    operation({
      ...{ id: 'putTenant', method: 'PUT', path: '/v1/tenants/{tenant}', role: 'operator', isConditional: true },
      summary: 'Make a tenant, or give it another document; then with If-Match',
      ...{ params: tenantParams, query: nothing, body: tenantDocument.extend({ name: name.optional() }) },
      answers: { 200: changeAnswer, 201: changeAnswer, 202: changeAnswer },
      async handle(asked) {
        const { access, params, body, ifMatch, ifNoneMatch } = asked
        const document = documentIn(body, params.tenant)
        const changed = await changing(tenants, access, params.tenant, (before) => {
          if (before && ifNoneMatch === '*') throw new Refused('changed', `tenant ${params.tenant} is there already`)
          refuseOtherVersion(ifMatch, before)
          if (before && ifMatch === '') throw new Refused('version-needed', `tenant ${params.tenant} is there already`)
          return { document, detail: before ? '' : 'new' }
        })
        return answerOf(changed)
      },
    }),
    operation({
      ...{ id: 'deleteTenant', method: 'DELETE', path: '/v1/tenants/{tenant}', role: 'operator', isConditional: true },
      summary: 'Delete a tenant at all of its sites, with If-Match',
      ...{ params: tenantParams, query: nothing, answers: { 202: changeAnswer, 204: undefined } },
      async handle({ access, params: { tenant }, ifMatch }) {
        const changed = await changing(tenants, access, tenant, (before) => {
          if (!before) throw new Refused('not-found', `there is no tenant ${tenant}`)
          refuseOtherVersion(ifMatch, before)
          if (ifMatch === '') throw new Refused('version-needed', 'what is deleted is deleted with all of its parts')
          return { document: null, detail: '' }
        })
        return goneAnswer(changed)
      },
    }),
  ]
}

function summaryOf(name: string, known: Known): object {
  if (known.owner === 'file') return { name, owner: 'file', sites: known.sites }
  const { record, pending } = known
  return { name, owner: 'orchestrator', sites: sitesOf(record.document), ...versionOf(record), pending }
}

const versionOf = ({ version, author, at_ms }: TenantVersion): object => ({
  ...{ version, author, at: new Date(at_ms).toISOString() },
})

/** The schema says what is wrong as it does in a site file. */
function documentIn(body: unknown, tenant: string): TenantDocument {
  const named = { name: tenant, ...(body as object) }
  const parsed = tenantDocument.safeParse(named, { error: describe })
  if (!parsed.success) throw malformed(findingsOf(tenantDocument, parsed.error.issues, named))
  if (parsed.data.name === tenant) return parsed.data
  throw malformed([{ path: ['name'], message: `${parsed.data.name} is not the name that is asked for, ${tenant}` }])
}

export function malformed(findings: Parameters<typeof wrongAt>[0][]): Malformed {
  return new Malformed(findings)
}

/** What no schema takes is the request's own fault, whatever the sites are like. */
export class Malformed extends Error {
  override readonly name = 'Malformed'
  readonly errors
  constructor(findings: Parameters<typeof wrongAt>[0][]) {
    super('what was sent does not fit the schema')
    this.errors = findings.map((finding) => wrongAt(finding))
  }
}

/** Throws a `Refused` if the version is none of those in the header, where there is one. */
export function refuseOtherVersion(ifMatch: string, before: Ours | undefined): void {
  if (ifMatch === '') return
  const wanted = ifMatch.split(',').map((tag) => tag.trim())
  if (before && (wanted.includes('*') || wanted.includes(etagOf(before)))) return
  throw new Refused('changed', before ? `its version is ${etagOf(before)}` : 'it is not there')
}

/** As one who may. Rejects with a `Refused`. */
export function changing(
  tenants: Tenants,
  access: Access,
  tenant: string,
  edit: (before: Ours | undefined) => Edited,
): Promise<Changed> {
  refuseUnseen(access, tenant)
  return tenants.change(tenant, {
    author: access.author,
    sees: (name) => sees(access, name),
    edit(before) {
      const edited = edit(before)
      refuseBeyond(access, before?.document, edited.document)
      return edited
    },
  })
}

export function answerOf({ record, created, pending }: Changed, isNew = created): Answer {
  const status = pending.length > 0 ? 202 : isNew ? 201 : 200
  return { status, headers: { etag: etagOf(record) }, body: { name: record.name, ...versionOf(record), pending } }
}

export function goneAnswer(changed: Changed): Answer {
  if (changed.pending.length > 0) return answerOf(changed)
  return { status: 204 }
}
