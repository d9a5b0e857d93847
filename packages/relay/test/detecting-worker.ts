import { randomUUID } from 'node:crypto';
import type { Detection } from '../src/inspect/detection.ts';
import type { FromWorker } from '../src/supervisor/messages.ts';
import { runRelayWorker } from '../src/supervisor/worker-process.ts';

/** A worker that has found as many viruses as its argument says, and finds one more with each SIGUSR2. */
const say = (message: FromWorker): void => void process.send?.(message);

function find(): void {
  const session = randomUUID().replaceAll('-', '');
  const detection: Detection = {
    key: `s-${session}-1`,
    at: Date.now(),
    mac: '02:00:5e:10:00:01',
    signature: 'Win.Test.EICAR_HDB-1',
    protocol: 'smtp',
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:587',
    session,
  };
  say({ type: 'detection', detection });
}

process.on('SIGUSR2', find);
for (let left = Number(process.argv[2] ?? 0); left > 0; left -= 1) find();
await runRelayWorker();
