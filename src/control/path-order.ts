/**
 * The order of a tenant's paths, one a connection: those that are up before those that are not, then by preference, then by
 * what the tenant steers by. It is damped: a path whose place another one is to take has to be clearly worse for a while,
 * and one that was left, or was down, has to be good for half a minute before it is taken again. A path that is down goes
 * to the end at once.
 *
 * What is clearly better is asked of each criterion in turn: the paths that are not clearly worse than the best stay, and
 * the next criterion is asked of those. Whoever is there at the end is good enough, and the one that has the place keeps it.
 * So qualities that stand still never move anything twice, which a comparison of two paths at a time would not promise.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Criterion } from '../config/tenant.ts'

export interface Path {
  /** Of the connection. */
  readonly name: string
  readonly preference: number
  readonly cost: number
  /** Something measures it. */
  readonly isProbed: boolean
  readonly isDown: boolean
  /** Undefined: nobody knows. */
  readonly latency_us: number | undefined
  readonly loss_ppm: number | undefined
  /** Of how many probes the loss is: a few of them say nothing. */
  readonly probes: number
  readonly bandwidth_kbps: number | undefined
}

/**
 * So much worse than the best one is clearly worse: jitter of a tenth makes two paths that are the same differ by 1.1 / 0.9,
 * and one that is twice as bad by 1.8 / 1.1 at least.
 */
const CLEARLY = 1.5
/** So much is worse, too, if it goes on. */
const SOMEWHAT = 1.2
/** Whatever the margin: what nobody feels. */
const LATENCY_FLOOR_US = 200
const LOSS_FLOOR_PPM = 10_000
/** Fewer lost probes are chance. */
const LOST_FLOOR = 2.5

/**
 * So long. With a probe a second, news of it four times a second and the median of three, a change is seen within 2.3 seconds
 * and what the answer takes; with this and the quarter of a second between two looks a path is left within 4.2.
 */
const HOLD_MS = 1500
/** So long for what is only somewhat worse. */
export const STEADY_MS = 30_000
/** So long a path has to be good that was left or was down. */
export const RETURN_MS = 30_000
/** After so long nobody remembers that a path was left. */
const LEFT_MS = 600_000

const UP = 0
const RETURNING = 1
const DOWN = 2

/** What routes go by: where the first one is, packets are; those of the same place share them. */
export interface PathPlaces {
  /** 0 is up; what is greater is worse. */
  stateOf(connection: string): number
  /** Lower is better. Of what is no connection, a machine, before all others. */
  placeOf(connection: string | undefined): number
}

/** What outlives a leader. */
export interface KnownPath {
  readonly name: string
  /** It is taken for one; not while it is down, and for a while after. */
  readonly isUp: boolean
}

interface Standing {
  readonly state: number
  /** Since when it has been up, or down. */
  readonly since_us: number
}

export class PathOrder implements PathPlaces {
  #steer: readonly Criterion[] = []
  #order: readonly Path[] = []
  #standings = new Map<string, Standing>()
  #places = new Map<string, number>()
  /** By two paths: since when the second one has been clearly better than the first, whose place it is. */
  #better = new Map<string, number>()
  readonly #left_us = new Map<string, number>()
  /** As somebody else had them before the first look. */
  #known: readonly KnownPath[]

  constructor(known: readonly KnownPath[] = []) {
    this.#known = known
  }

  stateOf(connection: string): number {
    return this.#standings.get(connection)?.state ?? UP
  }

  placeOf(connection: string | undefined): number {
    return connection === undefined ? -1 : (this.#places.get(connection) ?? 0)
  }

  /** The best first. */
  get paths(): readonly Path[] {
    return this.#order
  }

  get known(): KnownPath[] {
    return this.#order.map(({ name }) => ({ name, isUp: this.stateOf(name) === UP }))
  }

  /** The best first, each with why it is before the next. For people. */
  show(): string[] {
    return this.#order.map(({ name }, i) => {
      const next = this.#order[i + 1]
      const isShared = next && this.placeOf(name) === this.placeOf(next.name)
      return next && !isShared ? `${name} (${this.why(name, next.name)})` : name
    })
  }

  /** Why routes go by the first one and the second one backs it up. For people. */
  why(first: string, second: string): string {
    const [a, b] = [first, second].map((name) => this.#order.find((path) => path.name === name))
    if (!a || !b || first === second) return 'as the route says'
    const states = [this.stateOf(first), this.stateOf(second)] as const
    if (states[0] < states[1]) return states[1] === DOWN ? `${second} is down` : `${second} has just come back`
    if (states[0] > states[1] || this.placeOf(first) > this.placeOf(second)) return 'as the route says'
    if (a.preference !== b.preference) return `preference ${a.preference} before ${b.preference}`
    for (const criterion of this.#steer) {
      const good = CRITERIA[criterion]([a, b], SOMEWHAT)
      if (!good.includes(b)) return `${criterion} ${SHOWN[criterion](a)} before ${SHOWN[criterion](b)}`
      if (!good.includes(a)) return `${criterion} ${SHOWN[criterion](a)}, until ${second} has been better for a while`
    }
    return `as good as ${second}`
  }

  /** What is known of the paths now, in the order of the file. True where routes have to be others. */
  take(paths: readonly Path[], steer: readonly Criterion[], now_us: number): boolean {
    const before = [this.#standingStates(), this.#places]
    if (!isDeepStrictEqual(steer, this.#steer)) this.#better.clear()
    this.#steer = steer
    this.#standings = new Map(paths.map((path) => [path.name, this.#standingOf(path, now_us)]))
    const known = new Map(paths.map((path) => [path.name, path]))
    const kept = [...this.#order, ...this.#known].flatMap(({ name }) => known.get(name) ?? [])
    this.#known = []
    const isFirst = kept.length === 0
    const added = paths.filter((path) => !kept.includes(path))
    const ranked = [...kept, ...added].sort(
      (a, b) => this.stateOf(a.name) - this.stateOf(b.name) || a.preference - b.preference,
    )
    this.#order = this.#steered(ranked, isFirst, now_us)
    this.#places = this.#placed()
    return !isDeepStrictEqual([this.#standingStates(), this.#places], before)
  }

  #standingStates(): Map<string, number> {
    return new Map(Array.from(this.#standings, ([name, { state }]) => [name, state]))
  }

  #standingOf({ name, isDown }: Path, now_us: number): Standing {
    const before = this.#standings.get(name)
    if (!before) {
      const wasDown = this.#known.some((path) => path.name === name && !path.isUp)
      return { state: isDown ? DOWN : wasDown ? RETURNING : UP, since_us: now_us }
    }
    if (isDown) return before.state === DOWN ? before : { state: DOWN, since_us: now_us }
    if (before.state === DOWN) return { state: RETURNING, since_us: now_us }
    const isGood = now_us - before.since_us >= RETURN_MS * 1000
    return before.state === RETURNING && isGood ? { state: UP, since_us: now_us } : before
  }

  /** Those of one preference in the order of what the tenant steers by. */
  #steered(ranked: readonly Path[], isFirst: boolean, now_us: number): Path[] {
    const better = new Map<string, number>()
    const done: Path[] = []
    const rest = [...ranked]
    while (rest.length > 0) {
      const [first] = rest
      const equals = rest.filter((path) => this.#isOneLevel(path, first!))
      const chosen = isFirst ? goodEnough(equals, this.#steer, SOMEWHAT)[0]! : this.#choose(equals, better, now_us)
      rest.splice(rest.indexOf(chosen), 1)
      done.push(chosen)
    }
    this.#better = better
    return done
  }

  #isOneLevel(a: Path, b: Path): boolean {
    return a.preference === b.preference && this.stateOf(a.name) === this.stateOf(b.name)
  }

  /** Of paths of one level, in their order: the first, unless another one has been better for long enough. */
  #choose(equals: readonly Path[], better: Map<string, number>, now_us: number): Path {
    const holder = equals[0]!
    for (const [margin, hold_ms] of [[CLEARLY, HOLD_MS] as const, [SOMEWHAT, STEADY_MS] as const]) {
      const good = goodEnough(equals, this.#steer, margin)
      if (good.includes(holder)) continue
      for (const rival of good) {
        const what = `${margin} ${holder.name} ${rival.name}`
        const since_us = this.#better.get(what) ?? now_us
        better.set(what, since_us)
        const needed_ms = this.#isLeft(rival, now_us) ? Math.max(hold_ms, RETURN_MS) : hold_ms
        if (now_us - since_us < needed_ms * 1000) continue
        this.#left_us.set(holder.name, now_us)
        this.#left_us.delete(rival.name)
        return rival
      }
    }
    return holder
  }

  #isLeft({ name }: Path, now_us: number): boolean {
    const left_us = this.#left_us.get(name)
    return left_us !== undefined && now_us - left_us < LEFT_MS * 1000
  }

  /** Without anything to steer by, those of one level share a place. */
  #placed(): Map<string, number> {
    const places = new Map<string, number>()
    let place = 0
    for (const [i, path] of this.#order.entries()) {
      const before = this.#order[i - 1]
      if (before && (this.#steer.length > 0 || !this.#isOneLevel(path, before))) place++
      places.set(path.name, place)
    }
    return places
  }
}

/** Never none of them. */
function goodEnough(paths: readonly Path[], steer: readonly Criterion[], margin: number): readonly Path[] {
  return steer.reduce((left, criterion) => CRITERIA[criterion](left, margin), paths)
}

type Rule = (paths: readonly Path[], margin: number) => readonly Path[]

const CRITERIA: Readonly<Record<Criterion, Rule>> = {
  latency: (paths, margin) =>
    near(
      paths,
      ({ latency_us }) => latency_us,
      (best) => Math.max(best * margin, best + LATENCY_FLOOR_US),
    ),
  loss: (paths, margin) =>
    near(
      paths,
      ({ loss_ppm }) => loss_ppm,
      (best, { probes }) => best * margin + Math.max(LOSS_FLOOR_PPM, (LOST_FLOOR * 1e6) / Math.max(probes, 1)),
    ),
  // The more the better: what is compared is how long a bit takes.
  bandwidth: (paths, margin) =>
    near(
      paths,
      ({ bandwidth_kbps }) => bandwidth_kbps && 1 / bandwidth_kbps,
      (best) => best * margin,
    ),
  cost(paths) {
    const least = Math.min(...paths.map(({ cost }) => cost))
    return paths.filter(({ cost }) => cost === least)
  },
}

const known = (value: number | undefined, unit: string): string =>
  value === undefined ? 'unknown' : `${value} ${unit}`

const SHOWN: Readonly<Record<Criterion, (path: Path) => string>> = {
  latency: ({ latency_us }) => known(latency_us && Math.round(latency_us / 10) / 100, 'ms'),
  loss: ({ loss_ppm }) => known(loss_ppm && Math.round(loss_ppm / 100) / 100, '%'),
  bandwidth: ({ bandwidth_kbps }) => known(bandwidth_kbps, 'kbit/s'),
  cost: ({ cost }) => `${cost}`,
}

/** Those that are near the best, and those of which it is not known yet. What nobody measures comes after what is known. */
function near(
  paths: readonly Path[],
  measure: (path: Path) => number | undefined,
  limit: (best: number, path: Path) => number,
): readonly Path[] {
  const values = paths.flatMap((path) => measure(path) ?? [])
  if (values.length === 0) return paths
  const best = Math.min(...values)
  return paths.filter((path) => {
    const value = measure(path)
    return value === undefined ? path.isProbed : value <= limit(best, path)
  })
}
