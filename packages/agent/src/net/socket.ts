/** A netlink socket: requests that are acknowledged, and dumps. Calls are synchronous: the kernel answers before they return. */
import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import {
  type Attribute,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  fixedHeader,
  type NetlinkMessage,
  readText,
  u32Bytes,
  viewOf,
} from './message.ts';
import { inNetns, type NetnsRef } from './netns.ts';

/** Flags of a request (linux/netlink.h). */
export const NLM = {
  request: 0x1,
  ack: 0x4,
  echo: 0x8,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  dump: 0x300,
} as const;

/** Who answers in the kernel (linux/netlink.h). */
export const NETLINK = { route: 0, xfrm: 6, netfilter: 12 } as const;
export type NetlinkProtocol = (typeof NETLINK)[keyof typeof NETLINK];

/** What to ask: message type, fixed header, attributes; `tried` says it in words, with names, for the error. */
export type NetlinkRequest = {
  readonly type: number;
  readonly flags?: number;
  readonly fixed: Uint8Array;
  readonly attributes?: readonly Attribute[];
  readonly tried: string;
};

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const SOCK_NONBLOCK = 0x800;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const TIMEOUT_SECONDS = 10;
const RECEIVE_BYTES = 1 << 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const FLAG_CAPPED = 0x100;
const FLAG_ACK_TLVS = 0x200;
const FLAG_DUMP_INTERRUPTED = 0x10;
const DUMP_TRIES = 5;

export type SocketOptions = {
  /** Default: rtnetlink. */
  readonly protocol?: NetlinkProtocol;
  /** The network namespace to talk to; default: the one this process is in. */
  readonly netns?: NetnsRef;
  /** What one datagram may have, beyond the limit of the system. Default: the system's, some 200 KiB. */
  readonly sendBytes?: number;
};

export class NetlinkSocket {
  readonly fd: number;
  readonly #buffer: Uint8Array = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;
  /** The kernel owes an answer that nobody waits for any more. While it lists, it refuses another list (EBUSY). */
  #owed = false;

  constructor(options: SocketOptions = {}) {
    const { protocol = NETLINK.route } = options;
    const open = (): number => openNetlinkSocket({ protocol, groups: 0, nonBlocking: false });
    this.fd = options.netns === undefined ? open() : inNetns(options.netns, open);
    setOption(this.fd, SOL_SOCKET, SO_RCVTIMEO, fixedHeader([4, TIMEOUT_SECONDS], [4, 0], [4, 0], [4, 0]));
    if (options.sendBytes !== undefined) setOption(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, u32Bytes(options.sendBytes));
    setOption(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, u32Bytes(1));
    setOption(this.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, u32Bytes(1));
  }

  /** Throws NetlinkError unless the kernel did it. */
  change(request: NetlinkRequest): void {
    this.#exchange(request, NLM.ack);
  }

  /**
   * Several changes in one datagram, for what the kernel then does all or nothing of. Those whose flags have `NLM.ack` are answered, and the
   * last of these ends it. Throws NetlinkError with the first refusal, naming the change that was refused.
   */
  changeTogether(requests: readonly NetlinkRequest[]): void {
    if (this.#owed) this.#drain();
    const before = this.#sequence;
    const data = new Uint8Array(Buffer.concat(requests.map((request) => this.#encode(request, 0))));
    const what = (sequence: number): string => requests[sequence - before - 1]?.tried ?? requests[0]?.tried ?? '';
    if (libc().send(this.fd, data, data.length, 0) < 0) throw new NetlinkError(what(0), errnoName(lastErrno()));
    const last = before + 1 + requests.findLastIndex(({ flags = 0 }) => (flags & NLM.ack) !== 0);
    this.#owed = true;
    for (;;) {
      for (const message of this.#receive(what(last))) {
        if (message.sequence <= before || message.type !== NLMSG_ERROR) continue;
        throwIfError(message, what(message.sequence));
        if (message.sequence !== last) continue;
        this.#owed = false;
        return;
      }
    }
  }

  /**
   * As `change`, but the kernel works in another thread: for what it takes long about. The socket is for this alone meanwhile.
   */
  async changeAside(request: NetlinkRequest): Promise<void> {
    if (this.#owed) this.#drain();
    const data = this.#encode(request, NLM.ack);
    const sent = await new Promise<unknown>((resolve, reject) => {
      libc().send.async(this.fd, data, data.length, 0, (err, result) =>
        err === null || err === undefined ? resolve(result) : reject(err),
      );
    });
    if (sent !== data.length) throw new NetlinkError(request.tried, 'EIO', 'the request could not be sent');
    this.#collect(request.tried);
  }

  /** The one answer to a question. Throws NetlinkError, e.g. ENODEV. */
  get(request: NetlinkRequest): NetlinkMessage {
    const [answer] = this.#exchange(request, NLM.ack);
    if (answer === undefined) throw new NetlinkError(request.tried, 'ENODATA');
    return answer;
  }

  /** Every object there is, as of one moment. */
  dump(request: NetlinkRequest): NetlinkMessage[] {
    for (let i = 0; i < DUMP_TRIES; i++) {
      const answers = this.#exchange(request, NLM.dump);
      if (!answers.some((answer) => (answer.flags & FLAG_DUMP_INTERRUPTED) !== 0)) return answers;
    }
    throw new NetlinkError(request.tried, 'EINTR', 'the list changed all the time while it was read');
  }

  /**
   * Gives every object there is to `take`, a datagram a turn: the event loop is free between. False: the list changed meanwhile, so one
   * may lack or be there twice. The socket is for this alone until then.
   */
  async dumpInTurns(request: NetlinkRequest, take: (message: NetlinkMessage) => void): Promise<boolean> {
    let whole = true;
    this.#send(request, NLM.dump);
    this.#owed = true;
    for (;;) {
      const { answers, done } = this.#nextAnswers(request.tried);
      if (done) this.#owed = false;
      for (const answer of answers) {
        if ((answer.flags & FLAG_DUMP_INTERRUPTED) !== 0) whole = false;
        take(answer);
      }
      if (done) return whole;
      await new Promise(setImmediate);
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #exchange(request: NetlinkRequest, flags: number): NetlinkMessage[] {
    this.#send(request, flags);
    return this.#collect(request.tried);
  }

  #send(request: NetlinkRequest, flags: number): void {
    if (this.#owed) this.#drain();
    const data = this.#encode(request, flags);
    if (libc().send(this.fd, data, data.length, 0) < 0) throw new NetlinkError(request.tried, errnoName(lastErrno()));
  }

  #encode(request: NetlinkRequest, flags: number): Uint8Array {
    this.#sequence += 1;
    const head = { type: request.type, flags: NLM.request | flags | (request.flags ?? 0), sequence: this.#sequence };
    return encodeMessage(head, request.fixed, request.attributes ?? []);
  }

  #collect(tried: string): NetlinkMessage[] {
    const all: NetlinkMessage[] = [];
    for (;;) {
      const { answers, done } = this.#nextAnswers(tried);
      all.push(...answers);
      if (done) return all;
    }
  }

  /** What one datagram answers to the last request; `done`: it was the last one. */
  #nextAnswers(tried: string): { readonly answers: readonly NetlinkMessage[]; readonly done: boolean } {
    const answers: NetlinkMessage[] = [];
    for (const message of this.#receive(tried)) {
      if (message.sequence !== this.#sequence) continue;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        throwIfError(message, tried);
        return { answers, done: true };
      }
      answers.push(message);
    }
    return { answers, done: false };
  }

  /** A signal does not end it: what the kernel has begun to answer must be read. */
  #receive(tried: string): NetlinkMessage[] {
    for (;;) {
      const size = libc().recv(this.fd, this.#buffer, this.#buffer.length, 0);
      if (size >= 0) return decodeMessages(this.#buffer.slice(0, size));
      const code = errnoName(lastErrno());
      if (code === 'EINTR') continue;
      this.#owed = true;
      throw new NetlinkError(tried, code, 'no answer');
    }
  }

  #drain(): void {
    for (;;) {
      if (libc().recv(this.fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT) >= 0) continue;
      if (errnoName(lastErrno()) === 'EAGAIN') break;
    }
    this.#owed = false;
  }
}

/** NLMSG_ERROR and NLMSG_DONE begin with a negative errno, or zero. */
function throwIfError(message: NetlinkMessage, tried: string): void {
  const code = message.body.length >= 4 ? viewOf(message.body).getInt32(0, true) : 0;
  if (code < 0) throw new NetlinkError(tried, errnoName(-code), kernelText(message));
}

/** The sentence that the kernel adds (NLMSGERR_ATTR_MSG), behind a copy of the request. */
function kernelText(message: NetlinkMessage): string {
  if ((message.flags & FLAG_ACK_TLVS) === 0) return '';
  if (message.type === NLMSG_DONE) return readText(decodeAttributes(message.body, 4).get(1));
  const copied = (message.flags & FLAG_CAPPED) === 0 ? viewOf(message.body).getUint32(4, true) : 16;
  return readText(decodeAttributes(message.body, 4 + copied).get(1));
}

/** How a socket is opened. */
export type OpenSocketOptions = {
  readonly protocol: NetlinkProtocol;
  /** Bit mask of multicast groups to hear, e.g. 1 for RTNLGRP_LINK. */
  readonly groups: number;
  readonly nonBlocking: boolean;
  /** What may wait to be read, beyond the limit of the system. Default: the system's, some 200 KiB. */
  readonly receiveBytes?: number;
};

export function openNetlinkSocket(options: OpenSocketOptions): number {
  const kind = options.nonBlocking ? SOCK_RAW_CLOEXEC | SOCK_NONBLOCK : SOCK_RAW_CLOEXEC;
  const fd = libc().socket(AF_NETLINK, kind, options.protocol);
  if (fd < 0) throw new NetlinkError('open a netlink socket', errnoName(lastErrno()));
  const address = fixedHeader([2, AF_NETLINK], [2, 0], [4, 0], [4, options.groups]);
  if (libc().bind(fd, address, address.length) < 0) {
    const code = errnoName(lastErrno());
    closeSync(fd);
    throw new NetlinkError('bind a netlink socket', code);
  }
  if (options.receiveBytes !== undefined) setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, u32Bytes(options.receiveBytes));
  return fd;
}

function setOption(fd: number, level: number, name: number, value: Uint8Array): void {
  if (libc().setsockopt(fd, level, name, value, value.length) >= 0) return;
  const code = errnoName(lastErrno());
  closeSync(fd);
  throw new NetlinkError(`set option ${name} of a netlink socket`, code);
}
