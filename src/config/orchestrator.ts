/**
 * The orchestrator's file: which sites it looks after and where their buses are, where it listens and who may ask it for
 * what. What the sites consist of is in their own files.
 *
 *   orchestrator: main
 *   listen: { address: 192.0.2.10, tls: { cert_file: /etc/gatehouse/api.crt, key_file: /etc/gatehouse/api.key } }
 *   tokens_file: /etc/gatehouse/tokens.yaml
 *   sites:
 *     - { name: east, directory: /run/gatehouse/east }
 *     - { name: west, nats: { servers: [nats-1.west.example:4222] } }
 */

import { z } from 'zod'
import { parseAddress } from '../base/address.ts'
import { type Complain, each, Unique } from './complain.ts'
import { directory } from './fabric.ts'
import { loadAs, type Parsed, parseAs } from './load.ts'
import type { Loose } from './loose.ts'
import { checkNats, nats } from './nats.ts'
import type { Finding } from './position.ts'
import { address, file, listOf, name, whole } from './scalar.ts'
import { RUN_ROOT } from './site.ts'
import { SITES_MAX } from './tenant-document.ts'

const place = z.strictObject({
  /** As the site's own file calls it. */
  name,
  /** The run directory, where the site's bus is embedded and on this host; by default /run/gatehouse/NAME. */
  directory: directory('/run/gatehouse/NAME').optional(),
  /** As the site's own file has it. */
  nats: nats.optional(),
})
export type SiteEntry = z.output<typeof place>

const listen = z.strictObject({
  address: address.default('127.0.0.1'),
  /** 0 is any that is free. */
  port: whole('port', 0, 65_535).default(8470),
  tls: z.strictObject({ cert_file: file, key_file: file }).optional(),
})

const limits = z.strictObject({
  /** A tenant's document is written to the bus in one piece, which has 1 MB. */
  body_kb: whole('body', 1, 900).default(512),
  /** Of one token, or of one address that has none. */
  requests_per_s: whole('rate', 1, 100_000).default(50),
  burst: whole('burst', 1, 100_000).default(200),
  /** Connections that are told events as they happen. */
  followers: whole('number of followers', 1, 4096).default(64),
})

export const orchestrator = z.strictObject({
  /** Its own name, which its events carry. */
  orchestrator: name,
  listen: listen.prefault({}),
  /** Who may ask, and for what: see tokens.ts. Without it everybody on this host may do everything. */
  tokens_file: file.optional(),
  limits: limits.prefault({}),
  sites: listOf('sites', place, SITES_MAX).min(1, { error: 'an orchestrator needs a site' }),
})
export type Orchestrator = z.output<typeof orchestrator>

export const loadOrchestrator = (path: string): Parsed<Orchestrator> => loadAs(path, orchestrator, checkOrchestrator)

export const parseOrchestrator = (text: string): Parsed<Orchestrator> => parseAs(text, orchestrator, checkOrchestrator)

export const directoryOf = ({ name, directory }: SiteEntry): string => directory ?? `${RUN_ROOT}/${name}`

function checkOrchestrator(file: Loose<Orchestrator>): Finding[] {
  const findings: Finding[] = []
  const complain: Complain = (path, message) => void findings.push({ path, message })
  const names = new Unique(complain)
  const directories = new Unique(complain)
  each(file.sites, (one, i) => {
    const path = ['sites', i]
    names.add(one.name, [...path, 'name'], undefined)
    directories.add(one.directory, [...path, 'directory'], undefined)
    if (one.nats && one.directory !== undefined)
      complain([...path, 'directory'], 'a site whose bus is NATS is not found by a directory')
    checkNats({ site: one.name, nats: one.nats }, [...path, 'nats'], [...path, 'name'], complain)
  })
  checkListen(file, complain)
  return findings
}

function checkListen({ listen, tokens_file }: Loose<Orchestrator>, complain: Complain): void {
  if (listen?.address === undefined || isLoopback(listen.address)) return
  const elsewhere = `${listen.address} can be reached from other hosts`
  if (tokens_file === undefined) complain(['listen', 'address'], `${elsewhere}, which needs a tokens_file`)
  if (listen.tls === undefined) complain(['listen', 'address'], `${elsewhere}, which needs tls`)
}

export function isLoopback(address: string): boolean {
  return address === '::1' || parseAddress(address)?.[0] === 127
}
