/** The few libc calls that Node lacks, by FFI. A call that fails returns -1; read `lastErrno()` at once. */
import koffi from 'koffi';

/** An address or a buffer of the caller; the callee may write to a buffer. */
export type Pointer = Uint8Array | bigint | null;

/** A function that another thread may call; `done` gets its result. errno is not told. */
export type AsideCall = { async(...args: readonly [...unknown[], (err: unknown, result: unknown) => void]): void };

type Libc = {
  readonly syscall: (number: number, command: number, attr: Pointer, size: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Uint8Array, size: number) => number;
  readonly connect: (fd: number, address: Uint8Array, size: number) => number;
  readonly send: ((fd: number, data: Uint8Array, size: number, flags: number) => number) & AsideCall;
  readonly sendto: (
    fd: number,
    data: Uint8Array,
    size: number,
    flags: number,
    address: Uint8Array,
    addressSize: number,
  ) => number;
  readonly recv: (fd: number, data: Uint8Array, size: number, flags: number) => number;
  readonly recvfrom: (
    fd: number,
    data: Uint8Array,
    size: number,
    flags: number,
    address: Uint8Array,
    addressSize: Uint8Array,
  ) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, size: number) => number;
  readonly getsockopt: (fd: number, level: number, name: number, value: Uint8Array, size: Uint8Array) => number;
  readonly setns: (fd: number, kind: number) => number;
  readonly unshare: (kind: number) => number;
  readonly mount: (source: string, target: string, type: string | null, flags: number, data: null) => number;
  readonly umount2: (target: string, flags: number) => number;
  readonly ioctl: (fd: number, request: number) => number;
  readonly ioctlWith: (fd: number, request: number, argument: Uint8Array) => number;
  readonly mmap: (at: null, size: number, protection: number, flags: number, fd: number, offset: number) => bigint;
  readonly munmap: (at: bigint, size: number) => number;
  readonly clock_gettime: (clock: number, time: Uint8Array) => number;
  readonly vsnprintf: (out: Uint8Array, size: number, format: bigint, args: bigint) => number;
};

let loaded: Libc | undefined;

/** The functions, bound at first use. */
export function libc(): Libc {
  loaded ??= bind();
  return loaded;
}

function bind(): Libc {
  const lib = koffi.load('libc.so.6');
  return {
    syscall: lib.func('long syscall(long number, int command, void *attr, uint size)'),
    socket: lib.func('int socket(int domain, int type, int protocol)'),
    bind: lib.func('int bind(int fd, void *address, uint size)'),
    connect: lib.func('int connect(int fd, void *address, uint size)'),
    send: lib.func('long send(int fd, void *data, size_t size, int flags)'),
    sendto: lib.func('long sendto(int fd, void *data, size_t size, int flags, void *address, uint addressSize)'),
    recv: lib.func('long recv(int fd, void *data, size_t size, int flags)'),
    recvfrom: lib.func('long recvfrom(int fd, void *data, size_t size, int flags, void *address, void *addressSize)'),
    setsockopt: lib.func('int setsockopt(int fd, int level, int name, void *value, uint size)'),
    getsockopt: lib.func('int getsockopt(int fd, int level, int name, void *value, void *size)'),
    setns: lib.func('int setns(int fd, int kind)'),
    unshare: lib.func('int unshare(int kind)'),
    mount: lib.func('int mount(const char *source, const char *target, const char *type, ulong flags, void *data)'),
    umount2: lib.func('int umount2(const char *target, int flags)'),
    ioctl: lib.func('int ioctl(int fd, ulong request)'),
    ioctlWith: lib.func('int ioctl(int fd, ulong request, void *argument)'),
    mmap: lib.func('void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset)'),
    munmap: lib.func('int munmap(void *at, size_t size)'),
    clock_gettime: lib.func('int clock_gettime(int clock, void *time)'),
    vsnprintf: lib.func('int vsnprintf(void *out, size_t size, void *format, void *args)'),
  };
}

/** CLOCK_REALTIME in ms, to the nanosecond: `Date.now()` knows whole ones alone. */
export function wallMs(): number {
  const time = new Uint8Array(16);
  libc().clock_gettime(0, time);
  return timespecUs(time) / 1000;
}

/** A struct timespec in microseconds. */
export function timespecUs(time: Uint8Array): number {
  const view = new DataView(time.buffer, time.byteOffset);
  return Number(view.getBigInt64(0, true)) * 1_000_000 + Number(view.getBigInt64(8, true)) / 1000;
}

/** errno of the last FFI call of this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Where the bytes lie in memory. Valid while the array is alive: the caller keeps it so. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** The memory behind a C pointer as bytes: a window, not a copy. */
export function memoryAt(pointer: bigint, size: number): Uint8Array {
  return new Uint8Array(koffi.view(pointer, size));
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** Memory of a file, as others see it. It must not be looked at after `unmap`. Throws with the errno. */
export function mapMemory(
  fd: number,
  { size, offset, isWritten }: { readonly size: number; readonly offset: number; readonly isWritten: boolean },
): { readonly bytes: Uint8Array; readonly unmap: () => void } {
  const pointer = libc().mmap(null, size, PROT_READ | (isWritten ? PROT_WRITE : 0), MAP_SHARED, fd, offset);
  if (pointer === MAP_FAILED) throw new Error(`cannot map ${size} bytes of descriptor ${fd}: errno ${lastErrno()}`);
  return { bytes: memoryAt(pointer, size), unmap: () => void libc().munmap(pointer, size) };
}
