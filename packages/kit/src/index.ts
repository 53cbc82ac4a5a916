export type { Backoff, BackoffOptions } from './backoff.ts';
export { createBackoff, sleep } from './backoff.ts';
export type { Logger, LogLevel } from './log.ts';
export { createLogger, silentLogger } from './log.ts';
export type { Loop, LoopOptions } from './loop.ts';
export { startLoop } from './loop.ts';
export type { IndexMaker, TableReader } from './table.ts';
export { Table } from './table.ts';
