import { spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { LoadProcesses } from './load-processes.ts';

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** Of a process that says what this program makes it say. */
function processes(program: string): LoadProcesses {
  const all = new LoadProcesses(
    {
      spawn: () => spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' }),
      onSample: () => {},
    },
    { answerTimeoutMs: 300 },
  );
  cleanUps.push(() => all.kill());
  return all;
}

const READY = `process.on('message', ({ type }) => { if (type === 'set_up') process.send({ type: 'ready', unready: [], relayAddresses: [] })`;
const SETTINGS = [{}] as unknown as Parameters<LoadProcesses['setUp']>[0];

test('a process that does not say that it has stopped is not waited for without end', async () => {
  const all = processes(`${READY}; })`);
  await all.setUp(SETTINGS);
  await expect(all.stop(100)).rejects.toThrow('a load process does not answer');
});

test('nor is one that does not tell its books, or that does not end', async () => {
  const silent = processes(`${READY}; })`);
  await silent.setUp(SETTINGS);
  await expect(silent.close()).rejects.toThrow('a load process does not answer');
  const staying = processes(`${READY}; if (type === 'close') process.send({ type: 'finished', outcome: {} }); })`);
  await staying.setUp(SETTINGS);
  await expect(staying.close()).rejects.toThrow('a load process does not answer');
});
