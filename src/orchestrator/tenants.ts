/**
 * The tenants of all sites, and every change to those that are not a site file's. There is no store of its own: each site
 * keeps the whole document of the tenants that it has (agent/tenant-record.ts), the newest version holds, and a site that
 * has another one is told as soon as it can be. So a change is safe once one site has it, and whoever looks next, this
 * orchestrator or another one, brings it to the others.
 *
 * One change at a time: it is checked at all sites as they are, then written to those that have the tenant already, in the
 * order of their names, and then to those that are new. The first write decides between two orchestrators.
 */

import { isDeepStrictEqual } from 'node:util'
import { changeTenant, finishLastChange, RecordTooLarge } from '../agent/site-change.ts'
import { isNewer, partOf, type TenantRecord } from '../agent/tenant-record.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { pause } from '../base/signal.ts'
import { BusError } from '../bus/bus.ts'
import { checkDocument, sitesOf, type TenantDocument } from '../config/tenant-document.ts'
import { type Sees, wrongAtSite } from './check-change.ts'
import { Refused, wrongAt } from './refused.ts'
import type { ConnectedSite, Sites } from './sites.ts'

/** A site that does not say within this time what it has is away. */
const REFRESH_WITHIN_ms = 2000
/** As often as others may be faster. */
const ATTEMPTS_MAX = 50
/** Changes that wait for their turn. */
const WAITING_MAX = 1000

export type TenantVersion = Omit<TenantRecord, 'sequence'>

export interface Pending {
  readonly site: string
  readonly why: string
}

/** What one site's file says of a tenant of its own, or what all sites have of one of ours. */
export type Known =
  | { readonly owner: 'file'; readonly sites: readonly string[] }
  | {
      readonly owner: 'orchestrator'
      readonly record: TenantVersion & { document: TenantDocument }
      pending: Pending[]
    }

export interface Edited {
  /** Null: it is to be gone. */
  readonly document: TenantDocument | null
  /** For people, as part of the event. */
  readonly detail: string
}

export interface Change {
  readonly author: string
  /** From what it is to what it shall be; may throw a `Refused`, and is called again when others were faster. */
  edit(before: (TenantVersion & { document: TenantDocument }) | undefined): Edited
  readonly sees: Sees
}

export interface Changed {
  readonly record: TenantVersion
  /** It was not there before. */
  readonly created: boolean
  /** Sites that have yet to be told. */
  readonly pending: readonly Pending[]
}

export interface TenantsOptions {
  /** The orchestrator's. */
  readonly name: string
  readonly sites: Sites
  readonly clock: Clock
  readonly log: Logger
  newId(): string
}

export class Tenants {
  readonly #options: TenantsOptions
  readonly #sites: Sites
  readonly #closing = new AbortController()
  readonly #stop: () => void
  /** Sites whose last writer may have died, from when they are connected until that is seen to. */
  readonly #visited = new Set<string>()
  /** By site and tenant: why it was not taken there, at which revision of the site. */
  readonly #refusals = new Map<string, { revision: number; id: string; why: string }>()
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #isSettling = false

  constructor(options: TenantsOptions) {
    this.#options = options
    this.#sites = options.sites
    this.#stop = options.sites.onChange((site) => {
      if (!site.state.connected) this.#visited.delete(site.name)
      this.#settleSoon()
    })
    this.#settleSoon()
  }

  /** In the order of the alphabet. */
  get names(): string[] {
    const names = new Set<string>()
    for (const { contents } of this.#sites.all) {
      for (const { name } of contents?.file.tenants ?? []) names.add(name)
      for (const name of contents?.records.keys() ?? []) if (this.#newest(name)?.document) names.add(name)
    }
    return [...names].sort()
  }

  get(name: string): Known | undefined {
    const sites = this.#filesWith(name)
    if (sites.length > 0) return { owner: 'file', sites }
    const record = live(this.#newest(name))
    return record && { owner: 'orchestrator', record, pending: this.#pending(record) }
  }

  /** Rejects with a `Refused`. */
  change(name: string, change: Change): Promise<Changed> {
    if (this.#waiting >= WAITING_MAX) return Promise.reject(new Refused('unavailable', 'too many changes wait'))
    return this.#inTurn(() => this.#change(name, change))
  }

  /** Resolves once all sites that can be reached have been told what they are to have. */
  async settled(): Promise<void> {
    await this.#turn
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#stop()
    await this.#turn
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++
    const done = this.#turn.then(work).finally(() => this.#waiting--)
    this.#turn = done.catch(() => {})
    return done
  }

  #filesWith(name: string): string[] {
    const has = ({ contents }: ConnectedSite): boolean =>
      contents?.file.tenants.some((one) => one.name === name) ?? false
    return this.#sites.all.filter(has).map((site) => site.name)
  }

  #newest(name: string): TenantRecord | undefined {
    let newest: TenantRecord | undefined
    for (const { contents } of this.#sites.all) {
      const record = contents?.records.get(name)
      if (record && (!newest || isNewer(record, newest))) newest = record
    }
    return newest
  }

  async #change(name: string, { author, edit, sees }: Change): Promise<Changed> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.#refresh()
      const before = this.#newest(name)
      const owners = this.#filesWith(name)
      if (owners.length > 0)
        throw new Refused(
          'conflict',
          `tenant ${name} is that of the site file of ${owners.join(', ')}: change it there`,
        )
      const { document, detail } = edit(live(before))
      if (before && isDeepStrictEqual(document, before.document))
        return { record: before, created: false, pending: this.#pending(before) }
      this.#check(before, document, sees)
      const version = (before?.version ?? 0) + 1
      const at_ms = Math.round(this.#options.clock.wall_ms())
      const record = { name, version, id: this.#options.newId(), author, at_ms, document }
      const isTold = await this.#tell(record, detail)
      if (!isTold) continue
      return { record, created: !live(before), pending: this.#pending(record) }
    }
    throw new Refused('unavailable', `tenant ${name} is being changed by others all the time; try again`)
  }

  /** What every site that can be reached has now. */
  async #refresh(): Promise<void> {
    const connected = this.#sites.all.filter(({ state }) => state.connected)
    const late = new AbortController()
    const all = Promise.all(connected.map((site) => site.refresh()))
    await Promise.race([all, pause(this.#options.clock, REFRESH_WITHIN_ms, late.signal)])
    late.abort()
  }

  #check(before: TenantRecord | undefined, document: TenantDocument | null, sees: Sees): void {
    const known = this.#sites.all.map(({ name }) => name)
    const wrong = document ? checkDocument(document, known).map((finding) => wrongAt(finding)) : []
    if (wrong.length === 0) {
      for (const name of new Set([...placesOf(before?.document), ...placesOf(document)])) this.#refuseUnread(name)
      for (const name of placesOf(document)) {
        const contents = this.#sites.get(name)?.contents
        if (contents) wrong.push(...wrongAtSite(document!, contents, sees))
      }
    }
    if (wrong.length > 0) throw new Refused('invalid', 'the tenant would not be right', wrong)
  }

  /** What it has may be newer than all that is known here. */
  #refuseUnread(name: string): void {
    const site = this.#sites.get(name)
    if (!site || site.contents) return
    const why = site.state.failure ?? 'it has not been read yet'
    throw new Refused('unavailable', `what site ${name} has is not known, so that nothing can be changed there: ${why}`)
  }

  /** False if the first of the sites has another version by now, or is otherwise not what the change was checked against. */
  async #tell(record: TenantVersion, detail: string): Promise<boolean> {
    const targets = this.#targets(record)
    const reachable = targets.filter(({ state, contents }) => state.connected && contents)
    let isSafe = false
    for (const site of reachable) {
      const outcome = isSafe
        ? await this.#bring(site, record, detail)
        : await this.#write(site, record, detail, site.contents!.revision)
      if (outcome === 'done') isSafe = true
      else if (outcome === 'moved') return false
    }
    if (isSafe) return true
    const names = targets.map(({ name }) => name).join(', ')
    throw new Refused('unavailable', `none of the tenant's sites can be told now: ${names}`)
  }

  /** Those that have it first. */
  #targets(record: TenantVersion): ConnectedSite[] {
    const [having, others] = [[], []] as [ConnectedSite[], ConnectedSite[]]
    for (const site of this.#sites.all.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const has = site.contents?.records.get(record.name)
      if (has && partOf(has, site.name)) having.push(site)
      else if (placesOf(record.document).includes(site.name)) others.push(site)
    }
    return [...having, ...others]
  }

  async #write(
    site: ConnectedSite,
    record: TenantVersion,
    detail: string,
    revision: number,
  ): Promise<'done' | 'moved' | 'away'> {
    const what = record.document ? 'tenant-changed' : 'tenant-deleted'
    const { at_ms, author, name: about, version } = record
    const said = `version ${version}${detail === '' ? '' : `: ${detail}`}`
    const told = { at_ms, module: `orchestrator.${this.#options.name}`, what, about, detail: said, author }
    try {
      const isMade = await changeTenant(site.bus, revision, record, told)
      await site.refresh()
      return isMade ? 'done' : 'moved'
    } catch (error) {
      if (error instanceof RecordTooLarge) throw new Refused('too-large', error.message)
      if (!(error instanceof BusError)) throw error
      // It may have been made.
      await site.refresh()
      return site.contents?.records.get(record.name)?.id === record.id ? 'done' : 'away'
    }
  }

  /** Makes the record the site's, unless it does not go with the site, or the site has a newer one. */
  async #bring(site: ConnectedSite, record: TenantVersion, detail: string): Promise<'done' | 'away'> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX && !this.#closing.signal.aborted; attempt++) {
      const { contents } = site
      const there = contents?.records.get(record.name)
      if (!contents) return 'away'
      if (there && (there.id === record.id || isNewer(there, record))) return 'done'
      const why = this.#whyNot(site, record)
      const key = `${site.name} ${record.name}`
      if (why !== undefined) {
        if (this.#refusals.get(key)?.why !== why)
          this.#options.log.warn({ site: site.name, tenant: record.name, why }, 'a tenant is not taken')
        this.#refusals.set(key, { revision: contents.revision, id: record.id, why })
        return 'away'
      }
      this.#refusals.delete(key)
      const outcome = await this.#write(site, record, detail, contents.revision)
      if (outcome !== 'moved') return outcome
    }
    return 'away'
  }

  #whyNot(site: ConnectedSite, { name, document }: TenantVersion): string | undefined {
    const { contents } = site
    if (!document || !contents) return undefined
    if (contents.file.tenants.some((one) => one.name === name)) return "it is a tenant of the site's file"
    const [first] = wrongAtSite(document, contents, () => true)
    return first && `${first.path}: ${first.message}`
  }

  #pending(record: TenantVersion): Pending[] {
    return this.#sites.all
      .filter((site) => isBehind(site, record))
      .map((site) => ({ site: site.name, why: this.#why(site, record) }))
  }

  #why(site: ConnectedSite, { name, id }: TenantVersion): string {
    const refusal = this.#refusals.get(`${site.name} ${name}`)
    if (refusal?.id === id) return refusal.why
    return site.state.failure ?? 'it is being told'
  }

  #settleSoon(): void {
    if (this.#isSettling || this.#closing.signal.aborted) return
    this.#isSettling = true
    this.#inTurn(async () => {
      this.#isSettling = false
      await this.#settle()
    }).catch((error: unknown) => {
      this.#options.log.error({ error: String(error) }, 'sites could not be told what they are to have')
    })
  }

  /** Tells each site what it is to have and has not yet. */
  async #settle(): Promise<void> {
    for (const site of this.#sites.all) {
      if (!site.state.connected || !site.contents || this.#closing.signal.aborted) continue
      await this.#finish(site)
      for (const name of this.#recorded()) {
        const record = this.#newest(name)!
        if (!isBehind(site, record) || this.#isRefused(site, record)) continue
        if ((await this.#bring(site, record, reasonOf(site, record))) === 'away' && !site.state.connected) break
      }
    }
  }

  async #finish(site: ConnectedSite): Promise<void> {
    if (this.#visited.has(site.name)) return
    try {
      await finishLastChange(site.bus)
      this.#visited.add(site.name)
    } catch (error) {
      if (!(error instanceof BusError)) throw error
    }
  }

  #recorded(): Set<string> {
    return new Set(this.#sites.all.flatMap(({ contents }) => [...(contents?.records.keys() ?? [])]))
  }

  /** It would be again. */
  #isRefused(site: ConnectedSite, { name, id }: TenantVersion): boolean {
    const refusal = this.#refusals.get(`${site.name} ${name}`)
    return refusal?.id === id && refusal.revision === site.contents?.revision
  }
}

/** It is to have the tenant, or has it, and in another version. */
function isBehind({ name, contents }: ConnectedSite, record: TenantVersion): boolean {
  const there = contents?.records.get(record.name)
  if (there?.id === record.id) return false
  return placesOf(record.document).includes(name) || (there !== undefined && partOf(there, name) !== undefined)
}

const placesOf = (document: TenantDocument | null | undefined): string[] => (document ? sitesOf(document) : [])

/** A deleted one is not there. */
function live<R extends TenantVersion>(record: R | undefined): (R & { document: TenantDocument }) | undefined {
  return record?.document ? (record as R & { document: TenantDocument }) : undefined
}

/** Two orchestrators that could not see each other's sites have both changed it. */
function reasonOf({ name, contents }: ConnectedSite, record: TenantVersion): string {
  const there = contents?.records.get(record.name)
  const isFork = there !== undefined && there.version === record.version
  return isFork ? `it replaces another version ${there.version}, by ${there.author}` : `${name} was not told before`
}
