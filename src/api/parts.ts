/**
 * What a tenant consists of, one by one: connections, virtual networks, machines and static routes. Each change is one of the
 * tenant's document, made on what the document is at that moment, so two that change different parts do not meet.
 */

import type { z } from 'zod'
import { name, prefix } from '../config/scalar.ts'
import { describe, findingsOf } from '../config/schema-error.ts'
import {
  documentConnection,
  documentMachine,
  documentRoute,
  documentVpc,
  type TenantDocument,
} from '../config/tenant-document.ts'
import { Refused } from '../orchestrator/refused.ts'
import type { Tenants } from '../orchestrator/tenants.ts'
import { type Access, refuseUnseen } from './access.ts'
import { type Operation, operation } from './operation.ts'
import { changeAnswer, listOfItems, nothing, page, tenantParams } from './schemas.ts'
import { answerOf, changing, etagOf, goneAnswer, malformed, type Ours, refuseOtherVersion } from './tenants.ts'

type Params = Readonly<Record<string, string>>

interface Part {
  /** As in `machine`, and in the names of its operations. */
  readonly noun: string
  readonly collection: string
  /** What is in front: `/v1/tenants/{tenant}`, or one of its virtual networks. */
  readonly within: string
  readonly params: z.ZodType
  readonly schema: z.ZodObject
  /** The field that it goes by, and as which it stands in the path. */
  readonly key: string
  readonly keyType: z.ZodType
  /** It has parts of its own, which whoever replaces it has to have seen. */
  readonly needsVersion?: boolean
  listOf(document: TenantDocument, params: Params): readonly object[]
  with(document: TenantDocument, params: Params, list: readonly never[]): TenantDocument
}

const PARTS: readonly Part[] = [
  {
    ...{ noun: 'connection', collection: 'connections', within: '/v1/tenants/{tenant}', params: tenantParams },
    ...{ schema: documentConnection, key: 'name', keyType: name },
    listOf: ({ connections }) => connections,
    with: (document, _, connections) => ({ ...document, connections: [...connections] }),
  },
  {
    ...{ noun: 'vpc', collection: 'vpcs', within: '/v1/tenants/{tenant}', params: tenantParams },
    ...{ schema: documentVpc, key: 'name', keyType: name, needsVersion: true },
    listOf: ({ vpcs }) => vpcs,
    with: (document, _, vpcs) => ({ ...document, vpcs: [...vpcs] }),
  },
  {
    ...{ noun: 'machine', collection: 'machines', within: '/v1/tenants/{tenant}/vpcs/{vpc}' },
    ...{ params: tenantParams.extend({ vpc: name }), schema: documentMachine, key: 'name', keyType: name },
    listOf: (document, { vpc }) => vpcOf(document, vpc!).machines,
    with: (document, { vpc }, machines) => {
      const changed = { ...vpcOf(document, vpc!), machines: [...machines] }
      return { ...document, vpcs: document.vpcs.map((one) => (one.name === vpc ? changed : one)) }
    },
  },
  {
    ...{ noun: 'route', collection: 'routes', within: '/v1/tenants/{tenant}', params: tenantParams },
    ...{ schema: documentRoute, key: 'prefix', keyType: prefix },
    listOf: ({ routes }) => routes,
    with: (document, _, routes) => ({ ...document, routes: [...routes] }),
  },
]

function vpcOf({ name: tenant, vpcs }: TenantDocument, wanted: string): TenantDocument['vpcs'][number] {
  const found = vpcs.find((one) => one.name === wanted)
  if (!found) throw new Refused('not-found', `tenant ${tenant} has no VPC ${wanted}`)
  return found
}

export function partOperations(tenants: Tenants): Operation[] {
  return PARTS.flatMap((part) => [...readingOf(part, tenants), ...writingOf(part, tenants)])
}

const capital = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`

const onePath = ({ within, collection, key }: Part): string => `${within}/${collection}/{${key}}`

const oneParams = ({ params, key, keyType }: Part) => (params as z.ZodObject).extend({ [key]: keyType })

/** It goes by its place in the path, and need not say so again. */
const sentFor = ({ schema, key, keyType }: Part) => schema.extend({ [key]: keyType.optional() })

function readingOf(part: Part, tenants: Tenants): Operation[] {
  const { noun, collection, within, params, schema, key } = part
  return [
    operation({
      ...{ id: `list${capital(collection)}`, method: 'GET', path: `${within}/${collection}`, role: 'viewer' },
      ...{ summary: `The ${collection}, in the document's order`, params, query: page },
      answers: { 200: listOfItems(schema) },
      handle({ access, params: asked, query: { limit, after } }) {
        const ours = oursOf(tenants, access, asked as Params)
        const all = part.listOf(ours.document, asked as Params)
        const from = after === undefined ? 0 : all.findIndex((one) => keyOf(one, key) === after) + 1
        if (after !== undefined && from === 0)
          throw new Refused('not-found', `${after} is not there any more: begin anew`)
        const items = all.slice(from, from + limit)
        const next = from + limit < all.length ? { next: keyOf(items.at(-1)!, key) } : {}
        return { status: 200, headers: { etag: etagOf(ours) }, body: { items, ...next } }
      },
    }),
    operation({
      ...{ id: `get${capital(noun)}`, method: 'GET', path: onePath(part), role: 'viewer', summary: `One ${noun}` },
      ...{ params: oneParams(part), query: nothing, answers: { 200: schema } },
      handle({ access, params: asked }) {
        const ours = oursOf(tenants, access, asked as Params)
        const wanted = (asked as Params)[key]!
        const found = part.listOf(ours.document, asked as Params).find((one) => keyOf(one, key) === wanted)
        if (!found) throw new Refused('not-found', `there is no ${noun} ${wanted}`)
        return { status: 200, headers: { etag: etagOf(ours) }, body: found }
      },
    }),
  ]
}

function writingOf(part: Part, tenants: Tenants): Operation[] {
  const { noun, key, needsVersion = false } = part
  return [
    operation({
      ...{ id: `put${capital(noun)}`, method: 'PUT', path: onePath(part), role: 'operator', isConditional: true },
      summary: `Add a ${noun}, or replace it${needsVersion ? '; then with If-Match' : ''}`,
      ...{ params: oneParams(part), query: nothing, body: sentFor(part) },
      answers: { 200: changeAnswer, 201: changeAnswer, 202: changeAnswer },
      async handle({ access, params: asked, body, ifMatch, ifNoneMatch }) {
        const params = asked as Params
        const one = partIn(part, body, params[key]!)
        let isNew = false
        const changed = await changing(tenants, access, params['tenant']!, (before) => {
          const { document } = present(before, params)
          refuseOtherVersion(ifMatch, before)
          const list = part.listOf(document, params)
          const places = placesOf(list, part, params)
          isNew = places.length === 0
          if (!isNew && ifNoneMatch === '*') throw new Refused('changed', `${noun} ${params[key]} is there already`)
          if (!isNew && needsVersion && ifMatch === '')
            throw new Refused('version-needed', `${noun} ${params[key]} is there already, with parts of its own`)
          const next = isNew ? [...list, one] : list.map((other, i) => (i === places[0] ? one : other))
          return { document: part.with(document, params, next as never[]), detail: detailOf(part, params) }
        })
        return answerOf(changed, isNew)
      },
    }),
    operation({
      ...{ id: `delete${capital(noun)}`, method: 'DELETE', path: onePath(part), role: 'operator', isConditional: true },
      summary: `Remove a ${noun}${needsVersion ? ' with If-Match' : ''}`,
      ...{ params: oneParams(part), query: nothing, answers: { 202: changeAnswer, 204: undefined } },
      async handle({ access, params: asked, ifMatch }) {
        const params = asked as Params
        const changed = await changing(tenants, access, params['tenant']!, (before) => {
          const { document } = present(before, params)
          refuseOtherVersion(ifMatch, before)
          const list = part.listOf(document, params)
          const [place] = placesOf(list, part, params)
          if (place === undefined) throw new Refused('not-found', `there is no ${noun} ${params[key]}`)
          if (needsVersion && ifMatch === '')
            throw new Refused('version-needed', `${noun} ${params[key]} is deleted with parts of its own`)
          const rest = list.filter((_, i) => i !== place)
          return { document: part.with(document, params, rest as never[]), detail: `without ${detailOf(part, params)}` }
        })
        return goneAnswer(changed)
      },
    }),
  ]
}

const keyOf = (one: object, key: string): string => String((one as Record<string, unknown>)[key])

function detailOf({ noun, key }: Part, params: Params): string {
  const where = params['vpc'] !== undefined && noun !== 'vpc' ? ` of VPC ${params['vpc']}` : ''
  return `${noun} ${params[key]}${where}`
}

/** Where it is in its list. Throws a `Refused` if several have that key, as routes of different sites may. */
function placesOf(list: readonly object[], { noun, key }: Part, params: Params): number[] {
  const places = list.flatMap((one, i) => (keyOf(one, key) === params[key] ? [i] : []))
  if (places.length < 2) return places
  throw new Refused('conflict', `there are ${places.length} of ${noun} ${params[key]}: change them in the document`)
}

function oursOf(tenants: Tenants, access: Access, params: Params): Ours {
  const tenant = params['tenant']!
  refuseUnseen(access, tenant)
  const known = tenants.get(tenant)
  if (known?.owner === 'file')
    throw new Refused('conflict', `tenant ${tenant} is that of the site file of ${known.sites.join(', ')}`)
  return present(known?.record, params)
}

function present(ours: Ours | undefined, { tenant }: Params): Ours {
  if (!ours) throw new Refused('not-found', `there is no tenant ${tenant}`)
  return ours
}

function partIn({ schema, key }: Part, body: unknown, wanted: string): object {
  const named = { [key]: wanted, ...(body as object) }
  const parsed = schema.safeParse(named, { error: describe })
  if (!parsed.success) throw malformed(findingsOf(schema, parsed.error.issues, named))
  const found = keyOf(parsed.data, key)
  if (found === wanted) return parsed.data
  throw malformed([{ path: [key], message: `${found} is not what is asked for, ${wanted}` }])
}
