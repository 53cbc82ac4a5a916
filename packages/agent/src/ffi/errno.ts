import { constants } from 'node:os';

/** Codes that the kernel answers but libc does not name. */
const KERNEL_ONLY: ReadonlyMap<number, string> = new Map([[524, 'ENOTSUPP']]);

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([name, value]) => [value, name] as const),
  ...KERNEL_ONLY,
]);

/** The symbolic name of an errno value; `E<number>` for one without a name. EAGAIN also stands for EWOULDBLOCK. */
export function errnoName(errno: number): string {
  if (errno === constants.errno.EAGAIN) return 'EAGAIN';
  if (errno === constants.errno.EOPNOTSUPP) return 'EOPNOTSUPP';
  return NAMES.get(errno) ?? `E${errno}`;
}

/** The kernel refused something. `code` is the errno's name, `tried` what was asked in plain words, with names. */
export class KernelError extends Error {
  readonly code: string;
  readonly tried: string;

  constructor(tried: string, code: string, detail?: string) {
    super(`${tried}: ${code}${detail === undefined || detail === '' ? '' : `: ${detail}`}`);
    this.name = new.target.name;
    this.code = code;
    this.tried = tried;
  }
}

/** bpf(2) or libbpf refused. */
export class BpfError extends KernelError {}

/** A netlink request, a namespace switch or a socket call failed. */
export class NetlinkError extends KernelError {}

/** Runs `call`; an error with one of these codes becomes undefined, any other is thrown. */
export function absentOn<T>(codes: readonly string[], call: () => T): T | undefined {
  try {
    return call();
  } catch (err) {
    if (isCoded(err) && codes.includes(err.code)) return undefined;
    throw err;
  }
}

/** Runs `call`; false when it failed with one of these codes, any other error is thrown. */
export function succeeded(call: () => void, exceptOn: readonly string[]): boolean {
  const done = absentOn(exceptOn, () => {
    call();
    return true;
  });
  return done === true;
}

function isCoded(err: unknown): err is { readonly code: string } {
  return typeof err === 'object' && err !== null && 'code' in err && typeof err.code === 'string';
}
