/** Which tenants are on the move, for whoever asks later what happened. */

import type { Events } from '../agent/events.ts'
import type { Placement } from './placement.ts'

export class Moves {
  readonly #events: Events
  #moving: ReadonlyMap<string, string> = new Map()

  constructor(events: Events) {
    this.#events = events
  }

  /** After each step of the controller. */
  look(placement: Placement): void {
    if (this.#moving.size === 0 && !placement.isMoving) return
    const moving = placement.movingTenants
    for (const [tenant, place] of moving) {
      if (this.#moving.get(tenant) !== place) this.#events.tell('move-begun', tenant, `to ${place}`)
    }
    for (const [tenant, place] of this.#moving) {
      if (!moving.has(tenant)) this.#events.tell('move-done', tenant, `to ${place}`)
    }
    this.#moving = moving
  }
}
