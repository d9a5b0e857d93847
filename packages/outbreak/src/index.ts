export { acknowledge, type AckOutcome, MAX_BY_CHARS } from './acknowledge.ts';
export { isMailAddress } from './core/mail-address.ts';
export { type OutbreakStatus, outbreakStatus, type RecipientStatus } from './outbreak-status.ts';
export type { OutbreakSettings, SubmissionSettings, WebhookSettings } from './settings.ts';
export { type OutbreakComponents, type RunningOutbreak, startOutbreak } from './start-outbreak.ts';
export { sendTest, submissionProblem, type TestOutcome } from './test-alert.ts';
