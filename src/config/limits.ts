/**
 * How much a site may hold. DSR section 1 serves tens of thousands of tenants and 10 M routes in one region. A site's
 * totals come first, then what one node or switch has room for: the sizes of its tables, with something to spare for
 * what is on its way out while its successor is in. `check-limits.ts` adds up what the file asks of each;
 * test/limits.test.ts holds the arithmetic against the tables.
 */

/** RFC 7348 section 5: 24 bits; 0 is kept for "none". */
export const VNI_MAX = 2 ** 24 - 1
/** RFC 2890 section 2.1: 32 bits. */
export const GRE_KEY_MAX = 2 ** 32 - 1
/** IEEE 802.1Q clause 9.6: 0 is a priority tag and 4095 is reserved. */
export const VLAN_MAX = 4094

/** A name is part of the names of streams on the bus, which have 64 characters, of files and of processes. */
export const NAME_LENGTH_MAX = 48
/** The kernel's IFNAMSIZ without its terminating zero. */
export const INTERFACE_NAME_LENGTH_MAX = 15

/** unix(7): a socket's path has 107 bytes, and `/bus.sock` stands behind the run directory's. */
export const RUN_DIRECTORY_BYTES_MAX = 107 - '/bus.sock'.length

/** RFC 8200 section 5: every IPv6 link carries this; also above what IPv4 asks for. */
export const MTU_MIN = 1280
/** Jumbo frames of 9,000 bytes, with room for the tunnels' headers around them: what the frame chains hold. */
export const MTU_MAX = 9216
/** Of a connection that does not say: Ethernet's (RFC 894). A wider underlay is not a wider customer. */
export const CONNECTION_MTU = 1500

/** Of the whole site: six clusters of as many as a node holds. */
export const TENANTS_MAX = 1 << 16
export const CONNECTIONS_MAX = 64
export const VPCS_MAX = 256
/** Machines of one VPC: a /18 of them. */
export const MACHINES_MAX = 1 << 14
export const SUBNETS_MAX = 256
export const GATEWAYS_MAX = 16
export const PEERS_MAX = 256
/** That a tenant imports, and that it exports. */
export const ROUTE_TARGETS_MAX = 64
/** Static routes of one tenant; learnt routes have their own limit in the control module. */
export const STATIC_ROUTES_MAX = 1 << 16
/** Policies of one tenant, and what they come to when each list of alternatives is written out. A packet meets them in turn. */
export const TRAFFIC_POLICIES_MAX = 64
export const POLICY_RULES_MAX = 256
/** Of one list, such as ports. */
export const POLICY_ALTERNATIVES_MAX = 64
/** Next hops of one route: the members of an ECMP group. */
export const VIA_MAX = 64
export const WEIGHT_MAX = 256

/** A node's tunnel addresses: with its own one, half of the 4,096 entries in the steering program's map. */
export const VIPS_MAX = 2048
/** Summaries of one speaker: each is asked about every route of its table. */
export const AGGREGATES_MAX = 256
/** A stream of the bus each, of which there are at most 256, switches included. */
export const CLUSTERS_MAX = 64
export const SWITCHES_MAX = 128
/** Members of one balanced group. */
export const NODES_MAX = 256
/** One leads; a site that outlives the death of two has three. */
export const CONTROL_NODES_MAX = 7
export const HOSTS_MAX = 1 << 15
export const WORKERS_MAX = 64

/** Of a node, or of a switch with its uplinks: a batch numbers ports in a byte. */
export const MODULE_PORTS_MAX = 256
/**
 * Ports times workers: as many queues as a device should have for each worker to have its own, and what 1 GB of frames
 * is enough for when the rings are shortest (dataplane/frame-layout.ts). 256 ports of two workers, or 8 ports of 64.
 */
export const MODULE_QUEUES_MAX = 512
/** 10 K (DSR section 3.2.3) of the 12,288 counter rows of a node; 2,046 for those that drain after they have moved. */
export const CLUSTER_TENANTS_MAX = 10_240
/** Half of the 2^18 rules and of the 2^16 policies that a node has room for: the new ones are in before the old ones are out. */
export const CLUSTER_RULES_MAX = 1 << 17
export const CLUSTER_POLICIES_MAX = 1 << 15
/** Of the 16,383 rows of a switch; a quarter for wires that change: the new one is in before the old one is out. */
export const SWITCH_ATTACHMENTS_MAX = 12_288
/**
 * Three quarters of the 2^20 places in groups that a switch has; the rest is for ECMP, and for what is being replaced.
 */
export const SWITCH_PLACES_MAX = 3 << 18
/** Three quarters of its 2^17 slots, likewise. */
export const SWITCH_SLOTS_MAX = 3 << 15
/** Of a resilient group, whatever its members: 2^20 places are 256 groups. */
export const RESILIENT_PLACES = 4096

/** BGP neighbours and ranges of them: one a tenant (DSR section 4.2 keeps 10 K of them), and some more. */
export const NEIGHBOURS_MAX = 16_384
export const LISTENERS_MAX = 64
export const PROBES_MAX = 1024
/** Of one connection: what lies behind it at a few places. */
export const PATH_PROBES_MAX = 8
export const COST_MAX = 1_000_000_000
export const RESPONDERS_MAX = 16
/** A segment of it, an eighth, holds a few of the largest messages; and 1 TB. */
export const HISTORY_MB_MIN = 8
export const HISTORY_MB_MAX = 1 << 20
/** Lists and policies, and names of them in one place; as many as there are neighbours would need, twice. */
export const POLICY_NAMES_MAX = 32_768
export const TERMS_MAX = 1000
/** Of one list: all that a large network may announce, by its registry. */
export const PREFIX_LIST_ENTRIES_MAX = 1 << 18
export const AS_PATH_PATTERNS_MAX = 4096
export const COMMUNITIES_MAX = 1024
/** More only makes paths that others drop for their length. */
export const PREPENDS_MAX = 32

/** 10 K tenants of 30 lines are 15 MB. */
export const SITE_BYTES_MAX = 64 * 1024 * 1024
/** Aliases (`*name`) of a YAML file are expanded; without a limit a page of text becomes gigabytes. */
export const ALIASES_MAX = 1000
/** More errors than anybody reads at once. */
export const ERRORS_MAX = 200

/** How long an old cluster keeps a tenant that has moved: packets on their way, with the longest queues on it. */
export const DRAIN_DEFAULT_MS = 2000
export const DRAIN_MAX_MS = 600_000

/** A routing node that was killed is back within seconds; a machine that was, within minutes. */
export const STALE_ROUTES_DEFAULT_S = 300
export const STALE_ROUTES_MAX_S = 86_400

/** A feed and a follower each, of the 256 streams of a bus. */
export const REMOTE_SITES_MAX = 16
/** A site is not away for as long as it takes to mend an orchestrator. */
export const REMOTE_STALE_DEFAULT_S = 86_400
export const REMOTE_STALE_MAX_S = 30 * 86_400
