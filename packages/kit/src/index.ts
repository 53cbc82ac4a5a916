export type { Backoff, BackoffOptions } from './backoff.ts';
export { createBackoff, sleep } from './backoff.ts';
export type { ReadKey } from './dependents.ts';
export { Dependents, indexRead, rowRead } from './dependents.ts';
export { assertDiskRoom, NoRoomError } from './disk-room.ts';
export { ExpectedError, isExpected } from './expected.ts';
export { flushOutput } from './flush-output.ts';
export { hashedUuid } from './hashed-uuid.ts';
export type {
  ClientTls,
  HttpRequest,
  HttpResponse,
  HttpStream,
  HttpTransport,
  HttpTransportOptions,
  HttpUpgrade,
} from './http-transport.ts';
export { httpTransport, TOO_LARGE } from './http-transport.ts';
export { Interner } from './interner.ts';
export type { Logger, LogLevel } from './log.ts';
export { createLogger, silentLogger } from './log.ts';
export type { Loop, LoopOptions } from './loop.ts';
export { startLoop } from './loop.ts';
export { LoopDelay } from './loop-delay.ts';
export { onAbort } from './on-abort.ts';
export type { ProbeAnswers, ProbePlace } from './probe-listener.ts';
export { parseProbePlace, startProbeListener } from './probe-listener.ts';
export { Repeats } from './repeats.ts';
export { seededRandom } from './seeded-random.ts';
export type { Compare, Place, SortedItems } from './sorted-list.ts';
export { backwards, endOf, forwards, itemAt, itemBefore, placeIn, START } from './sorted-list.ts';
export type { LineSinkOptions } from './standard-error.ts';
export { LineSink, sayLast } from './standard-error.ts';
export type { IndexMaker, TableLister, TableReader } from './table.ts';
export { Table } from './table.ts';
export { TextCache } from './text-cache.ts';
export type { TimeLimit } from './time-limit.ts';
export { startTimeLimit } from './time-limit.ts';
export { explainNoAnswer, TransportError, UNTRUSTED } from './transport-error.ts';
export { createTurnLine } from './turn-line.ts';
export type { Turns } from './turns.ts';
export { startTurns, TURN_MS } from './turns.ts';
export { isListenedOn } from './unix-socket.ts';
export { exitUsage } from './usage-exit.ts';
