/** What passes a port's device, chosen in the kernel: a program of vrouter/sample.bpf.c on a packet socket. */
import { dirname, join } from 'node:path';
import { arrayIndex } from '../bpf/codec.ts';
import { loadObject } from '../bpf/object.ts';
import type { RodataValue } from '../bpf/rodata.ts';
import { openCaptureSocket } from '../net/capture-socket.ts';

export type SampleSocketOptions = {
  /** Path of the vrouter's object: that of the filters is beside it. */
  readonly object: string;
  readonly program: 'sample' | 'capture';
  readonly rodata: Readonly<Record<string, RodataValue>>;
  readonly ifindex: number;
  readonly roomBytes: number;
  /** The beginning of a frame; `atUs`: since 1970. */
  readonly onFrame: (frame: Uint8Array, atUs: number) => void;
  /** Nothing more is heard. */
  readonly onError: (err: Error) => void;
};

/** Packets since it was opened. */
export type SampleCounts = {
  /** All that are looked for: that the port sent, that it was given. */
  readonly sent: number;
  readonly received: number;
  /** Of these, chosen. */
  readonly taken: number;
  /** Of the chosen, those that nobody was there to read. */
  readonly lost: number;
};

export type SampleSocket = {
  counts(): SampleCounts;
  /** Idempotent. */
  close(): void;
};

const OBJECT = 'sample.bpf.o';
const PROGRAMS = ['sample', 'capture'] as const;
/** struct sample */
const COUNT_BYTES = 40;

/** Throws as `loadObject` and `openCaptureSocket`. */
export function openSampleSocket(options: SampleSocketOptions): SampleSocket {
  const { object, program, rodata, ...rest } = options;
  const path = join(dirname(object), OBJECT);
  const loaded = loadObject({ path, rodata, skip: PROGRAMS.filter((name) => name !== program) });
  try {
    const [filter, count] = [loaded.programs.get(program), loaded.maps.get('sample_count')];
    if (filter === undefined || count === undefined) throw new Error(`${OBJECT} is not what it should be`);
    const socket = openCaptureSocket({ ...rest, filter });
    let lost = 0;
    let isOpen = true;
    return {
      counts: () => {
        const { buffer } = count.lookup(arrayIndex.encode(0)) ?? new Uint8Array(COUNT_BYTES);
        const packets = (at: number): number => Number(new DataView(buffer).getBigUint64(at, true));
        lost += socket.takeLost();
        return { sent: packets(0), received: packets(8), taken: packets(32), lost };
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        socket.close();
        loaded.close();
      },
    };
  } catch (err) {
    loaded.close();
    throw err;
  }
}
