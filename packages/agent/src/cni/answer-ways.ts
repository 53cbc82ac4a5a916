/** Which way a pod answers: who came to one of its addresses is answered by the interface that has it, whatever the pod's own routes say (RTNETLINK rules and tables). */
import { succeeded } from '../ffi/errno.ts';
import { type AF_INET, type AF_INET6, encodeIp } from '../net/ip.ts';
import { bytes, decodeAttributes, fixedHeader, readU32, u32 } from '../net/message.ts';
import { ensureRoute } from '../net/route.ts';
import { type NetlinkSocket, NLM } from '../net/socket.ts';
import type { AnswerWay } from './pod-link.ts';

const RTM_RULE = { create: 32, get: 34 } as const;
/** Attributes of a rule (linux/fib_rules.h). */
const FRA = { source: 2, priority: 6, table: 15 } as const;
const FR_ACT_TO_TABLE = 1;
const RULE_BYTES = 12;

/** Makes the routes of the table and the rules that lead there; what is there already is taken. */
export function ensureAnswerWay(pod: NetlinkSocket, ifindex: number, { table, from, routes }: AnswerWay): void {
  for (const { destination, gateway } of routes) {
    const by = gateway === null ? {} : { gateway, onlink: true };
    ensureRoute(pod, { destination, ifindex, table, ...by });
  }
  for (const address of from) {
    const { family, bytes: source } = encodeIp(address);
    const attributes = [bytes(FRA.source, source), u32(FRA.priority, table), u32(FRA.table, table)];
    const tried = `answer for ${address} by table ${table}`;
    const fixed = rule(family, source.length * 8, FR_ACT_TO_TABLE);
    const request = { type: RTM_RULE.create, flags: NLM.create | NLM.exclusive, fixed, attributes, tried };
    succeeded(() => pod.change(request), ['EEXIST']);
  }
}

/** Of these addresses those for which no rule leads to the table. */
export function withoutAnswerWay(
  pod: NetlinkSocket,
  { table, from }: Pick<AnswerWay, 'table' | 'from'>,
): readonly string[] {
  return from.filter((address) => {
    const { family, bytes: source } = encodeIp(address);
    const rules = pod.dump({ type: RTM_RULE.get, fixed: rule(family, 0, 0), tried: 'list the rules' });
    return !rules.some(({ body }) => {
      const attributes = decodeAttributes(body, RULE_BYTES);
      const has = attributes.get(FRA.source);
      const isFrom = has !== undefined && Buffer.compare(has, source) === 0 && body[2] === source.length * 8;
      return isFrom && readU32(attributes.get(FRA.table)) === table;
    });
  });
}

/** struct fib_rule_hdr: a rule for packets from a prefix of that length. The table is told by an attribute. */
function rule(family: typeof AF_INET | typeof AF_INET6, length: number, action: number): Uint8Array {
  const head = [[1, family] as const, [1, 0] as const, [1, length] as const, [1, 0] as const, [1, 0] as const];
  return fixedHeader(...head, [1, 0], [1, 0], [1, action], [4, 0]);
}
