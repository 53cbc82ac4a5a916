import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEdge } from './edge.fixture.ts';

const HEAD = 'Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n';
const POST = `POST /v2.0/networks HTTP/1.1\r\n${HEAD}`;
const BODY = '{"network":{"name":"e"}}';

test('what is no proper request is answered with an error and its connection closed', async (t) => {
  const { raw, ask } = await startEdge(t);
  for (const [name, text, status] of [
    [
      'both lengths',
      `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
      400,
    ],
    ['two lengths', `${POST}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}{}{`, 400],
    ['a negative length', `${POST}Content-Length: -1\r\n\r\n{}`, 400],
    ['a coding unheard of', `${POST}Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`, 400],
    ['a coding before the last', `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`, 415],
    ['a bad chunk', `${POST}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n`, 400],
    ['long headers', `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`, 431],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['bytes', '\u0000\u0001\u0002\r\n\r\n', 400],
    ['CONNECT', 'CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n', 405],
    [
      'a strange upgrade',
      'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: \u0001\u007f\r\n\r\n',
      400,
    ],
    ['another upgrade', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', 400],
    ['an expectation', `${POST}Content-Length: 24\r\nExpect: 200-maybe\r\n\r\n${BODY}`, 417],
    ['a length too small', `${POST}Content-Length: 3\r\n\r\n${BODY}`, 400],
  ] as const) {
    const answer = await raw(text);
    assert.match(
      answer,
      new RegExp(`^HTTP/1\\.1 ${status} .*\\r\\n\\r\\n(?:[0-9a-f]+\\r\\n)?\\{"NeutronError":`, 's'),
      name,
    );
    assert.equal(answer.split('HTTP/1.1 ').length, 2, `${name}: one answer`);
  }
  assert.equal((await ask('GET', '/healthz')).status, 200);
  assert.equal(JSON.parse((await ask('GET', '/v2.0/networks')).text).networks.length, 0);
});

test('proper requests of rare forms are served', async (t) => {
  const { raw } = await startEdge(t);
  assert.match(
    await raw(`${POST}Content-Length: 24\r\nExpect: 100-continue\r\n\r\n${BODY}`),
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /,
  );
  assert.match(await raw(`${POST}Transfer-Encoding: chunked\r\n\r\n18\r\n${BODY}\r\n0\r\n\r\n`), /^HTTP\/1\.1 201 /);
  assert.match(await raw('GET /v2.0/networks HTTP/1.0\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 200 .*"networks":\[/s);
  assert.match(
    await raw('GET http://localhost:1/v2.0/networks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 200 .*"networks":\[/s,
  );
  const piped = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(99);
  const answers = await raw(`${piped}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  assert.equal(answers.split('{"status":"ok"}').length, 101);
});
