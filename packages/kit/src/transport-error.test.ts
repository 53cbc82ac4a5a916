import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getSystemErrorMap } from 'node:util';
import { explainNoAnswer, TransportError } from './transport-error.ts';

const withCode = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });

test('whatever the system says of a way to a server, the server was not reached', () => {
  const names = [...getSystemErrorMap().values()].map(([name]) => name).filter((name) => name !== 'EPROTO');
  assert.ok(names.includes('EINVAL') && names.includes('EHOSTDOWN') && names.includes('EAI_AGAIN'));
  const others = ['ENOTFOUND', 'EHOSTUNREACH', 'ERR_SOCKET_CONNECTION_TIMEOUT', 'Unknown system error -132'];
  for (const code of [...names, ...others]) {
    assert.equal(explainNoAnswer('https://h:1', withCode(code)).isUnreachable, true, code);
  }
  assert.equal(explainNoAnswer('https://h:1', new Error('socket hang up')).isUnreachable, true);
  assert.equal(new TransportError('timeout', '').isUnreachable, true);
});

test('what a server shows that is another’s is none of the way', () => {
  const shown = ['SELF_SIGNED_CERT_IN_CHAIN', 'CERT_HAS_EXPIRED', 'INVALID_PURPOSE', 'EPROTO', 'CERT_REVOKED'];
  const said = ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_SSL_WRONG_VERSION_NUMBER', 'HPE_INVALID_CONSTANT', 'UNSPECIFIED'];
  for (const code of [...shown, ...said]) {
    assert.equal(explainNoAnswer('https://h:1', withCode(code)).isUnreachable, false, code);
  }
  for (const code of ['aborted', 'invalid-address', 'not-joined'])
    assert.equal(new TransportError(code, '').isUnreachable, false, code);
});

test('what may not be reached says who forbids it', () => {
  assert.match(explainNoAnswer('unix:/run/s', withCode('EACCES')).message, /run as the user that owns it/);
  assert.match(explainNoAnswer('https://h:1', withCode('EACCES')).message, /a route or a rule of this machine/);
  assert.match(explainNoAnswer('https://h:1', withCode('EINVAL')).message, /blackhole/);
});
