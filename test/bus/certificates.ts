/** For tests: an authority, and certificates that it signs for a day. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export interface Certificate {
  readonly cert: string
  readonly key: string
  readonly certFile: string
  readonly keyFile: string
}

export class Authority {
  readonly ca: string
  readonly caFile: string
  readonly #directory: string
  readonly #own: Certificate

  constructor(t: TestContext) {
    this.#directory = mkdtempSync(join(tmpdir(), 'certificates-'))
    t.after(() => rmSync(this.#directory, { recursive: true }))
    this.#own = this.#make('authority', ['-x509', '-addext', 'basicConstraints=critical,CA:TRUE'])
    this.ca = this.#own.cert
    this.caFile = this.#own.certFile
  }

  issue(host: string): Certificate {
    const name = host.replaceAll('.', '-')
    const request = this.#make(name, [])
    const names = join(this.#directory, `${name}.names`)
    writeFileSync(names, `subjectAltName=DNS:${host}`)
    const signer = ['-CA', this.caFile, '-CAkey', this.#own.keyFile, '-CAcreateserial']
    openssl(
      'x509',
      '-req',
      '-in',
      request.certFile,
      '-out',
      request.certFile,
      '-days',
      '1',
      '-extfile',
      names,
      ...signer,
    )
    return { ...request, cert: readFileSync(request.certFile, 'utf8') }
  }

  #make(name: string, options: readonly string[]): Certificate {
    const certFile = join(this.#directory, `${name}.pem`)
    const keyFile = join(this.#directory, `${name}.key`)
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`]
    openssl('req', ...kind, '-keyout', keyFile, '-out', certFile, '-days', '1', ...options)
    return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
