/**
 * `gatehouse schema`: the JSON Schema of site files and of the orchestrator's, for editors, and the OpenAPI document of its
 * API. What no schema can say, `check` does.
 */

import { z } from 'zod'
import { openApiDocument } from '../api/main.ts'
import { tokensFile } from '../api/tokens.ts'
import { orchestrator } from '../config/orchestrator.ts'
import { site } from '../config/site.ts'
import { tenantDocument } from '../config/tenant-document.ts'
import { EXIT, Failure } from './failure.ts'

const schemaOf = (schema: z.ZodType) => (): object => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })

const SCHEMAS: Readonly<Record<string, () => object>> = {
  site: schemaOf(site),
  tenant: schemaOf(tenantDocument),
  orchestrator: schemaOf(orchestrator),
  tokens: schemaOf(tokensFile),
  openapi: openApiDocument,
}

export function schema(what: string): void {
  const made = Object.hasOwn(SCHEMAS, what) ? SCHEMAS[what] : undefined
  if (!made) throw new Failure(`there is no schema ${what}; there are ${Object.keys(SCHEMAS).join(', ')}`, EXIT.usage)
  console.log(JSON.stringify(made(), undefined, 2))
}
