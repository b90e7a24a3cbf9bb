/** Modules say on the bus that they work, until they end, and others wait until they do. */

import { z } from 'zod'
import { type Bus, BusError } from '../bus/bus.ts'
import { Latest } from './latest.ts'
import { BUCKET } from './names.ts'

const presence = z.object({
  role: z.string(),
  pid: z.int(),
  ready: z.boolean(),
  /** Milliseconds since 1970. */
  since: z.number(),
})
export type Presence = z.output<typeof presence>

/**
 * Says so until it is closed, again after each connection: a bus that lost its directory does not know of us. Close it
 * before the bus.
 */
export function announce(bus: Bus, module: string, value: Presence): { close(): Promise<void> } {
  const bytes = Buffer.from(JSON.stringify(value))
  const said = new Latest(bus, bus.bucket(BUCKET.modules), module)
  said.put(bytes)
  const stop = bus.onConnection((connected) => connected && said.put(bytes))
  return {
    async close() {
      stop()
      said.close()
      await withdraw(bus, module, value.pid)
    },
  }
}

/**
 * The module's process has ended or is about to. What another process of it has said is left alone. Without a bus it
 * is left to whoever looks next.
 */
export async function withdraw(bus: Bus, module: string, pid: number): Promise<void> {
  if (!bus.connected) return
  const bucket = bus.bucket(BUCKET.modules)
  try {
    const entry = await bucket.get(module)
    if (entry && decode(entry.value)?.pid === pid) await bucket.delete(module, { revision: entry.revision })
  } catch (error) {
    if (!(error instanceof BusError)) throw error
  }
}

/** All modules that announced themselves, by name. */
export async function modulesOf(bus: Bus): Promise<Map<string, Presence>> {
  const found = new Map<string, Presence>()
  for (const { key, value } of await bus.bucket(BUCKET.modules).entries('>')) {
    const decoded = decode(value)
    if (decoded) found.set(key, decoded)
  }
  return found
}

/** Resolves once the process says that it is ready; rejects when the signal fires first. */
export function whenReady(bus: Bus, module: string, pid: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const watch = bus.bucket(BUCKET.modules).watch(module, ({ value }) => {
      const decoded = value && decode(value)
      if (decoded?.pid !== pid || !decoded.ready) return
      watch.close()
      resolve()
    })
    watch.ready.catch(reject)
    signal.addEventListener('abort', () => {
      watch.close()
      reject(new Error(`${module} ended before it was ready`))
    })
  })
}

function decode(value: Uint8Array): Presence | undefined {
  try {
    return presence.parse(JSON.parse(Buffer.from(value).toString()))
  } catch {
    return undefined
  }
}
