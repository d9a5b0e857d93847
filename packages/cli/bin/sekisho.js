#!/usr/bin/env node
// Starts the command on a Node that runs its TypeScript. The checkout brings one along (the npm package `node`), so that
// any Node >= 20 can start this file; a machine whose own Node is new enough uses that.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;
const own = fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR) {
  // Halves the start, and with it the time until a dead worker is replaced. In the checkout and not in /tmp, where another
  // user could have put code to be run.
  module.enableCompileCache(fileURLToPath(new URL('../../../node_modules/.cache/sekisho', import.meta.url)));
  await import('../src/main.ts');
} else if (existsSync(own)) {
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`sekisho: ${own} does not start: ${error.message}`);
    process.exit(70);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
} else {
  console.error(`sekisho: this needs Node >= ${NEEDED_MAJOR}, and here is ${process.version}. In a checkout, run: npm run setup`);
  process.exit(69);
}
