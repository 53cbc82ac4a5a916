/** The form that Wireshark and tcpdump read (pcap, of microseconds). */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { CliError } from './errors.ts';

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAX_BYTES = 262_144;
const LINK_ETHERNET = 1;

/** A packet as it was on the wire. `bytes`: that it had, at least those of `frame`. */
export type PcapPacket = { readonly timeUs: number; readonly frame: Buffer; readonly bytes: number };

/** Takes packets, and is done with each when there is room for more. */
export type PcapSink = {
  /** The head of the file: once, before the first packet. */
  begin(): Promise<void>;
  write(packet: PcapPacket): Promise<void>;
  close(): void;
};

/** To a file that others may not read; undefined: to standard output. `snaplen`: so many bytes of each packet at the most. */
export function openPcap(file: string | undefined, snaplen: number): PcapSink {
  const { write, close } = file === undefined ? standardOutput() : toFile(file);
  return {
    begin: () => write(fileHeader(Math.min(snaplen, MAX_BYTES))),
    write: ({ timeUs, frame, bytes }) => write(packetRecord(timeUs, frame.subarray(0, snaplen), bytes)),
    close,
  };
}

type Output = { readonly write: (bytes: Buffer) => Promise<void>; readonly close: () => void };

/** A file that others may not read, emptied. Throws `CliError`. */
export function openOwn(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (err) {
    throw notWritten(path, err);
  }
}

function notWritten(path: string, err: unknown): CliError {
  return new CliError(1, `cannot write ${path}: ${err instanceof Error ? err.message : String(err)}`, 'See --out.');
}

/** It is made when there is something to be written. */
function toFile(path: string): Output {
  let file: number | undefined;
  const write = async (bytes: Buffer): Promise<void> => {
    file ??= openOwn(path);
    try {
      writeSync(file, bytes);
    } catch (err) {
      throw notWritten(path, err);
    }
  };
  const close = (): void => {
    if (file !== undefined) closeSync(file);
  };
  return { write, close };
}

function standardOutput(): Output {
  const write = async (bytes: Buffer): Promise<void> => {
    if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
  };
  return { write, close: () => undefined };
}

function fileHeader(snaplen: number): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(MAGIC_MICROSECONDS, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(snaplen, 16);
  head.writeUInt32LE(LINK_ETHERNET, 20);
  return head;
}

function packetRecord(timeUs: number, frame: Buffer, bytes: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(Math.floor(timeUs / 1_000_000), 0);
  head.writeUInt32LE(timeUs % 1_000_000, 4);
  head.writeUInt32LE(frame.length, 8);
  head.writeUInt32LE(Math.max(frame.length, bytes), 12);
  return Buffer.concat([head, frame]);
}
