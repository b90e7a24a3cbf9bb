/**
 * What a routing node knows of what it watches: by BFD and by probes (IP SLA), is it up, why not, and how good is the path.
 * It goes out as a plain publish when something is up or down, and now and then for how good paths are, which is what is
 * acted on, and the latest of each node is kept, for whoever comes later.
 */

import {
  address,
  appended,
  flag,
  list,
  type MessageValue,
  message,
  optional,
  record,
  text,
  u32,
  u53,
  type Value,
} from './codec.ts'

const quality = record({
  /** Of so many probes. */
  probes: u32,
  /** Lost, of a million. */
  loss_ppm: u32,
  delayMin_us: u53,
  delayAverage_us: u53,
  delayP99_us: u53,
  jitter_us: u53,
  /** 0: not measured. */
  bandwidth_kbps: u53,
  /**
   * Since the probe began: how many have ended, how many of them had an answer, and how long those took together. Of two
   * such words the difference is what was measured between them, whatever came to be lost of the news.
   */
  ended: appended(u53, 0),
  answered: appended(u53, 0),
  delaySum_us: appended(u53, 0),
})
export type PathQuality = Value<typeof quality>

const thing = record({
  /** Of a probe or a neighbour in the site file; one name means one thing. */
  name: text,
  /** `probe` or `bfd`. */
  kind: text,
  isUp: flag,
  /** Why it is down; empty when it is not. */
  reason: text,
  /** When it became so, in milliseconds since 1970: of two nodes that speak of one thing the later word counts. */
  since_ms: u53,
  /** Of probes. */
  quality: optional(quality),
})
export type Liveness = Value<typeof thing>

export const livenessNews = message('liveness news', 11, {
  node: text,
  /** Grows with everything that the node says: what was kept may come after what was said later. */
  said_us: u53,
  /** All that the node knows. */
  things: list(thing),
})
export type LivenessNews = MessageValue<typeof livenessNews>

/** A way to a tenant's own network that is broken: the wire behind a switch, or the path to one neighbour on it. */
const brokenPath = record({
  vni: u32,
  /** The tunnel endpoint of the switch whose wire has no carrier. */
  remote: optional(address),
  /** The neighbour that BFD does not reach. */
  peer: optional(address),
})
export type BrokenPath = Value<typeof brokenPath>

/**
 * All that a switch or a routing node knows to be broken, said at once when that changes and again every second: forwarding
 * nodes take their backups by it (RFC 5714), and it is kept nowhere.
 */
export const brokenPaths = message('broken paths', 12, { source: text, broken: list(brokenPath) })
export type BrokenPaths = MessageValue<typeof brokenPaths>
