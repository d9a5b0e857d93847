import { sendMails } from '../load/smtp.ts';
import type { Lane } from '../peers/lane.ts';
import { type Bench, chainCpu, type FigureGroup, figureOf, inTurns, measureCpu, type Sample } from './bench.ts';

const AT_ONCE = 20;

/** Sessions of one mail of 4 KiB, 20 at once from one office: the CPU of each half, and how many a second. */
export const sessions: FigureGroup = {
  names: ['relay.cpu_per_1k_sessions', 'agent.cpu_per_1k_sessions', 'chain.cpu_per_1k_sessions', 'chain.sessions_per_s'],
  async measure(bench: Bench) {
    const mails = bench.isQuick ? 1000 : 3000;
    const measure = (lane: Lane): Promise<Sample> => measureCpu(lane, () => sendMails(lane.ports.smtp, mails, AT_ONCE));
    // Warm: compiled code, resumable TLS sessions, an open connection.
    for (const lane of bench.lanes) await sendMails(lane.ports.smtp, mails, AT_ONCE);
    const results = await inTurns(bench.lanes, bench.rounds, measure);
    const perThousand = (cpu: number | undefined): number | undefined => (cpu === undefined ? undefined : (cpu / mails) * 1000);
    const unit = 's/1000';
    return [
      figureOf({ name: 'relay.cpu_per_1k_sessions', unit }, results, ({ cpu }) => perThousand(cpu.relay)),
      figureOf({ name: 'agent.cpu_per_1k_sessions', unit }, results, ({ cpu }) => perThousand(cpu.agent)),
      figureOf({ name: 'chain.cpu_per_1k_sessions', unit }, results, (sample) => perThousand(chainCpu(sample))),
      figureOf({ name: 'chain.sessions_per_s', unit: '1/s' }, results, ({ seconds }) => mails / seconds),
    ];
  },
};
