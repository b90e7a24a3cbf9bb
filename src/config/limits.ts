/** How much a site may hold. DSR section 1 serves tens of thousands of tenants and 10 M routes in one region. */

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

/** With the spare bits of the stack's tables: 10 K tenants (DSR section 3.2.3) and room to grow. */
export const TENANTS_MAX = 1 << 16
export const CONNECTIONS_MAX = 64
export const VPCS_MAX = 256
/** Machines of one VPC: a /18 of them. */
export const MACHINES_MAX = 1 << 14
export const SUBNETS_MAX = 256
export const GATEWAYS_MAX = 16
export const PEERS_MAX = 256
/** Static routes of one tenant; learnt routes have their own limit in the control module. */
export const STATIC_ROUTES_MAX = 1 << 16
/** Next hops of one route: the members of an ECMP group. */
export const VIA_MAX = 64
export const WEIGHT_MAX = 256

export const VIPS_MAX = 4096
/** A stream of the bus each, of which there are at most 256, switches included. */
export const CLUSTERS_MAX = 64
export const SWITCHES_MAX = 128
/** Members of one balanced group. */
export const NODES_MAX = 256
export const HOSTS_MAX = 1 << 15
export const PORTS_MAX = 512
export const WORKERS_MAX = 64

/** 10 K tenants of 30 lines are 15 MB. */
export const SITE_BYTES_MAX = 64 * 1024 * 1024
/** Aliases (`*name`) of a YAML file are expanded; without a limit a page of text becomes gigabytes. */
export const ALIASES_MAX = 1000
/** More errors than anybody reads at once. */
export const ERRORS_MAX = 200

/** How long an old cluster keeps a tenant that has moved: packets on their way, with the longest queues on it. */
export const DRAIN_DEFAULT_MS = 2000
export const DRAIN_MAX_MS = 600_000
