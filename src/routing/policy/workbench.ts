/** What all policies of a RIB work with: its sets and peers, the draft that is being worked on, and who writes it down. */

import type { AttributeSets } from '../bgp/rib/attribute-sets.ts'
import type { RibPeers } from '../bgp/rib/rib-peers.ts'
import { Draft } from './draft.ts'
import { DraftWriter } from './draft-writer.ts'

export class Workbench {
  readonly sets: AttributeSets
  readonly peers: RibPeers
  readonly draft: Draft
  readonly writer: DraftWriter

  constructor(sets: AttributeSets, peers: RibPeers) {
    this.sets = sets
    this.peers = peers
    this.draft = new Draft(sets)
    this.writer = new DraftWriter(sets)
  }
}
