import { FrameSocket } from '../net/frame-socket.ts';
import { inNetns, type Netns, openNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';

/** For tests: a guest's device in a namespace of its own. `tap0` is the host's end: what the guest sends comes out of `far`. */
export class TapBed {
  readonly netns: TestNetns = createNetns();
  readonly #inside: Netns;

  constructor() {
    const { netns } = this;
    netns.ip('link', 'add', 'tap0', 'type', 'veth', 'peer', 'name', 'far');
    for (const name of ['tap0', 'far']) netns.run('sysctl', '-qw', `net.ipv6.conf.${name}.disable_ipv6=1`);
    for (const name of ['tap0', 'far']) netns.ip('link', 'set', name, 'up');
    this.#inside = openNetns(netns.path);
  }

  indexOf(name: string): number {
    return Number(/^(\d+):/.exec(this.netns.ip('-o', 'link', 'show', name))?.[1]);
  }

  /** Runs something in its namespace. */
  within<T>(run: () => T extends Promise<unknown> ? never : T): T {
    return inNetns(this.#inside, run);
  }

  send(from: 'tap0' | 'far', ...frames: readonly Uint8Array[]): void {
    const socket = this.within(() => new FrameSocket());
    for (const frame of frames) socket.send(this.indexOf(from), frame);
    socket.close();
  }

  close(): void {
    this.#inside.close();
    this.netns.remove();
  }
}

/** The frame with a VLAN tag. */
export function tagged(frame: Buffer, tag: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(0x8100, 0);
  head.writeUInt16BE(tag, 2);
  return Buffer.concat([frame.subarray(0, 12), head, frame.subarray(12)]);
}
