/** One bgpd of FRR for the agent, in a directory of its own: it outlives the agent, which knows it again by its process id and that directory. */
import { execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '@cable/kit';

/** Where Debian's package has it. */
const BGPD = '/usr/lib/frr/bgpd';
/** As whom it runs; the group may speak to it. */
const USER = 'frr';
const VTY_GROUP = 'frrvty';
const ANSWER_BYTES = 8 << 20;
const ANSWER_MS = 10_000;
const START_MS = 10_000;
const LOOK_MS = 50;

/** Where what it is and was told stands, below the agent's directory of sockets. */
export function bgpDirectory(runDir: string): string {
  return join(runDir, 'bgp');
}

/** Whether there is one that an agent of this directory has started. */
export function isBgpdRunning(directory: string): boolean {
  return pidOf(directory) !== undefined;
}

/** Throws where there is no FRR, or it does not start. One that runs is ended. */
export async function startBgpd(directory: string, config: string): Promise<void> {
  if (!existsSync(BGPD))
    throw new Error(`there is no ${BGPD}: install the package frr, or name no BGP neighbors for VPNs`);
  await stopBgpd(directory);
  const uid = idIn('/etc/passwd', USER);
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  chownSync(directory, uid, idIn('/etc/group', VTY_GROUP));
  chmodSync(directory, 0o750);
  const file = join(directory, 'bgpd.conf');
  writeFileSync(file, config, { mode: 0o640 });
  chownSync(file, uid, idIn('/etc/group', USER));
  const where = ['-f', file, '-i', join(directory, 'bgpd.pid'), '--vty_socket', directory];
  // Without zebra, a port to listen at, and a terminal by TCP.
  const child = spawn(BGPD, ['-d', ...where, '-Z', '-p', '0', '-P', '0', '-u', USER, '-g', USER], { stdio: 'ignore' });
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  await Promise.race([failed, untilAnswers(directory)]);
}

async function untilAnswers(directory: string): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (performance.now() < deadline) {
    if (existsSync(join(directory, 'bgpd.vty')) && isBgpdRunning(directory)) return;
    await sleep(LOOK_MS);
  }
  throw new Error(
    `bgpd does not start: ${BGPD} -C -f ${join(directory, 'bgpd.conf')} says what is wrong with its configuration`,
  );
}

/** Ends it, and removes what it left. Absent is fine. */
export async function stopBgpd(directory: string): Promise<void> {
  const pid = pidOf(directory);
  if (pid !== undefined) process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + START_MS;
  while (isBgpdRunning(directory) && performance.now() < deadline) await sleep(LOOK_MS);
  const left = pidOf(directory);
  if (left !== undefined) process.kill(left, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
}

/** Gives vtysh these commands. Throws where one is refused, or the answer is too long or too late. */
export function askBgpd(directory: string, commands: readonly string[]): Promise<string> {
  const args = ['--vty_socket', directory, ...commands.flatMap((one) => ['-c', one])];
  const options = { maxBuffer: ANSWER_BYTES, timeout: ANSWER_MS, encoding: 'utf8' as const };
  return new Promise((resolve, reject) => {
    execFile('vtysh', args, options, (err, stdout, stderr) => {
      if (err === null) resolve(stdout);
      else reject(new Error(`vtysh ends with ${err.code ?? err.signal}: ${`${stdout}${stderr}`.slice(0, 500)}`));
    });
  });
}

/** Undefined: none runs that has this directory. */
function pidOf(directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(directory, 'bgpd.pid'), 'utf8'));
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return Number.isInteger(pid) && command.includes(directory) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Number of a user or group. */
function idIn(file: string, name: string): number {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`));
  const id = Number(line?.split(':')[2]);
  if (line === undefined || !Number.isInteger(id)) throw new Error(`${file} has no ${name}: install the package frr`);
  return id;
}
