/** docs/guide/joining.md does what it says: its commands are run as they stand, on a machine of their own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** With directories and addresses of its own; what is in them is gone when its processes are. */
const MACHINE = `
set -e
for place in /etc/cable /var/lib/cable /run/cable /var/log /sys/fs/bpf; do mkdir -p $place; done
for place in /etc/cable /var/lib/cable /run/cable /var/log; do mount -t tmpfs guide $place; done
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
ip link add up0 type veth peer name up1
ip address add 10.0.0.1/24 dev up0
ip address add 10.0.0.11/24 dev up0
ip link set up0 up
ip link set up1 up
trap 'exit 1' TERM
trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT
agents=0
joined=/var/lib/cable/node-1/joined
renewed() {
  old=$(sha256sum < $joined/host.pem)
  for try in $(seq 600); do [ "$(sha256sum < $joined/host.pem)" = "$old" ] || return 0; sleep 0.2; done
  echo "the agent did not renew its certificate"; exit 1
}
authorities() {
  for try in $(seq 600); do [ "$(grep -c BEGIN $joined/authorities.pem)" = $1 ] && return 0; sleep 0.2; done
  echo "the agent was not told of $1 authorities"; exit 1
}
alive() { kill -0 $1 || { echo "ended: $2"; exit 1; }; }
`;

/** Waits for what the block has started. */
const READY: Readonly<Record<string, string>> = {
  begin: 'authorities 2',
  // What it is told last, it asks by.
  end: 'authorities 1; renewed; echo "the agent came back"',
  server: 'until [ -S /run/cable/server.sock ]; do alive $! server; sleep 0.2; done',
  agent:
    'agent=$!; agents=$((agents + 1)); until [ "$(grep -c \'"path":"/cable/v1/join","status":201\' /var/log/cable-audit.log)" -ge $agents ] && [ -S /run/cable/node-1/agent.sock ]; do alive $agent agent; sleep 0.2; done; echo "the agent is there"',
};

test('docs/guide/joining.md does what it says', async (t) => {
  const page = await readFile(`${ROOT}docs/guide/joining.md`, 'utf8');
  const blocks = [...page.matchAll(/^```sh ?(\w*)\n([\s\S]*?)^```$/gm)];
  assert.ok(blocks.length > 8);
  const script = blocks.map(([, kind = '', text = '']) => {
    if (kind === '') return `${text}`;
    if (kind === 'begin' || kind === 'end') return `${text}${READY[kind]}\n`;
    // Hosts renew within the test.
    if (kind === 'server') return `${text.trimEnd()} --host-certificate-life 30s &\n${READY[kind]}\n`;
    // The agent that is there already is started anew.
    const before = kind === 'agent' ? 'if [ -n "$agent" ]; then kill $agent; wait $agent || true; fi\n' : '';
    return `${before}${text.trimEnd()} &\n${READY[kind]}\n`;
  });
  const checks = `
echo "networks $(bin/cable.mjs --server unix:/run/cable/server.sock network list --json | grep -c '"blue"')"
echo "modes $(stat -c %a /etc/cable/pki/authority.key /etc/cable/alice.key /var/log/cable-audit.log | tr '\\n' ' ')"
grep -o '"path":"/cable/v1/join","status":201' /var/log/cable-audit.log
`;
  const child = spawn('unshare', ['--mount', '--net', '--propagation', 'private', 'bash', '-s'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.after(() => child.kill());
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.end(`${MACHINE}${script.join('')}${checks}`);
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${out}\n${err}`);
  assert.equal(out.match(/the agent is there/g)?.length, 2);
  assert.match(out, /the agent came back\n/);
  // Alice sees what she has made, also by another authority.
  assert.equal(out.match(/\| [0-9a-f-]{36} +\| blue /g)?.length, 2);
  assert.match(out, /networks 1\n/);
  assert.match(out, /modes 600 600 600/);
  assert.equal(out.match(/"path":"\/cable\/v1\/join","status":201/g)?.length, 2);
});
