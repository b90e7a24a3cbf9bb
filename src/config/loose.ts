/**
 * A site file with errors in it is still checked as far as it can be understood, so that all errors are told at once.
 * What the schema refuses becomes undefined here, place by place, and everything else keeps its place in its list.
 */

import { z } from 'zod'

export type Loose<T> = T extends readonly (infer Element)[]
  ? readonly (Loose<Element> | undefined)[]
  : T extends object
    ? { readonly [Key in keyof T]?: Loose<T[Key]> | undefined }
    : T

/** Of every schema of a file, made when one of those has an error. */
const made = new WeakMap<z.ZodType, z.ZodType>()

export function readLoosely<S extends z.ZodType>(schema: S, value: unknown): Loose<z.output<S>> {
  const loose = made.get(schema) ?? loosened(schema)
  made.set(schema, loose)
  return (loose.parse(value) ?? {}) as Loose<z.output<S>>
}

/** Objects lose what is unknown, lists their limits, and every value that is wrong is undefined. */
function loosened(schema: z.ZodType): z.ZodType {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodObject) {
    const shape = Object.entries(inner.shape).map(([key, value]) => [key, loosened(value as z.ZodType)])
    return z.object(Object.fromEntries(shape)).optional().catch(undefined)
  }
  if (inner instanceof z.ZodArray) {
    return z
      .array(loosened(inner.element as z.ZodType))
      .optional()
      .catch(undefined)
  }
  return inner.optional().catch(undefined)
}

/** Without what says that it may be left out. */
export function unwrapped(schema: z.ZodType): z.ZodType {
  const wrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
  return wrapped ? unwrapped(schema.unwrap() as z.ZodType) : schema
}
