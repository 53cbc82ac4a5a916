/** What a client needs of HTTP; the process gives it (`httpTransport` of kit under Node, a wrapper of `fetch` in a browser). */

/** `path` begins with a slash and is below the server's address; `body` is text, JSON as a rule. */
export type TransportRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
};

/** Header names are in lower case. */
export type TransportResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** An answer that goes on. `lines`: each without its newline; ends when the server ends it, throws when the connection breaks. */
export type TransportStream = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: AsyncIterable<string>;
};

/** Both throw when no answer comes (refused, broken, aborted); an answer of any status is not an error here. */
export type Transport = {
  request(request: TransportRequest): Promise<TransportResponse>;
  stream(request: TransportRequest): Promise<TransportStream>;
};
