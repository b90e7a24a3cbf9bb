/** The OpenAPI 3.1 document, made of the operations' own schemas. */

import { z } from 'zod'
import type { Operation } from './operation.ts'
import { problem } from './problem.ts'
import { ROLES } from './tokens.ts'

/** Of the paths, `/v1`: it grows by what clients may leave out or ignore. */
const VERSION = '1.0.0'

type Schema = Readonly<Record<string, unknown>>

const PROBLEM: Schema = {
  description: 'Why not',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

export function openApi(operations: readonly Operation[]): Schema {
  const paths: Record<string, Record<string, Schema>> = {}
  for (const operation of operations) {
    const methods = paths[operation.path] ?? {}
    methods[operation.method.toLowerCase()] = described(operation)
    paths[operation.path] = methods
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Gatehouse orchestrator',
      version: VERSION,
      description: 'Tenants of all sites, and what becomes of them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Problem: schemaOf(problem, 'output') },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

function described(operation: Operation): Schema {
  const { id, summary, role, body, answers, isStream } = operation
  const responses = Object.entries(answers).map(([status, schema]) => [
    status,
    {
      description: DESCRIPTIONS[status] ?? 'Done',
      ...(schema && {
        content: { [isStream ? 'text/event-stream' : 'application/json']: { schema: schemaOf(schema, 'output') } },
      }),
    },
  ])
  const needs = role === undefined ? 'Needs no token.' : `Needs a token of the role ${rolesFrom(role)}.`
  return {
    operationId: id,
    summary,
    description: needs,
    parameters: parametersOf(operation),
    security: role === undefined ? [] : [{ token: [] }],
    ...(body && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
    }),
    responses: { ...Object.fromEntries(responses), default: PROBLEM },
  }
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  200: 'Done',
  201: 'It was made, and all of its sites have been told',
  202: 'Done, and it will be kept; some sites have yet to be told',
  204: 'It is gone, and all of its sites have been told',
}

const rolesFrom = (role: (typeof ROLES)[number]): string => ROLES.slice(ROLES.indexOf(role)).join(' or ')

function parametersOf({ params, query, isConditional }: Operation): Schema[] {
  const of = (where: 'path' | 'query', schema: z.ZodType): Schema[] => {
    const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
      properties?: Record<string, Schema>
      required?: string[]
    }
    return Object.entries(properties).map(([name, schema]) => ({
      ...{ name, in: where, required: where === 'path' || required.includes(name), schema },
    }))
  }
  const conditions = ['If-Match', 'If-None-Match'].map((name) => ({ name, in: 'header', schema: { type: 'string' } }))
  return [...of('path', params), ...of('query', query), ...(isConditional ? conditions : [])]
}
