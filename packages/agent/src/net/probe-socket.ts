/**
 * Asks an address once how it is: a TCP connection, also with a question and the beginning of the answer, a datagram, an echo request. By the kernel's sockets, since Node's
 * are made in the namespace that the process is in. What the other side sends is read up to a bound; a TCP connection ends with a reset, so that nothing of it waits here.
 */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { socketAddress } from './bound-socket.ts';
import { AF_INET6, encodeIp } from './ip.ts';
import { fixedHeader, u32Bytes } from './message.ts';
import { inNetns, type NetnsRef } from './netns.ts';

/** What is asked. `own`: whether the machine itself has the source address. `judge`: of all that was read so far; undefined: it needs more. It must not throw. */
export type ProbeQuestion =
  | { readonly kind: 'tcp' | 'udp' | 'ping' | 'own' }
  | {
      readonly kind: 'exchange';
      readonly request: Uint8Array;
      readonly judge: (answer: Uint8Array) => string | true | undefined;
    };

export type ProbeSocketOptions = {
  /** In digits. */
  readonly address: string;
  /** Of an echo request: no matter. */
  readonly port: number;
  /** Sent from; default: the kernel's choice. */
  readonly source?: string;
  /** Default: the namespace that this process is in. */
  readonly netns?: NetnsRef;
  readonly question: ProbeQuestion;
  /** Called once, in a later turn: true: it is well; else why not. Not after `close`. A datagram that nobody refused is told by nobody. */
  readonly onEnd: (result: true | string) => void;
};

/** An answer is read up to so many bytes. */
export const ANSWER_BYTES = 4096;

/** What a socket comes to when the kernel says that something is there. `read`: from now on it is only read; `wait`: there is more to come. */
type Step = () => true | string | 'read' | 'wait';

const SOCK = { tcp: 1, exchange: 1, udp: 2, ping: 2, own: 2 } as const;
const SOCK_CLOEXEC_NONBLOCK = 0x80000 | 0x800;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_RCVBUF = 8;
const SO_LINGER = 13;
const MSG_NOSIGNAL = 0x4000;
const ECHO_BYTES = 16;

/** Begins; `close` ends it at any time, idempotent. */
export function openProbe(options: ProbeSocketOptions): { close(): void } {
  const { question, onEnd } = options;
  let isOpen = true;
  let fd = -1;
  let poll: ReturnType<typeof koffi.node.poll> | undefined;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    poll?.close();
    if (fd >= 0) closeSync(fd);
  };
  const end = (result: true | string): void => {
    if (!isOpen) return;
    close();
    onEnd(result);
  };
  try {
    fd = options.netns === undefined ? connectSocket(options) : inNetns(options.netns, () => connectSocket(options));
  } catch (err) {
    const reason = err instanceof NetlinkError ? err.code : String(err);
    setImmediate(() => end(reason));
    return { close };
  }
  if (question.kind === 'own') {
    setImmediate(() => end(true));
    return { close };
  }
  const step = question.kind === 'tcp' || question.kind === 'exchange' ? stream(fd, question) : datagram(fd, question);
  const wait = (events: { readable?: boolean; writable?: boolean }): void => {
    poll?.close();
    poll = koffi.node.poll(fd, events, () => {
      if (!isOpen) return;
      const next = step();
      if (next === 'read') wait({ readable: true });
      else if (next !== 'wait') end(next);
    });
  };
  wait(question.kind === 'tcp' || question.kind === 'exchange' ? { writable: true } : { readable: true });
  return { close };
}

function connectSocket({ address, port, source, question }: ProbeSocketOptions): number {
  const { family } = encodeIp(address);
  const tried = `probe ${address}`;
  const protocol = question.kind !== 'ping' ? 0 : family === AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
  const fd = libc().socket(family, SOCK[question.kind] | SOCK_CLOEXEC_NONBLOCK, protocol);
  if (fd < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
  try {
    if (SOCK[question.kind] === SOCK.tcp) {
      set(fd, SO_LINGER, fixedHeader([4, 1], [4, 0]), tried);
      set(fd, SO_RCVBUF, u32Bytes(ANSWER_BYTES), tried);
    }
    if (source !== undefined) {
      const own = socketAddress(source, 0);
      if (libc().bind(fd, own, own.length) < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
    }
    if (question.kind === 'own') return fd;
    const name = socketAddress(address, question.kind === 'ping' ? 0 : port);
    if (libc().connect(fd, name, name.length) < 0) {
      const code = errnoName(lastErrno());
      if (code !== 'EINPROGRESS') throw new NetlinkError(tried, code);
    }
    const first = firstDatagram(question.kind, family === AF_INET6);
    if (first !== undefined && libc().send(fd, first, first.length, MSG_NOSIGNAL) < 0) {
      throw new NetlinkError(tried, errnoName(lastErrno()));
    }
    return fd;
  } catch (err) {
    closeSync(fd);
    throw err;
  }
}

/** An empty datagram is the end of a file to some servers: an empty line is sent. Of an echo request the kernel writes identifier and checksum. */
function firstDatagram(kind: ProbeQuestion['kind'], isV6: boolean): Uint8Array | undefined {
  if (kind === 'udp') return Uint8Array.of(0x0a);
  if (kind !== 'ping') return undefined;
  const echo = new Uint8Array(ECHO_BYTES);
  echo[0] = isV6 ? 128 : 8;
  return echo;
}

function set(fd: number, name: number, value: Uint8Array, tried: string): void {
  if (libc().setsockopt(fd, SOL_SOCKET, name, value, value.length) >= 0) return;
  throw new NetlinkError(tried, errnoName(lastErrno()));
}

/** A connection: that it comes about is all, or it is asked and answers. */
function stream(fd: number, question: ProbeQuestion): Step {
  const answer = Buffer.alloc(ANSWER_BYTES);
  let length = 0;
  let isConnected = false;
  return () => {
    if (!isConnected) {
      const error = takeError(fd);
      if (error !== undefined) return error;
      isConnected = true;
      if (question.kind !== 'exchange') return true;
      const { request } = question;
      const sent = libc().send(fd, request, request.length, MSG_NOSIGNAL);
      if (sent < 0) return errnoName(lastErrno());
      // A new connection has room for some kilobytes; a request has less.
      return sent < request.length ? 'the request was not taken' : 'read';
    }
    if (question.kind !== 'exchange') return true;
    const room = answer.subarray(length);
    const read = libc().recv(fd, room, room.length, 0);
    if (read < 0) {
      const code = errnoName(lastErrno());
      return code === 'EAGAIN' || code === 'EINTR' ? 'wait' : code;
    }
    length += read;
    const verdict = question.judge(answer.subarray(0, length));
    if (verdict !== undefined) return verdict;
    if (read === 0) return 'the connection ended without an answer';
    return length === answer.length ? 'the answer has no end' : 'wait';
  };
}

/** Any answer is a good one; errors are those that the other side sent about the datagram. */
function datagram(fd: number, question: ProbeQuestion): Step {
  const answer = new Uint8Array(ECHO_BYTES);
  return () => {
    const read = libc().recv(fd, answer, answer.length, 0);
    if (read >= 0) return question.kind === 'ping' && read < 8 ? 'wait' : true;
    const code = errnoName(lastErrno());
    return code === 'EAGAIN' || code === 'EINTR' ? 'wait' : code;
  };
}

/** The error that waits at a socket, by its name; undefined: none. */
function takeError(fd: number): string | undefined {
  const value = new Uint8Array(4);
  const size = u32Bytes(value.length);
  if (libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, size) < 0) return errnoName(lastErrno());
  const errno = new DataView(value.buffer).getInt32(0, true);
  return errno === 0 ? undefined : errnoName(errno);
}
