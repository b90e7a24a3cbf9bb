/** `gatehouse schema`: the JSON Schema of site files. What no schema can say, `check` does. */

import { z } from 'zod'
import { site } from '../config/site.ts'

export function schema(): void {
  console.log(JSON.stringify(z.toJSONSchema(site, { io: 'input' }), undefined, 2))
}
