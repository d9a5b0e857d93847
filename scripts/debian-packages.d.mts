export function missingPackages(root?: string): string[];
export function installHint(packages: readonly string[], reason: string): string;
export function ensureDebianPackages(): void;
