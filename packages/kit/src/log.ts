import { pino } from 'pino';
import { isExpected } from './expected.ts';
import { LineSink } from './standard-error.ts';

/** A structured logger: constant lower-case message, details as fields. An error is the field `err`; an expected one has no stack there. */
export type Logger = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger for one component, which adds `component` to every line. */
  child(component: string): Logger;
};

/** The least severe records written; `silent`: none. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * A logger that writes JSON lines to standard error. It never waits for who reads them: what has no room is dropped, and how much that was is
 * logged when there is room again. What was logged last comes out when the process ends, if it is read within half a second.
 */
export function createLogger(level: LogLevel, sink: Pick<LineSink, 'write' | 'flush'> = new LineSink()): Logger {
  process.once('exit', () => sink.flush());
  const serializers = { err: describeError };
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers }, sink));
}

/** A logger that says nothing. */
export function silentLogger(): Logger {
  return wrap(pino({ level: 'silent' }));
}

function describeError(err: unknown): unknown {
  if (!(err instanceof Error)) return err;
  return isExpected(err) ? { type: err.constructor.name, message: err.message } : pino.stdSerializers.err(err);
}

function wrap(log: ReturnType<typeof pino>): Logger {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    child: (component) => wrap(log.child({ component })),
  };
}
