/**
 * What a full run leaves under bench/results/: a plot a figure, the table for people and the document for programs. A quick
 * run's figures say nothing, so it leaves what is there alone.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchDocument, formatReport } from './report.ts'

export class Results {
  readonly #folder: string | undefined

  /** Without a folder nothing is kept. */
  constructor(folder: string | undefined) {
    this.#folder = folder
  }

  /** By a file name such as fib-memory.svg. */
  plot(name: string, svg: string): void {
    this.#write(name, svg)
  }

  /** As NAME.txt and NAME.json. */
  report(document: BenchDocument): void {
    this.#write(`${document.bench}.txt`, `${formatReport(document)}\n`)
    this.#write(`${document.bench}.json`, `${JSON.stringify(document, null, 2)}\n`)
  }

  #write(name: string, text: string): void {
    if (this.#folder === undefined) return
    mkdirSync(this.#folder, { recursive: true })
    writeFileSync(join(this.#folder, name), text)
  }
}
