/**
 * What things are called on the bus. Names of nodes, switches, clusters and hosts have at most 48 characters of its 64.
 */

/** A stream of batches to the nodes of a cluster, and to a switch. */
export const fibFeed = (cluster: string): string => `fib-${cluster}`
export const switchFeed = (name: string): string => `switch-${name}`

/**
 * What the site offers to others that its tenants are at, and what each of those offers to it: carried here by an
 * orchestrator, which holds a lease of that name while it hears the other site.
 */
export const OFFER_FEED = 'offer'
export const offerFrom = (site: string): string => `site-${site}`

/** Whoever holds this lease leads the site: one of its control modules, by name. */
export const CONTROL_LEASE = 'control'

/** The stream that sources of routes append their batches to, each whole. */
export const ROUTES_STREAM = 'routes'
export const ROUTES_LIMITS = { entriesMax: 1_000_000, bytesMax: 512 * 1024 * 1024 }

/** A plain publish of the control module to those sources: say all of it again. */
export const ROUTES_SUBJECT = 'news.routes'

/** What happened in the site: see events.ts. */
export const EVENTS_STREAM = 'events'

export const BUCKET = {
  /** The site as it is to be: `current`, and its parts. */
  site: 'site',
  /** By feed: where it starts. */
  feeds: 'feeds',
  /** By feed and module: the latest acknowledgement. */
  acks: 'acks',
  /** By module: that it works. */
  modules: 'modules',
  /** By node: its state. */
  nodes: 'nodes',
  /** By routing node: what it last knew of what it watches. */
  liveness: 'liveness',
  /** By tenant: the order of its paths. */
  paths: 'paths',
  /** By tenant and connection: is it up. */
  connections: 'connections',
  /** By host: where its VPCs send to. */
  hosts: 'hosts',
} as const

/**
 * Plain publishes among the nodes of all clusters: while a tenant moves, the answers to one cluster's ARP meet the
 * other's.
 */
export const NEIGHBOURS_SUBJECT = 'news.neighbours'
export const PATHS_SUBJECT = 'news.paths'

/** A routing node says what is up or down now. */
export const LIVENESS_SUBJECT = 'news.liveness'

/** A switch or a routing node says which ways to tenants' networks are broken: see broken-paths.ts. */
export const BROKEN_SUBJECT = 'news.broken'

/** The control module says which of tenants' connections are up: see connection-states.ts. */
export const CONNECTIONS_SUBJECT = 'news.connections'

/** A forwarding node says what it found in its FIB: see wire/control/digest.ts. */
export const DIGESTS_SUBJECT = 'news.digests'

/**
 * A supervisor says which module's process has ended without being told to. Faster than any detection, and never the
 * only one.
 */
export const DEATHS_SUBJECT = 'news.deaths'

/** Requests for what a module knows, answered in JSON. */
export const showSubject = (module: string, thing: string): string => `show.${module}.${thing}`
