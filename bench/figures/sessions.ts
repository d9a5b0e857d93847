import type { Figure } from '../figure.ts';
import { sendMails } from '../load/smtp.ts';
import type { Lane } from '../peers/lane.ts';
import { type Bench, chainCpu, type FigureGroup, figureOf, inTurns, measureCpu, type Sample, warmUpOf } from './bench.ts';

const AT_ONCE = 20;
const LARGE_MAIL_BYTES = 10_000_000;
const LARGE_MAILS_AT_ONCE = 2;

/** Sessions of one mail of 4 KiB, 20 at once from one office: the CPU of each half, and how many a second. */
export const sessions: FigureGroup = {
  names: ['relay.cpu_per_1k_sessions', 'relay.cpu_per_gb_of_mail', 'agent.cpu_per_1k_sessions', 'chain.cpu_per_1k_sessions', 'chain.sessions_per_s'],
  async measure(bench: Bench) {
    const mails = bench.isQuick ? 600 : 3000;
    const measure = (lane: Lane): Promise<Sample> => measureCpu(lane, () => sendMails(lane.ports.smtp, mails, AT_ONCE));
    const lanes = [...bench.lanes, ...bench.smtpProxies];
    for (const lane of lanes) await sendMails(lane.ports.smtp, warmUpOf(lane.name, mails), AT_ONCE);
    const results = await inTurns(lanes, bench.rounds, measure);
    const perThousand = (cpu: number | undefined): number | undefined => (cpu === undefined ? undefined : (cpu / mails) * 1000);
    const unit = 's/1000';
    return [
      figureOf({ name: 'relay.cpu_per_1k_sessions', unit }, results, ({ cpu }) => perThousand(cpu.relay)),
      figureOf({ name: 'agent.cpu_per_1k_sessions', unit }, results, ({ cpu }) => perThousand(cpu.agent)),
      figureOf({ name: 'chain.cpu_per_1k_sessions', unit }, results, (sample) => perThousand(chainCpu(sample))),
      figureOf({ name: 'chain.sessions_per_s', unit: '1/s' }, results, ({ seconds }) => mails / seconds),
      await measureLargeMails(bench, lanes),
    ];
  },
};

/** Large mails: what SMTP proxies, which read every line, can be compared in. */
async function measureLargeMails({ isQuick, rounds }: Bench, lanes: readonly Lane[]): Promise<Figure> {
  const mails = isQuick ? 4 : 20;
  const send = (lane: Lane): Promise<number> => sendMails(lane.ports.smtp, mails, LARGE_MAILS_AT_ONCE, LARGE_MAIL_BYTES);
  const results = await inTurns(lanes, rounds, (lane) => measureCpu(lane, () => send(lane)));
  const perGb = ({ cpu }: Sample): number | undefined => (cpu.relay === undefined ? undefined : (cpu.relay / (mails * LARGE_MAIL_BYTES)) * 1e9);
  return figureOf({ name: 'relay.cpu_per_gb_of_mail', unit: 's/GB' }, results, perGb);
}
