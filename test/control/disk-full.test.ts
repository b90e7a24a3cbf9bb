/** The disk of the bus is full for a while: what cannot be stored is not told, and all goes on when there is room again. */

import { rejects } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROUTES_LIMITS, ROUTES_STREAM } from '../../src/agent/names.ts'
import { BusError } from '../../src/bus/bus.ts'
import { FIRST, goThrough } from './kill-points.ts'
import { Scene } from './scene.ts'

const DISK_BYTES = 4 * 1024 * 1024

test('a disk that is full while everything changes', async (t) => {
  const store = mkdtempSync(join(tmpdir(), 'disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', store], { encoding: 'utf8' })
  t.after(() => {
    if (mounted.status === 0) spawnSync('umount', ['--lazy', store])
    rmSync(store, { recursive: true })
  })
  if (mounted.status !== 0) return t.skip(`a small disk cannot be mounted here: ${mounted.stderr.trim()}`)
  const scene = await Scene.of(t, { store })
  scene.control('control', FIRST)
  const probe = scene.join('probe')
  const isFull = (error: unknown): boolean => error instanceof BusError && error.code === 'storage'
  await goThrough(scene, scene.join('readers'), async (step) => {
    if (step === 0) return
    const filler = join(store, 'filler')
    try {
      writeFileSync(filler, Buffer.alloc(DISK_BYTES))
    } catch {
      // As much as there was room for.
    }
    const stream = probe.stream(ROUTES_STREAM, ROUTES_LIMITS)
    await rejects(() => stream.append(Buffer.alloc(100_000)), isFull)
    rmSync(filler)
  })
})
