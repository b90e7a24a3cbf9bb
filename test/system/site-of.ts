/** The surroundings of a site that a test writes down itself. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Surroundings, type SurroundingsOptions } from '../../lab/site.ts'

export async function surroundingsOf(site: string, options: SurroundingsOptions = {}): Promise<Surroundings> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-site-'))
  try {
    writeFileSync(join(folder, 'site.yaml'), site)
    return await Surroundings.build(join(folder, 'site.yaml'), options)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
