/** Where a module tells its operator what happened. pino's logger is one; tests hand in what they like. */

export interface Logger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

export const silent: Logger = { info: () => {}, warn: () => {}, error: () => {} }
