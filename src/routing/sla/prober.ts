/** How one kind of probe is sent: what probe-runner.ts needs of it. */

export interface Prober {
  /** Sends a probe; its answer comes with the number, or never. */
  send(sequence: number): void
  /**
   * A train of packets back to back, or as many bytes of a stream, and the rate at which it arrived in kbit/s: 0 when nothing
   * did. Undefined when that cannot be said, as of a server that refuses it.
   */
  train(packets: number, bytes: number, within_ms: number): Promise<number | undefined>
  /** Hands over what was received and not yet read. */
  drain(): void
  close(): void
}

/** Told by a prober: `took_us` from the probe's leaving to its answer. */
export type Answered = (sequence: number, took_us: number) => void
