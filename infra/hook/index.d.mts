/** For the tests: the exports of `index.mjs` besides the handler. */
interface Answer {
  readonly FunctionError?: string;
  readonly Payload: Uint8Array;
}
export const CHECKS: Record<'ingest' | 'enrich' | 'api', { readonly event: any }>;
export function problemOf(
  name: keyof typeof CHECKS,
  invoke: (event: string) => Promise<Answer>,
  pause?: (seconds: number) => Promise<void>,
): Promise<string | undefined>;
