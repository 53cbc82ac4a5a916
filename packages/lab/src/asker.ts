/**
 * Asks a server one thing, as a process in whatever namespace: `asker.js URL METHOD BODY [AUTHORITY [CERTIFICATE]]`, where the certificate's file has its key too.
 * Prints an `Answer` as JSON.
 */
import { readFileSync } from 'node:fs';
import { request as askHttp, type ClientRequest } from 'node:http';
import { request as askHttps } from 'node:https';

/** `status` 0: there was no answer, and `type` is the code of the failure; else the type of the error in the answer, or nothing. */
export type Answer = { readonly status: number; readonly type: string; readonly message: string };

const [url = '', method = 'GET', body = '', authority, certificate] = process.argv.slice(2);

function begin(): ClientRequest {
  const headers = body === '' ? {} : { 'content-type': 'application/json' };
  if (!url.startsWith('https:')) return askHttp(url, { method, headers });
  const ca = authority === undefined ? {} : { ca: readFileSync(authority) };
  const own = certificate === undefined ? undefined : readFileSync(certificate);
  return askHttps(url, { method, headers, ...ca, ...(own === undefined ? {} : { cert: own, key: own }) });
}

function print(answer: Answer): void {
  process.stdout.write(JSON.stringify(answer));
}

const call = begin();
call.on('response', (response) => {
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  response.on('end', () => {
    const { type = '', message = '' } = faultIn(text);
    print({ status: response.statusCode ?? 0, type, message });
  });
});
call.on('error', (err) => print({ status: 0, type: (err as NodeJS.ErrnoException).code ?? '', message: err.message }));
call.end(body);

function faultIn(text: string): { readonly type?: string; readonly message?: string } {
  try {
    return (JSON.parse(text) as { readonly NeutronError?: object }).NeutronError ?? {};
  } catch {
    return {};
  }
}
