/**
 * A Map by prefix that keeps hundreds of thousands of IPv4 prefixes in typed arrays: open addressing with linear probing, and
 * what is deleted leaves no trace, for those behind it move up. The control module spends half as much on a route with it as with
 * Maps. IPv6 prefixes, whose keys are texts, are in a Map. In no order. A number can be noted beside each value, such as since
 * when it is there; it stays while the value does.
 *
 *   hash(key) --> place: key, value, note | key, value, note | empty        at most three of four places are taken
 */

import { mix32 } from '../base/hash.ts'
import type { PrefixKey } from './prefix-key.ts'

const EMPTY = 0
const PLACES_MIN = 8
/** Below that many places a table that is full becomes four times as large: most that grow at all grow on. */
const GROWS_FAST = 256

export class PrefixMap<V> implements ReadonlyMap<PrefixKey, V> {
  /** Numbers of prefix-key.ts, none of which is 0; those of a /31 or /32 do not fit into 32 bits. */
  #keys: Float64Array = new Float64Array(PLACES_MIN)
  #values: (V | undefined)[] = new Array(PLACES_MIN)
  #mask = PLACES_MIN - 1
  #count = 0
  /** While all are 0 there is no need to have them. */
  #notes: Uint32Array | undefined
  /** Most tenants have none. */
  #texts: Map<string, V> | undefined
  #textNotes: Map<string, number> | undefined

  get size(): number {
    return this.#count + (this.#texts?.size ?? 0)
  }

  get(key: PrefixKey): V | undefined {
    if (typeof key === 'string') return this.#texts?.get(key)
    const place = this.#find(key)
    return this.#keys[place] === EMPTY ? undefined : this.#values[place]
  }

  has(key: PrefixKey): boolean {
    if (typeof key === 'string') return this.#texts?.has(key) ?? false
    return this.#keys[this.#find(key)] !== EMPTY
  }

  /** The number that was noted when the value came; 0 where there is none. */
  noteOf(key: PrefixKey): number {
    if (typeof key === 'string') return this.#textNotes?.get(key) ?? 0
    if (!this.#notes) return 0
    const place = this.#find(key)
    return this.#keys[place] === EMPTY ? 0 : this.#notes[place]!
  }

  set(key: PrefixKey, value: V, note = 0): this {
    if (typeof key === 'string') return this.#setText(key, value, note)
    const place = this.#find(key)
    const isNew = this.#keys[place] === EMPTY
    if (isNew || this.#values[place] !== value) this.#note(place, note)
    this.#values[place] = value
    if (!isNew) return this
    this.#keys[place] = key
    this.#count++
    const places = this.#keys.length
    if (this.#count * 4 > places * 3) this.#resize(places * (places < GROWS_FAST ? 4 : 2))
    return this
  }

  /** False when it was not there. */
  delete(key: PrefixKey): boolean {
    if (typeof key === 'string') return this.#deleteText(key)
    const place = this.#find(key)
    if (this.#keys[place] === EMPTY) return false
    this.#close(place)
    this.#count--
    if (this.#keys.length > PLACES_MIN && this.#count * 8 < this.#keys.length) this.#resize(this.#keys.length / 2)
    return true
  }

  *entries(): MapIterator<[PrefixKey, V]> {
    const keys = this.#keys
    const values = this.#values
    for (let place = 0; place < keys.length; place++)
      if (keys[place] !== EMPTY) yield [keys[place]!, values[place] as V]
    if (this.#texts) yield* this.#texts
  }

  *keys(): MapIterator<PrefixKey> {
    const keys = this.#keys
    for (let place = 0; place < keys.length; place++) if (keys[place] !== EMPTY) yield keys[place]!
    if (this.#texts) yield* this.#texts.keys()
  }

  *values(): MapIterator<V> {
    for (const [, value] of this) yield value
  }

  [Symbol.iterator](): MapIterator<[PrefixKey, V]> {
    return this.entries()
  }

  forEach(run: (value: V, key: PrefixKey, map: ReadonlyMap<PrefixKey, V>) => void): void {
    const keys = this.#keys
    for (let place = 0; place < keys.length; place++)
      if (keys[place] !== EMPTY) run(this.#values[place] as V, keys[place]!, this)
    for (const [key, value] of this.#texts ?? []) run(value, key, this)
  }

  #note(place: number, note: number): void {
    if (!this.#notes && note === 0) return
    this.#notes ??= new Uint32Array(this.#keys.length)
    this.#notes[place] = note
  }

  #setText(key: string, value: V, note: number): this {
    this.#texts ??= new Map()
    if (note !== 0 || this.#textNotes) {
      this.#textNotes ??= new Map()
      if (this.#texts.get(key) !== value) this.#textNotes.set(key, note)
    }
    this.#texts.set(key, value)
    return this
  }

  #deleteText(key: string): boolean {
    this.#textNotes?.delete(key)
    return this.#texts?.delete(key) ?? false
  }

  /** Where the key is, or the empty place where it belongs. */
  #find(key: number): number {
    const keys = this.#keys
    const mask = this.#mask
    let place = mix32(key | 0) & mask
    while (keys[place] !== key && keys[place] !== EMPTY) place = (place + 1) & mask
    return place
  }

  // Who stands behind, up to the next empty place, moves up unless it would stand before its own place then.
  #close(hole: number): void {
    const keys = this.#keys
    const mask = this.#mask
    for (let place = (hole + 1) & mask; keys[place] !== EMPTY; place = (place + 1) & mask) {
      const home = mix32(keys[place]! | 0) & mask
      if (((place - home) & mask) < ((place - hole) & mask)) continue
      keys[hole] = keys[place]!
      this.#values[hole] = this.#values[place]
      if (this.#notes) this.#notes[hole] = this.#notes[place]!
      hole = place
    }
    keys[hole] = EMPTY
    this.#values[hole] = undefined
  }

  #resize(places: number): void {
    const before = this.#keys
    const values = this.#values
    const notes = this.#notes
    this.#keys = new Float64Array(places)
    this.#values = new Array(places)
    if (notes) this.#notes = new Uint32Array(places)
    this.#mask = places - 1
    for (let i = 0; i < before.length; i++) {
      if (before[i] === EMPTY) continue
      const place = this.#find(before[i]!)
      this.#keys[place] = before[i]!
      this.#values[place] = values[i]
      if (notes) this.#notes![place] = notes[i]!
    }
  }
}
