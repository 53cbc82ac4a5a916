/**
 * What one host tells another of the flows of a port or of a router, as lines of JSON:
 *
 *   hello   first: which version this is
 *   flow    a flow of a port as it is now (`FlowRecord`); the same may come again
 *   groups  groups of multicast that the guest of a port has joined (`JoinedGroups`), all of them: those told before are over
 *   passed  a flow that a router's gateway passes (`PassedFlow`), likewise
 *   whole   every flow that there was when the connection began has been told
 *   beat    nothing: the connection lives
 *
 * A line of another type, and unknown fields, are passed over: they are of a newer build. One of which a reader would be wrong about the rest raises the version.
 */
import type { JoinedGroups } from '../guest/joined-groups.ts';
import { isRecord, parseJson } from '../json.ts';
import { type FlowRecord, parseFlowRecord } from './flow-record.ts';
import { type PassedFlow, parsePassedFlow } from './passed-flow.ts';
import { parseJoinedGroups } from './told-groups.ts';

export type FlowLine =
  | { readonly type: 'hello'; readonly version: number }
  | { readonly type: 'flow'; readonly flow: FlowRecord }
  | { readonly type: 'groups'; readonly joined: JoinedGroups }
  | { readonly type: 'passed'; readonly flow: PassedFlow }
  | { readonly type: 'whole' }
  | { readonly type: 'beat' };

/** TCP port on the underlay address. */
export const FLOWS_PORT = 4789;
/** Before the port's id, or `ROUTER` and a router's. */
export const FLOWS_PATH = '/cable/v1/flows/';
export const ROUTER = 'router/';
/** Between lines, at the most; a connection that is silent for five times as long is dead. */
export const BEAT_MS = 2_000;
export const HELLO = { type: 'hello', version: 1 } as const;

const MOST_CHARS = 8192;

/** As text, with its newline. */
export function writeLine(line: FlowLine): string {
  return `${JSON.stringify(jsonOf(line))}\n`;
}

function jsonOf(line: FlowLine): object {
  switch (line.type) {
    case 'flow':
    case 'passed':
      return { type: line.type, ...line.flow };
    case 'groups':
      return { type: line.type, ...line.joined };
    default:
      return line;
  }
}

/** The line; `other`: one that is passed over; undefined: no version has such a line, or it is of one that is not understood. */
export function parseFlowLine(text: string): FlowLine | 'other' | undefined {
  const value = text.length > MOST_CHARS ? undefined : parseJson(text);
  if (!isRecord(value)) return undefined;
  switch (value['type']) {
    case 'hello':
      return value['version'] === HELLO.version ? HELLO : undefined;
    case 'flow': {
      const flow = parseFlowRecord(value);
      return flow === undefined ? 'other' : { type: 'flow', flow };
    }
    case 'groups': {
      const joined = parseJoinedGroups(value);
      return joined === undefined ? 'other' : { type: 'groups', joined };
    }
    case 'passed': {
      const flow = parsePassedFlow(value);
      return flow === undefined ? 'other' : { type: 'passed', flow };
    }
    case 'whole':
    case 'beat':
      return { type: value['type'] };
    default:
      return 'other';
  }
}
