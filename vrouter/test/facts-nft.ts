/** A table of the packet filter with one rule, by netlink (linux/netfilter/nf_tables.h), for the tests of kernel facts. */
import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../../packages/agent/src/ffi/errno.ts';
import { lastErrno, libc } from '../../packages/agent/src/ffi/libc.ts';
import {
  type Attribute,
  bytes,
  decodeMessages,
  encodeMessage,
  fixedHeader,
  nest,
  text,
  viewOf,
} from '../../packages/agent/src/net/message.ts';
import { inNetns } from '../../packages/agent/src/net/netns.ts';

const NETLINK_NETFILTER = 12;
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const NFTABLES = 10;
const BATCH = { begin: 0x10, end: 0x11 } as const;
const MSG = { newTable: 0xa00, newChain: 0xa03, newRule: 0xa06 } as const;
const REQUEST = 1;
const ACK = 4;
const CREATE = 0x400;
const NLMSG_ERROR = 2;
const IFNAME_BYTES = 16;
const META_IIFNAME = 6;
const RAW_PRIORITY = -300;

/** Where a packet is first seen: prerouting for IP, input for ARP, which has no earlier one. */
const FAMILY = { inet: { number: 1, hook: 0 }, arp: { number: 3, hook: 0 } } as const;

/** Drops what comes in by interfaces whose whole name is like `pattern`; `?` stands for any byte. Throws NetlinkError. */
export function dropFrom(netns: string, family: keyof typeof FAMILY, pattern: string): void {
  const { number, hook } = FAMILY[family];
  const message = (type: number, attributes: readonly Attribute[]): Message => ({ type, family: number, attributes });
  const at = [be32(1, hook), be32(2, RAW_PRIORITY)];
  exchange(netns, [
    message(MSG.newTable, [text(1, 'fact')]),
    message(MSG.newChain, [text(1, 'fact'), text(3, 'first'), nest(4, at), text(7, 'filter')]),
    message(MSG.newRule, [text(1, 'fact'), text(2, 'first'), nest(4, dropIfNameIs(pattern))]),
  ]);
}

function dropIfNameIs(pattern: string): readonly Attribute[] {
  const mask = Buffer.alloc(IFNAME_BYTES, 0xff);
  const wanted = Buffer.alloc(IFNAME_BYTES);
  for (const [i, char] of [...pattern].entries()) {
    if (char === '?') mask[i] = 0;
    else wanted.write(char, i, 'latin1');
  }
  const value = (type: number, data: Uint8Array): Attribute => nest(type, [bytes(1, data)]);
  return [
    expression('meta', [be32(1, 1), be32(2, META_IIFNAME)]),
    expression('bitwise', [
      be32(1, 1),
      be32(2, 1),
      be32(3, IFNAME_BYTES),
      value(4, mask),
      value(5, Buffer.alloc(IFNAME_BYTES)),
    ]),
    expression('cmp', [be32(1, 1), be32(2, 0), value(3, wanted)]),
    expression('immediate', [be32(1, 0), nest(2, [nest(2, [be32(1, 0)])])]),
  ];
}

function expression(name: string, data: readonly Attribute[]): Attribute {
  return nest(1, [text(1, name), nest(2, data)]);
}

function be32(type: number, value: number): Attribute {
  const data = Buffer.alloc(4);
  data.writeInt32BE(value | 0);
  return bytes(type, data);
}

type Message = { readonly type: number; readonly family: number; readonly attributes: readonly Attribute[] };

/** One batch: all of it or nothing. */
function exchange(netns: string, messages: readonly Message[]): void {
  const fd = inNetns(netns, () => libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_NETFILTER));
  if (fd < 0) throw new NetlinkError('open a netfilter socket', errnoName(lastErrno()));
  try {
    const border = (type: number): Uint8Array =>
      encodeMessage({ type, flags: REQUEST, sequence: 0 }, Uint8Array.of(0, 0, 0, NFTABLES), []);
    const parts = messages.map(({ type, family, attributes }, i) =>
      encodeMessage(
        { type, flags: REQUEST | ACK | CREATE, sequence: i + 1 },
        fixedHeader([1, family], [1, 0], [2, 0]),
        attributes,
      ),
    );
    const batch = Buffer.concat([border(BATCH.begin), ...parts, border(BATCH.end)]);
    if (libc().send(fd, batch, batch.length, 0) < 0) throw new NetlinkError('send a batch', errnoName(lastErrno()));
    for (let acknowledged = 0; acknowledged < messages.length; ) acknowledged += readAnswers(fd);
  } finally {
    closeSync(fd);
  }
}

function readAnswers(fd: number): number {
  const buffer = new Uint8Array(1 << 16);
  const size = libc().recv(fd, buffer, buffer.length, 0);
  if (size < 0) throw new NetlinkError('read the answer to a batch', errnoName(lastErrno()));
  const answers = decodeMessages(buffer.slice(0, size)).filter(({ type }) => type === NLMSG_ERROR);
  for (const { body, sequence } of answers) {
    const code = viewOf(body).getInt32(0, true);
    if (code < 0) throw new NetlinkError(`message ${sequence} of a batch`, errnoName(-code));
  }
  return answers.length;
}
