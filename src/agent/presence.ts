/** Modules say on the bus that they work, and others wait until they do. */

import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { BUCKET } from './names.ts'

const presence = z.object({
  role: z.string(),
  pid: z.int(),
  ready: z.boolean(),
  /** Milliseconds since 1970. */
  since: z.number(),
})
export type Presence = z.output<typeof presence>

/** Rejects with what the bus says. */
export async function announce(bus: Bus, module: string, value: Presence): Promise<void> {
  await bus.bucket(BUCKET.modules).put(module, Buffer.from(JSON.stringify(value)))
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
