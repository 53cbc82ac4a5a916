/**
 * The lab's own small protocol between guests. The client sends one line of JSON, a Request, then:
 *
 *   who   nothing; the server answers with its name and closes
 *   put   bytes until it closes its half; the server answers with a Digest line
 *   get   nothing; the server sends `bytes` of the pattern and closes
 *   when  nothing; the server makes the file `heard`, waits for the file `go`, answers with its name and closes
 *
 * A UDP datagram to the same port is a `when` Request, and the answer a datagram.
 */
export type Request =
  | { readonly verb: 'who' }
  | { readonly verb: 'put' }
  | { readonly verb: 'get'; readonly bytes: number; readonly seed: string }
  | WhenRequest;

/** Paths on the machine that all guests share. */
export type WhenRequest = { readonly verb: 'when'; readonly heard: string; readonly go: string };

/** What one side received. */
export type Digest = { readonly bytes: number; readonly sha256: string };

/** What a transfer measured; `ok`: the receiver got exactly what the sender sent. */
export type TransferResult = {
  readonly ok: boolean;
  readonly bytes: number;
  readonly received: number;
  readonly ms: number;
};

/** Port of the server in every guest; the security groups of the lab allow it. */
export const OPEN_PORT = 5001;
/** Ports on which it also listens, and which no rule allows at first. */
export const CLOSED_PORTS: readonly number[] = [8080, 8081];
