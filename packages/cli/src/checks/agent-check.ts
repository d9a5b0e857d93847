import { measureCertificate } from './certificate-days.ts';
import type { PluginReport } from './plugin-report.ts';
import { parseSamples, sumOf } from './prometheus-text.ts';

const MAX_PAGE_BYTES = 1024 * 1024;
const SECOND_MS = 1000;
/** With fewer, the next loss is the last. */
const WANTED_MANAGERS = 2;

/** `sekisho check agent`: how the agent of this router says that it is, by its metrics. */
export async function checkAgent(report: PluginReport, { url, timeoutMs }: { readonly url: string; readonly timeoutMs: number }): Promise<void> {
  let page: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' });
    page = await readPage(response);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
  } catch (error) {
    const { message, cause } = error as Error;
    report.problem('CRITICAL', `the agent does not answer at ${url}: ${cause instanceof Error ? cause.message : message}`);
    return;
  }
  const samples = parseSamples(page);
  const value = (name: string, labels?: Record<string, string>): number | undefined => sumOf(samples, `sekisho_agent_${name}`, labels);
  const direct = value('direct');
  if (direct === undefined) {
    report.problem('UNKNOWN', `at ${url} answers something that is no agent`);
    return;
  }
  const sessions = value('sessions') ?? 0;
  const alive = value('managers', { state: 'alive' }) ?? 0;
  const dead = value('managers', { state: 'dead' }) ?? 0;
  if (direct === 1) report.problem('CRITICAL', 'clients are connected directly, without the mesh: see `sekisho trace`');
  if (value('lease_valid') !== 1) report.problem('WARNING', 'no lease');
  if (alive < WANTED_MANAGERS) report.problem('WARNING', `${alive} of ${alive + dead} managers alive: no redundancy`);
  else report.fact(`${alive} of ${alive + dead} managers alive`);
  report.fact(`${sessions} sessions`);
  report.measure({ label: 'direct', value: direct, min: 0, max: 1 });
  report.measure({ label: 'managers_alive', value: alive, min: 0 });
  report.measure({ label: 'sessions', value: sessions, min: 0 });
  report.measure({ label: 'direct_total', value: value('direct_total') ?? 0, unit: 'c' });
  const expiresAt = value('certificate_expires_timestamp_seconds');
  if (expiresAt !== undefined) measureCertificate(report, 'the device', expiresAt * SECOND_MS);
}

/** No more than an agent has to say, whatever answers there. */
async function readPage(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let page = '';
  for await (const chunk of response.body ?? []) {
    page += decoder.decode(chunk, { stream: true });
    if (page.length >= MAX_PAGE_BYTES) break;
  }
  return page.slice(0, MAX_PAGE_BYTES);
}
